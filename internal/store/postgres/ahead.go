package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

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
	// restAhead is how many turns are not decided ahead after one was in vain: twice as many every time.
	restAhead, mostRestAhead = 4, 1024
	// mostAnnounced bounds the tenants of a preview.
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

// ahead is a turn that is decided ahead, or wherever it was not, that the next one waits for.
type ahead struct {
	*turn

	key  int64
	held bool // the session may have the lock
}

// errNotAhead: more has to be read for the turn than is announced and recalled.
var errNotAhead = errors.New("more has to be read than is known ahead")

func (s *Store) aheadLock(pool domain.PoolID) int64 { return s.lockKey("ahead", string(pool)) }

// mayGoAhead reports whether the turn is worth deciding ahead: others take turns of the pool, nothing is
// queued in it, and a session stays this process's own.
func (t *turn) mayGoAhead() bool {
	r := t.recalled
	return r.crowded() && r.restAhead == 0 && r.queued() == 0 && !t.careful && !t.opts.Pooled &&
		r.pool.Runtime == domain.RuntimeNative && len(r.tenants) <= mostAnnounced
}

// goAhead takes the turn in the order of those that are decided ahead. It returns false when the turn has to be taken
// without: nothing was written.
func (s *Store) goAhead(ctx context.Context, t *turn) (arrived bool) {
	if t.spec.Meanwhile != nil {
		t.spec.Meanwhile() // others should not wait for it
	}
	acquiring, cancel := context.WithTimeout(ctx, callTimeout)
	conn, err := s.pool.Acquire(acquiring)
	cancel()
	if err != nil {
		return false
	}
	defer conn.Release()
	t.conn = conn
	defer func() { t.conn = nil }()

	a := &ahead{turn: t, key: s.aheadLock(t.spec.Pool), held: true}
	defer a.giveUp(ctx)
	switch err := a.decide(ctx); {
	case err == nil:
		// From here the caller's context ending would only leave an unknown commit.
		return a.take(context.WithoutCancel(ctx))
	case errors.Is(err, errNotAhead):
		// Who decides next goes by what this turn leaves, so it has to wait for that.
		t.rollback(ctx)
		t.seat.announces = true
		t.seat.arrived, t.seat.err = true, t.alone(ctx)
		return true
	default:
		s.log.DebugContext(ctx, "a turn is not decided ahead", "pool", t.spec.Pool, "error", err)
		t.seat.behind = true
		return false
	}
}

// decide waits until nobody else decides ahead, decides on what is announced, and announces what that will leave.
func (a *ahead) decide(ctx context.Context) error {
	t := a.turn
	ctx, cancel := context.WithTimeout(ctx, tripTimeout)
	defer cancel()
	var found dbsqlc.AnnouncedRow
	err := pipelined(ctx, t.conn, func(p pipe) (err error) {
		if err = p.exec(ctx, begin); err != nil {
			return err
		}
		err = p.AwaitAhead(ctx, dbsqlc.AwaitAheadParams{Key: a.key, Idle: milliseconds(idleTimeout), LockWait: milliseconds(aheadTimeout)})
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
	if _, known := t.now(); !known {
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
	if c.TurnID != found.Committed && p.After != found.Committed || p.PoolVersion != r.pool.Version || c.Queued+c.Waiting > 0 || (c.TurnNo+1)%headsEvery == 0 {
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

// announcement returns what the turn will leave, tenants being the usage before it.
func (t *turn) announcement(tenants map[domain.Tenant]domain.TenantUsage) (*announcement, error) {
	c := &t.d.Counters
	p := preview{After: t.counters.TurnID, PoolVersion: t.pool.Version, Counters: *c, Heads: t.heads}
	all := maps.Clone(tenants)
	for i := range t.d.Tenants {
		all[t.d.Tenants[i].Tenant] = t.d.Tenants[i]
	}
	p.Tenants = slices.Collect(maps.Values(all))
	body, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("announce %s: %w", t.what(), err)
	}
	a := &announcement{AnnounceParams: dbsqlc.AnnounceParams{PoolID: string(t.spec.Pool), TurnNo: c.TurnNo, Preview: body}}
	switch {
	case t.seat.announces: // turns that were announced and not taken, this being the newest one
		a.prune = &dbsqlc.PruneAnnouncedParams{PoolID: a.PoolID, From: c.TurnNo + 1, Until: math.MaxInt64}
	case c.TurnNo%keepAnnounced == 0:
		a.prune = &dbsqlc.PruneAnnouncedParams{PoolID: a.PoolID, From: c.TurnNo - pruneAnnounced, Until: c.TurnNo - keepAnnounced}
	}
	return a, nil
}

func (a *announcement) send(ctx context.Context, p pipe) error {
	if a.prune != nil {
		if err := p.PruneAnnounced(ctx, *a.prune); err != nil {
			return err
		}
	}
	return p.Announce(ctx, a.AnnounceParams)
}

// take writes the turn in one round trip, which waits for the pool's lock at the database. It returns false when the
// database does not agree, and gives the turn another id then: under this one something else was announced.
func (a *ahead) take(ctx context.Context) (arrived bool) {
	t := a.turn
	err := a.send(ctx)
	var refused *pgconn.PgError
	switch {
	case err == nil:
		t.seat.arrived = true
		t.committed()
	case errors.As(err, &refused) && refused.SeverityUnlocalized == "ERROR", errors.Is(err, errNothingSent), pgconn.SafeToRetry(err):
		if refused != nil && strings.HasSuffix(refused.Message, "clocks") {
			t.reckoning.forget()
		}
		t.log.DebugContext(ctx, "a turn that was decided ahead is decided again", "pool", t.spec.Pool, "error", err)
		t.riverIDs.refused(err)
		t.rq.TurnID = uuid.NewString()
		t.seat.behind = true
		return false
	default:
		t.seat.arrived = true
		t.seat.err = fmt.Errorf("postgres: %s: %w: %w", t.what(), store.ErrCommitUnknown, err)
	}
	return true
}

func (a *ahead) send(ctx context.Context) error {
	t := a.turn
	w, err := prepareWrites(t)
	if err != nil {
		return fmt.Errorf("%w: %w", errNothingSent, err)
	}
	settings := dbsqlc.AheadSettingsParams{
		Key: t.key, AheadKey: a.key,
		Statement: milliseconds(statementTimeout), LockWait: milliseconds(poolLockTimeout), ThenWait: milliseconds(rowLockTimeout),
		Clock: t.clock(), Earliest: instant(t.d.Now.Add(-mostAhead)), Latest: instant(t.d.Now.Add(mostBehind)),
	}
	ctx, cancel := context.WithTimeout(ctx, tripTimeout)
	defer cancel()
	err = pipelined(ctx, t.conn, func(p pipe) error {
		found, err := p.AheadSettings(ctx, settings)
		if err != nil {
			return err
		}
		a.held = !found.Held
		return w.send(ctx, p)
	})
	if err == nil {
		t.summaries.committed(w.finished) //nolint:contextcheck // what is summarised afterwards does not end with this call
	}
	return err
}

// giveUp ends what is left of the transaction, and gives up the lock if the session may still have it.
func (a *ahead) giveUp(ctx context.Context) {
	if !a.held {
		return
	}
	if a.rollback(ctx); a.conn.Conn().IsClosed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	if err := dbsqlc.New(a.conn).GiveUpAhead(ctx, a.key); err != nil {
		_ = a.conn.Conn().Close(ctx) // and with the session its lock
	}
}
