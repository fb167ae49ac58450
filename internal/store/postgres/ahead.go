package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// Several processes that take turns of one pool hand its lock from one to the next, and while one of them
// reads under it, decides and sends what it has decided, the database has nothing to do. So one process at a time
// decides while the turn before is still being written, on what that will have left, which its process has announced.
// What was decided so waits for the pool's lock at the database, and the next process decides as soon as it is
// granted. The lock that this order is kept by (aheadLock) protects nothing else: under the pool's lock, the write
// has the database compare what was announced with what is so.

const (
	// aheadTimeout is how long a turn waits to be the one that decides ahead; then it is taken without.
	aheadTimeout = time.Second
	// restAhead is how many turns are not decided ahead after one was refused, or mostUnready in a row could not be: twice
	// as many every time.
	restAhead, mostRestAhead, mostUnready = 4, 64, 4
	// worthAhead is how many requests the last turn had, at least: it is one round trip more, which pays only where others wait.
	worthAhead = 4
	// mostAnnounced bounds the tenants of a preview: of more nothing is announced.
	mostAnnounced = 64
	// keepAnnounced is for how many turns previews are kept, and how often older ones are deleted: those of as many
	// turns as lie within pruneAnnounced. PruneTurns deletes the others.
	keepAnnounced, pruneAnnounced = 16, 256
)

// preview is a pool as a turn will have left it, once that is committed.
type preview struct {
	After       string                        `json:"after"` // TurnID of the turn before
	PoolVersion int64                         `json:"pool_version"`
	Counters    domain.Counters               `json:"counters"`
	Heads       [domain.PriorityClasses]int64 `json:"heads"`
	Tenants     []domain.TenantUsage          `json:"tenants"`
}

// way is how a turn was taken where several processes decide ahead.
type way int

const (
	without way = iota
	decidedAhead
	unready // could not be decided ahead: the next one waits for it, and is decided on what it announces
	refused // was decided ahead or was to be, and taken without then
)

// order is a turn's place among those of several processes, as far as these keep one: whoever decides ahead goes by what is
// announced, and a turn that came between would make it in vain.
type order struct {
	key  int64 // of the lock; 0: no order
	held bool  // the session may have it
	way  way
	last *recollection // what was announced last; nil: nothing that is of use
}

// errNotAhead: more has to be read for the turn than is announced and recalled.
var errNotAhead = errors.New("more has to be read than is known ahead")

func (s *Store) aheadLock(pool domain.PoolID) int64 { return s.lockKey("ahead", string(pool)) }

// mayOrder reports whether the turn keeps the order: others take turns of the pool, nothing is queued in it, and a
// session stays this process's own.
func (t *turn) mayOrder() bool {
	r := t.recalled
	return r.crowded() && r.queued() == 0 && !t.careful && !t.opts.Pooled && r.pool.Runtime == domain.RuntimeNative
}

// mayGoAhead reports whether the turn is worth deciding ahead: there is something to do, it was not in vain lately, and the
// database's clock is known.
func (t *turn) mayGoAhead() bool {
	if t.recalled.load < worthAhead || t.recalled.restAhead > 0 || t.seat.refused {
		return false
	}
	_, known := t.now()
	return known
}

// goAhead decides and takes the turn ahead, or when that cannot be, in its order. It returns false when it has to be taken
// anew: nothing was written.
func (t *turn) goAhead(ctx context.Context) (taken bool, err error) {
	if t.spec.Meanwhile != nil {
		t.spec.Meanwhile() // others should not wait for it
	}
	conn, err := t.acquire(ctx)
	if err != nil {
		return true, classify(t.what(), err)
	}
	defer conn.Release()
	t.conn = conn
	defer func() {
		t.leaveOrder(ctx)
		t.conn = nil
	}()
	t.order.held = true
	switch err := t.decideAhead(ctx); {
	case err == nil:
		// From here the caller's context ending would only leave an unknown commit.
		return t.takeAhead(context.WithoutCancel(ctx))
	case errors.Is(err, errNotAhead):
		// Who decides next goes by what this turn leaves, so it has to wait for that.
		t.rollback(ctx)
		t.order.way = unready
		return true, t.alone(ctx)
	default:
		t.refuse(ctx, err)
		if hasCode(err, codeLockNotAvailable) { // nor is it waited for once more
			t.leaveOrder(ctx)
			t.order.key = 0
		}
		return false, nil
	}
}

// refuse leaves the turn to be taken without. It gets another id: under this one something else may have been announced, and
// whoever goes by that would take what is committed for it.
func (t *turn) refuse(ctx context.Context, err error) {
	t.log.DebugContext(ctx, "a turn is not taken ahead", "pool", t.spec.Pool, "error", err)
	t.order.way = refused
	if t.rq != nil {
		t.rq.TurnID = uuid.NewString()
	}
}

// decideAhead waits until nobody else decides ahead, decides on what is announced, and announces what that will leave.
func (t *turn) decideAhead(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, tripTimeout)
	defer cancel()
	var found dbsqlc.AnnouncedRow
	err := pipelined(ctx, t.conn, func(p pipe) (err error) {
		if err = p.exec(ctx, begin); err != nil {
			return err
		}
		err = p.AwaitAhead(ctx, dbsqlc.AwaitAheadParams{Key: t.order.key, Idle: milliseconds(idleTimeout), LockWait: milliseconds(aheadTimeout)})
		if err != nil {
			return err
		}
		if found, err = p.Announced(ctx, string(t.spec.Pool)); errors.Is(err, pgx.ErrNoRows) {
			err = nil
		}
		return err
	})
	if err != nil {
		return err
	}
	last, err := t.recalled.announced(&found)
	if err != nil {
		return err
	}
	t.order.last = last
	if (last.counters.TurnNo+1)%headsEvery == 0 { // is read, as it is where nobody else takes turns
		return errNotAhead
	}
	t.rq = t.spec.Gather()
	now, known := t.now() // nothing is dated before it was asked for
	if !known {
		return errNotAhead
	}
	snap, enough := last.snapshot(t.rq, now)
	if !enough {
		return errNotAhead
	}
	t.candidates = nil
	t.decide(snap, headsOf(last.heads, &snap))
	if t.d.Idle || !t.allNew() {
		return errNotAhead
	}
	t.unread, t.unknown, t.byHeart = true, true, true
	announcement, err := t.announcement(last.tenants)
	if err != nil {
		return err
	}
	if announcement == nil {
		return errNotAhead
	}
	return pipelined(ctx, t.conn, func(p pipe) error {
		if err := announcement.send(ctx, p); err != nil {
			return err
		}
		return p.exec(ctx, "COMMIT")
	})
}

// announced returns the pool as the turn that was announced last will have left it. Error: errNotAhead, if that turn neither
// is the newest one nor follows it, or if it leaves more than is known here.
func (r *recollection) announced(found *dbsqlc.AnnouncedRow) (*recollection, error) {
	if found.Preview == nil {
		return nil, errNotAhead
	}
	var p preview
	if err := json.Unmarshal(found.Preview, &p); err != nil {
		return nil, fmt.Errorf("what was announced last: %w", err)
	}
	c := &p.Counters
	if c.TurnID != found.Committed && p.After != found.Committed || p.PoolVersion != r.pool.Version || c.Queued+c.Waiting > 0 {
		return nil, errNotAhead
	}
	last := newRecollection(0)
	last.pool, last.counters, last.heads, last.running = r.pool, p.Counters, p.Heads, r.running
	for i := range p.Tenants {
		last.tenants[p.Tenants[i].Tenant] = p.Tenants[i]
	}
	return last, nil
}

// announcement is a turn's preview on its way.
type announcement struct {
	dbsqlc.AnnounceParams

	prune *dbsqlc.PruneAnnouncedParams // nil: nothing is to be pruned
}

// announcement returns what the turn will leave, tenants being the usage before it; nil: it has too many tenants.
func (t *turn) announcement(tenants map[domain.Tenant]domain.TenantUsage) (*announcement, error) {
	c := &t.d.Counters
	p := preview{After: t.counters.TurnID, PoolVersion: t.pool.Version, Counters: *c, Heads: t.heads}
	all := maps.Clone(tenants)
	for i := range t.d.Tenants {
		all[t.d.Tenants[i].Tenant] = t.d.Tenants[i]
	}
	if len(all) > mostAnnounced {
		return nil, nil //nolint:nilnil // as is said above
	}
	p.Tenants = slices.Collect(maps.Values(all))
	body, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("announce %s: %w", t.what(), err)
	}
	a := &announcement{AnnounceParams: dbsqlc.AnnounceParams{PoolID: string(t.spec.Pool), TurnNo: c.TurnNo, Preview: body}}
	if c.TurnNo%keepAnnounced == 0 {
		a.prune = &dbsqlc.PruneAnnouncedParams{PoolID: a.PoolID, From: c.TurnNo - pruneAnnounced, Until: c.TurnNo - keepAnnounced}
	}
	return a, nil
}

// announce returns what a turn announces with its own commit; nil: nothing. What was announced before is of the pool as the turn
// has read it, or of no use.
func (t *turn) announce(ctx context.Context) *announcement {
	if !t.order.held || t.d.Pool != nil { // other tenants may have a cap now, whose usage was not read
		return nil
	}
	tenants := t.tenants
	if last := t.order.last; last != nil && last.holds(&t.counters) {
		tenants = maps.Clone(last.tenants)
		maps.Copy(tenants, t.tenants)
	}
	a, err := t.announcement(tenants)
	if err != nil {
		t.log.DebugContext(ctx, "a turn is not announced", "pool", t.spec.Pool, "error", err)
	}
	return a
}

func (a *announcement) send(ctx context.Context, p pipe) error {
	if a.prune != nil {
		if err := p.PruneAnnounced(ctx, *a.prune); err != nil {
			return err
		}
	}
	return p.Announce(ctx, a.AnnounceParams)
}

// takeAhead writes the turn in one round trip, which waits for the pool's lock at the database. It returns false when the
// database does not agree.
func (t *turn) takeAhead(ctx context.Context) (taken bool, err error) {
	sent := time.Now()
	if err = t.sendAhead(ctx); err == nil {
		t.order.way = decidedAhead
		t.committed()
		return true, nil
	}
	if nothing, clocks := notWritten(err); nothing {
		if clocks && time.Since(sent) < mostBehind { // else the wait was too long
			t.reckoning.forget()
		}
		t.refuse(ctx, err)
		return false, nil
	}
	return true, fmt.Errorf("postgres: %s: %w: %w", t.what(), store.ErrCommitUnknown, err)
}

func (t *turn) sendAhead(ctx context.Context) error {
	w, err := prepareWrites(t)
	if err != nil {
		return fmt.Errorf("%w: %w", errNothingSent, err)
	}
	settings := dbsqlc.AheadSettingsParams{
		Key: t.key, AheadKey: t.order.key,
		Statement: milliseconds(statementTimeout), LockWait: milliseconds(poolLockTimeout - aheadTimeout), ThenWait: milliseconds(rowLockTimeout),
		Clock: t.clock(), Earliest: instant(t.d.Now.Add(-mostAhead)), Latest: instant(t.d.Now.Add(mostBehind)),
	}
	ctx, cancel := context.WithTimeout(ctx, tripTimeout)
	defer cancel()
	err = pipelined(ctx, t.conn, func(p pipe) error {
		found, err := p.AheadSettings(ctx, settings)
		if err != nil {
			return err
		}
		t.order.held = !found.Held
		return w.send(ctx, p)
	})
	if err == nil {
		t.summaries.committed(w.finished) //nolint:contextcheck // what is summarised afterwards does not end with this call
	}
	return err
}

// leaveOrder gives up the turn's place, if the session may still have it, and what is left of a transaction.
func (t *turn) leaveOrder(ctx context.Context) {
	if !t.order.held {
		return
	}
	t.order.held = false
	if t.rollback(ctx); t.conn.Conn().IsClosed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	if err := dbsqlc.New(t.conn).LeaveOrder(ctx, t.order.key); err != nil {
		_ = t.conn.Conn().Close(ctx) // and with the session its lock
	}
}
