package api

import (
	"encoding/json"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Reason says why something is as it is: a stable code and a sentence.
type Reason struct {
	Code    string `doc:"For programs; never renamed." example:"queue_full" json:"code"`
	Message string `doc:"For people." json:"message,omitempty"`
}

// Task is a task as a client sees it.
type Task struct {
	TaskID            string            `example:"req-42" json:"taskId"`
	PoolID            string            `example:"llm" json:"poolId"`
	JobID             int64             `doc:"Numbers the pool's submissions in the order they were accepted." json:"jobId"`
	Submission        int               `doc:"1; more when the id was rejected before and submitted again." json:"submission"`
	Tenant            string            `example:"acme" json:"tenant"`
	Status            string            `enum:"submitted,queued,running,completed,failed,expired,rejected,dropped" json:"status"`
	Reason            *Reason           `json:"reason,omitempty"`
	Attempt           int               `doc:"Attempts started so far." json:"attempt"`
	MaxAttempts       int               `json:"maxAttempts"`
	Position          int64             `doc:"Place in the queue, 1 for the next to start; exact. Absent: not in the order, or a task of a list." json:"position,omitempty"`
	EstimatedStart    *time.Time        `doc:"When a queued task may start, judged by how fast the queue has been draining. Absent: not known." json:"estimatedStart,omitempty"`
	Priority          string            `enum:"low,normal,high,critical" json:"priority"`
	ResourceCost      TaskCost          `json:"resourceCost"`
	Executor          string            `json:"executor"`
	TimeoutSecs       float64           `doc:"How long one attempt may run." json:"timeoutSecs"`
	Deadline          *time.Time        `json:"deadline,omitempty"`
	CreatedAt         time.Time         `json:"createdAt"`
	StartedAt         *time.Time        `doc:"Of the current or last attempt." json:"startedAt,omitempty"`
	FinishedAt        *time.Time        `json:"finishedAt,omitempty"`
	RetryAt           *time.Time        `doc:"End of the backoff of a retry." json:"retryAt,omitempty"`
	CancelRequestedAt *time.Time        `doc:"A running task was asked to stop then." json:"cancelRequestedAt,omitempty"`
	Holder            string            `doc:"The process or worker that holds the running attempt." json:"holder,omitempty"`
	MailboxKey        *TaskMailbox      `json:"mailboxKey,omitempty"`
	Labels            map[string]string `json:"labels,omitempty"`
	Result            json.RawMessage   `doc:"What the executor returned; of a completed task." json:"result,omitempty"`
}

// TaskCost is what a stored task weighs.
type TaskCost struct {
	Kind  string `enum:"cpu,gpuVram,io,mixed" json:"kind"`
	Units int64  `example:"4" json:"units"`
}

// TaskMailbox is where a stored task's outcome is left.
type TaskMailbox struct {
	Tenant    string `example:"acme" json:"tenant"`
	UserID    string `example:"ada" json:"userId,omitempty"`
	SessionID string `example:"s-1" json:"sessionId,omitempty"`
}

func taskJSON(t *domain.Task, position int64) Task {
	view := Task{
		TaskID: string(t.TaskID), PoolID: string(t.PoolID), JobID: int64(t.JobID), Submission: t.Submission,
		Tenant: string(t.Tenant), Status: string(t.Status), Reason: reasonJSON(t.Reason),
		Attempt: t.Attempt, MaxAttempts: t.MaxAttempts, Position: position, Priority: t.Requested.String(),
		ResourceCost: TaskCost{Kind: string(t.Kind), Units: int64(t.Units)},
		Executor:     t.Executor, TimeoutSecs: t.Timeout.Seconds(),
		Deadline: utc(t.Deadline), CreatedAt: t.CreatedAt.UTC(), StartedAt: utc(t.StartedAt),
		FinishedAt: utc(t.FinishedAt), RetryAt: utc(t.NotBefore), CancelRequestedAt: utc(t.CancelAsked),
		Holder: string(t.Holder), Labels: t.Labels, Result: t.Result,
	}
	if t.Status.Terminal() {
		view.Holder = ""
	}
	if m := t.Mailbox; m != nil {
		view.MailboxKey = &TaskMailbox{Tenant: string(m.Tenant), UserID: m.UserID, SessionID: m.SessionID}
	}
	return view
}

func reasonJSON(r domain.Reason) *Reason {
	if r == (domain.Reason{}) {
		return nil
	}
	return &Reason{Code: string(r.Code), Message: r.Message}
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}
