package api

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
)

// Limits of a submission.
const (
	MaxPayloadBytes = 1 << 20 // of one task's payload, as sent
	MaxBatchTasks   = 1000    // tasks of one batch
	MaxBatchBytes   = 32 << 20
	MaxLabels       = 32
	MaxAttempts     = 100
	MaxTimeout      = 7 * 24 * time.Hour

	maxName       = 200      // characters of ids, tenants, users and label values
	maxLabelKey   = 63       // characters
	maxSmallBody  = 64 << 10 // bytes of a body without a payload
	maxSubmission = MaxPayloadBytes + maxSmallBody
)

const (
	idMarks       = "._:-"
	labelMarks    = "._/-"
	executorMarks = "._:-"
)

// TaskSubmission is the body of a submission. It documents the form; decoding is
// done by decodeSubmission, which lists every fault.
type TaskSubmission struct {
	TaskID       string            `doc:"The client's name for the task, unique in the pool. Submitting it again with the same body gives the same answer and no second task." example:"req-42" json:"taskId" maxLength:"200" minLength:"1" pattern:"^[A-Za-z0-9._:-]+$"`
	Tenant       string            `doc:"Who asks. Default: the mailbox key's tenant, else \"default\"." example:"acme" json:"tenant,omitempty" maxLength:"200" minLength:"1"`
	Priority     string            `default:"normal" doc:"The task's class." enum:"low,normal,high,critical" json:"priority,omitempty"`
	ResourceCost ResourceCost      `json:"resourceCost"`
	Deadline     *time.Time        `doc:"The task must have started by then, else it expires." json:"deadline,omitempty"`
	TimeoutSecs  *float64          `doc:"How long one attempt may run. Default: the pool's." example:"60" exclusiveMinimum:"0" json:"timeoutSecs,omitempty" maximum:"604800"`
	MaxAttempts  int               `doc:"Attempts, the first included. Default: the pool's." json:"maxAttempts,omitempty" maximum:"100" minimum:"1"`
	Executor     string            `default:"default" doc:"Name of the executor that does the work." json:"executor,omitempty" maxLength:"200" minLength:"1" pattern:"^[A-Za-z0-9._:-]+$"`
	MailboxKey   *MailboxKey       `doc:"Where the outcome is left." json:"mailboxKey,omitempty"`
	Payload      json.RawMessage   `doc:"Any JSON, at most 1 MiB, handed to the executor as it is." json:"payload,omitempty"`
	Labels       map[string]string `doc:"At most 32. Keys: 1 to 63 of A–Z a–z 0–9 . _ / -; values: at most 200 characters." json:"labels,omitempty"`
	_            struct{}          `additionalProperties:"false" json:"-"`
}

// ResourceCost is what a task weighs.
type ResourceCost struct {
	Kind  string   `doc:"What the units count. Default: the pool's." enum:"cpu,gpuVram,io,mixed" example:"gpuVram" json:"kind,omitempty"`
	Units int64    `doc:"The task's weight. More than the pool's maxUnits is refused." example:"4" json:"units" maximum:"1000000000" minimum:"1"`
	_     struct{} `additionalProperties:"false" json:"-"`
}

// MailboxKey addresses a mailbox.
type MailboxKey struct {
	Tenant    string   `example:"acme" json:"tenant" maxLength:"200" minLength:"1"`
	UserID    string   `doc:"Empty: only the whole tenant's mailbox shows the message." example:"ada" json:"userId,omitempty" maxLength:"200" minLength:"1"`
	SessionID string   `doc:"Needs a userId." example:"s-1" json:"sessionId,omitempty" maxLength:"200" minLength:"1"`
	_         struct{} `additionalProperties:"false" json:"-"`
}

// The fields of a submission.
const (
	fieldTaskID = iota
	fieldTenant
	fieldPriority
	fieldCost
	fieldDeadline
	fieldTimeout
	fieldAttempts
	fieldExecutor
	fieldMailbox
	fieldPayload
	fieldLabels
)

// The fields of what a submission is made of, as decoder.members wants them.
//
//nolint:gochecknoglobals // tables
var (
	submissionFields = []field{
		fieldTaskID: {name: "taskId", required: true}, fieldTenant: {name: "tenant"}, fieldPriority: {name: "priority"},
		fieldCost: {name: "resourceCost", required: true}, fieldDeadline: {name: "deadline"}, fieldTimeout: {name: "timeoutSecs"},
		fieldAttempts: {name: "maxAttempts"}, fieldExecutor: {name: "executor"}, fieldMailbox: {name: "mailboxKey"},
		fieldPayload: {name: "payload"}, fieldLabels: {name: "labels"},
	}
	costFields    = []field{{name: "kind"}, {name: "units", required: true}}
	mailboxFields = []field{{name: "tenant", required: true}, {name: "userId"}, {name: "sessionId"}}

	resourceKinds = domain.ResourceKinds()
)

// decodeSubmission turns the raw JSON of one submission into a request. raw must be
// valid JSON. The error is CodeInvalid with every fault, located under location, or
// CodeTooLarge. The request keeps nothing of raw.
func decodeSubmission(raw []byte, location string) (plan.Submit, *domain.Error) {
	var (
		d = decoder{}
		s = plan.Submit{Executor: "default", Priority: domain.PriorityNormal}
	)
	hash, faults := digest(raw, location)
	d.faults = faults
	payload := 0
	d.members(location, raw, submissionFields, func(i int, at string, raw []byte) {
		switch i {
		case fieldTaskID:
			s.TaskID = domain.TaskID(d.name(at, raw, maxName, idMarks))
		case fieldTenant:
			s.Tenant = domain.Tenant(d.text(at, raw, 1, maxName))
		case fieldPriority:
			s.Priority = d.priority(at, raw)
		case fieldCost:
			s.Kind, s.Units = d.cost(at, raw)
		case fieldDeadline:
			s.Deadline = d.instant(at, raw)
		case fieldTimeout:
			s.Timeout = d.seconds(at, raw, MaxTimeout)
		case fieldAttempts:
			s.MaxAttempts = int(d.integer(at, raw, 1, MaxAttempts))
		case fieldExecutor:
			s.Executor = d.name(at, raw, maxName, executorMarks)
		case fieldMailbox:
			s.Mailbox = d.mailbox(at, raw)
		case fieldPayload:
			if payload = len(raw); payload <= MaxPayloadBytes {
				s.Payload = bytes.Clone(raw)
			}
		case fieldLabels:
			s.Labels = d.labels(at, raw)
		}
	})
	if payload > MaxPayloadBytes {
		return s, domain.Errorf(domain.CodeTooLarge,
			"%s.payload has %d bytes; at most %d are taken. Leave big inputs elsewhere and send where.",
			location, payload, MaxPayloadBytes)
	}
	if len(d.faults) > 0 {
		return s, invalid(d.faults)
	}
	if s.Tenant == "" {
		s.Tenant = "default"
		if s.Mailbox != nil {
			s.Tenant = s.Mailbox.Tenant
		}
	}
	s.BodyHash = hash[:]
	return s, nil
}

func (d *decoder) priority(location string, raw []byte) domain.Priority {
	type name string
	chosen := choice(d, location, raw, []name{"low", "normal", "high", "critical"})
	priority, err := domain.ParsePriority(string(chosen))
	if err != nil {
		d.faultf(location, echo(raw), "%v", err)
	}
	return priority
}

func (d *decoder) cost(location string, raw []byte) (kind domain.ResourceKind, units domain.Units) {
	d.members(location, raw, costFields, func(i int, at string, raw []byte) {
		switch i {
		case 0:
			kind = choice(d, at, raw, resourceKinds)
		case 1:
			units = domain.Units(d.integer(at, raw, 1, int64(domain.MaxPoolUnits)))
		}
	})
	return kind, units
}

func (d *decoder) mailbox(location string, raw []byte) *domain.MailboxKey {
	var (
		key                 domain.MailboxKey
		hasUser, hasSession bool
	)
	d.members(location, raw, mailboxFields, func(i int, at string, raw []byte) {
		switch text := d.text(at, raw, 1, maxName); i {
		case 0:
			key.Tenant = domain.Tenant(text)
		case 1:
			hasUser, key.UserID = true, text
		case 2:
			hasSession, key.SessionID = true, text
		}
	})
	if hasSession && !hasUser {
		d.faultf(location+".sessionId", nil, "needs a userId beside it")
	}
	return &key
}

func (d *decoder) labels(location string, raw []byte) map[string]string {
	s := scanner{in: raw}
	if !s.take('{') {
		d.faultf(location, echo(raw), "has to be an object of strings")
		return nil
	}
	labels := map[string]string{}
	for s.peek() == '"' {
		key := unquote(s.text())
		s.take(':')
		value := s.skip()
		s.take(',')
		at := location + "." + key
		if len(key) == 0 || len(key) > maxLabelKey || !charset(key, labelMarks) {
			d.faultf(at, nil, "is no label key: use 1 to %d of A–Z a–z 0–9 . _ / -", maxLabelKey)
			continue
		}
		if _, twice := labels[key]; twice {
			d.faultf(at, nil, "occurs more than once")
		}
		labels[key] = d.text(at, value, 0, maxName)
	}
	if len(labels) > MaxLabels {
		d.faultf(location, nil, "has %d labels; at most %d are taken", len(labels), MaxLabels)
	}
	return labels
}
