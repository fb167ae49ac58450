package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
)

// Settlement is the body of a settlement by hand.
type Settlement struct {
	Status string   `doc:"What the task becomes." enum:"completed,failed,expired,dropped" json:"status"`
	Reason string   `doc:"Why, for people; the code is forced. A reason as tasks have it, {code, message}, is taken as well." example:"stuck on a dead node" json:"reason,omitempty" maxLength:"2000"`
	_      struct{} `additionalProperties:"false" json:"-"`
}

// Cancelled counts what a bulk cancellation reached.
type Cancelled struct {
	Cancelled int `doc:"Tasks dropped or asked to stop." json:"cancelled"`
}

const maxReason = 2000 // characters

type settleInput struct {
	PoolID string `doc:"The pool." example:"llm" path:"poolId"`
	TaskID string `doc:"The task." example:"req-42" path:"taskId"`

	force plan.Force
}

// Resolve reads the body.
func (in *settleInput) Resolve(ctx huma.Context) []error {
	d := decoder{}
	in.force = plan.Force{TaskID: domain.TaskID(in.TaskID), Reason: domain.Reason{Code: domain.ReasonForced}}
	return small(ctx, &d,
		field{"status", true, func(at string, raw []byte) {
			in.force.Status = choice(&d, at, raw, []domain.Status{
				domain.StatusCompleted, domain.StatusFailed, domain.StatusExpired, domain.StatusDropped,
			})
		}},
		field{"reason", false, func(at string, raw []byte) { in.force.Reason = d.reason(at, raw) }},
	)
}

// reason reads a sentence, or a code with a sentence.
func (d *decoder) reason(location string, raw []byte) domain.Reason {
	reason := domain.Reason{Code: domain.ReasonForced}
	if raw[0] != '{' {
		reason.Message = d.text(location, raw, 0, maxReason)
		return reason
	}
	d.object(location, raw,
		field{"code", false, func(at string, raw []byte) {
			reason.Code = domain.ReasonCode(d.name(at, raw, maxLabelKey, "_"))
		}},
		field{"message", false, func(at string, raw []byte) { reason.Message = d.text(at, raw, 0, maxReason) }},
	)
	return reason
}

type cancelTasksInput struct {
	PoolID string `doc:"The pool." example:"llm" path:"poolId"`
	Label  string `doc:"The label, as key:value." example:"run:nightly" query:"label" required:"true"`

	label [2]string
}

// Resolve reads the label.
func (in *cancelTasksInput) Resolve(huma.Context) []error {
	d := decoder{}
	in.label = d.label(in.Label)
	return d.errors()
}

type cancelledOutput struct {
	Body Cancelled
}

func (s *server) operatorRoutes() {
	settle := huma.Operation{
		OperationID: "settleTask", Method: http.MethodPost, Path: "/pools/{poolId}/tasks/{taskId}/settle", Tags: []string{tagTasks},
		Summary: "Settle a task by hand",
		Description: "For operators: ends a task whatever it is doing, gives its units back, and records who did it (`X-Actor`). " +
			"`409 task_final` when it has ended, `409 conflict` when its status cannot become the one asked for.",
		Errors: []int{400, 404, 409, 413, 415, 422, 503},
	}
	register(s, settle, s.settleTask)
	documentBody[Settlement](s.api, settle, `{"status": "failed", "reason": "stuck on a dead node"}`)
	register(s, huma.Operation{
		OperationID: "cancelTasks", Method: http.MethodDelete, Path: tasksPath, Tags: []string{tagTasks},
		Summary:     "Cancel every live task with a label",
		Description: "Drops the queued, asks the running to stop, and counts both.",
		Errors:      []int{404, 422, 503},
	}, s.cancelTasks)
}

func (s *server) settleTask(ctx context.Context, in *settleInput) (*taskOutput, error) {
	in.force.Actor = requestOf(ctx).actor
	task, err := s.service.Force(ctx, domain.PoolID(in.PoolID), in.force)
	if err != nil {
		return nil, err
	}
	return &taskOutput{Body: taskJSON(&task, 0)}, nil
}

func (s *server) cancelTasks(ctx context.Context, in *cancelTasksInput) (*cancelledOutput, error) {
	n, err := s.service.CancelLabelled(ctx, domain.PoolID(in.PoolID), in.label[0], in.label[1], requestOf(ctx).actor)
	if err != nil {
		return nil, err
	}
	return &cancelledOutput{Body: Cancelled{Cancelled: n}}, nil
}
