package sqlite

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite/dbsqlc"
)

// lightJob is a row of pl_queue_jobs without labels, payload and result. The
// queries that read one all name the same columns in the same order, so that
// their row types convert into this one.
type lightJob = dbsqlc.CandidatesRow

// micros returns t as it is stored.
func micros(t time.Time) int64 { return t.UnixMicro() }

func microsPtr(t *time.Time) *int64 {
	if t == nil {
		return nil
	}
	return new(t.UnixMicro())
}

func timeOf(us int64) time.Time { return time.UnixMicro(us).UTC() }

func timePtr(us *int64) *time.Time {
	if us == nil {
		return nil
	}
	return new(timeOf(*us))
}

// text returns a JSON value as it is stored: TEXT, NULL for none.
func text(b []byte) *string {
	if b == nil {
		return nil
	}
	return new(string(b))
}

func bytesOf(s *string) []byte {
	if s == nil {
		return nil
	}
	return []byte(*s)
}

// checkText refuses what Postgres cannot store in text, so that both dialects
// refuse the same: SQLite itself would keep it.
func checkText(what string, values ...string) error {
	for _, v := range values {
		if strings.IndexByte(v, 0) >= 0 {
			return fmt.Errorf("%w: %s contains a NUL character", store.ErrData, what)
		}
		if !utf8.ValidString(v) {
			return fmt.Errorf("%w: %s is not valid UTF-8", store.ErrData, what)
		}
	}
	return nil
}

func checkJSON(what string, value []byte) error {
	if value == nil {
		return nil
	}
	return checkText(what, string(value))
}

// jsonOf encodes lists of ids, labels and policies: values that always encode.
func jsonOf(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "null"
	}
	return string(b)
}

func taskOf(r lightJob) domain.Task {
	t := domain.Task{
		PoolID: domain.PoolID(r.PoolID), JobID: domain.JobID(r.JobID), TaskID: domain.TaskID(r.TaskID),
		Submission: int(r.Submission), BodyHash: r.BodyHash,
		Tenant: domain.Tenant(r.Tenant), Requested: domain.Priority(r.RequestedPriority), Priority: domain.Priority(r.Priority),
		Lane: r.Lane, Rank: r.Rank,
		Kind: domain.ResourceKind(r.ResourceKind), Units: domain.Units(r.ResourceUnits),
		Status: domain.Status(r.Status), Reason: domain.Reason{Code: domain.ReasonCode(r.ReasonCode), Message: r.Reason},
		Attempt: int(r.Attempt), MaxAttempts: int(r.MaxAttempts), Overtaken: int(r.Overtaken),
		Executor: r.Executor, Timeout: time.Duration(r.TimeoutMs) * time.Millisecond,
		Deadline: timePtr(r.Deadline), NotBefore: timePtr(r.NotBefore), CreatedAt: timeOf(r.CreatedAt),
		StartedAt: timePtr(r.StartedAt), FinishedAt: timePtr(r.FinishedAt), CancelAsked: timePtr(r.CancelAskedAt),
		Holder: domain.WorkerID(r.Holder), RiverJobID: r.RiverJobID,
	}
	if r.MailboxTenant != nil {
		t.Mailbox = &domain.MailboxKey{Tenant: domain.Tenant(*r.MailboxTenant), UserID: r.MailboxUser, SessionID: r.MailboxSession}
	}
	return t
}

// insertJob returns the row of a new task, or ErrData.
func insertJob(t *domain.Task) (dbsqlc.InsertJobParams, error) {
	p := dbsqlc.InsertJobParams{
		PoolID: string(t.PoolID), JobID: int64(t.JobID), TaskID: string(t.TaskID),
		Submission: int64(t.Submission), BodyHash: t.BodyHash,
		Tenant: string(t.Tenant), RequestedPriority: int64(t.Requested), Priority: int64(t.Priority),
		Lane: t.Lane, Rank: t.Rank, ResourceKind: string(t.Kind), ResourceUnits: int64(t.Units),
		Status: string(t.Status), ReasonCode: string(t.Reason.Code), Reason: t.Reason.Message,
		Attempt: int64(t.Attempt), MaxAttempts: int64(t.MaxAttempts), Overtaken: int64(t.Overtaken),
		Executor: t.Executor, TimeoutMs: t.Timeout.Milliseconds(),
		Deadline: microsPtr(t.Deadline), NotBefore: microsPtr(t.NotBefore), CreatedAt: micros(t.CreatedAt),
		StartedAt: microsPtr(t.StartedAt), FinishedAt: microsPtr(t.FinishedAt), CancelAskedAt: microsPtr(t.CancelAsked),
		Holder: string(t.Holder), RiverJobID: t.RiverJobID,
		Payload: text(t.Payload), Result: text(t.Result),
	}
	if p.BodyHash == nil {
		p.BodyHash = []byte{}
	}
	if t.Mailbox != nil {
		p.MailboxTenant = new(string(t.Mailbox.Tenant))
		p.MailboxUser, p.MailboxSession = t.Mailbox.UserID, t.Mailbox.SessionID
		if err := checkText("the mailbox key", *p.MailboxTenant, p.MailboxUser, p.MailboxSession); err != nil {
			return p, err
		}
	}
	if len(t.Labels) > 0 {
		for k, v := range t.Labels {
			if err := checkText("a label", k, v); err != nil {
				return p, err
			}
		}
		p.Labels = new(jsonOf(t.Labels))
	}
	if err := checkText("the task", p.TaskID, p.Tenant, p.Executor, p.Reason); err != nil {
		return p, err
	}
	if err := checkJSON("the payload", t.Payload); err != nil {
		return p, err
	}
	return p, checkJSON("the result", t.Result)
}

func updateJob(pool domain.PoolID, from domain.Status, fromAttempt int, t *domain.Task) (dbsqlc.UpdateJobParams, error) {
	p := dbsqlc.UpdateJobParams{
		PoolID: string(pool), JobID: int64(t.JobID), FromStatus: string(from), FromAttempt: int64(fromAttempt),
		Priority: int64(t.Priority), Lane: t.Lane, Rank: t.Rank,
		Status: string(t.Status), ReasonCode: string(t.Reason.Code), Reason: t.Reason.Message,
		Attempt: int64(t.Attempt), MaxAttempts: int64(t.MaxAttempts), Overtaken: int64(t.Overtaken),
		NotBefore: microsPtr(t.NotBefore), StartedAt: microsPtr(t.StartedAt), FinishedAt: microsPtr(t.FinishedAt),
		CancelAskedAt: microsPtr(t.CancelAsked), Holder: string(t.Holder), RiverJobID: t.RiverJobID, Result: text(t.Result),
	}
	if err := checkText("the reason", p.Reason); err != nil {
		return p, err
	}
	return p, checkJSON("the result", t.Result)
}

func countersOf(r dbsqlc.PlPoolTurn) domain.Counters {
	return domain.Counters{
		TurnNo: r.TurnNo, TurnID: r.TurnID, At: timeOf(r.At),
		ActiveUnits: domain.Units(r.ActiveUnits), Ceiling: domain.Units(r.Ceiling), Running: r.Running, Queued: r.Queued,
		QueuedBy: [domain.PriorityClasses]int64{r.QueuedLow, r.QueuedNormal, r.QueuedHigh, r.QueuedCritical},
		Waiting:  r.Waiting, VirtualTime: r.VirtualTime, JobSeq: r.JobSeq, RankSeq: r.RankSeq,
		EventSeq: r.EventSeq, MessageSeq: r.MessageSeq, Drained: r.Drained, NextDueAt: timePtr(r.NextDueAt),
	}
}

func insertTurn(pool domain.PoolID, c *domain.Counters) dbsqlc.InsertTurnParams {
	return dbsqlc.InsertTurnParams{
		PoolID: string(pool), TurnNo: c.TurnNo, TurnID: c.TurnID, At: micros(c.At),
		ActiveUnits: int64(c.ActiveUnits), Ceiling: int64(c.Ceiling), Running: c.Running, Queued: c.Queued,
		QueuedLow: c.QueuedBy[domain.PriorityLow], QueuedNormal: c.QueuedBy[domain.PriorityNormal],
		QueuedHigh: c.QueuedBy[domain.PriorityHigh], QueuedCritical: c.QueuedBy[domain.PriorityCritical],
		Waiting: c.Waiting, VirtualTime: c.VirtualTime, JobSeq: c.JobSeq, RankSeq: c.RankSeq,
		EventSeq: c.EventSeq, MessageSeq: c.MessageSeq, Drained: c.Drained, NextDueAt: microsPtr(c.NextDueAt),
	}
}

func poolOf(r dbsqlc.PlPool) (domain.Pool, error) {
	p := domain.Pool{
		PoolID: domain.PoolID(r.PoolID), Name: r.Name, State: domain.PoolState(r.State),
		MaxUnits: domain.Units(r.MaxUnits), MaxQueueDepth: r.MaxQueueDepth,
		DefaultTimeout: time.Duration(r.DefaultTimeoutMs) * time.Millisecond,
		QueueBackend:   domain.Backend(r.QueueBackend), MailboxBackend: domain.Backend(r.MailboxBackend),
		Runtime: domain.Runtime(r.RuntimeAdapter), Policy: domain.PriorityPolicy(r.PriorityPolicy),
		ResourceKind: domain.ResourceKind(r.ResourceKind), MaxOvertakes: int(r.MaxOvertakes), MaxAttempts: int(r.MaxAttempts),
		RetryBackoff: domain.Backoff{
			Base: time.Duration(r.RetryBaseMs) * time.Millisecond,
			Max:  time.Duration(r.RetryMaxMs) * time.Millisecond,
		},
		Version: r.Version,
	}
	if err := json.Unmarshal([]byte(r.Tenants), &p.Tenants); err != nil {
		return p, fmt.Errorf("tenants of pool %s: %w", r.PoolID, err)
	}
	if len(p.Tenants) == 0 {
		p.Tenants = nil
	}
	if err := json.Unmarshal([]byte(r.Executors), &p.Executors); err != nil {
		return p, fmt.Errorf("executors of pool %s: %w", r.PoolID, err)
	}
	if len(p.Executors) == 0 {
		p.Executors = nil
	}
	return p, nil
}

// policyJSON returns the two JSON columns of a pool, or ErrData.
func policyJSON(p *domain.Pool) (tenants, executors string, err error) {
	tenants, executors = "{}", "[]"
	if len(p.Tenants) > 0 {
		tenants = jsonOf(p.Tenants)
	}
	if len(p.Executors) > 0 {
		executors = jsonOf(p.Executors)
	}
	for t := range p.Tenants {
		if err := checkText("a tenant", string(t)); err != nil {
			return "", "", err
		}
	}
	return tenants, executors, checkText("the pool", append([]string{string(p.PoolID), p.Name}, p.Executors...)...)
}

func usageOf(tenant string, activeUnits, queued, finishTag int64) domain.TenantUsage {
	return domain.TenantUsage{
		Tenant: domain.Tenant(tenant), ActiveUnits: domain.Units(activeUnits), Queued: queued, FinishTag: finishTag,
	}
}

func eventOf(r dbsqlc.PlAuditEvent) (domain.Event, error) {
	e := domain.Event{
		Source: domain.Source(r.Source), Seq: r.Seq, At: timeOf(r.At), Kind: domain.EventKind(r.Kind),
		PoolID: domain.PoolID(r.PoolID), TaskID: domain.TaskID(r.TaskID), JobID: domain.JobID(r.JobID),
		Submission: int(r.Submission), Tenant: domain.Tenant(r.Tenant), Attempt: int(r.Attempt),
		Units: domain.Units(r.Units), Status: domain.Status(r.Status),
		Reason: domain.Reason{Code: domain.ReasonCode(r.ReasonCode), Message: r.Reason},
		Actor:  r.Actor, Detail: bytesOf(r.Detail),
	}
	if err := json.Unmarshal([]byte(r.Subjects), &e.Subjects); err != nil {
		return e, fmt.Errorf("subjects of event %s: %w", e.ID(), err)
	}
	return e, nil
}

func insertEvent(e *domain.Event) (dbsqlc.InsertEventParams, error) {
	p := dbsqlc.InsertEventParams{
		Source: string(e.Source), Seq: e.Seq, At: micros(e.At), Kind: string(e.Kind), PoolID: string(e.PoolID),
		TaskID: string(e.TaskID), JobID: int64(e.JobID), Submission: int64(e.Submission), Tenant: string(e.Tenant),
		Attempt: int64(e.Attempt), Units: int64(e.Units), Status: string(e.Status), ReasonCode: string(e.Reason.Code),
		Reason: e.Reason.Message, Actor: e.Actor, Subjects: "[]", Detail: text(e.Detail),
	}
	if len(e.Subjects) > 0 {
		p.Subjects = jsonOf(e.Subjects)
		if err := checkText("an event's subject", e.Subjects...); err != nil {
			return p, err
		}
	}
	if err := checkText("an event", p.TaskID, p.Tenant, p.Reason, p.Actor); err != nil {
		return p, err
	}
	return p, checkJSON("an event's detail", e.Detail)
}

func messageOf(r dbsqlc.PlMailboxMessage) domain.Message {
	return domain.Message{
		Source: domain.Source(r.Source), Seq: r.Seq,
		Mailbox: domain.MailboxKey{Tenant: domain.Tenant(r.Tenant), UserID: r.UserID, SessionID: r.SessionID},
		PoolID:  domain.PoolID(r.PoolID), TaskID: domain.TaskID(r.TaskID), JobID: domain.JobID(r.JobID),
		Submission: int(r.Submission), Status: domain.Status(r.Status),
		Reason:  domain.Reason{Code: domain.ReasonCode(r.ReasonCode), Message: r.Reason},
		Payload: bytesOf(r.Payload), CreatedAt: timeOf(r.CreatedAt), AckedAt: timePtr(r.AckedAt),
	}
}

// outboxOf is a message in the outbox.
func outboxOf(r dbsqlc.PlOutbox) domain.Message {
	return messageOf(dbsqlc.PlMailboxMessage{
		Source: r.Source, Seq: r.Seq, Tenant: r.Tenant, UserID: r.UserID, SessionID: r.SessionID,
		PoolID: r.PoolID, TaskID: r.TaskID, JobID: r.JobID, Submission: r.Submission, Status: r.Status,
		ReasonCode: r.ReasonCode, Reason: r.Reason, Payload: r.Payload, CreatedAt: r.CreatedAt,
	})
}

func postedOf(r dbsqlc.PostedMessagesRow) store.Posted {
	message := dbsqlc.PlMailboxMessage{
		Source: r.Source, Seq: r.Seq, Tenant: r.Tenant, UserID: r.UserID, SessionID: r.SessionID,
		PoolID: r.PoolID, TaskID: r.TaskID, JobID: r.JobID, Submission: r.Submission, Status: r.Status,
		ReasonCode: r.ReasonCode, Reason: r.Reason, CreatedAt: r.CreatedAt, AckedAt: r.AckedAt,
	}
	if r.Payload != "" {
		message.Payload = &r.Payload
	}
	return store.Posted{Message: messageOf(message), Cut: r.Cut == 1}
}

// insertMessage returns the row of a message; the same for the mailbox and the outbox.
func insertMessage(m *domain.Message) (dbsqlc.InsertMessageParams, error) {
	p := dbsqlc.InsertMessageParams{
		Source: string(m.Source), Seq: m.Seq, Tenant: string(m.Mailbox.Tenant), UserID: m.Mailbox.UserID,
		SessionID: m.Mailbox.SessionID, PoolID: string(m.PoolID), TaskID: string(m.TaskID), JobID: int64(m.JobID),
		Submission: int64(m.Submission), Status: string(m.Status), ReasonCode: string(m.Reason.Code),
		Reason: m.Reason.Message, Payload: text(m.Payload), CreatedAt: micros(m.CreatedAt),
	}
	if err := checkText("a message", p.Tenant, p.UserID, p.SessionID, p.TaskID, p.Reason); err != nil {
		return p, err
	}
	return p, checkJSON("a message's payload", m.Payload)
}
