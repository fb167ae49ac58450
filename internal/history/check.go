package history

import (
	"context"
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
	// Records are what executors wrote, read before Check was called; nil: none.
	Records []Record
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
	Pool     domain.PoolID           `json:"pool"`
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
	Violations  int           `json:"violations"`
}

// checker is one run of Check. It reads in three steps, so that a server that
// goes on working is judged fairly: the pools and their trails up to now (seen),
// then rows and messages, then the trails once more; a row or message that does
// not fit is a violation only when its task has not moved in between.
type checker struct {
	source   Source
	options  Options
	pools    []Pool
	ledgers  map[domain.PoolID]*Ledger
	findings map[domain.PoolID]*Findings
	others   map[domain.Source]*Ledger // facilities: only their numbering is checked
	general  *Findings
	stream   Stream
	seen     map[domain.PoolID]int64
	total    int64
	done     int64
}

// Check reads a history and returns what it proves. The error says that it could
// not be read; violations are in the report.
func Check(ctx context.Context, source Source, options Options) (Report, error) {
	c := &checker{
		source: source, options: options,
		ledgers: map[domain.PoolID]*Ledger{}, findings: map[domain.PoolID]*Findings{},
		others: map[domain.Source]*Ledger{}, general: &Findings{Keep: options.Keep}, seen: map[domain.PoolID]int64{},
	}
	if err := c.open(ctx); err != nil {
		return Report{}, err
	}
	if err := c.follow(ctx); err != nil {
		return Report{}, err
	}
	for id, l := range c.ledgers {
		l.Close()
		c.seen[id] = l.Last()
	}
	if err := c.compare(ctx); err != nil {
		return Report{}, err
	}
	return c.report(), nil
}

// open reads the pools and prepares a ledger for each.
func (c *checker) open(ctx context.Context) error {
	pools, err := c.source.Pools(ctx)
	if err != nil {
		return fmt.Errorf("read the pools: %w", err)
	}
	for _, id := range c.options.Pools {
		if !slices.ContainsFunc(pools, func(p Pool) bool { return p.ID == id }) {
			return domain.Errorf(domain.CodeUnknownPool, "there is no pool %q to verify", id)
		}
	}
	for _, pool := range pools {
		if len(c.options.Pools) > 0 && !slices.Contains(c.options.Pools, pool.ID) {
			continue
		}
		changes, err := drain(ctx, c.source.Events(EventQuery{Pool: pool.ID, Kind: domain.EventPoolChange}))
		if err != nil {
			return fmt.Errorf("read the changes of pool %s: %w", pool.ID, err)
		}
		found := &Findings{Keep: c.options.Keep}
		ledger := NewLedger(domain.Source(pool.ID), Start{Limit: LimitBefore(changes, pool.MaxUnits)}, found)
		ledger.Expect(pool.Counters)
		pool.MaxOvertakes = mostOvertakes(changes, pool.MaxOvertakes)
		c.pools = append(c.pools, pool)
		c.ledgers[pool.ID], c.findings[pool.ID] = ledger, found
		c.total += pool.Counters.EventSeq
	}
	var query EventQuery
	if len(c.pools) == 1 && len(c.options.Pools) == 1 {
		query.Pool = c.pools[0].ID
	}
	c.stream = c.source.Events(query)
	return nil
}

// drain reads a stream to its present end.
func drain(ctx context.Context, stream Stream) ([]domain.Event, error) {
	var all []domain.Event
	for {
		events, err := stream.Next(ctx)
		if err != nil || len(events) == 0 {
			return all, err
		}
		all = append(all, events...)
	}
}

// follow replays the trail to its present end.
func (c *checker) follow(ctx context.Context) error {
	for {
		events, err := c.stream.Next(ctx)
		if err != nil {
			return fmt.Errorf("read the audit trail: %w", err)
		}
		if len(events) == 0 {
			return nil
		}
		for i := range events {
			c.apply(&events[i])
		}
		c.done += int64(len(events))
		if c.options.Progress != nil {
			c.options.Progress(c.done, max(c.done, c.total))
		}
	}
}

func (c *checker) apply(e *domain.Event) {
	if l := c.ledgers[domain.PoolID(e.Source)]; l != nil && e.PoolID == l.Pool() {
		l.Apply(e)
		return
	}
	if e.PoolID != "" && e.Source == domain.Source(e.PoolID) {
		return // a pool that was not asked for, or that was created after the pools were read
	}
	l := c.others[e.Source]
	if l == nil {
		l = NewLedger(e.Source, Start{}, c.general)
		c.others[e.Source] = l
	}
	l.sequence(e)
}

// compare reads rows and messages and compares them with the trails.
func (c *checker) compare(ctx context.Context) error {
	suspects := map[domain.PoolID][]domain.Task{}
	for _, pool := range c.pools {
		l := c.ledgers[pool.ID]
		err := c.source.Tasks(ctx, pool.ID, func(t *domain.Task) {
			l.Overtaken(t, pool.MaxOvertakes)
			if !l.Row(t) {
				suspects[pool.ID] = append(suspects[pool.ID], *t)
			}
		})
		if err != nil {
			return fmt.Errorf("read the tasks of pool %s: %w", pool.ID, err)
		}
	}
	mails, err := c.mails(ctx)
	if err != nil {
		return err
	}
	if err := c.follow(ctx); err != nil {
		return err
	}
	for id, l := range c.ledgers {
		for i := range suspects[id] {
			l.Row(&suspects[id][i])
			l.Recheck(&suspects[id][i], c.seen[id])
		}
		l.Mailbox(mails[id], c.seen[id])
		l.messages = int64(mails[id].Len())
	}
	return nil
}

// mails reads all mailboxes, again while a message is missing and
// may be on its way.
func (c *checker) mails(ctx context.Context) (map[domain.PoolID]*Mail, error) {
	until := time.Now().Add(c.options.MailGrace)
	for {
		mails := map[domain.PoolID]*Mail{}
		for id := range c.ledgers {
			mails[id] = NewMail()
		}
		err := c.source.Messages(ctx, func(m *domain.Message) {
			if mail := mails[m.PoolID]; mail != nil {
				mail.Add(m)
			}
		})
		if err != nil {
			return nil, fmt.Errorf("read the mailboxes: %w", err)
		}
		missing := 0
		for id, l := range c.ledgers {
			missing += l.Missing(mails[id], c.seen[id])
		}
		if missing == 0 || !time.Now().Before(until) {
			return mails, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(mailPause):
		}
	}
}

const mailPause = 200 * time.Millisecond

func (c *checker) report() Report {
	var r Report
	r.Executions = c.executions()
	all := &Findings{Keep: c.options.Keep}
	merge := func(f *Findings) {
		r.Violations += f.Total
		for p, n := range f.By {
			if r.ByPromise == nil {
				r.ByPromise = map[Promise]int{}
			}
			r.ByPromise[p] += n
		}
		for _, v := range f.Kept {
			all.Add(v)
		}
	}
	merge(c.general)
	for _, pool := range c.pools {
		l := c.ledgers[pool.ID]
		merge(c.findings[pool.ID])
		r.Pools = append(r.Pools, PoolReport{
			Pool: pool.ID, Events: l.Events, Tasks: int64(l.Tasks()), Attempts: int64(len(l.Attempts)),
			Messages: l.messages, Outcomes: l.Outcomes, MaxUnits: l.Limit(), Usage: l.Usage,
			PassedBy: l.PassedBy(), LongestIdle: l.LongestIdle, Violations: c.findings[pool.ID].Total,
		})
		r.Tasks += int64(l.Tasks())
		r.Messages += l.messages
	}
	r.Events, r.First = c.done, all.Kept
	return r
}

// executions checks the executors' records of every pool.
func (c *checker) executions() []ExecutionReport {
	if c.options.Records == nil {
		return nil
	}
	by := map[domain.PoolID][]Record{}
	for _, rec := range c.options.Records {
		by[rec.Pool] = append(by[rec.Pool], rec)
	}
	var reports []ExecutionReport
	for _, pool := range c.pools {
		if len(by[pool.ID]) == 0 && len(c.ledgers[pool.ID].Attempts) == 0 {
			continue
		}
		reports = append(reports, Execution(c.ledgers[pool.ID], by[pool.ID]))
	}
	return reports
}
