package riverrt

import (
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store/postgres"
)

// Carrier implements postgres.Carrier: what River jobs carry started tasks, and that they
// are there to be fetched. The store writes their rows, as River's client would (a test
// compares them), because a client has a round trip of its own in the middle of
// every turn. It is safe for concurrent use.
type Carrier struct{ announcer *announcer }

var _ postgres.Carrier = (*Carrier)(nil)

// NewCarrier returns a Carrier for River's tables in schema (empty: the connections'
// search path). It announces jobs through db after their commit instead of with it: all
// commits with a notification wait for each other's disk, which halves the turns of 16
// pools (measured), and one pool's hardly at all. An announcement that gets lost costs a
// worker's poll, a second.
func NewCarrier(schema string, db *pgxpool.Pool, log *slog.Logger) *Carrier {
	if log == nil {
		log = slog.Default()
	}
	return &Carrier{announcer: newAnnouncer(db, schema, log)}
}

// JobsCommitted tells that jobs of the pool have been committed. It never blocks.
func (c *Carrier) JobsCommitted(pool domain.PoolID) { c.announcer.announce(QueueName(pool)) }

// Jobs implements postgres.Carrier.
func (c *Carrier) Jobs(pool domain.PoolID, tasks []domain.Task) (postgres.RiverJobs, error) {
	jobs := postgres.RiverJobs{
		Kind: Kind, Queue: QueueName(pool), MaxAttempts: maxAttempts,
		Args: make([]string, len(tasks)), Priorities: make([]int16, len(tasks)),
	}
	for i := range tasks {
		args, err := json.Marshal(Args{PoolID: pool, JobID: tasks[i].JobID, Attempt: tasks[i].Attempt})
		if err != nil {
			return postgres.RiverJobs{}, fmt.Errorf("arguments of task %s: %w", tasks[i].TaskID, err)
		}
		jobs.Args[i], jobs.Priorities[i] = string(args), int16(riverPriority(tasks[i].Requested))
	}
	return jobs, nil
}
