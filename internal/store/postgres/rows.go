package postgres

import (
	"encoding/json"
	"fmt"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// The add functions append rows to the parameters of a statement, one array a column.

func addTurn(w *dbsqlc.InsertTurnsParams, pool domain.PoolID, c *domain.Counters, heads [domain.PriorityClasses]int64) {
	w.PoolIds, w.TurnNos, w.TurnIds = append(w.PoolIds, string(pool)), append(w.TurnNos, c.TurnNo), append(w.TurnIds, c.TurnID)
	w.Ats, w.NextDueAts = append(w.Ats, instant(c.At)), append(w.NextDueAts, maybeInstant(c.NextDueAt))
	w.ActiveUnits, w.Ceilings = append(w.ActiveUnits, int64(c.ActiveUnits)), append(w.Ceilings, int64(c.Ceiling))
	w.Running, w.Queued, w.Waiting = append(w.Running, c.Running), append(w.Queued, c.Queued), append(w.Waiting, c.Waiting)
	w.QueuedLow = append(w.QueuedLow, c.QueuedBy[domain.PriorityLow])
	w.QueuedNormal = append(w.QueuedNormal, c.QueuedBy[domain.PriorityNormal])
	w.QueuedHigh = append(w.QueuedHigh, c.QueuedBy[domain.PriorityHigh])
	w.QueuedCritical = append(w.QueuedCritical, c.QueuedBy[domain.PriorityCritical])
	w.VirtualTimes, w.JobSeqs = append(w.VirtualTimes, c.VirtualTime), append(w.JobSeqs, c.JobSeq)
	w.RankSeqs, w.EventSeqs = append(w.RankSeqs, c.RankSeq), append(w.EventSeqs, c.EventSeq)
	w.MessageSeqs, w.Drained = append(w.MessageSeqs, c.MessageSeq), append(w.Drained, c.Drained)
	w.HeadsLow = append(w.HeadsLow, heads[domain.PriorityLow])
	w.HeadsNormal = append(w.HeadsNormal, heads[domain.PriorityNormal])
	w.HeadsHigh = append(w.HeadsHigh, heads[domain.PriorityHigh])
	w.HeadsCritical = append(w.HeadsCritical, heads[domain.PriorityCritical])
}

func addTenants(w *dbsqlc.InsertTurnsParams, pool domain.PoolID, d *plan.Decisions) {
	for i := range d.Tenants {
		u := &d.Tenants[i]
		w.TenantPools, w.TenantTurnNos = append(w.TenantPools, string(pool)), append(w.TenantTurnNos, d.Counters.TurnNo)
		w.Tenants, w.TenantActiveUnits = append(w.Tenants, string(u.Tenant)), append(w.TenantActiveUnits, int64(u.ActiveUnits))
		w.TenantQueued, w.TenantFinishTags = append(w.TenantQueued, u.Queued), append(w.TenantFinishTags, u.FinishTag)
	}
}

func addJobs(w *dbsqlc.InsertJobsParams, pool domain.PoolID, tasks []domain.Task) error {
	for i := range tasks {
		t := &tasks[i]
		hash, labels, mailbox := t.BodyHash, "", domain.MailboxKey{}
		if hash == nil {
			hash = []byte{}
		}
		if t.Mailbox != nil {
			mailbox = *t.Mailbox
		}
		if len(t.Labels) > 0 {
			text, err := json.Marshal(t.Labels)
			if err != nil {
				return fmt.Errorf("labels of task %s: %w", t.TaskID, err)
			}
			labels = string(text)
		}
		w.PoolIds, w.JobIds, w.TaskIds = append(w.PoolIds, string(pool)), append(w.JobIds, int64(t.JobID)), append(w.TaskIds, string(t.TaskID))
		w.Submissions, w.BodyHashes = append(w.Submissions, int32(t.Submission)), append(w.BodyHashes, hash)
		w.Tenants, w.RequestedPriorities = append(w.Tenants, string(t.Tenant)), append(w.RequestedPriorities, int16(t.Requested))
		w.Priorities, w.Lanes, w.Ranks = append(w.Priorities, int16(t.Priority)), append(w.Lanes, t.Lane), append(w.Ranks, t.Rank)
		w.ResourceKinds, w.ResourceUnits = append(w.ResourceKinds, string(t.Kind)), append(w.ResourceUnits, int64(t.Units))
		w.Statuses, w.ReasonCodes = append(w.Statuses, string(t.Status)), append(w.ReasonCodes, string(t.Reason.Code))
		w.Reasons, w.Attempts = append(w.Reasons, t.Reason.Message), append(w.Attempts, int32(t.Attempt))
		w.MaxAttempts, w.Overtaken = append(w.MaxAttempts, int32(t.MaxAttempts)), append(w.Overtaken, int32(t.Overtaken))
		w.Executors, w.TimeoutsMs = append(w.Executors, t.Executor), append(w.TimeoutsMs, t.Timeout.Milliseconds())
		w.Deadlines, w.NotBefores = append(w.Deadlines, maybeInstant(t.Deadline)), append(w.NotBefores, maybeInstant(t.NotBefore))
		w.CreatedAts, w.StartedAts = append(w.CreatedAts, instant(t.CreatedAt)), append(w.StartedAts, maybeInstant(t.StartedAt))
		w.FinishedAts = append(w.FinishedAts, maybeInstant(t.FinishedAt))
		w.CancelAskedAts = append(w.CancelAskedAts, maybeInstant(t.CancelAsked))
		w.Holders, w.RiverJobIds = append(w.Holders, string(t.Holder)), append(w.RiverJobIds, t.RiverJobID)
		w.MailboxTenants = append(w.MailboxTenants, string(mailbox.Tenant))
		w.MailboxUsers, w.MailboxSessions = append(w.MailboxUsers, mailbox.UserID), append(w.MailboxSessions, mailbox.SessionID)
		w.Labels, w.Payloads, w.Results = append(w.Labels, labels), append(w.Payloads, string(t.Payload)), append(w.Results, string(t.Result))
	}
	return nil
}

func addChanges(w *dbsqlc.UpdateJobsParams, pool domain.PoolID, changes []plan.Change) {
	w.Want += int64(len(changes))
	for i := range changes {
		c := &changes[i]
		t := &c.Task
		if c.FromStatus == domain.StatusRunning && t.Status != domain.StatusRunning {
			w.Ended++
		}
		w.PoolIds, w.JobIds = append(w.PoolIds, string(pool)), append(w.JobIds, int64(t.JobID))
		w.FromStatuses, w.FromAttempts = append(w.FromStatuses, string(c.FromStatus)), append(w.FromAttempts, int32(c.FromAttempt))
		w.FromCancelAskedAts = append(w.FromCancelAskedAts, maybeInstant(c.FromCancelAsked))
		w.Priorities, w.Lanes, w.Ranks = append(w.Priorities, int16(t.Priority)), append(w.Lanes, t.Lane), append(w.Ranks, t.Rank)
		w.Statuses, w.ReasonCodes = append(w.Statuses, string(t.Status)), append(w.ReasonCodes, string(t.Reason.Code))
		w.Reasons, w.Attempts = append(w.Reasons, t.Reason.Message), append(w.Attempts, int32(t.Attempt))
		w.MaxAttempts, w.Overtaken = append(w.MaxAttempts, int32(t.MaxAttempts)), append(w.Overtaken, int32(t.Overtaken))
		w.NotBefores, w.StartedAts = append(w.NotBefores, maybeInstant(t.NotBefore)), append(w.StartedAts, maybeInstant(t.StartedAt))
		w.FinishedAts = append(w.FinishedAts, maybeInstant(t.FinishedAt))
		w.CancelAskedAts = append(w.CancelAskedAts, maybeInstant(t.CancelAsked))
		w.Holders, w.RiverJobIds = append(w.Holders, string(t.Holder)), append(w.RiverJobIds, t.RiverJobID)
		w.Results = append(w.Results, string(t.Result))
	}
}

func addMessages(w *dbsqlc.InsertMessagesParams, messages []domain.Message) {
	for i := range messages {
		m := &messages[i]
		w.Sources, w.Seqs, w.CreatedAts = append(w.Sources, string(m.Source)), append(w.Seqs, m.Seq), append(w.CreatedAts, instant(m.CreatedAt))
		w.Tenants, w.UserIds = append(w.Tenants, string(m.Mailbox.Tenant)), append(w.UserIds, m.Mailbox.UserID)
		w.SessionIds, w.PoolIds = append(w.SessionIds, m.Mailbox.SessionID), append(w.PoolIds, string(m.PoolID))
		w.TaskIds, w.JobIds = append(w.TaskIds, string(m.TaskID)), append(w.JobIds, int64(m.JobID))
		w.Submissions, w.Statuses = append(w.Submissions, int32(m.Submission)), append(w.Statuses, string(m.Status))
		w.ReasonCodes, w.Reasons = append(w.ReasonCodes, string(m.Reason.Code)), append(w.Reasons, m.Reason.Message)
		w.Payloads = append(w.Payloads, string(m.Payload))
	}
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
