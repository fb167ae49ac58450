package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

// Admission is the answer to an accepted submission.
type Admission struct {
	TaskID         string     `example:"req-42" json:"taskId"`
	PoolID         string     `example:"llm" json:"poolId"`
	Status         string     `doc:"What was decided on arrival: running, its units are taken; or queued." enum:"running,queued" json:"status"`
	Position       int64      `doc:"Place in the queue, where it is known without counting; exact." json:"position,omitempty"`
	EstimatedStart *time.Time `doc:"When a queued task may start, judged by how fast the queue has been draining. Absent: not known." json:"estimatedStart,omitempty"`
	JobID          int64      `doc:"Numbers the pool's submissions in the order they were accepted." json:"jobId"`
	Submission     int        `doc:"1; more when the id was rejected before and submitted again." json:"submission"`
	Known          bool       `doc:"The same task was submitted before: this is the first answer again." json:"known,omitempty"`
}

// TaskPage is a page of tasks.
type TaskPage struct {
	Tasks      []Task `doc:"Newest first, without results." json:"tasks" nullable:"false"`
	NextCursor string `doc:"Continues after this page; absent on the last." json:"nextCursor,omitempty"`
}

type submitInput struct {
	PoolID string `doc:"The pool." example:"llm" path:"poolId"`

	submission plan.Submit
	refusal    *domain.Error // what is wrong with its form; nil: nothing
}

// Resolve reads the body.
func (in *submitInput) Resolve(ctx huma.Context) []error {
	r, w := humago.Unwrap(ctx)
	if err := in.read(w, r); err != nil {
		return []error{err}
	}
	return nil
}

// read reads the body. Faults of its form wait for those that the pool adds.
func (in *submitInput) read(w http.ResponseWriter, r *http.Request) *domain.Error {
	raw, err := bodyOf(w, r, maxSubmission)
	if err == nil {
		in.submission, err = decodeSubmission(raw, "body")
		in.refusal = err
	}
	if err == nil || err.Code == domain.CodeInvalid {
		return nil
	}
	return err
}

type admissionOutput struct {
	Body Admission
}

type taskInput struct {
	PoolID string `doc:"The pool." example:"llm" path:"poolId"`
	TaskID string `doc:"The task." example:"req-42" path:"taskId"`
}

type getTaskInput struct {
	PoolID string `doc:"The pool." example:"llm" path:"poolId"`
	TaskID string `doc:"The task." example:"req-42" path:"taskId"`
	Wait   string `doc:"Hold the answer until the task is terminal, at most this long (at most 5m): a duration such as 30s, or a number of seconds." example:"30s" query:"wait"`

	wait time.Duration
}

// Resolve reads the parameters Huma does not know how to.
func (in *getTaskInput) Resolve(huma.Context) []error {
	d := decoder{}
	in.wait = d.wait(in.Wait)
	return d.errors()
}

type taskOutput struct {
	Body Task
}

type listTasksInput struct {
	PoolID string `doc:"The pool." example:"llm" path:"poolId"`
	Status string `doc:"Only tasks in this status." enum:"queued,running,completed,failed,expired,rejected,dropped" query:"status"`
	Tenant string `doc:"Only tasks of this tenant." maxLength:"200" query:"tenant"`
	Label  string `doc:"Only tasks with this label, as key:value." example:"run:nightly" query:"label"`
	Limit  int    `default:"50" doc:"Tasks of a page." maximum:"500" minimum:"1" query:"limit"`
	Cursor string `doc:"nextCursor of the page before." query:"cursor"`

	label  [2]string
	before domain.JobID
}

// Resolve reads the parameters Huma does not know how to.
func (in *listTasksInput) Resolve(huma.Context) []error {
	d := decoder{}
	in.label = d.label(in.Label)
	after := d.cursor("query.cursor", in.Cursor, ofTasks).After
	before, ok := after[domain.Source(in.PoolID)]
	if in.Cursor != "" && len(d.faults) == 0 && (!ok || before < 1 || len(after) != 1) {
		d.faultf("query.cursor", in.Cursor, "is not a cursor of this pool's tasks")
	}
	in.before = domain.JobID(before)
	return d.errors()
}

type taskPageOutput struct {
	Body TaskPage
}

func (s *server) taskRoutes() {
	submit := huma.Operation{
		OperationID: submitTask, Method: http.MethodPost, Path: tasksPath, Tags: []string{tagTasks},
		Summary: "Submit a task", DefaultStatus: http.StatusAccepted,
		Description: "Decides at once: the task starts (`running`), waits (`queued`), or is refused. " +
			"`409` with `queue_full`, `tenant_queue_full`, `capacity_zero`, `pool_draining` or `pool_disabled` is recorded as a rejected " +
			"task and may be submitted again. `409 task_exists`: the id is known with another body. The same body gets the same answer " +
			"again. `422`: it could never start; nothing is recorded.",
		Errors: []int{400, 404, 408, 409, 413, 415, 422, 503},
	}
	register(s, submit, s.submit)
	documentBody[TaskSubmission](s.api, submit, `{"taskId": "req-42", "priority": "high", "resourceCost": {"kind": "gpuVram", "units": 4},
		"mailboxKey": {"tenant": "acme", "userId": "ada"}, "payload": {"prompt": "Hello"}}`)
	register(s, huma.Operation{
		OperationID: "getTask", Method: http.MethodGet, Path: "/pools/{poolId}/tasks/{taskId}", Tags: []string{tagTasks},
		Summary:     "Read a task, or wait for it to end",
		Description: "The newest submission of the id. With `wait` the answer is held until the task is terminal or the time is over, whichever is first.",
		Errors:      []int{404, 422, 503},
	}, s.getTask)
	register(s, huma.Operation{
		OperationID: "listTasks", Method: http.MethodGet, Path: tasksPath, Tags: []string{tagTasks},
		Summary: "List tasks, newest first", Description: "Pages of the pool's tasks by age.",
		Errors: []int{404, 422, 503},
	}, s.listTasks)
	register(s, huma.Operation{
		OperationID: "cancelTask", Method: http.MethodDelete, Path: "/pools/{poolId}/tasks/{taskId}", Tags: []string{tagTasks},
		Summary: "Cancel a task",
		Description: "A queued task is dropped. A running one is asked to stop (`cancelRequestedAt`) and becomes failed with reason " +
			"`cancelled` when its executor has stopped. A terminal one is answered as it is.",
		Errors: []int{404, 503},
	}, s.cancelTask)
}

func (s *server) submit(ctx context.Context, in *submitInput) (*admissionOutput, error) {
	if in.refusal != nil {
		pool, err := s.poolFor(ctx, domain.PoolID(in.PoolID))
		if err != nil {
			return nil, err
		}
		return nil, s.complete(pool, &in.submission, in.refusal, "body")
	}
	answers, err := s.service.Submit(ctx, domain.PoolID(in.PoolID), []plan.Submit{in.submission})
	if err != nil {
		return nil, err
	}
	if len(answers) != 1 {
		return nil, domain.Errorf(domain.CodeInternal, "%d answers to one submission", len(answers))
	}
	if refused := answers[0].Err; refused != nil {
		return nil, refused
	}
	return &admissionOutput{Body: s.admission(ctx, answers[0])}, nil
}

// poolFor returns the pool as it is now, nil when the backend does not say; the only
// error is that there is no such pool.
func (s *server) poolFor(ctx context.Context, id domain.PoolID) (*domain.Pool, error) {
	view, err := s.service.Pool(ctx, id)
	switch {
	case domain.CodeOf(err) == domain.CodeUnknownPool:
		return nil, err
	case err != nil:
		return nil, nil //nolint:nilnil,nilerr // its faults are extra
	}
	return &view.Pool, nil
}

// complete adds to the faults of a submission's form what the pool would refuse in
// the rest of it, so that a client gets to know everything at once.
func (s *server) complete(pool *domain.Pool, submission *plan.Submit, refusal *domain.Error, place string) *domain.Error {
	if pool == nil || refusal.Code != domain.CodeInvalid {
		return refusal
	}
	faults := refusal.Faults
	for _, f := range relocate(plan.Faults(pool, submission, s.now()), place) {
		if !slices.ContainsFunc(faults, func(known domain.Fault) bool {
			return strings.HasPrefix(known.Location, f.Location) || strings.HasPrefix(f.Location, known.Location+".")
		}) {
			faults = append(faults, f)
		}
	}
	return invalid(faults)
}

// admission is the answer to an accepted submission. Of a task known before it is what
// was decided then.
func (s *server) admission(ctx context.Context, a plan.Answer) Admission {
	t := a.Task
	view := Admission{
		TaskID: string(t.TaskID), PoolID: string(t.PoolID), JobID: int64(t.JobID), Submission: t.Submission,
		Status: string(t.Status), Known: a.Known,
	}
	if a.Known {
		view.Status = string(domain.StatusQueued)
		if s.startedOnArrival(ctx, t) {
			view.Status = string(domain.StatusRunning)
		}
	}
	if view.Status == string(domain.StatusQueued) {
		view.Position, view.EstimatedStart = a.Position, utc(a.EstimatedStart)
	}
	return view
}

// startedOnArrival reports whether a task was running when it was first answered: then it
// started at the very instant it was created. The row of a task that was tried again
// tells when that was; of its first start tells the trail, as long as it is kept and can be
// read: what was accepted is not refused because it cannot.
func (s *server) startedOnArrival(ctx context.Context, t *domain.Task) bool {
	if t.Attempt <= 1 {
		return t.StartedAt != nil && t.StartedAt.Equal(t.CreatedAt)
	}
	starts, err := s.service.Events(ctx, store.EventFilter{
		Pool: t.PoolID, TaskID: t.TaskID, Kind: domain.EventStart, From: t.CreatedAt, To: t.CreatedAt.Add(time.Microsecond), Limit: 1,
	})
	return err == nil && len(starts) > 0
}

func (s *server) getTask(ctx context.Context, in *getTaskInput) (*taskOutput, error) {
	view, err := s.service.Task(ctx, domain.PoolID(in.PoolID), domain.TaskID(in.TaskID), in.wait)
	if err != nil {
		return nil, err
	}
	body := taskJSON(&view.Task, view.Position)
	body.EstimatedStart = utc(view.EstimatedStart)
	return &taskOutput{Body: body}, nil
}

func (s *server) listTasks(ctx context.Context, in *listTasksInput) (*taskPageOutput, error) {
	tasks, err := s.service.Tasks(ctx, store.TaskFilter{
		Pool: domain.PoolID(in.PoolID), Status: domain.Status(in.Status), Tenant: domain.Tenant(in.Tenant),
		Label: in.label, Before: in.before, Limit: in.Limit + 1,
	})
	if err != nil {
		return nil, err
	}
	output := &taskPageOutput{Body: TaskPage{Tasks: []Task{}}}
	if len(tasks) > in.Limit {
		tasks = tasks[:in.Limit]
		next := position{Kind: ofTasks}
		next.advance(domain.Source(in.PoolID), int64(tasks[in.Limit-1].JobID))
		output.Body.NextCursor = next.String()
	}
	for i := range tasks {
		output.Body.Tasks = append(output.Body.Tasks, taskJSON(&tasks[i], 0))
	}
	return output, nil
}

func (s *server) cancelTask(ctx context.Context, in *taskInput) (*taskOutput, error) {
	task, err := s.service.Cancel(ctx, domain.PoolID(in.PoolID), domain.TaskID(in.TaskID), requestOf(ctx).actor)
	if err != nil {
		return nil, err
	}
	return &taskOutput{Body: taskJSON(&task, 0)}, nil
}
