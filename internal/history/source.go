package history

import (
	"context"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Pool is what a source knows of a pool, in one snapshot.
type Pool struct {
	ID           domain.PoolID
	State        domain.PoolState
	MaxUnits     domain.Units
	MaxOvertakes int // -1: not known
	Counters     Counters
}

// EventQuery selects a stream of events.
type EventQuery struct {
	Pool domain.PoolID    // empty: every source
	Kind domain.EventKind // empty: every kind
	From time.Time        // inclusive; zero: from the beginning
}

// Stream is a position in a trail. Next returns the events after it, in order
// within each source, and moves on; none means that there are no more now. It
// may be called again later for what came since.
type Stream interface {
	Next(ctx context.Context) ([]domain.Event, error)
}

// Source is where a history is read: a server, or its stores.
type Source interface {
	// Pools returns every pool.
	Pools(ctx context.Context) ([]Pool, error)
	// Events opens a stream at its beginning.
	Events(query EventQuery) Stream
	// Tasks calls each with every row of the pool, without payload. JobID,
	// Submission and Overtaken are 0 when the source does not tell.
	Tasks(ctx context.Context, pool domain.PoolID, each func(*domain.Task)) error
	// Messages calls each with every message of every mailbox, acknowledged or not,
	// without payload.
	Messages(ctx context.Context, each func(*domain.Message)) error
}
