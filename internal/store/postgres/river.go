package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// Carrier says what River jobs carry started tasks to workers. It must not block, and is
// called from several turns at once.
type Carrier interface {
	// Jobs returns the River jobs of tasks of one pool, in the order of the tasks, before
	// anything is written.
	Jobs(pool domain.PoolID, tasks []domain.Task) (RiverJobs, error)
}

// RiverJobs are River jobs of one queue, available at once, without tags and metadata.
type RiverJobs struct {
	// Committed is called when the jobs are durable, with the tasks they carry as they were
	// written, those inserted by the same turn with their payload. It must not block. It is
	// not called of a turn that was rolled back, or of which that is not known.
	Committed func(started []domain.Task)

	Kind        string
	Queue       string
	MaxAttempts int16
	Args        []string // JSON
	Priorities  []int16
}

// riverBlock is how many ids of River jobs are reserved at once: one statement for as
// many tasks.
const riverBlock = 4096

// riverIDs are the ids that this process has reserved. A turn that is rolled back leaves a
// gap, as every sequence does.
type riverIDs struct {
	mu   sync.Mutex
	free []int64
}

// take returns n ids, in ascending order. Those that are missing are reserved on db.
func (r *riverIDs) take(ctx context.Context, db dbsqlc.DBTX, n int) ([]int64, error) {
	if ids := r.cut(n); ids != nil {
		return ids, nil
	}
	// Not under the lock: turns of other pools do not wait for this one's connection.
	block, err := dbsqlc.New(db).ReserveRiverJobs(ctx, int32(n+riverBlock))
	if err != nil {
		return nil, fmt.Errorf("reserve ids of River jobs: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.free = block[n:] // what was left is a gap: ids of one turn ascend
	return block[:n:n], nil
}

// riverKey is the constraint that ids of River jobs meet when somebody else has them: then
// the sequence was set back (a restored database, a standby that lagged), and what was
// reserved before is worth nothing.
const riverKey = "river_job_pkey"

// refused forgets what is reserved if err says that it is worth nothing.
func (r *riverIDs) refused(err error) {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.ConstraintName == riverKey {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.free = nil
	}
}

func (r *riverIDs) cut(n int) []int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n > len(r.free) {
		return nil
	}
	ids := r.free[:n:n]
	r.free = r.free[n:]
	return ids
}

// carried are the River jobs of a turn.
type carried struct {
	rows      dbsqlc.InsertRiverJobsParams
	committed func(started []domain.Task)
}

// carry gives what a worker pool starts the ids of its River jobs, and notes the jobs
// to insert with the turn's writes. Ids that are missing are reserved on db.
func (t *turn) carry(ctx context.Context, db dbsqlc.DBTX) error {
	pool, d := &t.pool, &t.d
	t.carried = nil
	if pool.Runtime != domain.RuntimeWorker || len(d.Started) == 0 {
		return nil
	}
	if t.opts.Carrier == nil {
		return errors.New("the pool's runtime is worker, and this process has nothing that makes River jobs")
	}
	jobs, err := t.opts.Carrier.Jobs(pool.PoolID, d.Started)
	if err != nil {
		return err
	}
	if len(jobs.Args) != len(d.Started) || len(jobs.Priorities) != len(d.Started) {
		return fmt.Errorf("%d River jobs for %d tasks", len(jobs.Args), len(d.Started))
	}
	ctx, cancel := context.WithTimeout(ctx, tripTimeout)
	defer cancel()
	ids, err := t.riverIDs.take(ctx, db, len(d.Started))
	if err != nil {
		return err
	}
	noteJobs(d, ids)
	t.carried = &carried{
		rows: dbsqlc.InsertRiverJobsParams{
			Kind: jobs.Kind, MaxAttempts: jobs.MaxAttempts, Queues: slices.Repeat([]string{jobs.Queue}, len(ids)),
			Ids: ids, Args: jobs.Args, Priorities: jobs.Priorities,
		},
		committed: jobs.Committed,
	}
	return nil
}

// addRiverJobs adds the River jobs of another pool, which are of the same kind.
func addRiverJobs(w *dbsqlc.InsertRiverJobsParams, jobs *carried) {
	if jobs == nil {
		return
	}
	more := &jobs.rows
	w.Kind, w.MaxAttempts = more.Kind, more.MaxAttempts
	w.Queues, w.Ids = append(w.Queues, more.Queues...), append(w.Ids, more.Ids...)
	w.Args, w.Priorities = append(w.Args, more.Args...), append(w.Priorities, more.Priorities...)
}

// noteJobs notes the ids of the River jobs on the started tasks and on the rows to be
// written.
func noteJobs(d *plan.Decisions, ids []int64) {
	byJob := make(map[domain.JobID]int64, len(ids))
	for i := range d.Started {
		d.Started[i].RiverJobID = ids[i]
		byJob[d.Started[i].JobID] = ids[i]
	}
	for i := range d.Inserted {
		if id, ok := byJob[d.Inserted[i].JobID]; ok {
			d.Inserted[i].RiverJobID = id
		}
	}
	for i := range d.Changed {
		if id, ok := byJob[d.Changed[i].Task.JobID]; ok {
			d.Changed[i].Task.RiverJobID = id
		}
	}
}
