package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

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

	submissions []plan.Submit
	faults      []*domain.Error // by task; nil: well formed, and next in submissions
}

// Resolve reads the body. Faults of one task are that task's result; faults of the
// batch refuse it whole.
func (in *batchInput) Resolve(ctx huma.Context) []error {
	raw, err := readBody(ctx, MaxBatchBytes)
	if err != nil {
		return []error{err}
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
		return d.errors()
	}
	in.faults = make([]*domain.Error, len(tasks))
	for i, task := range tasks {
		submission, err := decodeSubmission(task, "body.tasks["+strconv.Itoa(i)+"]")
		if err != nil {
			in.faults[i] = err
			continue
		}
		in.submissions = append(in.submissions, submission)
	}
	return nil
}

type batchOutput struct {
	Body BatchResults
}

func (s *server) batchRoutes() {
	batch := huma.Operation{
		OperationID: "submitTasks", Method: http.MethodPost, Path: "/pools/{poolId}/tasks:batch", Tags: []string{tagTasks},
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
	// Asked even when no task is well formed: the pool may be unknown.
	answers, err := s.service.Submit(ctx, domain.PoolID(in.PoolID), in.submissions)
	if err != nil {
		return nil, err
	}
	if len(answers) != len(in.submissions) {
		return nil, domain.Errorf(domain.CodeInternal, "%d answers to %d submissions", len(answers), len(in.submissions))
	}
	results := make([]BatchResult, len(in.faults))
	for i, fault := range in.faults {
		if fault == nil {
			results[i] = batchResult(ctx, i, answers[0])
			answers = answers[1:]
			continue
		}
		results[i] = batchRefusal(ctx, fault)
	}
	return &batchOutput{Body: BatchResults{Results: results}}, nil
}

func batchResult(ctx context.Context, i int, answer plan.Answer) BatchResult {
	if answer.Err == nil {
		accepted := admission(answer)
		return BatchResult{Status: http.StatusAccepted, Task: &accepted}
	}
	refused := *answer.Err
	refused.Faults = relocate(refused.Faults, "body.tasks["+strconv.Itoa(i)+"]")
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
