package postgres

import (
	"context"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store/postgres/composite"
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
	announcement := t.announce(ctx)
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	err = pipelined(ctx, t.conn, func(p pipe) error {
		if err := w.send(ctx, p); err != nil {
			return err
		}
		if announcement != nil {
			if err := announcement.send(ctx, p); err != nil {
				return err
			}
		}
		if err := p.exec(ctx, "COMMIT"); err != nil || !t.order.held {
			return err
		}
		return p.LeaveOrder(ctx, t.order.key)
	})
	if err == nil {
		t.order.held = false
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
	events   []composite.Row
	finished []dbsqlc.SummariseEventsParams
	messages []composite.Row
	outbox   []composite.Row
	leases   leaseWrites

	rows composite.Builder
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
	b := &w.rows
	var after *domain.Counters
	if t.unread {
		after = &t.counters
	}
	w.turns.Turns = append(w.turns.Turns, turnRow(b, pool.PoolID, &d.Counters, t.heads, after))
	for i := range d.Tenants {
		w.turns.Usages = append(w.turns.Usages, usageRow(b, pool.PoolID, d.Counters.TurnNo, &d.Tenants[i]))
	}
	if d.Pool != nil {
		var err error
		if w.pool, err = updatePoolParams(d.Pool, pool.Version, d); err != nil {
			return err
		}
	}
	if len(d.Relane) > 0 {
		w.relane = relaneParams(pool, d)
	}
	for i := range d.Inserted {
		row, err := jobRow(b, pool.PoolID, &d.Inserted[i])
		if err != nil {
			return err
		}
		w.inserted.Jobs = append(w.inserted.Jobs, row)
	}
	w.inserted.Unread = w.inserted.Unread || t.unknown
	for i := range d.Changed {
		w.change(pool.PoolID, &d.Changed[i])
	}
	w.changed.ByHeart = w.changed.ByHeart || t.byHeart
	w.live.add(b, pool.PoolID, d)
	addRiverJobs(&w.carried, t.carried)
	w.arrived = append(w.arrived, d.RiverDone...)
	to := &w.messages
	if pool.MailboxBackend != domain.BackendPostgres {
		to = &w.outbox
	}
	w.report(d.Events, to, d.Messages)
	if leases := prepareLeases(pool.PoolID, d); leases != (leaseWrites{}) {
		w.leases = leases
	}
	return nil
}

func (w *writes) change(pool domain.PoolID, c *plan.Change) {
	w.changed.Changes = append(w.changed.Changes, changeRow(&w.rows, pool, c))
	w.changed.Want++
	if c.FromStatus == domain.StatusRunning && c.Task.Status != domain.StatusRunning {
		w.changed.Ended++
	}
}

// report adds events, which are of one source and numbered without a gap, and messages.
func (w *writes) report(events []domain.Event, to *[]composite.Row, messages []domain.Message) {
	for i := range events {
		w.events = append(w.events, eventRow(&w.rows, &events[i]))
	}
	if finished := finishedBlocks(events); finished != nil {
		w.finished = append(w.finished, *finished)
	}
	for i := range messages {
		*to = append(*to, messageRow(&w.rows, &messages[i]))
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
	if w.changed.Want > 0 {
		if err := p.UpdateJobs(ctx, w.changed); err != nil {
			return err
		}
	}
	if len(w.inserted.Jobs) > 0 {
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
	if len(w.events) > 0 {
		if err := p.InsertEvents(ctx, w.events); err != nil {
			return err
		}
	}
	if len(w.messages) > 0 {
		if err := p.InsertMessages(ctx, w.messages); err != nil {
			return err
		}
	}
	if len(w.outbox) > 0 {
		return p.InsertOutbox(ctx, w.outbox)
	}
	return nil
}
