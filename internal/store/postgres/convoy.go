package postgres

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// convoys let turns of several pools, which are decided on what is recalled, share one
// transaction of one round trip: what a transaction costs, and every statement in it, is paid
// once for all of them. While as many convoys as there may be are under way, turns wait and make
// the next one, so that a convoy is as long as the database is busy. Safe for concurrent use.
type convoys struct {
	mu      sync.Mutex
	waiting []*turn
	under   int // convoys under way, or about to be
	fewer   int // how often the most that may travel together is halved
}

const (
	// convoysAtOnce keeps the database busy while the other one is being decided.
	convoysAtOnce = 2
	// mostTogether bounds the turns of one convoy, which all wait for its slowest. A convoy that is
	// turned back halves the next ones: others should not suffer often for one.
	mostTogether, mostHalved = 64, 6
	// gatherYields is how often who leads a convoy lets others come along: pools that
	// the last convoy has answered ask again at once.
	gatherYields = 3
)

// seat is a turn's place in a convoy.
type seat struct {
	// told says that the convoy is over (false), or that this turn is to lead the next one.
	told chan bool
	// Set by who leads, before the turn is told.
	arrived  bool  // the turn was taken, or nobody knows; else it has to be taken alone
	err      error // why nobody knows
	refused  bool  // the database did not agree, to this turn or to another one
	panicked any   // what a callback panicked with; for its own goroutine
}

// join returns true when the turn is to lead a convoy, false when it has come along with
// one that is over, or gives up because ctx has ended.
func (c *convoys) join(ctx context.Context, t *turn) (leads bool) {
	c.mu.Lock()
	if c.under < convoysAtOnce {
		c.under++
		c.mu.Unlock()
		return true
	}
	t.seat.told = make(chan bool, 1)
	c.waiting = append(c.waiting, t)
	c.mu.Unlock()
	select {
	case leads = <-t.seat.told:
		return leads
	case <-ctx.Done():
	}
	c.mu.Lock()
	at := slices.Index(c.waiting, t)
	if at >= 0 {
		c.waiting = slices.Delete(c.waiting, at, at+1)
	}
	c.mu.Unlock()
	if at >= 0 {
		return false
	}
	return <-t.seat.told // it is being taken along
}

// take returns those that wait, as many as go along with one more.
func (c *convoys) take() []*turn {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.waiting), mostTogether>>c.fewer-1)
	along := slices.Clone(c.waiting[:n])
	c.waiting = slices.Delete(c.waiting, 0, n)
	return along
}

// over ends a convoy. If turns wait, the first of them leads the next.
func (c *convoys) over() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		c.under--
		return
	}
	c.waiting[0].seat.told <- true
	c.waiting = slices.Delete(c.waiting, 0, 1)
}

// went notes how a convoy of so many turns went.
func (c *convoys) went(turns int, refused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !refused:
		c.fewer = max(c.fewer-1, 0)
	case turns > 1:
		c.fewer = min(c.fewer+1, mostHalved)
	}
}

// mayTravel reports whether the turn may go with a convoy: no other process takes turns of
// the pool, as far as is known, nobody holds its rows, and nothing has to be read whatever
// the requests.
func (t *turn) mayTravel() bool {
	r := t.recalled
	return r.trusted() && r.solo == 0 && !t.careful && r.pool.Runtime != domain.RuntimeWeb && (r.counters.TurnNo+1)%headsEvery != 0
}

// travel takes the turn in a convoy. It returns false when the turn has to be taken alone:
// nothing was written.
func (s *Store) travel(ctx context.Context, t *turn) (arrived bool) {
	if s.convoys.join(ctx, t) {
		s.lead(ctx, t)
	}
	if t.seat.panicked != nil {
		panic(t.seat.panicked)
	}
	return t.seat.arrived
}

// lead takes the turns that wait along with t. Those that have to be taken alone are told at once.
func (s *Store) lead(ctx context.Context, t *turn) {
	defer s.convoys.over()
	for range gatherYields {
		runtime.Gosched()
	}
	together := append([]*turn{t}, s.convoys.take()...)
	turns := make([]*turn, 0, len(together))
	defer func() {
		for _, each := range turns {
			each.leave()
		}
	}()
	conn, err := s.seatConn(ctx, together)
	if err == nil {
		defer conn.Release()
	}
	load := 0
	for _, each := range together {
		if err == nil && load < plan.MaxRequests && each.decided() {
			turns = append(turns, each)
			load += each.load()
			continue
		}
		each.leave()
	}
	if len(turns) > 0 {
		// What was decided is sent, whoever has stopped waiting for it.
		s.convoy(context.WithoutCancel(ctx), conn, turns)
	}
}

// leave tells a turn that came along that its convoy is over for it.
func (t *turn) leave() {
	if t.seat.told != nil {
		t.seat.told <- false
	}
}

// seatConn returns a connection for a convoy. Who waits for one does what is to be done meanwhile.
func (s *Store) seatConn(ctx context.Context, turns []*turn) (*pgxpool.Conn, error) {
	if s.pool.Stat().IdleConns() == 0 {
		for _, t := range turns {
			t.meanwhile()
		}
	}
	return s.acquire(ctx)
}

// load is how much the turn adds to a convoy, as a number of requests: large payloads are
// as many as would fill a turn with them.
func (t *turn) load() int {
	bytes := 0
	for i := range t.rq.Submits {
		bytes += len(t.rq.Submits[i].Payload)
	}
	for i := range t.rq.Settles {
		bytes += len(t.rq.Settles[i].Result)
	}
	return t.rq.Len() + bytes/(plan.MaxBytes/plan.MaxRequests)
}

// decided decides the turn on what is recalled, if nothing has to be read for it.
func (t *turn) decided() (yes bool) {
	defer func() {
		if p := recover(); p != nil {
			t.seat.panicked, yes = p, false
		}
	}()
	if _, known := t.now(); !known {
		return false
	}
	t.rq = t.spec.Gather()
	now, known := t.now() // nothing is dated before it was asked for
	if !known {
		return false
	}
	snap, enough := t.recalled.snapshot(t.rq, now)
	if !enough {
		return false
	}
	t.decide(snap, headsOf(t.recalled.heads, &snap))
	t.unread, t.unknown = true, true
	// That there is nothing to do would have to be true in the database.
	return !t.d.Idle && t.allNew()
}

// meanwhile calls the caller's Meanwhile.
func (t *turn) meanwhile() {
	if t.spec.Meanwhile != nil {
		t.safely(t.spec.Meanwhile)
	}
}

// now returns the clock of a turn that does not read the database's.
func (s *Store) now() (time.Time, bool) {
	if s.opts.Now != nil {
		return s.opts.Now().UTC().Truncate(time.Microsecond), true
	}
	return s.reckoning.now(time.Now())
}

// convoy writes what the turns have decided, in one transaction of one round trip.
func (s *Store) convoy(ctx context.Context, conn *pgxpool.Conn, turns []*turn) {
	err := s.sendConvoy(ctx, conn, turns)
	if nothing, clocks := notWritten(err); nothing {
		// Every turn is taken alone: which of them is the cause is found out there.
		if clocks {
			s.reckoning.forget()
		}
		s.riverIDs.refused(err)
		s.log.DebugContext(ctx, "turns decided on what was recalled are decided again", "pools", len(turns), "error", err)
		s.convoys.went(len(turns), true)
		for _, t := range turns {
			t.seat.refused = true
		}
		return
	}
	for _, t := range turns { // before anything else can go wrong
		if t.seat.arrived = true; err != nil {
			t.seat.err = fmt.Errorf("postgres: %s: %w: %w", t.what(), store.ErrCommitUnknown, err)
		}
	}
	if err != nil {
		return
	}
	s.convoys.went(len(turns), false)
	for _, t := range turns {
		t.safely(t.committed)
	}
}

// safely leaves a panic to the turn's own goroutine.
func (t *turn) safely(f func()) {
	defer func() {
		if p := recover(); p != nil && t.seat.panicked == nil {
			t.seat.panicked = p
		}
	}()
	f()
}

// notWritten reports whether a transaction of one round trip that ended with err has surely written nothing, and whether the
// clock was the reason.
func notWritten(err error) (nothing, clocks bool) {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.SeverityUnlocalized == "ERROR" {
		return true, strings.HasSuffix(pg.Message, "clocks")
	}
	return errors.Is(err, errNothingSent) || pgconn.SafeToRetry(err), false
}

var errNothingSent = errors.New("nothing was sent")

// sendConvoy sends the turns. A panic on the way leaves open what was sent, as a lost connection does.
func (s *Store) sendConvoy(ctx context.Context, conn *pgxpool.Conn, turns []*turn) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			s.log.ErrorContext(ctx, "sending turns panicked", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	settings := dbsqlc.ExpressSettingsParams{
		Statement: milliseconds(statementTimeout), LockWait: milliseconds(rowLockTimeout), Clock: s.clock(),
	}
	for _, t := range turns {
		if err := t.carry(ctx, conn); err != nil {
			return fmt.Errorf("%w: %w", errNothingSent, err)
		}
		settings.Keys = append(settings.Keys, t.key)
		within(&settings, t.d.Now)
	}
	w, err := prepareWrites(turns...)
	if err != nil {
		return fmt.Errorf("%w: %w", errNothingSent, err)
	}
	ctx, cancel := context.WithTimeout(ctx, tripTimeout)
	defer cancel()
	var now time.Time
	sent := time.Now()
	err = pipelinedWhile(ctx, conn, func() {
		for _, t := range turns {
			t.meanwhile()
		}
	}, func(p pipe) error {
		if err := s.planner(ctx, p.Queries); err != nil {
			return err
		}
		at, err := p.ExpressSettings(ctx, settings)
		if err != nil {
			return err
		}
		now = at.Time
		return w.send(ctx, p)
	})
	if err != nil {
		return err
	}
	s.reckoning.saw(now, sent, time.Now())
	s.summaries.committed(w.finished) //nolint:contextcheck // what is summarised afterwards does not end with this call
	return nil
}
