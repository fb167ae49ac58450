package scheduler

import (
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
)

// Outcomes of a turn.
const (
	OutcomeCommitted   = "committed"
	OutcomeIdle        = "idle" // nothing to write
	OutcomeUnavailable = "unavailable"
	OutcomeUnknown     = "commit_unknown"
	OutcomeData        = "data_refused"
	OutcomeGuard       = "guard"
	OutcomePanic       = "panic"
	OutcomeNoPool      = "pool_not_found"
)

// Metrics hears what happens. Its methods must not block and are called from many
// goroutines.
type Metrics interface {
	// Turn is called after every turn.
	Turn(report TurnReport)
	// BackendUp is called when a backend stops or starts to answer turns.
	BackendUp(backend domain.Backend, up bool)
	// Swept is called after retention has deleted so many of what (one of the Swept
	// constants) from a backend; also after a round that found nothing.
	Swept(backend domain.Backend, what string, deleted int64)
	// OldestAudit is called with the oldest day of a trail that has partitions.
	OldestAudit(backend domain.Backend, day time.Time)
}

// What retention deletes.
const (
	SweptTasks    = "tasks"
	SweptMessages = "messages"
	SweptAudit    = "audit" // days on Postgres, else events
)

// TurnReport describes one turn.
type TurnReport struct {
	Pool     domain.PoolID
	Outcome  string // one of the Outcome constants
	Requests int
	Bytes    int           // payloads and results of the requests
	Waited   time.Duration // how long the oldest request waited for the turn
	Duration time.Duration
	// Decisions of a turn that was committed; read only, and only during the call.
	Decisions *plan.Decisions
}

type noMetrics struct{}

func (noMetrics) Turn(TurnReport)                {}
func (noMetrics) BackendUp(domain.Backend, bool) {}

func (noMetrics) Swept(domain.Backend, string, int64)   {}
func (noMetrics) OldestAudit(domain.Backend, time.Time) {}
