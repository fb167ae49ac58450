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
)

// announcement tells River's clients that jobs are in the queues, in one round trip. Its
// commit does not wait for the disk, because it holds the lock that all commits with
// a notification share.
const announcement = `SELECT set_config('synchronous_commit', 'off', true),
	pg_notify(concat(coalesce(nullif($1::text, ''), current_schema()), '.river_insert'), json_build_object('queue', q, 'origin', $3::text)::text)
	FROM unnest($2::text[]) AS q`

// announceTimeout bounds one announcement; a later one makes up for it.
const announceTimeout = 2 * time.Second

// announcer announces queues outside of the turns' transactions, one announcement
// at a time. Queues that come while one is under way share the next: none is
// dropped.
type announcer struct {
	db     *pgxpool.Pool
	schema string
	origin string
	log    *slog.Logger

	mu      sync.Mutex
	waiting map[string]struct{}
	busy    bool // a goroutine announces; it ends when nothing waits
}

func newAnnouncer(db *pgxpool.Pool, schema, origin string, log *slog.Logger) *announcer {
	return &announcer{db: db, schema: schema, origin: origin, log: log, waiting: make(map[string]struct{})}
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

func (a *announcer) send(queues []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), announceTimeout)
	defer cancel()
	if _, err := a.db.Exec(ctx, announcement, a.schema, queues, a.origin); err != nil {
		return fmt.Errorf("announce River jobs: %w", err)
	}
	return nil
}
