package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Heartbeat is the body of a heartbeat for many leases.
type Heartbeat struct {
	LeaseIDs []string `json:"leaseIds" nullable:"false" maxItems:"1000" minItems:"1"`
	_        struct{} `additionalProperties:"false" json:"-"`
}

// HeartbeatResults has one result a lease, in the order of the leases.
type HeartbeatResults struct {
	Results []HeartbeatResult `json:"results" nullable:"false"`
}

// HeartbeatResult says how a lease stands.
type HeartbeatResult struct {
	LeaseID         string     `json:"leaseId"`
	Lost            bool       `doc:"The lease has ended, and somebody else may run the task: stop at once, and report nothing." json:"lost"`
	CancelRequested bool       `doc:"The task was cancelled: stop, and fail the lease, within ttlSecs of the request." json:"cancelRequested"`
	ExpiresAt       *time.Time `doc:"When the lease is lost if no heartbeat comes; absent of a lost one." json:"expiresAt,omitempty"`
}

const (
	maxHeartbeats    = 1000
	maxHeartbeatBody = 512 << 10
)

type leaseIDInput struct {
	LeaseID string `doc:"The lease." path:"leaseId"`
}

type heartbeatOutput struct {
	Body HeartbeatResult
}

type heartbeatsInput struct {
	ids []domain.LeaseID
}

// Resolve reads the body.
func (in *heartbeatsInput) Resolve(ctx huma.Context) []error {
	raw, err := readBody(ctx, maxHeartbeatBody)
	if err != nil {
		return []error{err}
	}
	d := decoder{}
	d.object("body", raw, field{"leaseIds", true, func(at string, raw []byte) {
		ids, ok := elements(raw)
		if !ok || len(ids) == 0 || len(ids) > maxHeartbeats {
			d.faultf(at, nil, "has to be an array of 1 to %d leases", maxHeartbeats)
			return
		}
		for i, id := range ids {
			in.ids = append(in.ids, domain.LeaseID(d.text(fmt.Sprintf("%s[%d]", at, i), id, 1, 2*maxName)))
		}
	}})
	return d.errors()
}

type heartbeatsOutput struct {
	Body HeartbeatResults
}

func (s *server) heartbeatRoutes() {
	register(s, huma.Operation{
		OperationID: "heartbeatLease", Method: http.MethodPost, Path: "/leases/{leaseId}/heartbeat", Tags: []string{tagLeases},
		Summary: "Extend a lease",
		Description: "The worker lives and works on: the lease lasts its `ttlSecs` from now. The answer tells whether the task was " +
			"cancelled. `410 lease_lost`: somebody else may have the task; stop at once.",
		Errors: []int{404, 410, 503},
	}, s.heartbeatLease)
	many := huma.Operation{
		OperationID: "heartbeatLeases", Method: http.MethodPost, Path: "/leases:heartbeat", Tags: []string{tagLeases},
		Summary:     "Extend up to 1,000 leases",
		Description: "One result a lease, in order; a lost one says so and keeps nobody else from being extended.",
		Errors:      []int{400, 408, 413, 415, 422, 503},
	}
	register(s, many, s.heartbeatLeases)
	documentBody[Heartbeat](s.api, many, `{"leaseIds": ["render.42.1.c9JtKQ2sV0u3mB1xYz8L0w"]}`)
}

func (s *server) heartbeatLease(ctx context.Context, in *leaseIDInput) (*heartbeatOutput, error) {
	id := domain.LeaseID(in.LeaseID)
	alive, err := s.service.ExtendLeases(ctx, []domain.LeaseID{id})
	if err != nil {
		return nil, err
	}
	result := heartbeatJSON(id, alive)
	if result.Lost {
		return nil, domain.Errorf(domain.CodeLeaseLost, "the lease is lost: its attempt has ended, and somebody else may run the task; stop at once")
	}
	return &heartbeatOutput{Body: result}, nil
}

func (s *server) heartbeatLeases(ctx context.Context, in *heartbeatsInput) (*heartbeatsOutput, error) {
	alive, err := s.service.ExtendLeases(ctx, in.ids)
	if err != nil {
		return nil, err
	}
	output := &heartbeatsOutput{Body: HeartbeatResults{Results: make([]HeartbeatResult, len(in.ids))}}
	for i, id := range in.ids {
		output.Body.Results[i] = heartbeatJSON(id, alive)
	}
	return output, nil
}

func heartbeatJSON(id domain.LeaseID, alive map[domain.LeaseID]domain.Lease) HeartbeatResult {
	lease, ok := alive[id]
	if !ok {
		return HeartbeatResult{LeaseID: string(id), Lost: true}
	}
	return HeartbeatResult{LeaseID: string(id), CancelRequested: lease.CancelAsked != nil, ExpiresAt: utc(&lease.ExpiresAt)}
}
