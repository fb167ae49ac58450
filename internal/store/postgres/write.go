package postgres

import (
	"context"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// write sends all decisions and the COMMIT in one round trip, in the lock order
// pool, tenant, task. A guard that raises keeps the COMMIT behind it from being
// executed.
func (t *turn) write(ctx context.Context) error {
	w, err := prepareWrites(t)
	if err != nil {
		return err
	}
	wait := tripTimeout
	if len(t.d.Relane) > 0 {
		wait += relaneTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var guard dbsqlc.ExpressGuardParams
	if t.unknown {
		guard.Clock = t.clock()
		expect(&guard, t)
	}
	err = pipelined(ctx, t.conn, func(p pipe) error {
		if t.unknown {
			if err := p.ExpressGuard(ctx, guard); err != nil {
				return err
			}
		}
		if err := w.send(ctx, p); err != nil {
			return err
		}
		return p.exec(ctx, "COMMIT")
	})
	if err == nil {
		t.summaries.committed(w.finished) //nolint:contextcheck // what is summarised afterwards does not end with this call
	}
	return err
}

// writes are the parameters of the statements of one transaction, made once and sent by
// steps that are each called twice; see pipelined. Empty ones are not sent. They are of one
// pool's turn, or of several that read nothing; those change neither pools nor leases.
type writes struct {
	turns    dbsqlc.InsertTurnsParams
	pool     *dbsqlc.UpdatePoolParams
	relane   *dbsqlc.RelaneJobsParams
	inserted dbsqlc.InsertJobsParams
	changed  dbsqlc.UpdateJobsParams
	live     live
	carried  dbsqlc.InsertRiverJobsParams
	arrived  []int64 // River jobs of attempts that ended, however
	events   dbsqlc.InsertEventsParams
	finished []dbsqlc.SummariseEventsParams
	messages dbsqlc.InsertMessagesParams
	outbox   dbsqlc.InsertMessagesParams
	leases   leaseWrites
}

func prepareWrites(turns ...*turn) (*writes, error) {
	w := &writes{}
	for _, t := range turns {
		if err := w.add(t); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *writes) add(t *turn) error {
	pool, d := &t.pool, &t.d
	addTurn(&w.turns, pool.PoolID, &d.Counters, t.heads)
	if d.Pool != nil {
		var err error
		if w.pool, err = updatePoolParams(d.Pool, pool.Version, d); err != nil {
			return err
		}
	}
	if len(d.Relane) > 0 {
		w.relane = relaneParams(pool, d)
	}
	addTenants(&w.turns, pool.PoolID, d)
	if err := addJobs(&w.inserted, pool.PoolID, d.Inserted); err != nil {
		return err
	}
	addChanges(&w.changed, pool.PoolID, d.Changed)
	w.changed.ByHeart = w.changed.ByHeart || t.byHeart
	w.live.add(pool.PoolID, d)
	addRiverJobs(&w.carried, t.carried)
	w.arrived = append(w.arrived, d.RiverDone...)
	w.addEvents(d.Events)
	to := &w.messages
	if pool.MailboxBackend != domain.BackendPostgres {
		to = &w.outbox
	}
	addMessages(to, d.Messages)
	if leases := prepareLeases(pool.PoolID, d); leases != (leaseWrites{}) {
		w.leases = leases
	}
	return nil
}

func (w *writes) addEvents(events []domain.Event) {
	if finished := addEvents(&w.events, events); finished != nil {
		w.finished = append(w.finished, *finished)
	}
}

// send sends everything. The turns come first, so that a second turn from the same state
// is refused before anything else is done.
func (w *writes) send(ctx context.Context, p pipe) error {
	if err := p.InsertTurns(ctx, w.turns); err != nil {
		return err
	}
	for _, step := range []func(context.Context, pipe) error{w.changePool, w.changeTasks, w.leases.send, w.record} {
		if err := step(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func (w *writes) changePool(ctx context.Context, p pipe) error {
	if w.pool != nil {
		return p.UpdatePool(ctx, *w.pool)
	}
	return nil
}

func (w *writes) changeTasks(ctx context.Context, p pipe) error {
	if w.relane != nil {
		if err := p.StatementTimeout(ctx, milliseconds(relaneTimeout)); err != nil {
			return err
		}
		if err := p.RelaneJobs(ctx, *w.relane); err != nil {
			return err
		}
	}
	if len(w.changed.JobIds) > 0 {
		if err := p.UpdateJobs(ctx, w.changed); err != nil {
			return err
		}
	}
	if len(w.inserted.JobIds) > 0 {
		if err := p.InsertJobs(ctx, w.inserted); err != nil {
			return err
		}
	}
	if err := w.live.write(ctx, p); err != nil {
		return err
	}
	if len(w.carried.Ids) > 0 {
		if err := p.InsertRiverJobs(ctx, w.carried); err != nil {
			return err
		}
	}
	if len(w.arrived) > 0 {
		return p.DeleteRiverJobs(ctx, w.arrived)
	}
	return nil
}

func (w *writes) record(ctx context.Context, p pipe) error {
	if len(w.events.Seqs) > 0 {
		if err := p.InsertEvents(ctx, w.events); err != nil {
			return err
		}
	}
	if len(w.messages.Seqs) > 0 {
		if err := p.InsertMessages(ctx, w.messages); err != nil {
			return err
		}
	}
	if len(w.outbox.Seqs) > 0 {
		return p.InsertOutbox(ctx, dbsqlc.InsertOutboxParams(w.outbox))
	}
	return nil
}
