package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
)

// LeaseRequest is the body of a lease request.
type LeaseRequest struct {
	WorkerID string   `doc:"What the worker calls itself; new after every restart." example:"gpu-7-4242" json:"workerId" maxLength:"200" minLength:"1"`
	MaxTasks int      `default:"1" doc:"How many tasks it takes at most." json:"maxTasks,omitempty" maximum:"100" minimum:"1"`
	WaitSecs float64  `default:"0" doc:"Hold the answer until there is a task, at most this long." example:"20" json:"waitSecs,omitempty" maximum:"300" minimum:"0"`
	TTLSecs  *float64 `doc:"How long a lease lasts without a heartbeat. Default: the server's limits.lease_ttl_ms." example:"7" exclusiveMinimum:"0" json:"ttlSecs,omitempty" maximum:"86400"`
	_        struct{} `additionalProperties:"false" json:"-"`
}

// LeasedTasks is the answer to a lease request.
type LeasedTasks struct {
	Tasks []LeasedWork `doc:"Started for the worker, in order; none when nothing came in time." json:"tasks" nullable:"false"`
}

// LeasedWork is one attempt in a remote worker's hands.
type LeasedWork struct {
	LeaseID      string            `doc:"Names the lease, and is the right to extend and end it: tell nobody." json:"leaseId"`
	ExpiresAt    time.Time         `doc:"When the lease is lost if no heartbeat comes." json:"expiresAt"`
	TimeoutAt    time.Time         `doc:"When the attempt is ended because it ran for timeoutSecs. Heartbeats do not move it." json:"timeoutAt"`
	TTLSecs      float64           `doc:"How long the lease lasts after a heartbeat, by a clock of the worker's own that began when it sent the heartbeat." json:"ttlSecs"`
	PoolID       string            `example:"render" json:"poolId"`
	TaskID       string            `example:"frame-42" json:"taskId"`
	JobID        int64             `json:"jobId"`
	Attempt      int               `json:"attempt"`
	MaxAttempts  int               `json:"maxAttempts"`
	Tenant       string            `example:"acme" json:"tenant"`
	Priority     string            `enum:"low,normal,high,critical" json:"priority"`
	ResourceCost TaskCost          `json:"resourceCost"`
	Executor     string            `doc:"What the worker is to do: a name that client and worker agree on." json:"executor"`
	TimeoutSecs  float64           `doc:"How long the attempt may run, from the lease on." json:"timeoutSecs"`
	Deadline     *time.Time        `json:"deadline,omitempty"`
	CreatedAt    time.Time         `json:"createdAt"`
	Labels       map[string]string `json:"labels,omitempty"`
	Payload      json.RawMessage   `doc:"The same JSON as it was submitted, without white space." json:"payload,omitempty"`
}

// LeaseView is a lease as an operator sees it: without what gives a right to it.
type LeaseView struct {
	PoolID            string     `json:"poolId"`
	JobID             int64      `json:"jobId"`
	Attempt           int        `json:"attempt"`
	WorkerID          string     `json:"workerId"`
	TTLSecs           float64    `json:"ttlSecs"`
	GrantedAt         time.Time  `json:"grantedAt"`
	ExpiresAt         time.Time  `json:"expiresAt"`
	TimeoutAt         time.Time  `json:"timeoutAt"`
	CancelRequestedAt *time.Time `json:"cancelRequestedAt,omitempty"`
}

// LeasePage is a page of leases.
type LeasePage struct {
	Leases     []LeaseView `doc:"By job, the oldest first." json:"leases" nullable:"false"`
	NextCursor string      `doc:"Continues after this page; absent on the last." json:"nextCursor,omitempty"`
}

const (
	maxLeaseTasks = 100
	maxLeaseTTL   = 24 * time.Hour
)

type leaseInput struct {
	PoolID string `doc:"The pool." example:"render" path:"poolId"`

	ask LeaseAsk
}

// Resolve reads the body.
func (in *leaseInput) Resolve(ctx huma.Context) []error {
	d := decoder{}
	in.ask = LeaseAsk{Tasks: 1}
	return small(ctx, &d,
		field{"workerId", true, func(at string, raw []byte) { in.ask.Worker = d.text(at, raw, 1, maxName) }},
		field{"maxTasks", false, func(at string, raw []byte) { in.ask.Tasks = int(d.integer(at, raw, 1, maxLeaseTasks)) }},
		field{"waitSecs", false, func(at string, raw []byte) {
			if !bytes.Equal(raw, []byte("0")) {
				in.ask.Wait = d.seconds(at, raw, maxWait)
			}
		}},
		field{"ttlSecs", false, func(at string, raw []byte) { in.ask.TTL = d.seconds(at, raw, maxLeaseTTL) }},
	)
}

type leaseOutput struct {
	Body LeasedTasks
}

type listLeasesInput struct {
	PoolID   string `doc:"The pool." example:"render" path:"poolId"`
	WorkerID string `doc:"Only leases of this worker." maxLength:"200" query:"workerId"`
	Limit    int    `default:"50" doc:"Leases of a page." maximum:"500" minimum:"1" query:"limit"`
	Cursor   string `doc:"nextCursor of the page before." query:"cursor"`

	after domain.JobID
}

// Resolve reads the cursor.
func (in *listLeasesInput) Resolve(huma.Context) []error {
	d := decoder{}
	after := d.cursor("query.cursor", in.Cursor, ofLeases).After
	job, ok := after[domain.Source(in.PoolID)]
	if in.Cursor != "" && len(d.faults) == 0 && (!ok || job < 1 || len(after) != 1) {
		d.faultf("query.cursor", in.Cursor, "is not a cursor of this pool's leases")
	}
	in.after = domain.JobID(job)
	return d.errors()
}

type leasePageOutput struct {
	Body LeasePage
}

func (s *server) leaseRoutes() {
	lease := huma.Operation{
		OperationID: "leaseTasks", Method: http.MethodPost, Path: "/pools/{poolId}/leases", Tags: []string{tagLeases},
		Summary: "Lease tasks",
		Description: "Starts the next tasks of a `web` pool for the worker that asks, in the pool's order: the lease is the start, so " +
			"units are held only by work that somebody has. The answer waits until there is a task, at most `waitSecs`, and may be empty. " +
			"Each lease lasts `ttlSecs` and has to be extended by heartbeats. `409 pool_not_web`: the pool's tasks are not leased.",
		Errors: []int{400, 404, 408, 409, 413, 415, 422, 503},
	}
	register(s, lease, s.leaseTasks)
	documentBody[LeaseRequest](s.api, lease, `{"workerId": "gpu-7-4242", "maxTasks": 4, "waitSecs": 20}`)
	register(s, huma.Operation{
		OperationID: "listLeases", Method: http.MethodGet, Path: "/pools/{poolId}/leases", Tags: []string{tagLeases},
		Summary: "List leases", Description: "For operators: which remote worker holds what, and until when.",
		Errors: []int{404, 422, 503},
	}, s.listLeases)
	s.heartbeatRoutes()
	s.leaseEndRoutes()
}

func (s *server) leaseTasks(ctx context.Context, in *leaseInput) (*leaseOutput, error) {
	leased, err := s.service.Lease(ctx, domain.PoolID(in.PoolID), in.ask)
	if err != nil {
		return nil, err
	}
	output := &leaseOutput{Body: LeasedTasks{Tasks: make([]LeasedWork, len(leased))}}
	for i := range leased {
		output.Body.Tasks[i] = leasedJSON(&leased[i])
	}
	return output, nil
}

func (s *server) listLeases(ctx context.Context, in *listLeasesInput) (*leasePageOutput, error) {
	pool := domain.PoolID(in.PoolID)
	leases, err := s.service.Leases(ctx, store.LeaseFilter{Pool: pool, Worker: in.WorkerID, After: in.after, Limit: in.Limit + 1})
	if err != nil {
		return nil, err
	}
	output := &leasePageOutput{Body: LeasePage{Leases: []LeaseView{}}}
	if len(leases) > in.Limit {
		leases = leases[:in.Limit]
		next := position{Kind: ofLeases}
		next.advance(domain.Source(pool), int64(leases[in.Limit-1].Ref.JobID))
		output.Body.NextCursor = next.String()
	}
	for i := range leases {
		output.Body.Leases = append(output.Body.Leases, leaseJSON(&leases[i]))
	}
	return output, nil
}

func leasedJSON(l *LeasedTask) LeasedWork {
	t := &l.Task
	return LeasedWork{
		LeaseID: string(l.ID), ExpiresAt: l.ExpiresAt, TimeoutAt: l.TimeoutAt, TTLSecs: l.TTL.Seconds(),
		PoolID: string(t.PoolID), TaskID: string(t.TaskID), JobID: int64(t.JobID), Attempt: t.Attempt, MaxAttempts: t.MaxAttempts,
		Tenant: string(t.Tenant), Priority: t.Requested.String(),
		ResourceCost: TaskCost{Kind: string(t.Kind), Units: int64(t.Units)},
		Executor:     t.Executor, TimeoutSecs: t.Timeout.Seconds(), Deadline: utc(t.Deadline), CreatedAt: t.CreatedAt.UTC(),
		Labels: t.Labels, Payload: t.Payload,
	}
}

func leaseJSON(l *domain.Lease) LeaseView {
	return LeaseView{
		PoolID: string(l.Ref.PoolID), JobID: int64(l.Ref.JobID), Attempt: l.Ref.Attempt, WorkerID: l.Worker, TTLSecs: l.TTL.Seconds(),
		GrantedAt: l.GrantedAt, ExpiresAt: l.ExpiresAt, TimeoutAt: l.TimeoutAt, CancelRequestedAt: utc(l.CancelAsked),
	}
}
