package riverrt

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/runtime/attempts"
	"github.com/parkinglot/parkinglot/internal/store/postgres"
)

// Carrier implements postgres.Carrier: what River jobs carry started tasks, and that they
// are there to be fetched. The store writes their rows, as River's client would (a test
// compares them), because a client has a round trip of its own in the middle of
// every turn. It is safe for concurrent use.
type Carrier struct {
	announcer *announcer
	origin    string // in its announcements
	local     atomic.Pointer[local]
}

// local is who works in this process.
type local struct {
	queues map[string]struct{}
	wakes  *wakes
	runner *attempts.Runner
}

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
	origin := uuid.NewString()
	return &Carrier{announcer: newAnnouncer(db, schema, origin, log), origin: origin}
}

// Jobs implements postgres.Carrier.
func (c *Carrier) Jobs(pool domain.PoolID, tasks []domain.Task) (postgres.RiverJobs, error) {
	queue := QueueName(pool)
	jobs := postgres.RiverJobs{
		Kind: Kind, Queue: queue, MaxAttempts: maxAttempts,
		Args: make([]string, len(tasks)), Priorities: make([]int16, len(tasks)),
		Committed: c.committed(queue),
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

// committed returns what is done once the jobs of a queue are durable: workers of this
// process are told at once, and given the tasks, the others through the database.
func (c *Carrier) committed(queue string) func(started []domain.Task) {
	prepared := c.local.Load().prepare(queue)
	return func(started []domain.Task) {
		if prepared != nil {
			prepared.Give(started)
		}
		// A client that is attached only after this line fetches when it starts.
		c.local.Load().wake(queue)
		c.announcer.announce(queue)
	}
}

// prepare returns the Handover for a queue; nil: nobody works it here.
func (l *local) prepare(queue string) *attempts.Handover {
	if !l.works(queue) {
		return nil
	}
	h := l.runner.Prepare()
	return &h
}

func (l *local) wake(queue string) {
	if l.works(queue) {
		l.wakes.wake(queue)
	}
}

func (l *local) works(queue string) bool {
	if l == nil {
		return false
	}
	_, here := l.queues[queue]
	return here
}
