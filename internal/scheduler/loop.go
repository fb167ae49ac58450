package scheduler

import (
	"context"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// loop takes the turns of one pool in this process. Everything but the inbox and
// what view guards belongs to the loop's goroutine, or while that waits for a turn, to whoever
// calls the functions of its TurnSpec.
type loop struct {
	s       *Scheduler
	backend *backend
	pool    domain.PoolID
	log     *slog.Logger
	inbox   *inbox
	view    view

	// turning holds a token while a turn runs, so that Drain can wait for its end.
	turning chan struct{}

	// alone are parts of a batch that the backend refused: each is decided by itself,
	// the last one first.
	alone [][]*request
	// shelved are requests whose rows somebody else holds; each has turns of its own.
	shelved []shelved
	// blamed is a request that was refused by itself; the next turn, without any
	// request, finds out whether it really is the cause.
	blamed *blame
	// unresolved is a turn whose commit may or may not have gone through.
	unresolved *turn

	after     *aftermath        // of the last turn, as far as it is not done; nil: nothing. Of who holds turning.
	past      []domain.Counters // of turns before this process's first; nil once taken in
	due       time.Time         // next timer by this process's clock; zero: none
	downSince time.Time         // zero: the backend answers
	guards    int               // turns in a row that met a changed row
	retry     *backoff.ExponentialBackOff
}

// blame is a request that is suspected of being refused by the backend, and why.
type blame struct {
	request *request
	cause   error
}

// pause is how long a loop rests before its next turn.
type pause struct {
	d    time.Duration // negative: until woken
	deaf bool          // new requests do not end it
}

// Waits between attempts of a loop whose turns fail.
const (
	retryFirst = 50 * time.Millisecond
	retryMost  = time.Second
)

func newLoop(s *Scheduler, b *backend, pool domain.PoolID) *loop {
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval = retryFirst
	retry.MaxInterval = retryMost
	return &loop{
		s:       s,
		backend: b,
		pool:    pool,
		log:     s.opts.Log.With("pool", string(pool)),
		inbox:   newInbox(s.opts.InboxLimit, s.opts.InboxBytes),
		turning: make(chan struct{}, 1),
		retry:   retry,
	}
}

// run takes turns until ctx ends. What waits then is answered CodeUnavailable.
func (l *loop) run(ctx context.Context) {
	defer l.stop()
	l.awaitBackend(ctx)
	l.readPast(ctx)
	for ctx.Err() == nil {
		l.rest(ctx, l.step(ctx))
	}
}

// awaitBackend waits until this process is registered with the backend: before
// that nothing could be held, and there may be no room for audit events. Who asks
// meanwhile waits for Options.Patience.
func (l *loop) awaitBackend(ctx context.Context) {
	patience := time.NewTimer(l.s.opts.Patience)
	defer patience.Stop()
	for {
		select {
		case <-l.backend.ready:
			l.succeeded()
			return
		case <-ctx.Done():
			return
		case <-patience.C:
			l.downSince = l.s.now()
			l.backend.answers(l.pool, false)
			l.refuseAsks(errUnavailable(errNotReady))
		}
	}
}

// step does the next thing there is a reason for, and says how long to rest then.
func (l *loop) step(ctx context.Context) pause {
	l.turning <- struct{}{}
	defer func() { <-l.turning }()

	if l.unresolved != nil {
		return l.resolve(ctx)
	}
	now := l.s.now()
	l.unshelve(now)
	dueNow := !l.due.IsZero() && !now.Before(l.due)
	if wanted := l.inbox.pending(); !wanted && !dueNow && len(l.alone) == 0 && l.blamed == nil {
		return l.untilDue()
	}
	return l.turn(ctx)
}

// untilDue rests until the next timer.
func (l *loop) untilDue() pause {
	next := l.due
	for _, s := range l.shelved {
		if next.IsZero() || s.until.Before(next) {
			next = s.until
		}
	}
	if next.IsZero() {
		return pause{d: -1}
	}
	return pause{d: max(next.Sub(l.s.now()), time.Millisecond)}
}

func (l *loop) rest(ctx context.Context, p pause) {
	if p.d == 0 {
		return
	}
	wake := l.inbox.wake
	if p.deaf {
		wake = nil
	}
	var elapsed <-chan time.Time
	if p.d > 0 {
		timer := time.NewTimer(p.d)
		defer timer.Stop()
		elapsed = timer.C
	}
	select {
	case <-wake:
	case <-elapsed:
	case <-ctx.Done():
	}
}

// stop refuses everything from now on and answers what waits.
func (l *loop) stop() {
	l.turning <- struct{}{}
	l.meanwhile()
	<-l.turning
	left := l.inbox.close()
	for _, rs := range l.alone {
		left = append(left, rs...)
	}
	for _, s := range l.shelved {
		left = append(left, s.request)
	}
	if l.blamed != nil {
		left = append(left, l.blamed.request)
	}
	if l.unresolved != nil {
		left = append(left, l.unresolved.batch.requests()...)
		l.unresolved.batch.dismiss(errStopping())
	}
	for _, r := range left {
		r.fail(errStopping())
	}
}

// failed puts a batch back after a turn that wrote nothing because the backend did not
// answer. Who asks is told so when that has lasted longer than Options.Patience, and
// from then on at once; results stay.
func (l *loop) failed(t *turn, cause error) pause {
	if l.downSince.IsZero() {
		l.downSince = t.began
		l.backend.answers(l.pool, false)
		l.log.Warn("turns fail; trying until the backend answers", "error", cause)
	}
	l.putBack(t.batch)
	l.inbox.wantLook()
	if l.s.since(l.downSince) >= l.s.opts.Patience {
		l.refuseAsks(errUnavailable(cause))
	}
	return pause{d: l.retry.NextBackOff(), deaf: true}
}

// refuseAsks answers everybody who asks for something with err, now and until the
// next turn that goes through.
func (l *loop) refuseAsks(err *domain.Error) {
	for _, r := range l.inbox.refuse(err) {
		r.fail(err)
	}
	kept := l.alone[:0]
	for _, rs := range l.alone {
		var gives []*request
		for _, r := range rs {
			if r.gives() {
				gives = append(gives, r)
				continue
			}
			r.fail(err)
		}
		if len(gives) > 0 {
			kept = append(kept, gives)
		}
	}
	l.alone = kept
	if l.blamed != nil && !l.blamed.request.gives() {
		l.blamed.request.fail(err)
	}
}

// succeeded notes that the backend answers.
func (l *loop) succeeded() {
	l.guards = 0
	if l.downSince.IsZero() {
		return
	}
	l.log.Info("turns go through again", "after", l.s.since(l.downSince))
	l.downSince = time.Time{}
	l.retry.Reset()
	l.inbox.refuse(nil)
	l.backend.answers(l.pool, true)
}

// putBack returns a batch to where it came from.
func (l *loop) putBack(b *batch) {
	l.unlend(b)
	rs := b.requests()
	if len(rs) == 0 {
		return
	}
	if b.alone {
		l.alone = append(l.alone, rs)
		return
	}
	l.inbox.putBack(rs)
}

// polled takes what the safety poll saw of the pool. Turns of other processes may have left
// something to start, or a timer, only where something is queued.
func (l *loop) polled(c domain.Counters) {
	if !l.view.behind(c) {
		return
	}
	l.s.watchers.unknown(l.pool)
	if c.Queued > 0 || c.Waiting > 0 {
		l.inbox.wantLook()
	}
}
