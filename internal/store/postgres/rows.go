package postgres

import (
	"encoding/json"
	"fmt"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store/postgres/composite"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// The row functions make one row of the composite type of that name (see the migrations), column by column in
// its order.

// turnRow: after is the turn before it; nil: that was read.
func turnRow(b *composite.Builder, pool domain.PoolID, c *domain.Counters, heads [domain.PriorityClasses]int64, after *domain.Counters) composite.Row {
	b.Begin().
		Text(string(pool)).Int8(c.TurnNo).Text(c.TurnID).Time(c.At).
		Int8(int64(c.ActiveUnits)).Int8(int64(c.Ceiling)).Int8(c.Running).
		Int8(c.Queued).Int8(c.QueuedBy[domain.PriorityLow]).Int8(c.QueuedBy[domain.PriorityNormal]).
		Int8(c.QueuedBy[domain.PriorityHigh]).Int8(c.QueuedBy[domain.PriorityCritical]).Int8(c.Waiting).
		Int8(c.VirtualTime).Int8(c.JobSeq).Int8(c.RankSeq).Int8(c.EventSeq).Int8(c.MessageSeq).MaybeTime(c.NextDueAt).
		Int8(heads[domain.PriorityLow]).Int8(heads[domain.PriorityNormal]).
		Int8(heads[domain.PriorityHigh]).Int8(heads[domain.PriorityCritical]).Int8(c.Drained)
	if after == nil {
		return b.MaybeInt8(nil).MaybeText(nil).End()
	}
	return b.Int8(after.TurnNo).Text(after.TurnID).End()
}

func usageRow(b *composite.Builder, pool domain.PoolID, turnNo int64, u *domain.TenantUsage) composite.Row {
	return b.Begin().
		Text(string(pool)).Text(string(u.Tenant)).Int8(turnNo).
		Int8(int64(u.ActiveUnits)).Int8(u.Queued).Int8(u.FinishTag).
		End()
}

func jobRow(b *composite.Builder, pool domain.PoolID, t *domain.Task) (composite.Row, error) {
	var labels []byte
	if len(t.Labels) > 0 {
		var err error
		if labels, err = json.Marshal(t.Labels); err != nil {
			return nil, fmt.Errorf("labels of task %s: %w", t.TaskID, err)
		}
	}
	b.Begin().
		Text(string(pool)).Int8(int64(t.JobID)).Text(string(t.TaskID)).Int4(int32(t.Submission)).Bytes(t.BodyHash).Text(string(t.Tenant)).
		Int2(int16(t.Requested)).Int2(int16(t.Priority)).Text(t.Lane).Int8(t.Rank).Text(string(t.Kind)).Int8(int64(t.Units)).
		Text(string(t.Status)).Text(string(t.Reason.Code)).Text(t.Reason.Message).
		Int4(int32(t.Attempt)).Int4(int32(t.MaxAttempts)).Int4(int32(t.Overtaken)).
		Text(t.Executor).Int8(t.Timeout.Milliseconds()).MaybeTime(t.Deadline).MaybeTime(t.NotBefore).Time(t.CreatedAt).
		MaybeTime(t.StartedAt).MaybeTime(t.FinishedAt).MaybeTime(t.CancelAsked).Text(string(t.Holder)).Int8(t.RiverJobID)
	if t.Mailbox != nil {
		b.MaybeText([]byte(t.Mailbox.Tenant)).Text(t.Mailbox.UserID).Text(t.Mailbox.SessionID)
	} else {
		b.MaybeText(nil).Text("").Text("")
	}
	return b.MaybeJSON(labels).MaybeText(t.Payload).MaybeText(t.Result).End(), nil
}

func changeRow(b *composite.Builder, pool domain.PoolID, c *plan.Change) composite.Row {
	t := &c.Task
	return b.Begin().
		Text(string(pool)).Int8(int64(t.JobID)).Text(string(c.FromStatus)).Int4(int32(c.FromAttempt)).MaybeTime(c.FromCancelAsked).
		Int2(int16(t.Priority)).Text(t.Lane).Int8(t.Rank).Text(string(t.Status)).Text(string(t.Reason.Code)).Text(t.Reason.Message).
		Int4(int32(t.Attempt)).Int4(int32(t.MaxAttempts)).Int4(int32(t.Overtaken)).
		MaybeTime(t.NotBefore).MaybeTime(t.StartedAt).MaybeTime(t.FinishedAt).MaybeTime(t.CancelAsked).
		Text(string(t.Holder)).Int8(t.RiverJobID).MaybeText(t.Result).
		End()
}

func markRow(b *composite.Builder, pool domain.PoolID, t *domain.Task) composite.Row {
	return b.Begin().
		Text(string(pool)).Int8(int64(t.JobID)).Text(string(t.Tenant)).Text(t.Lane).Int2(int16(t.Priority)).Int8(t.Rank).
		MaybeTime(t.Deadline).MaybeTime(t.NotBefore).
		End()
}

func eventRow(b *composite.Builder, e *domain.Event) composite.Row {
	var subjects []string
	if !e.OnlyNamed() {
		subjects = e.Subjects
	}
	return b.Begin().
		Text(string(e.Source)).Int8(e.Seq).Time(e.At).Text(string(e.Kind)).Text(string(e.PoolID)).Text(string(e.TaskID)).
		Int8(int64(e.JobID)).Int4(int32(e.Submission)).Text(string(e.Tenant)).Int4(int32(e.Attempt)).Int8(int64(e.Units)).
		Text(string(e.Status)).Text(string(e.Reason.Code)).Text(e.Reason.Message).Text(e.Actor).
		MaybeTexts(subjects).MaybeText(e.Detail).
		End()
}

func messageRow(b *composite.Builder, m *domain.Message) composite.Row {
	return b.Begin().
		Text(string(m.Source)).Int8(m.Seq).Text(string(m.Mailbox.Tenant)).Text(m.Mailbox.UserID).Text(m.Mailbox.SessionID).
		Text(string(m.PoolID)).Text(string(m.TaskID)).Int8(int64(m.JobID)).Int4(int32(m.Submission)).
		Text(string(m.Status)).Text(string(m.Reason.Code)).Text(m.Reason.Message).MaybeText(m.Payload).Time(m.CreatedAt).
		End()
}

func relaneParams(pool *domain.Pool, d *plan.Decisions) *dbsqlc.RelaneJobsParams {
	after := pool
	if d.Pool != nil {
		after = d.Pool
	}
	w := &dbsqlc.RelaneJobsParams{PoolID: string(pool.PoolID)}
	for _, tenant := range d.Relane {
		w.Tenants = append(w.Tenants, string(tenant))
		w.Lanes = append(w.Lanes, after.TenantLane(tenant))
	}
	return w
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
