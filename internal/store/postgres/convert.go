package postgres

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

func instant(t time.Time) pgtype.Timestamptz { return pgtype.Timestamptz{Time: t, Valid: true} }

func maybeInstant(t *time.Time) pgtype.Timestamptz {
	if t == nil {
		return pgtype.Timestamptz{}
	}
	return instant(*t)
}

func maybeTime(t pgtype.Timestamptz) *time.Time {
	if !t.Valid {
		return nil
	}
	utc := t.Time.UTC()
	return &utc
}

func maybeBytes(s *string) []byte {
	if s == nil {
		return nil
	}
	return []byte(*s)
}

func poolOf(row *dbsqlc.PlPool) (domain.Pool, error) {
	p := domain.Pool{
		PoolID:         domain.PoolID(row.PoolID),
		Name:           row.Name,
		State:          domain.PoolState(row.State),
		MaxUnits:       domain.Units(row.MaxUnits),
		MaxQueueDepth:  row.MaxQueueDepth,
		DefaultTimeout: time.Duration(row.DefaultTimeoutMs) * time.Millisecond,
		QueueBackend:   domain.Backend(row.QueueBackend),
		MailboxBackend: domain.Backend(row.MailboxBackend),
		Runtime:        domain.Runtime(row.RuntimeAdapter),
		Policy:         domain.PriorityPolicy(row.PriorityPolicy),
		ResourceKind:   domain.ResourceKind(row.ResourceKind),
		MaxOvertakes:   int(row.MaxOvertakes),
		MaxAttempts:    int(row.MaxAttempts),
		RetryBackoff: domain.Backoff{
			Base: time.Duration(row.RetryBaseMs) * time.Millisecond,
			Max:  time.Duration(row.RetryMaxMs) * time.Millisecond,
		},
		Version: row.Version,
	}
	if len(row.Executors) > 0 {
		p.Executors = row.Executors
	}
	if err := json.Unmarshal(row.Tenants, &p.Tenants); err != nil {
		return p, fmt.Errorf("tenants of pool %s: %w", row.PoolID, err)
	}
	return p, nil
}

// policyOf encodes what a pool's row has as json.
func policyOf(p *domain.Pool) (tenants []byte, executors []string, err error) {
	executors = p.Executors
	if executors == nil {
		executors = []string{}
	}
	if len(p.Tenants) == 0 {
		return []byte("{}"), executors, nil
	}
	if tenants, err = json.Marshal(p.Tenants); err != nil {
		return nil, nil, fmt.Errorf("encode the tenants of pool %s: %w", p.PoolID, err)
	}
	return tenants, executors, nil
}

func countersOf(row *dbsqlc.PlPoolTurn) domain.Counters {
	return domain.Counters{
		TurnNo:      row.TurnNo,
		TurnID:      row.TurnID,
		At:          row.At.Time.UTC(),
		ActiveUnits: domain.Units(row.ActiveUnits),
		Ceiling:     domain.Units(row.Ceiling),
		Running:     row.Running,
		Queued:      row.Queued,
		QueuedBy: [domain.PriorityClasses]int64{
			domain.PriorityLow: row.QueuedLow, domain.PriorityNormal: row.QueuedNormal,
			domain.PriorityHigh: row.QueuedHigh, domain.PriorityCritical: row.QueuedCritical,
		},
		Waiting:     row.Waiting,
		VirtualTime: row.VirtualTime,
		JobSeq:      row.JobSeq,
		RankSeq:     row.RankSeq,
		EventSeq:    row.EventSeq,
		MessageSeq:  row.MessageSeq,
		Drained:     row.Drained,
		NextDueAt:   maybeTime(row.NextDueAt),
	}
}

func taskOf(row *dbsqlc.PlQueueJobsLight) domain.Task {
	t := domain.Task{
		PoolID:      domain.PoolID(row.PoolID),
		JobID:       domain.JobID(row.JobID),
		TaskID:      domain.TaskID(row.TaskID),
		Submission:  int(row.Submission),
		BodyHash:    row.BodyHash,
		Tenant:      domain.Tenant(row.Tenant),
		Requested:   domain.Priority(row.RequestedPriority),
		Priority:    domain.Priority(row.Priority),
		Lane:        row.Lane,
		Rank:        row.Rank,
		Kind:        domain.ResourceKind(row.ResourceKind),
		Units:       domain.Units(row.ResourceUnits),
		Status:      domain.Status(row.Status),
		Reason:      domain.Reason{Code: domain.ReasonCode(row.ReasonCode), Message: row.Reason},
		Attempt:     int(row.Attempt),
		MaxAttempts: int(row.MaxAttempts),
		Overtaken:   int(row.Overtaken),
		Executor:    row.Executor,
		Timeout:     time.Duration(row.TimeoutMs) * time.Millisecond,
		Deadline:    maybeTime(row.Deadline),
		NotBefore:   maybeTime(row.NotBefore),
		CreatedAt:   row.CreatedAt.Time.UTC(),
		StartedAt:   maybeTime(row.StartedAt),
		FinishedAt:  maybeTime(row.FinishedAt),
		CancelAsked: maybeTime(row.CancelAskedAt),
		Holder:      domain.WorkerID(row.Holder),
		RiverJobID:  row.RiverJobID,
	}
	if row.MailboxTenant != nil {
		t.Mailbox = &domain.MailboxKey{Tenant: domain.Tenant(*row.MailboxTenant), UserID: row.MailboxUser, SessionID: row.MailboxSession}
	}
	return t
}

// heldTask returns a running task with who really holds it.
func heldTask(row *dbsqlc.HeldJobsRow) domain.Task {
	task := taskOf(&dbsqlc.PlQueueJobsLight{
		PoolID: row.PoolID, JobID: row.JobID, TaskID: row.TaskID, Submission: row.Submission, BodyHash: row.BodyHash,
		Tenant: row.Tenant, RequestedPriority: row.RequestedPriority, Priority: row.Priority, Lane: row.Lane, Rank: row.Rank,
		ResourceKind: row.ResourceKind, ResourceUnits: row.ResourceUnits, Status: row.Status,
		ReasonCode: row.ReasonCode, Reason: row.Reason, Attempt: row.Attempt, MaxAttempts: row.MaxAttempts,
		Overtaken: row.Overtaken, Executor: row.Executor, TimeoutMs: row.TimeoutMs, Deadline: row.Deadline,
		NotBefore: row.NotBefore, CreatedAt: row.CreatedAt, StartedAt: row.StartedAt, FinishedAt: row.FinishedAt,
		CancelAskedAt: row.CancelAskedAt, Holder: row.Holder, RiverJobID: row.RiverJobID,
		MailboxTenant: row.MailboxTenant, MailboxUser: row.MailboxUser, MailboxSession: row.MailboxSession,
	})
	task.Holder = domain.WorkerID(row.HeldBy)
	return task
}

// attemptOf returns the task with labels and payload.
func attemptOf(row *dbsqlc.AttemptsRow) (domain.Task, error) {
	task := taskOf(&dbsqlc.PlQueueJobsLight{
		PoolID: row.PoolID, JobID: row.JobID, TaskID: row.TaskID, Submission: row.Submission, BodyHash: row.BodyHash,
		Tenant: row.Tenant, RequestedPriority: row.RequestedPriority, Priority: row.Priority, Lane: row.Lane, Rank: row.Rank,
		ResourceKind: row.ResourceKind, ResourceUnits: row.ResourceUnits, Status: row.Status,
		ReasonCode: row.ReasonCode, Reason: row.Reason, Attempt: row.Attempt, MaxAttempts: row.MaxAttempts,
		Overtaken: row.Overtaken, Executor: row.Executor, TimeoutMs: row.TimeoutMs, Deadline: row.Deadline,
		NotBefore: row.NotBefore, CreatedAt: row.CreatedAt, StartedAt: row.StartedAt, FinishedAt: row.FinishedAt,
		CancelAskedAt: row.CancelAskedAt, Holder: row.Holder, RiverJobID: row.RiverJobID,
		MailboxTenant: row.MailboxTenant, MailboxUser: row.MailboxUser, MailboxSession: row.MailboxSession,
	})
	task.Payload = maybeBytes(row.Payload)
	labels, err := labelsOf(row.Labels)
	task.Labels = labels
	return task, err
}

func labelsOf(encoded []byte) (map[string]string, error) {
	if len(encoded) == 0 {
		return nil, nil //nolint:nilnil // a task without labels has none
	}
	var labels map[string]string
	if err := json.Unmarshal(encoded, &labels); err != nil {
		return nil, fmt.Errorf("labels: %w", err)
	}
	return labels, nil
}

func eventOf(row *dbsqlc.PlAuditEvent) domain.Event {
	e := domain.Event{
		Source:     domain.Source(row.Source),
		Seq:        row.Seq,
		At:         row.At.Time.UTC(),
		Kind:       domain.EventKind(row.Kind),
		PoolID:     domain.PoolID(row.PoolID),
		TaskID:     domain.TaskID(row.TaskID),
		JobID:      domain.JobID(row.JobID),
		Submission: int(row.Submission),
		Tenant:     domain.Tenant(row.Tenant),
		Attempt:    int(row.Attempt),
		Units:      domain.Units(row.Units),
		Status:     domain.Status(row.Status),
		Reason:     domain.Reason{Code: domain.ReasonCode(row.ReasonCode), Message: row.Reason},
		Actor:      row.Actor,
		Subjects:   row.Subjects,
		Detail:     maybeBytes(row.Detail),
	}
	if e.Subjects == nil {
		e.Subjects = e.NamedSubjects()
	}
	return e
}

func messageOf(row *dbsqlc.PlMailboxMessage) domain.Message {
	return domain.Message{
		Source:     domain.Source(row.Source),
		Seq:        row.Seq,
		Mailbox:    domain.MailboxKey{Tenant: domain.Tenant(row.Tenant), UserID: row.UserID, SessionID: row.SessionID},
		PoolID:     domain.PoolID(row.PoolID),
		TaskID:     domain.TaskID(row.TaskID),
		JobID:      domain.JobID(row.JobID),
		Submission: int(row.Submission),
		Status:     domain.Status(row.Status),
		Reason:     domain.Reason{Code: domain.ReasonCode(row.ReasonCode), Message: row.Reason},
		Payload:    maybeBytes(row.Payload),
		CreatedAt:  row.CreatedAt.Time.UTC(),
		AckedAt:    maybeTime(row.AckedAt),
	}
}

// outboxOf is a message in the outbox.
func outboxOf(row *dbsqlc.PlOutbox) domain.Message {
	return messageOf(&dbsqlc.PlMailboxMessage{
		Source: row.Source, Seq: row.Seq, Tenant: row.Tenant, UserID: row.UserID, SessionID: row.SessionID,
		PoolID: row.PoolID, TaskID: row.TaskID, JobID: row.JobID, Submission: row.Submission, Status: row.Status,
		ReasonCode: row.ReasonCode, Reason: row.Reason, Payload: row.Payload, CreatedAt: row.CreatedAt,
	})
}

func postedOf(row *dbsqlc.PostedMessagesRow) store.Posted {
	message := dbsqlc.PlMailboxMessage{
		Source: row.Source, Seq: row.Seq, Tenant: row.Tenant, UserID: row.UserID, SessionID: row.SessionID,
		PoolID: row.PoolID, TaskID: row.TaskID, JobID: row.JobID, Submission: row.Submission, Status: row.Status,
		ReasonCode: row.ReasonCode, Reason: row.Reason, CreatedAt: row.CreatedAt, AckedAt: row.AckedAt,
	}
	if row.Payload != "" {
		message.Payload = &row.Payload
	}
	return store.Posted{Message: messageOf(&message), Cut: row.Cut}
}

func workerOf(row *dbsqlc.PlWorker) store.Worker {
	return store.Worker{
		ID:          domain.WorkerID(row.WorkerID),
		Role:        row.Role,
		Host:        row.Host,
		PID:         int(row.Pid),
		StartedAt:   row.StartedAt.Time.UTC(),
		HeartbeatAt: row.HeartbeatAt.Time.UTC(),
		DeadAt:      maybeTime(row.DeadAt),
	}
}

// arrayLiteral writes texts as Postgres writes an array.
func arrayLiteral(texts []string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, text := range texts {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('"')
		b.WriteString(literalEscaper.Replace(text))
		b.WriteByte('"')
	}
	b.WriteByte('}')
	return b.String()
}

var literalEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// cursorOf takes a cursor apart into the arrays that queries join with.
func cursorOf(c domain.Cursor) (sources []string, seqs []int64) {
	sources, seqs = make([]string, 0, len(c)), make([]int64, 0, len(c))
	for source, seq := range c {
		sources, seqs = append(sources, string(source)), append(seqs, seq)
	}
	return sources, seqs
}
