package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// PoolOrigin says where what is kept of a pool's history begins.
type PoolOrigin struct {
	PoolID              string      `example:"llm" json:"poolId"`
	AuditFrom           *time.Time  `doc:"Events before it were deleted; absent: none were." json:"auditFrom,omitempty"`
	TasksFrom           *time.Time  `doc:"Tasks that ended before it may have been deleted; absent: none were." json:"tasksFrom,omitempty"`
	UnreadFrom          *time.Time  `doc:"Messages that were posted before it were deleted; absent: none were." json:"unreadFrom,omitempty"`
	AcknowledgedFrom    *time.Time  `doc:"Messages that were acknowledged before it were deleted; absent: none were." json:"acknowledgedFrom,omitempty"`
	AcknowledgedDeleted int64       `doc:"How many messages were deleted because they had been acknowledged." json:"acknowledgedDeleted"`
	Checkpoint          *Checkpoint `doc:"The balance that the audit trail goes on from; absent: an empty pool." json:"checkpoint,omitempty"`
}

// Checkpoint is the balance of a pool after one of its turns.
type Checkpoint struct {
	At          time.Time `json:"at"`
	EventSeq    int64     `doc:"Sequence number of the last event before it." json:"eventSeq"`
	JobSeq      int64     `doc:"The last job id given out before it." json:"jobSeq"`
	ActiveUnits int64     `json:"activeUnits"`
	Running     int64     `json:"running"`
	Queued      int64     `json:"queued"`
	Waiting     int64     `doc:"Retries in their backoff, not part of queued." json:"waiting"`
}

type originOutput struct {
	Body PoolOrigin
}

func (s *server) originRoutes() {
	register(s, huma.Operation{
		OperationID: "getOrigin", Method: http.MethodGet, Path: "/pools/{poolId}/origin", Tags: []string{tagPools},
		Summary: "Read where a pool's history begins",
		Description: "What retention has deleted, and the balance that what is left of the audit trail goes on from: " +
			"whoever proves the history starts there.",
		Errors: []int{404, 503},
	}, s.getOrigin)
}

func (s *server) getOrigin(ctx context.Context, in *poolInput) (*originOutput, error) {
	origin, err := s.service.Origin(ctx, domain.PoolID(in.PoolID))
	if err != nil {
		return nil, err
	}
	output := &originOutput{Body: PoolOrigin{
		PoolID: in.PoolID, AuditFrom: since(origin.Audit), TasksFrom: since(origin.Tasks), UnreadFrom: since(origin.Unread),
		AcknowledgedFrom: since(origin.Acknowledged), AcknowledgedDeleted: origin.AcknowledgedDeleted,
	}}
	if c := origin.Checkpoint; c != nil {
		output.Body.Checkpoint = &Checkpoint{
			At: c.At.UTC(), EventSeq: c.EventSeq, JobSeq: c.JobSeq, ActiveUnits: int64(c.ActiveUnits),
			Running: c.Running, Queued: c.Queued, Waiting: c.Waiting,
		}
	}
	return output, nil
}

func since(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC())
}
