package postgres

import (
	"context"
	"errors"
	"fmt"
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

// turn is one transaction under way, on a connection of its own.
type turn struct {
	*Store
	conn    *pgxpool.Conn
	spec    store.TurnSpec
	key     int64
	careful bool
	// recalled is what this process's last turn of the pool left; nil: nothing.
	recalled *recollection
}

// Turn implements store.Turns.
func (s *Store) Turn(ctx context.Context, spec store.TurnSpec) (plan.Decisions, error) {
	what := "turn of pool " + string(spec.Pool)
	recalled := s.memory.take(spec.Pool)
	if spec.Meanwhile != nil && (!recalled.trusted() || s.pool.Stat().IdleConns() == 0) {
		// Others may wait for the pool's lock, or this turn for a connection: neither should
		// take longer for it.
		spec.Meanwhile()
	}
	acquiring, cancel := context.WithTimeout(ctx, callTimeout)
	conn, err := s.pool.Acquire(acquiring)
	cancel()
	if err != nil {
		return plan.Decisions{}, classify(what+": get a connection", unavailable(err))
	}
	defer conn.Release()
	t := &turn{Store: s, conn: conn, spec: spec, key: s.poolLock(spec.Pool), careful: s.careful.is(spec.Pool), recalled: recalled}

	rq, read, err := t.read(ctx)
	if err != nil {
		t.rollback(ctx)
		return plan.Decisions{}, t.failed(what+": read", err)
	}
	snap, err := read.snapshot()
	if err != nil {
		t.rollback(ctx)
		return plan.Decisions{}, classify(what+": read", err)
	}
	pool := snap.Pool // Decide may change its snapshot
	heads := read.heads(&snap, t.careful)
	d := spec.Decide(snap, rq)
	if d.Idle {
		t.rollback(ctx)
		s.memory.keep(spec.Pool, t.recalled.next(&snap, nil))
		return d, nil
	}
	if err := ctx.Err(); err != nil {
		t.rollback(ctx)
		return d, classify(what, err)
	}
	// From here the caller's context ending would only leave an unknown commit.
	ctx = context.WithoutCancel(ctx)
	jobs, err := t.carry(ctx, &pool, &d)
	if err != nil {
		t.rollback(ctx)
		return d, t.failed(what+": make River jobs", err)
	}
	if err := t.write(ctx, &pool, &d, heads.after(&d), jobs); err != nil {
		unknown := t.rollback(ctx)
		if unknown && !hasCode(err, codeIdleInTx) { // that one came before anything was sent
			return d, fmt.Errorf("postgres: %s: %w: %w", what, store.ErrCommitUnknown, err)
		}
		if noPartition(err) {
			return d, t.makeRoom(ctx, what, d.Now, err)
		}
		return d, t.failed(what+": write", err)
	}
	s.memory.keep(spec.Pool, t.recalled.next(&snap, &d))
	if jobs != nil {
		jobs.committed(d.Started)
	}
	return d, nil
}

// read begins the transaction, gets the lock and reads: in one round trip, unless
// somebody else has the lock.
func (t *turn) read(ctx context.Context) (*plan.Requests, *reads, error) {
	ctx, cancel := context.WithTimeout(ctx, tripTimeout)
	defer cancel()
	rq := t.spec.Gather()
	r := t.newReads(rq, t.recalled)
	var locked bool
	err := pipelinedWhile(ctx, t.conn, t.spec.Meanwhile, func(p pipe) (err error) {
		if err = t.begin(ctx, p); err != nil {
			return err
		}
		if locked, err = p.TryLockPool(ctx, t.key); err != nil {
			return err
		}
		return r.queue(ctx, p)
	})
	if err != nil {
		return rq, r, err
	}
	if locked {
		return rq, r, t.readAgain(ctx, r)
	}
	// The wait is a statement of its own: one that also read would see the state
	// from before the wait.
	err = pipelined(ctx, t.conn, func(p pipe) error {
		if err := p.LockWait(ctx, milliseconds(poolLockTimeout)); err != nil {
			return err
		}
		if err := p.LockPool(ctx, t.key); err != nil {
			return err
		}
		return p.LockWait(ctx, milliseconds(rowLockTimeout))
	})
	if err != nil {
		if hasCode(err, codeLockNotAvailable) {
			err = fmt.Errorf("its lock was not granted within %s: %w: %w", poolLockTimeout, store.ErrUnavailable, err)
		}
		return rq, r, err
	}
	rq = t.spec.Gather()
	r = t.newReads(rq, nil)
	return rq, r, pipelined(ctx, t.conn, func(p pipe) error { return r.queue(ctx, p) })
}

// readAgain reads everything if another process has taken a turn since the one that is
// recalled: then that says nothing.
func (t *turn) readAgain(ctx context.Context, r *reads) error {
	if found := countersOf(&r.found.PlPoolTurn); r.recalled == nil || r.recalled.holds(&found) {
		return nil
	}
	r.forget()
	return pipelined(ctx, t.conn, func(p pipe) error { return r.queue(ctx, p) })
}

func (t *turn) begin(ctx context.Context, p pipe) error {
	if err := p.exec(ctx, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"); err != nil {
		return err
	}
	return p.TurnSettings(ctx, dbsqlc.TurnSettingsParams{
		Idle:      milliseconds(idleTimeout),
		Statement: milliseconds(statementTimeout),
		LockWait:  milliseconds(rowLockTimeout),
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
func (t *turn) failed(what string, err error) error {
	t.riverIDs.refused(err)
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
		if err = q.LockPool(ctx, s.poolLock(pool)); err != nil {
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
		pruned, err = q.PruneTurns(ctx, dbsqlc.PruneTurnsParams{PoolID: string(pool), Keep: keep, MaxRows: pruneLimit})
		return err
	})
	return pruned, err
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%dms", d.Milliseconds()) }

// unavailable marks err as store.ErrUnavailable, whatever it is.
func unavailable(err error) error { return fmt.Errorf("%w: %w", store.ErrUnavailable, err) }
