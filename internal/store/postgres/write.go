package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// write sends all decisions and the COMMIT in one round trip, in the lock order
// pool, tenant, task. A guard that raises keeps the COMMIT behind it from being
// executed.
func (t *turn) write(ctx context.Context, pool *domain.Pool, d *plan.Decisions, heads [domain.PriorityClasses]int64, jobs *carried) error {
	w, err := prepareWrites(pool, d)
	if err != nil {
		return err
	}
	w.carried = jobs
	wait := tripTimeout
	if len(d.Relane) > 0 {
		wait += relaneTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	err = pipelined(ctx, t.conn, func(p pipe) error {
		// First, so that a second turn from the same state is refused as just that.
		if err := p.InsertTurn(ctx, turnParams(pool.PoolID, &d.Counters, heads)); err != nil {
			return err
		}
		for _, step := range []func(context.Context, pipe) error{w.changePool, w.changeTasks, w.leases.send, w.record} {
			if err := step(ctx, p); err != nil {
				return err
			}
		}
		return p.exec(ctx, "COMMIT")
	})
	if err == nil {
		t.summaries.committed(w.events) //nolint:contextcheck // what is summarised afterwards does not end with this call
	}
	return err
}

// writes are the parameters of a turn's statements, made once and sent by steps
// that are each called twice; see pipelined. Empty ones are not sent.
type writes struct {
	pool     *dbsqlc.UpdatePoolParams
	relane   *dbsqlc.RelaneJobsParams
	tenants  *dbsqlc.InsertTenantsParams
	inserted *dbsqlc.InsertJobsParams
	changed  *dbsqlc.UpdateJobsParams
	live     *live
	carried  *carried
	arrived  []int64 // River jobs of attempts that ended, however
	events   *eventWrites
	messages *dbsqlc.InsertMessagesParams
	outbox   *dbsqlc.InsertOutboxParams
	leases   leaseWrites
}

func prepareWrites(pool *domain.Pool, d *plan.Decisions) (*writes, error) {
	w := &writes{
		live: liveOf(pool.PoolID, d), arrived: d.RiverDone, events: recordEvents(d.Events), leases: prepareLeases(pool.PoolID, d),
	}
	var err error
	if d.Pool != nil {
		if w.pool, err = updatePoolParams(d.Pool, pool.Version, d); err != nil {
			return nil, err
		}
	}
	if len(d.Relane) > 0 {
		after := pool
		if d.Pool != nil {
			after = d.Pool
		}
		w.relane = &dbsqlc.RelaneJobsParams{PoolID: string(pool.PoolID)}
		for _, tenant := range d.Relane {
			w.relane.Tenants = append(w.relane.Tenants, string(tenant))
			w.relane.Lanes = append(w.relane.Lanes, after.TenantLane(tenant))
		}
	}
	if len(d.Tenants) > 0 {
		w.tenants = tenantParams(pool.PoolID, d)
	}
	if len(d.Inserted) > 0 {
		if w.inserted, err = insertJobsParams(pool.PoolID, d.Inserted); err != nil {
			return nil, err
		}
	}
	if len(d.Changed) > 0 {
		w.changed = updateJobsParams(pool.PoolID, d.Changed)
	}
	if len(d.Messages) > 0 {
		messages := messageParams(d.Messages)
		if pool.MailboxBackend == domain.BackendPostgres {
			w.messages = messages
		} else {
			w.outbox = (*dbsqlc.InsertOutboxParams)(messages)
		}
	}
	return w, nil
}

func (w *writes) changePool(ctx context.Context, p pipe) error {
	if w.pool != nil {
		if err := p.UpdatePool(ctx, *w.pool); err != nil {
			return err
		}
	}
	if w.tenants != nil {
		return p.InsertTenants(ctx, *w.tenants)
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
	if w.changed != nil {
		if err := p.UpdateJobs(ctx, *w.changed); err != nil {
			return err
		}
	}
	if w.inserted != nil {
		if err := p.InsertJobs(ctx, *w.inserted); err != nil {
			return err
		}
	}
	if err := w.live.write(ctx, p); err != nil {
		return err
	}
	if w.carried != nil {
		if err := p.InsertRiverJobs(ctx, w.carried.rows); err != nil {
			return err
		}
	}
	if len(w.arrived) > 0 {
		return p.DeleteRiverJobs(ctx, w.arrived)
	}
	return nil
}

func (w *writes) record(ctx context.Context, p pipe) error {
	if err := w.events.send(ctx, p.Queries); err != nil {
		return err
	}
	if w.messages != nil {
		if err := p.InsertMessages(ctx, *w.messages); err != nil {
			return err
		}
	}
	if w.outbox != nil {
		return p.InsertOutbox(ctx, *w.outbox)
	}
	return nil
}

func turnParams(pool domain.PoolID, c *domain.Counters, heads [domain.PriorityClasses]int64) dbsqlc.InsertTurnParams {
	return dbsqlc.InsertTurnParams{
		PoolID:         string(pool),
		TurnNo:         c.TurnNo,
		TurnID:         c.TurnID,
		At:             instant(c.At),
		ActiveUnits:    int64(c.ActiveUnits),
		Ceiling:        int64(c.Ceiling),
		Running:        c.Running,
		Queued:         c.Queued,
		QueuedLow:      c.QueuedBy[domain.PriorityLow],
		QueuedNormal:   c.QueuedBy[domain.PriorityNormal],
		QueuedHigh:     c.QueuedBy[domain.PriorityHigh],
		QueuedCritical: c.QueuedBy[domain.PriorityCritical],
		Waiting:        c.Waiting,
		VirtualTime:    c.VirtualTime,
		JobSeq:         c.JobSeq,
		RankSeq:        c.RankSeq,
		EventSeq:       c.EventSeq,
		MessageSeq:     c.MessageSeq,
		NextDueAt:      maybeInstant(c.NextDueAt),
		HeadLow:        heads[domain.PriorityLow],
		HeadNormal:     heads[domain.PriorityNormal],
		HeadHigh:       heads[domain.PriorityHigh],
		HeadCritical:   heads[domain.PriorityCritical],
		Drained:        c.Drained,
	}
}

func updatePoolParams(p *domain.Pool, from int64, d *plan.Decisions) (*dbsqlc.UpdatePoolParams, error) {
	tenants, executors, err := policyOf(p)
	if err != nil {
		return nil, err
	}
	return &dbsqlc.UpdatePoolParams{
		PoolID:           string(p.PoolID),
		Name:             p.Name,
		State:            string(p.State),
		MaxUnits:         int64(p.MaxUnits),
		MaxQueueDepth:    p.MaxQueueDepth,
		DefaultTimeoutMs: p.DefaultTimeout.Milliseconds(),
		QueueBackend:     string(p.QueueBackend),
		MailboxBackend:   string(p.MailboxBackend),
		RuntimeAdapter:   string(p.Runtime),
		PriorityPolicy:   string(p.Policy),
		ResourceKind:     string(p.ResourceKind),
		MaxOvertakes:     int32(p.MaxOvertakes),
		MaxAttempts:      int32(p.MaxAttempts),
		RetryBaseMs:      p.RetryBackoff.Base.Milliseconds(),
		RetryMaxMs:       p.RetryBackoff.Max.Milliseconds(),
		Tenants:          tenants,
		Executors:        executors,
		Version:          p.Version,
		FromVersion:      from,
		Now:              instant(d.Now),
	}, nil
}

func tenantParams(pool domain.PoolID, d *plan.Decisions) *dbsqlc.InsertTenantsParams {
	n := len(d.Tenants)
	w := &dbsqlc.InsertTenantsParams{
		PoolID: string(pool), TurnNo: d.Counters.TurnNo,
		Tenants: make([]string, n), ActiveUnits: make([]int64, n), Queued: make([]int64, n), FinishTags: make([]int64, n),
	}
	for i, u := range d.Tenants {
		w.Tenants[i], w.ActiveUnits[i], w.Queued[i], w.FinishTags[i] = string(u.Tenant), int64(u.ActiveUnits), u.Queued, u.FinishTag
	}
	return w
}

func insertJobsParams(pool domain.PoolID, tasks []domain.Task) (*dbsqlc.InsertJobsParams, error) {
	n := len(tasks)
	w := &dbsqlc.InsertJobsParams{
		PoolID: string(pool), JobIds: make([]int64, n), TaskIds: make([]string, n), Submissions: make([]int32, n),
		BodyHashes: make([][]byte, n), Tenants: make([]string, n), RequestedPriorities: make([]int16, n),
		Priorities: make([]int16, n), Lanes: make([]string, n), Ranks: make([]int64, n), ResourceKinds: make([]string, n),
		ResourceUnits: make([]int64, n), Statuses: make([]string, n), ReasonCodes: make([]string, n), Reasons: make([]string, n),
		Attempts: make([]int32, n), MaxAttempts: make([]int32, n), Overtaken: make([]int32, n), Executors: make([]string, n),
		TimeoutsMs: make([]int64, n), Deadlines: make([]pgtype.Timestamptz, n), NotBefores: make([]pgtype.Timestamptz, n),
		CreatedAts: make([]pgtype.Timestamptz, n), StartedAts: make([]pgtype.Timestamptz, n),
		FinishedAts: make([]pgtype.Timestamptz, n), CancelAskedAts: make([]pgtype.Timestamptz, n), Holders: make([]string, n),
		RiverJobIds: make([]int64, n), MailboxTenants: make([]string, n), MailboxUsers: make([]string, n),
		MailboxSessions: make([]string, n), Labels: make([]string, n), Payloads: make([]string, n), Results: make([]string, n),
	}
	for i := range tasks {
		t := &tasks[i]
		w.JobIds[i], w.TaskIds[i], w.Submissions[i] = int64(t.JobID), string(t.TaskID), int32(t.Submission)
		w.BodyHashes[i], w.Tenants[i] = t.BodyHash, string(t.Tenant)
		if t.BodyHash == nil {
			w.BodyHashes[i] = []byte{}
		}
		w.RequestedPriorities[i], w.Priorities[i] = int16(t.Requested), int16(t.Priority)
		w.Lanes[i], w.Ranks[i] = t.Lane, t.Rank
		w.ResourceKinds[i], w.ResourceUnits[i] = string(t.Kind), int64(t.Units)
		w.Statuses[i], w.ReasonCodes[i], w.Reasons[i] = string(t.Status), string(t.Reason.Code), t.Reason.Message
		w.Attempts[i], w.MaxAttempts[i], w.Overtaken[i] = int32(t.Attempt), int32(t.MaxAttempts), int32(t.Overtaken)
		w.Executors[i], w.TimeoutsMs[i] = t.Executor, t.Timeout.Milliseconds()
		w.Deadlines[i], w.NotBefores[i] = maybeInstant(t.Deadline), maybeInstant(t.NotBefore)
		w.CreatedAts[i], w.StartedAts[i] = instant(t.CreatedAt), maybeInstant(t.StartedAt)
		w.FinishedAts[i], w.CancelAskedAts[i] = maybeInstant(t.FinishedAt), maybeInstant(t.CancelAsked)
		w.Holders[i], w.RiverJobIds[i] = string(t.Holder), t.RiverJobID
		if t.Mailbox != nil {
			w.MailboxTenants[i], w.MailboxUsers[i], w.MailboxSessions[i] = string(t.Mailbox.Tenant), t.Mailbox.UserID, t.Mailbox.SessionID
		}
		if len(t.Labels) > 0 {
			labels, err := json.Marshal(t.Labels)
			if err != nil {
				return nil, fmt.Errorf("labels of task %s: %w", t.TaskID, err)
			}
			w.Labels[i] = string(labels)
		}
		w.Payloads[i], w.Results[i] = string(t.Payload), string(t.Result)
	}
	return w, nil
}

func updateJobsParams(pool domain.PoolID, changes []plan.Change) *dbsqlc.UpdateJobsParams {
	n := len(changes)
	w := &dbsqlc.UpdateJobsParams{
		PoolID: string(pool), Want: int64(n), JobIds: make([]int64, n), FromStatuses: make([]string, n),
		FromAttempts: make([]int32, n), Priorities: make([]int16, n), Lanes: make([]string, n), Ranks: make([]int64, n),
		Statuses: make([]string, n), ReasonCodes: make([]string, n), Reasons: make([]string, n), Attempts: make([]int32, n),
		MaxAttempts: make([]int32, n), Overtaken: make([]int32, n), NotBefores: make([]pgtype.Timestamptz, n),
		StartedAts: make([]pgtype.Timestamptz, n), FinishedAts: make([]pgtype.Timestamptz, n),
		CancelAskedAts: make([]pgtype.Timestamptz, n), Holders: make([]string, n), RiverJobIds: make([]int64, n),
		Results: make([]string, n),
	}
	for i := range changes {
		c := &changes[i]
		t := &c.Task
		w.JobIds[i], w.FromStatuses[i], w.FromAttempts[i] = int64(t.JobID), string(c.FromStatus), int32(c.FromAttempt)
		w.Priorities[i], w.Lanes[i], w.Ranks[i] = int16(t.Priority), t.Lane, t.Rank
		w.Statuses[i], w.ReasonCodes[i], w.Reasons[i] = string(t.Status), string(t.Reason.Code), t.Reason.Message
		w.Attempts[i], w.MaxAttempts[i], w.Overtaken[i] = int32(t.Attempt), int32(t.MaxAttempts), int32(t.Overtaken)
		w.NotBefores[i], w.StartedAts[i] = maybeInstant(t.NotBefore), maybeInstant(t.StartedAt)
		w.FinishedAts[i], w.CancelAskedAts[i] = maybeInstant(t.FinishedAt), maybeInstant(t.CancelAsked)
		w.Holders[i], w.RiverJobIds[i], w.Results[i] = string(t.Holder), t.RiverJobID, string(t.Result)
	}
	return w
}

func messageParams(messages []domain.Message) *dbsqlc.InsertMessagesParams {
	n := len(messages)
	w := &dbsqlc.InsertMessagesParams{
		Sources: make([]string, n), Seqs: make([]int64, n), Tenants: make([]string, n), UserIds: make([]string, n),
		SessionIds: make([]string, n), PoolIds: make([]string, n), TaskIds: make([]string, n), JobIds: make([]int64, n),
		Submissions: make([]int32, n), Statuses: make([]string, n), ReasonCodes: make([]string, n), Reasons: make([]string, n),
		Payloads: make([]string, n), CreatedAts: make([]pgtype.Timestamptz, n),
	}
	for i := range messages {
		m := &messages[i]
		w.Sources[i], w.Seqs[i], w.CreatedAts[i] = string(m.Source), m.Seq, instant(m.CreatedAt)
		w.Tenants[i], w.UserIds[i], w.SessionIds[i] = string(m.Mailbox.Tenant), m.Mailbox.UserID, m.Mailbox.SessionID
		w.PoolIds[i], w.TaskIds[i], w.JobIds[i], w.Submissions[i] = string(m.PoolID), string(m.TaskID), int64(m.JobID), int32(m.Submission)
		w.Statuses[i], w.ReasonCodes[i], w.Reasons[i] = string(m.Status), string(m.Reason.Code), m.Reason.Message
		w.Payloads[i] = string(m.Payload)
	}
	return w
}
