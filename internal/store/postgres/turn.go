package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// What a turn's transaction may take. A process that stands still between the two
// round trips is thrown out by the server after idleTimeout, and the pool is free.
const (
	idleTimeout      = 2 * time.Second
	statementTimeout = 5 * time.Second
	relaneTimeout    = time.Minute            // a tenant's whole backlog is rewritten
	rowLockTimeout   = 250 * time.Millisecond // for a row that somebody in psql holds
	poolLockTimeout  = 4 * time.Second        // longer than idleTimeout: outlasts a frozen holder
)

// turn is a pool's turn under way: in a transaction of its own, or first in a convoy.
type turn struct {
	*Store
	spec    store.TurnSpec
	key     int64
	careful bool
	// recalled is what this process's last turn of the pool left; nil: nothing.
	recalled *recollection
	conn     *pgxpool.Conn // of a transaction of its own
	seat     seat          // in a convoy
	order    order         // among several processes
	asked    time.Time     // when the clock was read, at the earliest
	waited   bool          // somebody else had the pool's lock
	byHeart  bool          // tasks were not read but recalled
	resent   bool          // tasks are known that are submitted
	unread   bool          // the pool was not read but recalled: the write has to check that it is so
	unknown  bool          // task ids were not read: the write has to check that they are new

	rq *plan.Requests
	// Before and after the decision. Decide may change its snapshot.
	pool     domain.Pool
	counters domain.Counters
	tenants  map[domain.Tenant]domain.TenantUsage
	// candidates are those that were read, if no lane has more.
	candidates []domain.Task
	d          plan.Decisions
	heads      [domain.PriorityClasses]int64
	carried    *carried // nil: none
}

// Turn implements store.Turns.
func (s *Store) Turn(ctx context.Context, spec store.TurnSpec) (plan.Decisions, error) {
	t := &turn{
		Store: s, spec: spec, key: s.poolLock(spec.Pool), careful: s.careful.is(spec.Pool), recalled: s.memory.take(spec.Pool),
	}
	if t.mayTravel() && s.travel(ctx, t) {
		return t.d, t.seat.err
	}
	if t.mayOrder() {
		t.order.key = s.aheadLock(spec.Pool)
		if t.mayGoAhead() {
			if taken, err := t.goAhead(ctx); taken {
				return t.d, err
			}
		}
	}
	err := t.alone(ctx)
	return t.d, err
}

func (t *turn) what() string { return "turn of pool " + string(t.spec.Pool) }

// errUnread: a turn that is decided on what is recalled would write nothing that checks whether it is so.
var errUnread = errors.New("nothing to write that would check what is recalled")

// alone takes the turn in a transaction of its own. When it was decided on what is recalled, and
// a row is no longer so or nothing has checked it, it is begun again and recalls nothing.
func (t *turn) alone(ctx context.Context) error {
	err := t.attempt(ctx)
	if t.byHeart && (hasCode(err, codeGuard) || errors.Is(err, errUnread)) {
		t.seat.refused = true
		err = t.attempt(ctx)
	}
	return err
}

// attempt is one transaction, of two round trips or more.
func (t *turn) attempt(ctx context.Context) error {
	t.unread, t.unknown = false, false
	if t.spec.Meanwhile != nil && (!t.recalled.trusted() || t.Store.pool.Stat().IdleConns() == 0) {
		// Others may wait for the pool's lock, or this turn for a connection: neither should
		// take longer for it.
		t.spec.Meanwhile()
	}
	if t.conn == nil {
		conn, err := t.acquire(ctx)
		if err != nil {
			return classify(t.what(), err)
		}
		t.conn = conn
		defer func() {
			t.leaveOrder(ctx)
			conn.Release()
			t.conn = nil
		}()
	}
	read, err := t.read(ctx)
	if err != nil {
		t.rollback(ctx)
		return t.failed(t.what()+": read", err)
	}
	snap, err := read.snapshot()
	if err != nil {
		t.rollback(ctx)
		return classify(t.what()+": read", err)
	}
	t.byHeart, t.candidates = t.unknown || len(read.known) > 0, nil
	if !snap.CandidatesCut {
		t.candidates = slices.Clone(snap.Candidates)
	}
	t.resent = len(snap.Known) > 0
	t.decide(snap, read.heads(&snap))
	if t.byHeart && t.d.Idle || t.unknown && !t.allNew() {
		t.rollback(ctx)
		return errUnread
	}
	if t.d.Idle {
		t.rollback(ctx)
		t.keep()
		return nil
	}
	if err := ctx.Err(); err != nil {
		t.rollback(ctx)
		return classify(t.what(), err)
	}
	// From here the caller's context ending would only leave an unknown commit.
	ctx = context.WithoutCancel(ctx)
	if err := t.carry(ctx, t.conn); err != nil {
		t.rollback(ctx)
		return t.failed(t.what()+": make River jobs", err)
	}
	if err := t.write(ctx); err != nil {
		unknown := t.rollback(ctx)
		if unknown && !hasCode(err, codeIdleInTx) { // that one came before anything was sent
			return fmt.Errorf("postgres: %s: %w: %w", t.what(), store.ErrCommitUnknown, err)
		}
		if noPartition(err) {
			return t.makeRoom(ctx, t.what(), t.d.Now, err)
		}
		return t.failed(t.what()+": write", err)
	}
	t.committed()
	return nil
}

// decide calls the caller's Decide on a snapshot.
func (t *turn) decide(snap plan.Snapshot, heads *heads) {
	t.pool, t.counters, t.tenants = snap.Pool, snap.Counters, snap.Tenants
	t.heads = heads.bounds
	if t.d = t.spec.Decide(snap, t.rq); !t.d.Idle {
		t.heads = heads.after(&t.d)
	}
}

// keep remembers what the turn has left.
func (t *turn) keep() { t.memory.keep(t.spec.Pool, t.recalled.next(t)) }

// committed does what follows the turn's commit.
func (t *turn) committed() {
	t.keep()
	if t.carried != nil {
		t.carried.committed(t.d.Started)
	}
}

// read begins the transaction, gets the lock and reads: in one round trip, unless somebody else
// has the lock, or is expected to.
func (t *turn) read(ctx context.Context) (*reads, error) {
	ctx, cancel := context.WithTimeout(ctx, tripTimeout)
	defer cancel()
	recalled := t.recalled
	if t.seat.refused {
		recalled = nil
	}
	if t.recalled.crowded() {
		return t.readCrowded(ctx, recalled)
	}
	t.rq = t.spec.Gather()
	r := t.newReads(recalled)
	var locked bool
	t.asked = time.Now()
	err := pipelinedWhile(ctx, t.conn, t.spec.Meanwhile, func(p pipe) (err error) {
		if err = t.begin(ctx, p, rowLockTimeout); err != nil {
			return err
		}
		if locked, err = p.TryLockPool(ctx, t.key); err != nil {
			return err
		}
		return r.queue(ctx, p)
	})
	if err != nil {
		return r, err
	}
	if locked {
		return r, t.readAgain(ctx, r)
	}
	t.waited = true
	err = pipelined(ctx, t.conn, func(p pipe) error {
		if err := p.LockWait(ctx, milliseconds(poolLockTimeout)); err != nil {
			return err
		}
		return t.await(ctx, p)
	})
	if err != nil {
		return r, lockFailed(err)
	}
	return t.readLocked(ctx, recalled)
}

// readCrowded waits for the lock first: what is read before it is there would be read for
// nothing. What the requests that come meanwhile are likely to need is read with it.
func (t *turn) readCrowded(ctx context.Context, recalled *recollection) (*reads, error) {
	foreseen := t.foresee(recalled)
	ordered, disorder := t.order.key != 0 && !t.order.held, false
	t.order.held = t.order.held || ordered
	err := pipelined(ctx, t.conn, func(p pipe) error {
		if err := t.begin(ctx, p, poolLockTimeout); err != nil {
			return err
		}
		if ordered {
			err := p.AwaitOrder(ctx, dbsqlc.AwaitOrderParams{
				Key: t.order.key, LockWait: milliseconds(aheadTimeout), ThenWait: milliseconds(poolLockTimeout - aheadTimeout),
			})
			if err != nil {
				disorder = hasCode(err, codeLockNotAvailable)
				return err
			}
		}
		if err := t.await(ctx, p); err != nil || foreseen == nil {
			return err
		}
		return foreseen.queue(ctx, p)
	})
	if disorder {
		t.rollback(ctx)
		t.order.key, t.order.held = 0, false
		return t.readCrowded(ctx, recalled)
	}
	if err != nil {
		return nil, lockFailed(err)
	}
	if foreseen == nil {
		return t.readLocked(ctx, recalled)
	}
	t.rq = t.spec.Gather()
	if now, known := t.now(); !known || !foreseen.suffice(t.rq) || !foreseen.advance(now) {
		return t.readLocked(ctx, recalled)
	}
	t.unknown = len(t.rq.Submits) > 0
	return foreseen, nil
}

// await waits for the pool's lock.
func (t *turn) await(ctx context.Context, p pipe) error {
	return p.LockPool(ctx, dbsqlc.LockPoolParams{Key: t.key, ThenWait: milliseconds(rowLockTimeout)})
}

func lockFailed(err error) error {
	if hasCode(err, codeLockNotAvailable) {
		return fmt.Errorf("its lock was not granted within %s: %w: %w", poolLockTimeout, store.ErrUnavailable, err)
	}
	return err
}

// readLocked gathers and reads once the lock is there.
func (t *turn) readLocked(ctx context.Context, recalled *recollection) (*reads, error) {
	t.rq = t.spec.Gather()
	t.asked = time.Now()
	r := t.newReads(recalled)
	if err := t.ask(ctx, r); err != nil {
		return r, err
	}
	return r, t.readAgain(ctx, r)
}

// readAgain reads everything if another process has taken a turn since the one that is
// recalled: then that says nothing.
func (t *turn) readAgain(ctx context.Context, r *reads) error {
	if r.found.Now.Time.After(r.found.PlPoolTurn.At.Time) { // else it is the last turn's, and no clock's
		t.reckoning.saw(r.found.Now.Time, t.asked, time.Now())
	}
	if found := countersOf(&r.found.PlPoolTurn); !r.trusting || r.recalled.holds(&found) {
		return nil
	}
	r.forget()
	return t.ask(ctx, r)
}

// ask reads in a round trip of its own.
func (t *turn) ask(ctx context.Context, r *reads) error {
	return pipelined(ctx, t.conn, func(p pipe) error { return r.queue(ctx, p) })
}

const begin = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"

func (t *turn) begin(ctx context.Context, p pipe, lockWait time.Duration) error {
	if err := p.exec(ctx, begin); err != nil {
		return err
	}
	if err := t.planner(ctx, p.Queries); err != nil {
		return err
	}
	return p.TurnSettings(ctx, dbsqlc.TurnSettingsParams{
		Idle:      milliseconds(idleTimeout),
		Statement: milliseconds(statementTimeout),
		LockWait:  milliseconds(lockWait),
	})
}

// rollback ends the transaction; see abandon.
func (t *turn) rollback(ctx context.Context) (unknown bool) {
	return t.abandon(ctx, t.conn, string(t.spec.Pool))
}

// abandon ends a connection's transaction. It reports true when the connection is
// lost, or is outside the transaction: then nobody here knows whether a COMMIT that
// was sent went through.
func (s *Store) abandon(ctx context.Context, conn *pgxpool.Conn, of string) (unknown bool) {
	pg := conn.Conn().PgConn()
	if pg.IsClosed() || pg.TxStatus() == 'I' {
		return true
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	if _, err := conn.Exec(ctx, "ROLLBACK"); err != nil {
		// It had not committed before, and cannot now.
		s.log.DebugContext(ctx, "rollback", "of", of, "error", err)
		_ = conn.Conn().Close(ctx) // not to be used again
	}
	return false
}

// failed classifies err, and makes the pool careful when it met a locked row.
//
// A key that is taken is ErrGuard: what a turn writes under one it has numbered or looked up
// itself. So no value of a request is the cause, but somebody else's turn that came between.
func (t *turn) failed(what string, err error) error {
	t.riverIDs.refused(err)
	if hasCode(err, codeUnique) {
		err = fmt.Errorf("%w: %w", store.ErrGuard, err)
	}
	if hasCode(err, codeLockNotAvailable, codeDeadlock) && !errors.Is(err, store.ErrUnavailable) {
		t.Store.careful.set(t.spec.Pool)
	}
	return classify(what, err)
}

// makeRoom makes the audit partitions that a turn at now has missed, so that the
// next turn can write. Normally they are made a week ahead.
func (t *turn) makeRoom(ctx context.Context, what string, now time.Time, cause error) error {
	if err := t.EnsureAudit(ctx, now); err != nil {
		return errors.Join(classify(what, unavailable(cause)), err)
	}
	return fmt.Errorf("postgres: %s: %w: %w", what, store.ErrGuard, cause)
}

// TurnCommitted implements store.Turns. It waits for the pool's lock first: as long
// as the turn in question is still open on the server, its outcome is too.
func (s *Store) TurnCommitted(ctx context.Context, pool domain.PoolID, turnNo int64, turnID string) (bool, error) {
	var committed bool
	err := s.write(ctx, "look for a turn of pool "+string(pool), func(ctx context.Context, q *dbsqlc.Queries) (err error) {
		if err = q.LockWait(ctx, milliseconds(poolLockTimeout)); err != nil {
			return err
		}
		if err = q.LockPool(ctx, dbsqlc.LockPoolParams{Key: s.poolLock(pool), ThenWait: milliseconds(rowLockTimeout)}); err != nil {
			return unavailable(err)
		}
		committed, err = q.TurnCommitted(ctx, dbsqlc.TurnCommittedParams{PoolID: string(pool), TurnNo: turnNo, TurnID: turnID})
		return err
	})
	return committed, err
}

// pruneLimit bounds one deletion.
const pruneLimit = 10_000

// PruneTurns implements store.Turns; the tenants' rows of those turns go as well,
// except for every tenant's newest.
func (s *Store) PruneTurns(ctx context.Context, pool domain.PoolID, keep int64) (int64, error) {
	var pruned int64
	err := s.read(ctx, "prune turns of pool "+string(pool), func(ctx context.Context, q *dbsqlc.Queries) (err error) {
		if _, err = q.PruneTenants(ctx, dbsqlc.PruneTenantsParams{PoolID: string(pool), Keep: keep, MaxRows: pruneLimit}); err != nil {
			return err
		}
		if pruned, err = q.PruneTurns(ctx, dbsqlc.PruneTurnsParams{PoolID: string(pool), Keep: keep, MaxRows: pruneLimit}); err != nil {
			return err
		}
		return q.PruneAllAnnounced(ctx, dbsqlc.PruneAllAnnouncedParams{PoolID: string(pool), Keep: keepAnnounced})
	})
	return pruned, err
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%dms", d.Milliseconds()) }

// unavailable marks err as store.ErrUnavailable, whatever it is.
func unavailable(err error) error { return fmt.Errorf("%w: %w", store.ErrUnavailable, err) }
