package history

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Options says what Check looks at. The zero value checks every pool and keeps
// no violation.
type Options struct {
	Pools []domain.PoolID // empty: all
	Keep  int             // violations to keep
	// Records are what executors wrote, read before Check was called; nil: none. With
	// them, every attempt is kept in memory.
	Records []Record
	// Spill is how many bytes of each kind of what has ended may be in memory before they
	// go to temporary files; 0: 8 MiB.
	Spill int
	// MailGrace is how long a message may be on its way after its outcome.
	MailGrace time.Duration
	// Progress is told how many events of about how many were replayed; may be nil.
	Progress func(done, total int64)
}

// Report is what Check found.
type Report struct {
	Pools      []PoolReport      `json:"pools"`
	Events     int64             `json:"events"`
	Tasks      int64             `json:"tasks"`
	Messages   int64             `json:"messages"`
	Violations int               `json:"violations"`
	ByPromise  map[Promise]int   `json:"byPromise,omitempty"`
	First      []Violation       `json:"first,omitempty"`
	Executions []ExecutionReport `json:"executions,omitempty"`
}

// PoolReport sums up one pool.
type PoolReport struct {
	Pool domain.PoolID `json:"pool"`
	// Since is the checkpoint that the proof starts from, because retention has deleted
	// what was before; nil: the pool's first event.
	Since    *Since                  `json:"since,omitempty"`
	Events   int64                   `json:"events"`
	Tasks    int64                   `json:"tasks"`
	Attempts int64                   `json:"attempts"`
	Messages int64                   `json:"messages"`
	Outcomes map[domain.Status]int64 `json:"outcomes"`
	MaxUnits domain.Units            `json:"maxUnits"`
	Usage    Usage                   `json:"usage"`
	// PassedBy is the most tasks of one class that came later and started earlier
	// than a task; the policy and what does not fit decide how many may.
	PassedBy    int64         `json:"passedBy"`
	LongestIdle time.Duration `json:"longestIdleNs"` // see Ledger
	MostAlive   int           `json:"mostAlive"`     // tasks queued and running at once; what the check kept in memory
	Violations  int           `json:"violations"`
}

// Since is a checkpoint: the balance of a pool after its event Seq.
type Since struct {
	Seq     int64        `json:"seq"`
	At      time.Time    `json:"at"`
	Active  domain.Units `json:"activeUnits"`
	Running int64        `json:"running"`
	Queued  int64        `json:"queued"` // backoff included
}

// checker is one run of Check.
type checker struct {
	source  Source
	options Options
	all     Findings
	report  Report
	total   int64
}

// Check reads a history and returns what it proves. The error says that it could
// not be read; violations are in the report. Pools are checked one after the other, each
// in memory that depends on what was alive in it at once; what has ended is sorted on disk.
func Check(ctx context.Context, source Source, options Options) (Report, error) {
	c := &checker{source: source, options: options, all: Findings{Keep: options.Keep}}
	pools, err := c.pools(ctx)
	if err != nil {
		return Report{}, err
	}
	for i := range pools {
		if err := c.pool(ctx, pools[i]); err != nil {
			return Report{}, err
		}
	}
	if len(options.Pools) == 0 {
		if err := c.others(ctx); err != nil {
			return Report{}, err
		}
	}
	c.report.Violations, c.report.ByPromise, c.report.First = c.all.Total, c.all.By, c.all.Kept
	return c.report, nil
}

// pools reads the pools that are to be checked.
func (c *checker) pools(ctx context.Context) ([]Pool, error) {
	all, err := c.source.Pools(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the pools: %w", err)
	}
	for _, id := range c.options.Pools {
		if !slices.ContainsFunc(all, func(p Pool) bool { return p.ID == id }) {
			return nil, domain.Errorf(domain.CodeUnknownPool, "there is no pool %q to verify", id)
		}
	}
	var wanted []Pool
	for _, pool := range all {
		if len(c.options.Pools) == 0 || slices.Contains(c.options.Pools, pool.ID) {
			wanted = append(wanted, pool)
			c.total += pool.Counters.EventSeq
		}
	}
	return wanted, nil
}

// errTrimmed says that retention has deleted a day of the trail while it was read.
var errTrimmed = errors.New("retention goes on deleting the trail that is read")

// trimmedMost is how often a trail is read anew because of that: days end once a day.
const trimmedMost = 3

func (c *checker) pool(ctx context.Context, pool Pool) error {
	before, total := c.report.Events, c.total
	for range trimmedMost {
		p := &proof{checker: c, pool: pool, findings: &Findings{Keep: c.options.Keep}, book: NewBook(c.options.Spill)}
		err := errors.Join(p.run(ctx), p.book.Close())
		if errors.Is(err, errTrimmed) {
			c.report.Events, c.total = before, total
			continue
		}
		if err != nil {
			return fmt.Errorf("pool %s: %w", pool.ID, err)
		}
		p.sumUp()
		return nil
	}
	return fmt.Errorf("pool %s: %w", pool.ID, errTrimmed)
}

// progress counts replayed events.
func (c *checker) progress(events int) {
	c.report.Events += int64(events)
	if c.options.Progress != nil {
		c.options.Progress(c.report.Events, max(c.report.Events, c.total))
	}
}

// others checks the numbering of what is not a pool: facilities.
func (c *checker) others(ctx context.Context) error {
	sources, err := c.source.Others(ctx)
	if err != nil {
		return fmt.Errorf("read what numbers events: %w", err)
	}
	for _, source := range sources {
		origin, err := c.source.Origin(ctx, source)
		if err != nil {
			return fmt.Errorf("read where %s begins: %w", source, err)
		}
		var ledger *Ledger
		stream := c.source.Events(EventQuery{Source: source, From: origin.Audit})
		if err := each(ctx, stream, func(e *domain.Event) {
			if ledger == nil {
				var start Start
				if !origin.Audit.IsZero() {
					start.Seq = e.Seq - 1 // there is no checkpoint that says how many are gone
				}
				ledger = NewLedger(source, start, &c.all, nil)
			}
			ledger.sequence(e)
		}, c.progress); err != nil {
			return fmt.Errorf("read the audit trail of %s: %w", source, err)
		}
	}
	return nil
}

// each reads a stream to its present end. counted is told of every page.
func each[T any](ctx context.Context, stream Stream[T], f func(*T), counted func(int)) error {
	for {
		page, err := stream.Next(ctx)
		if err != nil || len(page) == 0 {
			return err
		}
		for i := range page {
			f(&page[i])
		}
		counted(len(page))
	}
}
