package riverrt

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// topicInsert is the topic on which River's clients listen for new jobs.
const topicInsert = "river_insert"

// announce tells River's clients that jobs are in the queues.
func announce(ctx context.Context, on riverdriver.Executor, schema string, queues []string) error {
	payloads := make([]string, len(queues))
	for i, queue := range queues {
		payloads[i] = fmt.Sprintf(`{"queue": %q}`, queue)
	}
	err := on.NotifyMany(ctx, &riverdriver.NotifyManyParams{Payload: payloads, Schema: schema, Topic: topicInsert})
	if err != nil {
		return fmt.Errorf("announce River jobs: %w", err)
	}
	return nil
}

// announceTimeout bounds one announcement; a later one makes up for it.
const announceTimeout = 2 * time.Second

// announcer announces queues outside of the turns' transactions, one announcement
// at a time. Queues that come while one is under way share the next: none is
// dropped.
type announcer struct {
	driver *riverpgxv5.Driver
	schema string
	log    *slog.Logger

	mu      sync.Mutex
	waiting map[string]struct{}
	busy    bool // a goroutine announces; it ends when nothing waits
}

func newAnnouncer(db *pgxpool.Pool, schema string, log *slog.Logger) *announcer {
	return &announcer{driver: riverpgxv5.New(db), schema: schema, log: log, waiting: make(map[string]struct{})}
}

func (a *announcer) announce(queue string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting[queue] = struct{}{}
	if !a.busy {
		a.busy = true
		go a.run()
	}
}

func (a *announcer) run() {
	for {
		a.mu.Lock()
		queues := slices.Collect(maps.Keys(a.waiting))
		clear(a.waiting)
		a.busy = len(queues) > 0
		a.mu.Unlock()
		if len(queues) == 0 {
			return
		}
		if err := a.send(queues); err != nil {
			a.log.Warn("new jobs could not be announced; workers find them at their next poll", "queues", queues, "error", err)
		}
	}
}

// send does not let the transaction wait for the disk, because it holds the lock
// that all commits with a notification share.
func (a *announcer) send(queues []string) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), announceTimeout)
	defer cancel()
	tx, err := a.driver.GetExecutor().Begin(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback(ctx)
		}
	}()
	if err := tx.Exec(ctx, "SET LOCAL synchronous_commit = off"); err != nil {
		return fmt.Errorf("set synchronous_commit: %w", err)
	}
	if err := announce(ctx, tx, a.schema, queues); err != nil {
		return err
	}
	return tx.Commit(ctx)
}
