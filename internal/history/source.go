package history

import (
	"context"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
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
	Source domain.Source    // a pool's id, or what else numbers events
	Kind   domain.EventKind // empty: every kind
	From   time.Time        // inclusive; zero: from the beginning
	// After is the Seq after which events are wanted. A source that cannot seek to it
	// may return earlier ones too, but none from before From.
	After int64
}

// Stream is a position in what grows. Next returns what comes after it, in order, and
// moves on; none means that there is no more now. It may be called again later for what
// came since.
type Stream[T any] interface {
	Next(ctx context.Context) ([]T, error)
}

// Source is where a history is read: a server, or its stores.
type Source interface {
	// Pools returns every pool.
	Pools(ctx context.Context) ([]Pool, error)
	// Others returns what numbers events of its own beside pools, as far as it is known.
	Others(ctx context.Context) ([]domain.Source, error)
	// Origin returns where what is kept of a source's history begins.
	Origin(ctx context.Context, source domain.Source) (store.Origin, error)
	// Events opens a stream of one source at its beginning.
	Events(query EventQuery) Stream[domain.Event]
	// Tasks calls each with every row of the pool, without payload. Overtaken is 0 when
	// the source does not tell.
	Tasks(ctx context.Context, pool domain.PoolID, each func(*domain.Task)) error
	// Messages opens a stream of the messages of a pool's tasks in every mailbox,
	// acknowledged or not, without payload.
	Messages(pool domain.PoolID) Stream[domain.Message]
}
