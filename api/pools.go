package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

// Pool is a pool's configuration and live state, read at one instant.
type Pool struct {
	PoolID             string                `example:"llm" json:"poolId"`
	Name               string                `example:"LLM inference" json:"name"`
	State              string                `doc:"Draining refuses new tasks and runs its queue dry; disabled refuses and starts nothing." enum:"active,draining,disabled" json:"state"`
	MaxUnits           int64                 `example:"80" json:"maxUnits"`
	ActiveUnits        int64                 `doc:"Units of running tasks." json:"activeUnits"`
	Ceiling            int64                 `doc:"What the database refuses to exceed: maxUnits, or what was in use when it shrank below that." json:"ceiling"`
	Running            int64                 `doc:"Running tasks." json:"running"`
	Queued             int64                 `doc:"Tasks in the queue." json:"queued"`
	Waiting            int64                 `doc:"Retries in their backoff, not part of queued." json:"waiting"`
	MaxQueueDepth      int64                 `json:"maxQueueDepth"`
	OldestQueuedSecs   float64               `doc:"Age of the oldest queued task; 0 when there is none." json:"oldestQueuedSecs"`
	DefaultTimeoutSecs float64               `json:"defaultTimeoutSecs"`
	QueueBackend       string                `enum:"memory,file,postgres" json:"queueBackend"`
	MailboxBackend     string                `enum:"memory,file,postgres" json:"mailboxBackend"`
	RuntimeAdapter     string                `enum:"native,worker,web" json:"runtimeAdapter,omitempty"`
	PriorityPolicy     string                `enum:"fifo,priority,fair,deadline" json:"priorityPolicy"`
	ResourceKind       string                `doc:"Kind of tasks that name none." enum:"cpu,gpuVram,io,mixed,spots" json:"resourceKind"`
	MaxOvertakes       int                   `doc:"How often a task that does not fit may be overtaken; 0: strictly in order." json:"maxOvertakes"`
	MaxAttempts        int                   `doc:"Attempts of tasks that name none." json:"maxAttempts"`
	Tenants            map[string]PoolTenant `doc:"Tenants with a weight or caps of their own." json:"tenants"`
	Executors          []string              `doc:"Names a task may choose." json:"executors" nullable:"false"`
	Version            int64                 `doc:"Counts changes of the configuration." json:"version"`
	TurnNo             int64                 `doc:"Counts the scheduler's turns." json:"turnNo"`
	Derived            bool                  `doc:"A facility shown as a pool: units are spots in service, those in use occupied or reserved. It can only be read." json:"derived,omitempty"`
	EventSeq           int64                 `doc:"Sequence number of the pool's last audit event." json:"eventSeq"`
}

// PoolTenant is what one tenant may do in a pool; 0 is no cap.
type PoolTenant struct {
	Weight        int64 `doc:"Share in fair queueing." json:"weight"`
	MaxUnits      int64 `doc:"Cap on running units." json:"maxUnits,omitempty"`
	MaxQueueDepth int64 `doc:"Cap on queued tasks." json:"maxQueueDepth,omitempty"`
}

// PoolList has every pool, by id.
type PoolList struct {
	Pools []Pool `json:"pools" nullable:"false"`
}

// PoolChange is the body of a change of a pool; what it does not name stays.
type PoolChange struct {
	State         string   `enum:"active,draining,disabled" json:"state,omitempty"`
	MaxUnits      *int64   `doc:"Shrinking below what is in use stops new starts and kills nothing. 0 rejects everything." json:"maxUnits,omitempty" maximum:"1000000000" minimum:"0"`
	MaxQueueDepth *int64   `json:"maxQueueDepth,omitempty" maximum:"1000000000" minimum:"0"`
	_             struct{} `additionalProperties:"false" json:"-"`
}

const maxQueueDepth = 1_000_000_000

type poolInput struct {
	PoolID string `doc:"The pool." example:"llm" path:"poolId"`
}

type changePoolInput struct {
	PoolID string `doc:"The pool." example:"llm" path:"poolId"`

	change plan.PoolChange
}

// Resolve reads the body.
func (in *changePoolInput) Resolve(ctx huma.Context) []error {
	d := decoder{}
	errs := small(ctx, &d,
		field{"state", false, func(at string, raw []byte) {
			state := choice(&d, at, raw, []domain.PoolState{domain.PoolActive, domain.PoolDraining, domain.PoolDisabled})
			in.change.State = &state
		}},
		field{"maxUnits", false, func(at string, raw []byte) {
			units := domain.Units(d.integer(at, raw, 0, int64(domain.MaxPoolUnits)))
			in.change.MaxUnits = &units
		}},
		field{"maxQueueDepth", false, func(at string, raw []byte) {
			depth := d.integer(at, raw, 0, maxQueueDepth)
			in.change.MaxQueueDepth = &depth
		}},
	)
	if len(errs) == 0 && in.change == (plan.PoolChange{}) {
		d.faultf("body", nil, "changes nothing: give state, maxUnits or maxQueueDepth")
		return d.errors()
	}
	return errs
}

type poolOutput struct {
	Body Pool
}

type poolListOutput struct {
	Body PoolList
}

func (s *server) poolRoutes() {
	register(s, huma.Operation{
		OperationID: "listPools", Method: http.MethodGet, Path: "/pools", Tags: []string{tagPools},
		Summary: "List the pools", Description: "Every pool with its configuration and live state, by id.",
		Errors: []int{503},
	}, s.listPools)
	register(s, huma.Operation{
		OperationID: "getPool", Method: http.MethodGet, Path: "/pools/{poolId}", Tags: []string{tagPools},
		Summary: "Read a pool", Description: "Its configuration and live state, read at one instant.",
		Errors: []int{404, 503},
	}, s.getPool)
	change := huma.Operation{
		OperationID: "changePool", Method: http.MethodPatch, Path: "/pools/{poolId}", Tags: []string{tagPools},
		Summary:     "Change a pool",
		Description: "Its state or limits. Audited with who did it (`X-Actor`).",
		Errors:      []int{400, 404, 409, 413, 415, 422, 503},
	}
	register(s, change, s.changePool)
	documentBody[PoolChange](s.api, change, `{"state": "draining"}`)
}

func (s *server) listPools(ctx context.Context, _ *struct{}) (*poolListOutput, error) {
	views, err := s.service.Pools(ctx)
	if err != nil {
		return nil, err
	}
	output := &poolListOutput{Body: PoolList{Pools: []Pool{}}}
	for i := range views {
		output.Body.Pools = append(output.Body.Pools, s.poolJSON(&views[i]))
	}
	return output, nil
}

func (s *server) getPool(ctx context.Context, in *poolInput) (*poolOutput, error) {
	view, err := s.service.Pool(ctx, domain.PoolID(in.PoolID))
	if err != nil {
		return nil, err
	}
	return &poolOutput{Body: s.poolJSON(&view)}, nil
}

func (s *server) changePool(ctx context.Context, in *changePoolInput) (*poolOutput, error) {
	in.change.Actor = requestOf(ctx).actor
	view, err := s.service.ChangePool(ctx, domain.PoolID(in.PoolID), in.change)
	if err != nil {
		return nil, err
	}
	return &poolOutput{Body: s.poolJSON(&view)}, nil
}

func (s *server) poolJSON(v *store.PoolView) Pool {
	view := Pool{
		PoolID: string(v.PoolID), Name: v.Name, State: string(v.State),
		MaxUnits: int64(v.MaxUnits), ActiveUnits: int64(v.ActiveUnits), Ceiling: int64(v.Ceiling),
		Running: v.Running, Queued: v.Queued, Waiting: v.Waiting, MaxQueueDepth: v.MaxQueueDepth,
		DefaultTimeoutSecs: v.DefaultTimeout.Seconds(), QueueBackend: string(v.QueueBackend),
		MailboxBackend: string(v.MailboxBackend), RuntimeAdapter: string(v.Runtime), PriorityPolicy: string(v.Policy),
		ResourceKind: string(v.ResourceKind), MaxOvertakes: v.MaxOvertakes, MaxAttempts: v.MaxAttempts,
		Tenants: map[string]PoolTenant{}, Executors: append([]string{}, v.Executors...),
		Version: v.Version, TurnNo: v.TurnNo, Derived: v.Derived, EventSeq: v.EventSeq,
	}
	if v.OldestQueuedAt != nil {
		view.OldestQueuedSecs = max(0, s.now().Sub(*v.OldestQueuedAt).Seconds())
	}
	for tenant, policy := range v.Tenants {
		view.Tenants[string(tenant)] = PoolTenant{
			Weight: v.TenantWeight(tenant), MaxUnits: int64(policy.MaxUnits), MaxQueueDepth: policy.MaxQueueDepth,
		}
	}
	return view
}
