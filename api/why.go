package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
)

// Explanation says why a task is not running.
type Explanation struct {
	TaskID         string       `example:"req-42" json:"taskId"`
	PoolID         string       `example:"llm" json:"poolId"`
	Status         string       `enum:"queued,running,completed,failed,expired,rejected,dropped" json:"status"`
	Code           string       `doc:"What is in the way, or what the task does instead." enum:"units,order,head_kept_free,tenant_cap,backoff,pool_disabled,capacity_zero,no_worker,starting,never_fits,deadline_passed,running,unclaimed,cancelling,ended" example:"units" json:"code"`
	Message        string       `doc:"The same for people." json:"message"`
	Reason         *Reason      `doc:"Of the task, when it has ended or is tried again." json:"reason,omitempty"`
	Units          int64        `doc:"What the task needs." json:"units"`
	ShortUnits     int64        `doc:"How many units have to come free before it starts: for itself and for those in front of it that wait for units too. Absent: none, or not known." json:"shortUnits,omitempty"`
	Position       int64        `doc:"Place in the queue, 1 for the next to start; exact. Absent: not in the order." json:"position,omitempty"`
	EstimatedStart *time.Time   `doc:"The position over the drain: when it may start if everything goes on as it has. Absent: not known." json:"estimatedStart,omitempty"`
	RetryAt        *time.Time   `doc:"End of the backoff of a retry." json:"retryAt,omitempty"`
	Drain          *WhyDrain    `doc:"How fast the queue has been draining. Absent: too little has left it lately." json:"drain,omitempty"`
	Pool           WhyPool      `json:"pool"`
	Tenant         WhyTenant    `json:"tenant"`
	KeptFor        *WhyTask     `doc:"With head_kept_free: the task for which free units are kept, because it was overtaken as often as the pool allows." json:"keptFor,omitempty"`
	Ahead          []WhyTask    `doc:"The first tasks in front of it, at most 20." json:"ahead" nullable:"false"`
	Holders        []WhyHolding `doc:"Running tasks, which hold the units, in the order of arrival; at most 100." json:"holders" nullable:"false"`
}

// WhyPool is the state of the pool at that instant.
type WhyPool struct {
	State       string `enum:"active,draining,disabled" json:"state"`
	MaxUnits    int64  `json:"maxUnits"`
	ActiveUnits int64  `json:"activeUnits"`
	FreeUnits   int64  `doc:"Negative while more is in use than the pool has, after it has shrunk." json:"freeUnits"`
	Running     int64  `json:"running"`
	Queued      int64  `doc:"In the order." json:"queued"`
}

// WhyTenant is what the task's tenant uses in the pool.
type WhyTenant struct {
	Tenant      string `example:"acme" json:"tenant"`
	ActiveUnits int64  `json:"activeUnits"`
	MaxUnits    int64  `doc:"What it may use at a time. Absent: as much as the pool has." json:"maxUnits,omitempty"`
	Queued      int64  `json:"queued"`
	ShortUnits  int64  `doc:"With tenant_cap: how many units the tenant has to give back before this task fits its cap, counting its own tasks in front." json:"shortUnits,omitempty"`
}

// WhyDrain is how fast a queue has been emptying.
type WhyDrain struct {
	TasksPerSec float64 `doc:"Tasks that left the queue per second of the time in which somebody waited." json:"tasksPerSec"`
	OverSecs    float64 `doc:"How much of such time it is measured over." json:"overSecs"`
}

// WhyTask is a task in front.
type WhyTask struct {
	TaskID    string    `json:"taskId"`
	Tenant    string    `json:"tenant"`
	Priority  string    `enum:"low,normal,high,critical" json:"priority"`
	Units     int64     `json:"units"`
	CreatedAt time.Time `json:"createdAt"`
	Overtaken int       `doc:"How often others were started past it." json:"overtaken"`
}

// WhyHolding is a task that holds units.
type WhyHolding struct {
	TaskID    string     `json:"taskId"`
	Tenant    string     `json:"tenant"`
	Units     int64      `json:"units"`
	Attempt   int        `json:"attempt"`
	StartedAt *time.Time `json:"startedAt,omitempty"`
	EndsBy    *time.Time `doc:"When its timeout is over, counted from its start: it ends by then at the latest, or is stopped." json:"endsBy,omitempty"`
	Holder    string     `doc:"The process or worker that holds the attempt. Absent: no worker has fetched it yet." json:"holder,omitempty"`
}

type explanationOutput struct {
	Body Explanation
}

func (s *server) whyRoutes() {
	register(s, huma.Operation{
		OperationID: "explainTask", Method: http.MethodGet, Path: "/pools/{poolId}/tasks/{taskId}/why", Tags: []string{tagTasks},
		Summary: "Say why a task is not running",
		Description: "Explains the newest submission of the id from one snapshot: what is short, who is in front, who holds the units. " +
			"`units`: it is next and so many units are missing. `order`: others are in front. `head_kept_free`: it would fit, but free units " +
			"are kept for one in front. `tenant_cap`: its tenant uses what it may. `no_worker`: it is next and fits, and no worker has asked. " +
			"`backoff`, `pool_disabled`, `capacity_zero`, `starting`, `never_fits` and `deadline_passed` say themselves. " +
			"Of a task that does not wait: `running`, `unclaimed` (started, but no worker process has fetched it), `cancelling`, `ended`.",
		Errors: []int{404, 503},
	}, s.why)
}

func (s *server) why(ctx context.Context, in *taskInput) (*explanationOutput, error) {
	scene, e, err := s.service.Why(ctx, domain.PoolID(in.PoolID), domain.TaskID(in.TaskID))
	if err != nil {
		return nil, err
	}
	return &explanationOutput{Body: explanationJSON(&scene, &e)}, nil
}

func explanationJSON(scene *plan.Scene, e *plan.Explanation) Explanation {
	t := &scene.Task
	view := Explanation{
		TaskID: string(t.TaskID), PoolID: string(t.PoolID), Status: string(t.Status), Code: string(e.Code), Message: e.Message,
		Reason: reasonJSON(t.Reason), Units: int64(t.Units), ShortUnits: int64(e.ShortUnits),
		Position: e.Position, EstimatedStart: utc(e.EstimatedStart), RetryAt: utc(t.NotBefore),
		Pool: WhyPool{
			State: string(scene.Pool.State), MaxUnits: int64(scene.Pool.MaxUnits), ActiveUnits: int64(scene.Counters.ActiveUnits),
			FreeUnits: int64(e.FreeUnits), Running: scene.Counters.Running, Queued: scene.Counters.Queued,
		},
		Tenant: WhyTenant{
			Tenant: string(t.Tenant), ActiveUnits: int64(e.TenantUnits), MaxUnits: int64(e.TenantLimit),
			Queued: scene.Tenants[t.Tenant].Queued, ShortUnits: int64(e.TenantShort),
		},
		Ahead: make([]WhyTask, len(e.Ahead)), Holders: make([]WhyHolding, len(scene.Holders)),
	}
	if e.Drain.Known() {
		view.Drain = &WhyDrain{TasksPerSec: e.Drain.PerSecond, OverSecs: e.Drain.Over.Seconds()}
	}
	if e.Head != nil {
		view.KeptFor = new(whyTask(e.Head))
	}
	for i := range e.Ahead {
		view.Ahead[i] = whyTask(&e.Ahead[i])
	}
	for i := range scene.Holders {
		view.Holders[i] = whyHolding(&scene.Holders[i])
	}
	return view
}

func whyTask(t *domain.Task) WhyTask {
	return WhyTask{
		TaskID: string(t.TaskID), Tenant: string(t.Tenant), Priority: t.Requested.String(), Units: int64(t.Units),
		CreatedAt: t.CreatedAt.UTC(), Overtaken: t.Overtaken,
	}
}

func whyHolding(t *domain.Task) WhyHolding {
	h := WhyHolding{
		TaskID: string(t.TaskID), Tenant: string(t.Tenant), Units: int64(t.Units), Attempt: t.Attempt,
		StartedAt: utc(t.StartedAt), Holder: string(t.Holder),
	}
	if t.StartedAt != nil {
		h.EndsBy = new(t.StartedAt.Add(t.Timeout).UTC())
	}
	return h
}
