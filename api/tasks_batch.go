package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
)

// Batch is the body of a batch.
type Batch struct {
	Tasks []TaskSubmission `json:"tasks" nullable:"false" maxItems:"1000" minItems:"1"`
	_     struct{}         `additionalProperties:"false" json:"-"`
}

// BatchResults has one result a task, in the order of the tasks.
type BatchResults struct {
	Results []BatchResult `json:"results" nullable:"false"`
}

// BatchResult is what a submission of its own would have been answered.
type BatchResult struct {
	Status  int             `doc:"The status a submission of its own would have got." example:"202" json:"status"`
	Task    *Admission      `doc:"Of an accepted task." json:"task,omitempty"`
	Problem *ProblemDetails `doc:"Of a refused one." json:"problem,omitempty"`
}

type batchInput struct {
	PoolID string `doc:"The pool." example:"llm" path:"poolId"`

	tasks []batchTask
}

// batchTask is one submission of a batch.
type batchTask struct {
	submission plan.Submit
	refusal    *domain.Error // what is wrong with its form; nil: nothing
}

// Resolve reads the body.
func (in *batchInput) Resolve(ctx huma.Context) []error {
	r, w := humago.Unwrap(ctx)
	if err := in.read(w, r); err != nil {
		return []error{err}
	}
	return nil
}

// read reads the body. Faults of one task are that task's result; faults of the
// batch refuse it whole.
func (in *batchInput) read(w http.ResponseWriter, r *http.Request) *domain.Error {
	raw, err := bodyOf(w, r, MaxBatchBytes)
	if err != nil {
		return err
	}
	var (
		d     = decoder{}
		tasks [][]byte
	)
	d.object("body", raw, field{"tasks", true, func(at string, raw []byte) {
		var ok bool
		if tasks, ok = elements(raw); !ok || len(tasks) == 0 || len(tasks) > MaxBatchTasks {
			d.faultf(at, nil, "has to be an array of 1 to %d tasks", MaxBatchTasks)
		}
	}})
	if len(d.faults) > 0 {
		return invalid(d.faults)
	}
	in.tasks = make([]batchTask, len(tasks))
	for i, task := range tasks {
		in.tasks[i].submission, in.tasks[i].refusal = decodeSubmission(task, place(i))
	}
	return nil
}

// place is where a task of the batch stands.
func place(i int) string { return "body.tasks[" + strconv.Itoa(i) + "]" }

type batchOutput struct {
	Body BatchResults
}

func (s *server) batchRoutes() {
	batch := huma.Operation{
		OperationID: submitTasks, Method: http.MethodPost, Path: batchPath, Tags: []string{tagTasks},
		Summary: "Submit up to 1,000 tasks",
		Description: "Each task is decided as if it came alone, in order; a refused one does not keep the others out. " +
			"The answer is `200` with one result a task, each with the status that a submission of its own would have got.",
		Errors: []int{400, 404, 408, 413, 415, 422, 503},
	}
	register(s, batch, s.submitBatch)
	documentBody[Batch](s.api, batch, `{"tasks": [{"taskId": "req-1", "resourceCost": {"units": 1}},
		{"taskId": "req-2", "resourceCost": {"units": 2}}]}`)
}

func (s *server) submitBatch(ctx context.Context, in *batchInput) (*batchOutput, error) {
	var submissions []plan.Submit
	for _, task := range in.tasks {
		if task.refusal == nil {
			submissions = append(submissions, task.submission)
		}
	}
	var pool *domain.Pool // for the faults of the others
	if len(submissions) < len(in.tasks) {
		var err error
		if pool, err = s.poolFor(ctx, domain.PoolID(in.PoolID)); err != nil {
			return nil, err
		}
	}
	var answers []plan.Answer
	if len(submissions) > 0 {
		var err error
		if answers, err = s.service.Submit(ctx, domain.PoolID(in.PoolID), submissions); err != nil {
			return nil, err
		}
		if len(answers) != len(submissions) {
			return nil, domain.Errorf(domain.CodeInternal, "%d answers to %d submissions", len(answers), len(submissions))
		}
	}
	results := make([]BatchResult, len(in.tasks))
	for i := range in.tasks {
		if refusal := in.tasks[i].refusal; refusal != nil {
			results[i] = batchRefusal(ctx, s.complete(pool, &in.tasks[i].submission, refusal, place(i)))
			continue
		}
		results[i] = s.batchResult(ctx, answers[0], place(i))
		answers = answers[1:]
	}
	return &batchOutput{Body: BatchResults{Results: results}}, nil
}

func (s *server) batchResult(ctx context.Context, answer plan.Answer, place string) BatchResult {
	if answer.Err == nil {
		accepted := s.admission(ctx, answer)
		return BatchResult{Status: http.StatusAccepted, Task: &accepted}
	}
	refused := *answer.Err
	refused.Faults = relocate(refused.Faults, place)
	return batchRefusal(ctx, &refused)
}

func batchRefusal(ctx context.Context, err *domain.Error) BatchResult {
	problem := problemOf(ctx, err)
	return BatchResult{Status: problem.Status, Problem: problem}
}

// relocate moves faults found in a submission to its place in the batch.
func relocate(faults []domain.Fault, place string) []domain.Fault {
	const alone = "body"
	moved := make([]domain.Fault, len(faults))
	for i, f := range faults {
		if len(f.Location) >= len(alone) && f.Location[:len(alone)] == alone {
			f.Location = place + f.Location[len(alone):]
		}
		moved[i] = f
	}
	return moved
}
