package postgres

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

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
}

const (
	// convoysAtOnce keeps the database busy while the other one is being decided.
	convoysAtOnce = 2
	// mostTogether bounds the turns of one convoy, which all wait for its slowest.
	mostTogether = 64
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
// one that is over.
func (c *convoys) join(t *turn) (leads bool) {
	c.mu.Lock()
	if c.under < convoysAtOnce {
		c.under++
		c.mu.Unlock()
		return true
	}
	t.seat.told = make(chan bool, 1)
	c.waiting = append(c.waiting, t)
	c.mu.Unlock()
	return <-t.seat.told
}

// take returns those that wait, as many as go along with one more.
func (c *convoys) take() []*turn {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.waiting), mostTogether-1)
	along := c.waiting[:n:n]
	c.waiting = c.waiting[n:]
	return along
}

// over ends a convoy. If turns wait, the first of them leads the next.
func (c *convoys) over() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		c.waiting = nil
		c.under--
		return
	}
	c.waiting[0].seat.told <- true
	c.waiting = c.waiting[1:]
}

// mayTravel reports whether the turn may go with a convoy: no other process takes turns of
// the pool, as far as is known, and nobody holds its rows.
func (t *turn) mayTravel() bool { return t.recalled.trusted() && t.recalled.solo == 0 && !t.careful }

// travel takes the turn in a convoy. It returns false when the turn has to be taken alone:
// nothing was written.
func (s *Store) travel(ctx context.Context, t *turn) (arrived bool) {
	if s.convoys.join(t) {
		s.lead(ctx, t)
	}
	if t.seat.panicked != nil {
		panic(t.seat.panicked)
	}
	return t.seat.arrived
}

// lead takes the turns that wait along with t.
func (s *Store) lead(ctx context.Context, t *turn) {
	defer s.convoys.over()
	for range gatherYields {
		runtime.Gosched()
	}
	along := s.convoys.take()
	defer func() {
		for _, other := range along {
			other.seat.told <- false
		}
	}()
	var turns []*turn
	for _, each := range append([]*turn{t}, along...) {
		if each.decided() {
			turns = append(turns, each)
		}
	}
	if len(turns) > 0 {
		// What was decided is sent, whoever has stopped waiting for it.
		s.convoy(context.WithoutCancel(ctx), turns)
	}
}

// decided decides the turn on what is recalled, if nothing has to be read for it.
func (t *turn) decided() (yes bool) {
	defer func() {
		if p := recover(); p != nil {
			t.seat.panicked, yes = p, false
		}
	}()
	now, known := t.now()
	if !known {
		return false
	}
	t.rq = t.spec.Gather()
	snap, enough := t.recalled.snapshot(t.rq, now)
	if !enough {
		return false
	}
	t.decide(snap, headsOf(t.recalled.heads, &snap))
	// That there is nothing to do would have to be true in the database.
	return !t.d.Idle
}

// meanwhile calls the caller's Meanwhile.
func (t *turn) meanwhile() {
	defer func() {
		if p := recover(); p != nil && t.seat.panicked == nil {
			t.seat.panicked = p
		}
	}()
	if t.spec.Meanwhile != nil {
		t.spec.Meanwhile()
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
func (s *Store) convoy(ctx context.Context, turns []*turn) {
	if s.pool.Stat().IdleConns() == 0 {
		for _, t := range turns {
			t.meanwhile()
		}
	}
	err := s.sendConvoy(ctx, turns)
	var refused *pgconn.PgError
	switch {
	case err == nil:
		for _, t := range turns {
			t.seat.arrived = true
			t.committed()
		}
		return
	case errors.Is(err, errNothingSent), errors.As(err, &refused) && refused.SeverityUnlocalized == "ERROR":
		// Every turn is taken alone: which of them is the cause is found out there.
		s.reckoning.forget()
		s.riverIDs.refused(err)
		s.log.DebugContext(ctx, "turns decided on what was recalled are decided again", "pools", len(turns), "error", err)
		for _, t := range turns {
			t.seat.refused = true
		}
		return
	}
	for _, t := range turns {
		t.seat.arrived = true
		t.seat.err = fmt.Errorf("postgres: %s: %w: %w", t.what(), store.ErrCommitUnknown, err)
	}
}

var errNothingSent = errors.New("nothing was sent")

func (s *Store) sendConvoy(ctx context.Context, turns []*turn) error {
	acquiring, cancel := context.WithTimeout(ctx, callTimeout)
	conn, err := s.pool.Acquire(acquiring)
	cancel()
	if err != nil {
		return fmt.Errorf("%w: %w", errNothingSent, err)
	}
	defer conn.Release()
	guard := dbsqlc.ExpressGuardParams{Clock: s.clock()}
	var keys []int64
	for _, t := range turns {
		if err := t.carry(ctx, conn); err != nil {
			return fmt.Errorf("%w: %w", errNothingSent, err)
		}
		keys = append(keys, t.key)
		expect(&guard, t)
	}
	w, err := prepareWrites(turns...)
	if err != nil {
		return fmt.Errorf("%w: %w", errNothingSent, err)
	}
	ctx, cancel = context.WithTimeout(ctx, tripTimeout)
	defer cancel()
	var now time.Time
	err = pipelinedWhile(ctx, conn, func() {
		for _, t := range turns {
			t.meanwhile()
		}
	}, func(p pipe) error {
		at, err := p.ExpressSettings(ctx, dbsqlc.ExpressSettingsParams{
			Statement: milliseconds(statementTimeout), LockWait: milliseconds(rowLockTimeout), Keys: keys,
		})
		if err != nil {
			return err
		}
		now = at.Time
		if err := p.ExpressGuard(ctx, guard); err != nil {
			return err
		}
		return w.send(ctx, p)
	})
	if err != nil {
		return err
	}
	s.reckoning.saw(now, time.Now())
	s.summaries.committed(w.finished) //nolint:contextcheck // what is summarised afterwards does not end with this call
	return nil
}
