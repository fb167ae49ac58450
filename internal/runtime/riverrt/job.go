package riverrt

import (
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"regexp"
	"time"

	"github.com/riverqueue/river"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Kind is the kind of our River jobs.
const Kind = "parkinglot_task"

// Args are the arguments of a River job: the attempt it carries.
type Args struct {
	PoolID  domain.PoolID `json:"poolId"`
	JobID   domain.JobID  `json:"jobId"`
	Attempt int           `json:"attempt"`
}

// Kind implements river.JobArgs.
func (Args) Kind() string { return Kind }

func (a Args) ref() domain.Ref {
	return domain.Ref{PoolID: a.PoolID, JobID: a.JobID, Attempt: a.Attempt}
}

// plainQueue matches pool ids that River takes as part of a queue's name as they
// are.
var plainQueue = regexp.MustCompile(`^[a-z0-9]+(?:[_-][a-z0-9]+)*$`)

// maxPlain keeps a queue's name within River's 64 characters.
const maxPlain = 62

// QueueName returns the name of the River queue of a pool: p_ and the pool's id
// where River's alphabet and length allow it, else h_ and the first 160 bits of
// its SHA-256. Different pools have different queues.
func QueueName(pool domain.PoolID) string {
	if len(pool) <= maxPlain && plainQueue.MatchString(string(pool)) {
		return "p_" + string(pool)
	}
	const bytes = 20
	sum := sha256.Sum256([]byte(pool))
	return "h_" + hex.EncodeToString(sum[:bytes])
}

// riverPriority lets River fetch the most urgent of the admitted tasks first when
// there are fewer workers than tasks. River's 1 is first, 4 is last.
func riverPriority(p domain.Priority) int { return domain.PriorityClasses - int(p) }

const (
	// fetchCooldown is how long a busy queue's fetches are apart in one process. An
	// idle queue is fetched at once when a job is announced.
	fetchCooldown = 2 * time.Millisecond
	// fetchPoll is the safety net behind lost announcements.
	fetchPoll = time.Second
	// retention is how long River keeps the rows of ended jobs; the story of a task is
	// in the audit trail.
	retention = 10 * time.Minute
	// maxAttempts: retries are turns of ours.
	maxAttempts = 1
)

// config returns what a client has whatever its pools are.
func config(schema string, log *slog.Logger) *river.Config {
	return &river.Config{
		Schema:            schema,
		Logger:            slog.New(atLeast{log.With("component", "river").Handler(), slog.LevelWarn}),
		MaxAttempts:       maxAttempts,
		JobTimeout:        -1,
		FetchCooldown:     fetchCooldown,
		FetchPollInterval: fetchPoll,
	}
}
