package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
)

// Completion is the body of a completion.
type Completion struct {
	Result json.RawMessage `doc:"Any JSON; left in the mailbox and shown with the task." json:"result,omitempty"`
	_      struct{}        `additionalProperties:"false" json:"-"`
}

// Failure is the body of a failure.
type Failure struct {
	Message   string   `doc:"What went wrong, for people." example:"the renderer crashed" json:"message" maxLength:"2000" minLength:"1"`
	Retryable bool     `default:"false" doc:"Another attempt may do better: the task is tried again if it has attempts left." json:"retryable,omitempty"`
	_         struct{} `additionalProperties:"false" json:"-"`
}

// Release is the body of a release; {} will do.
type Release struct {
	Message string   `doc:"Why, for people." example:"the machine shuts down" json:"message,omitempty" maxLength:"2000"`
	_       struct{} `additionalProperties:"false" json:"-"`
}

// LeaseEnd says what became of the task.
type LeaseEnd struct {
	TaskID  string     `json:"taskId"`
	PoolID  string     `json:"poolId"`
	JobID   int64      `json:"jobId"`
	Attempt int        `json:"attempt"`
	Status  string     `doc:"queued: there will be another attempt." enum:"queued,running,completed,failed,expired" json:"status"`
	Reason  *Reason    `json:"reason,omitempty"`
	RetryAt *time.Time `doc:"End of the backoff of a retry." json:"retryAt,omitempty"`
}

// maxResult bounds the body of a completion; the server's limits.max_result_bytes may be less.
const maxResult = 8<<20 + maxSmallBody

type completeInput struct {
	LeaseID string `doc:"The lease." path:"leaseId"`

	how plan.Settle
}

// Resolve reads the body.
func (in *completeInput) Resolve(ctx huma.Context) []error {
	in.how.Verdict = plan.VerdictCompleted
	raw, err := readBody(ctx, maxResult)
	if err != nil {
		return []error{err}
	}
	d := decoder{}
	_, d.faults = canonicalise(raw, "body")
	d.object("body", raw, field{"result", false, func(_ string, raw []byte) { in.how.Result = bytes.Clone(raw) }})
	return d.errors()
}

type failInput struct {
	LeaseID string `doc:"The lease." path:"leaseId"`

	how plan.Settle
}

// Resolve reads the body.
func (in *failInput) Resolve(ctx huma.Context) []error {
	in.how.Verdict = plan.VerdictFailed
	in.how.Reason.Code = domain.ReasonExecutorFailed
	d := decoder{}
	return small(ctx, &d,
		field{"message", true, func(at string, raw []byte) { in.how.Reason.Message = d.text(at, raw, 1, maxReason) }},
		field{"retryable", false, func(at string, raw []byte) { in.how.Retryable = d.boolean(at, raw) }},
	)
}

type releaseInput struct {
	LeaseID string `doc:"The lease." path:"leaseId"`

	how plan.Settle
}

// Resolve reads the body.
func (in *releaseInput) Resolve(ctx huma.Context) []error {
	in.how.Verdict = plan.VerdictHandBack
	in.how.Reason = domain.Reason{Code: domain.ReasonReleased, Message: "the remote worker gave the attempt back"}
	d := decoder{}
	return small(ctx, &d, field{"message", false, func(at string, raw []byte) {
		if message := d.text(at, raw, 0, maxReason); message != "" {
			in.how.Reason.Message = message
		}
	}})
}

type endOutput struct {
	Body LeaseEnd
}

func (s *server) leaseEndRoutes() {
	errors := []int{400, 404, 408, 410, 413, 415, 422, 503}
	complete := huma.Operation{
		OperationID: "completeLease", Method: http.MethodPost, Path: "/leases/{leaseId}/complete", Tags: []string{tagLeases},
		Summary: "Complete a leased task",
		Description: "The same again is answered the same, so that a worker that did not hear the answer may ask once more. " +
			"`410 lease_lost`: the attempt has ended otherwise, and the result was refused (the audit trail says so). " +
			"`413`: the result is too big, and the lease goes on.",
		Errors: errors,
	}
	register(s, complete, func(ctx context.Context, in *completeInput) (*endOutput, error) {
		return s.endLease(ctx, in.LeaseID, in.how)
	})
	documentBody[Completion](s.api, complete, `{"result": {"frames": 24}}`)
	fail := huma.Operation{
		OperationID: "failLease", Method: http.MethodPost, Path: "/leases/{leaseId}/fail", Tags: []string{tagLeases},
		Summary: "Fail a leased task",
		Description: "Ends the attempt; with `retryable` the task is tried again after a backoff if it has attempts left. A cancelled " +
			"task is not, and its reason becomes `cancelled`.",
		Errors: errors,
	}
	register(s, fail, func(ctx context.Context, in *failInput) (*endOutput, error) {
		return s.endLease(ctx, in.LeaseID, in.how)
	})
	documentBody[Failure](s.api, fail, `{"message": "the renderer crashed", "retryable": true}`)
	release := huma.Operation{
		OperationID: "releaseLease", Method: http.MethodPost, Path: "/leases/{leaseId}/release", Tags: []string{tagLeases},
		Summary: "Give a leased task back",
		Description: "For a worker that stops: the task goes back to its place in the queue, and the attempt is not held against it. " +
			"A cancelled task ends instead.",
		Errors: errors,
	}
	register(s, release, func(ctx context.Context, in *releaseInput) (*endOutput, error) {
		return s.endLease(ctx, in.LeaseID, in.how)
	})
	documentBody[Release](s.api, release, `{"message": "the machine shuts down"}`)
}

func (s *server) endLease(ctx context.Context, lease string, how plan.Settle) (*endOutput, error) {
	t, err := s.service.SettleLease(ctx, domain.LeaseID(lease), how)
	if err != nil {
		return nil, err
	}
	return &endOutput{Body: LeaseEnd{
		TaskID: string(t.TaskID), PoolID: string(t.PoolID), JobID: int64(t.JobID), Attempt: t.Attempt,
		Status: string(t.Status), Reason: reasonJSON(t.Reason), RetryAt: utc(t.NotBefore),
	}}, nil
}
