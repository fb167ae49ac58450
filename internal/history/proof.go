package history

import (
	"context"
	"fmt"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
)

// proof is the check of one pool. It reads in three steps, so that a server that
// goes on working is judged fairly: the trail up to now (seen), then messages and rows,
// then the trail once more; a row or message that does not fit is a violation only when
// its task has not moved in between.
type proof struct {
	*checker

	pool     Pool
	findings *Findings
	book     *Book
	ledger   *Ledger
	origin   store.Origin
	events   Stream[domain.Event]
	messages Stream[domain.Message]
	verdict  Verdict
}

func (p *proof) run(ctx context.Context) error {
	if err := p.open(ctx); err != nil {
		return err
	}
	if err := p.follow(ctx); err != nil {
		return err
	}
	p.ledger.Close()
	evidence := Evidence{Seen: p.ledger.Last(), Rows: true, Messages: true}
	p.messages = p.source.Messages(p.pool.ID)
	if err := each(ctx, p.messages, p.note, func(int) {}); err != nil {
		return fmt.Errorf("read the mailboxes: %w", err)
	}
	if err := p.source.Tasks(ctx, p.pool.ID, p.row); err != nil {
		return fmt.Errorf("read the tasks: %w", err)
	}
	var err error
	if evidence.Origin, err = p.source.Origin(ctx, domain.Source(p.pool.ID)); err != nil {
		return fmt.Errorf("read where the history begins: %w", err)
	}
	if !evidence.Origin.Audit.Equal(p.origin.Audit) {
		return errTrimmed
	}
	if err := p.follow(ctx); err != nil {
		return err
	}
	if p.verdict, err = p.ledger.Judge(evidence); err != nil {
		return err
	}
	return p.late(ctx)
}

// open prepares the ledger.
func (p *proof) open(ctx context.Context) (err error) {
	source := domain.Source(p.pool.ID)
	if p.origin, err = p.source.Origin(ctx, source); err != nil {
		return fmt.Errorf("read where the history begins: %w", err)
	}
	start := startOf(&p.origin)
	p.total -= start.Seq
	query := EventQuery{Source: source, From: p.origin.Audit, After: start.Seq}
	limits := changes{before: p.pool.MaxUnits, overtakes: p.pool.MaxOvertakes}
	p.events = p.source.Events(query)
	query.Kind = domain.EventPoolChange
	if err := each(ctx, p.source.Events(query), func(e *domain.Event) {
		if e.Seq > start.Seq {
			limits.add(e)
		}
	}, func(int) {}); err != nil {
		return fmt.Errorf("read its changes: %w", err)
	}
	start.Limit, p.pool.MaxOvertakes = limits.before, limits.overtakes
	p.ledger = NewLedger(source, start, p.findings, p.book)
	p.ledger.KeepAttempts = p.options.Records != nil
	p.ledger.Expect(p.pool.Counters)
	return nil
}

// startOf returns the balance that a trail goes on from.
func startOf(origin *store.Origin) Start {
	c := origin.Checkpoint
	if c == nil {
		return Start{}
	}
	return Start{
		Seq: c.EventSeq, Active: c.ActiveUnits, Running: c.Running, Queued: c.Queued + c.Waiting, Waiting: c.Waiting,
		Jobs: domain.JobID(c.JobSeq), At: c.At,
	}
}

// follow replays the trail to its present end.
func (p *proof) follow(ctx context.Context) error {
	err := each(ctx, p.events, func(e *domain.Event) {
		if e.Seq > p.ledger.begin.Seq || e.Seq < 1 { // numbers begin at 1: what is below is not old, but wrong
			p.ledger.Apply(e)
		}
	}, p.progress)
	if err != nil {
		return fmt.Errorf("read the audit trail: %w", err)
	}
	return nil
}

func (p *proof) note(m *domain.Message) {
	if m.PoolID == p.pool.ID {
		p.book.Message(m)
	}
}

func (p *proof) row(t *domain.Task) {
	p.book.Row(t)
	// A row from before the checkpoint may have been overtaken under a limit that is
	// not known any more.
	if most := p.pool.MaxOvertakes; most >= 0 && t.Overtaken > most && t.JobID > p.ledger.begin.Jobs {
		p.findings.Add(Violation{
			Promise: PromiseOvertakes, Source: p.ledger.Source, TaskID: t.TaskID,
			Message: fmt.Sprintf("it was overtaken %d times while in front, max_overtakes is %d", t.Overtaken, most),
		})
	}
}

const mailPause = 200 * time.Millisecond

// late waits for messages that are missing and may be on their way through an outbox. They
// come in order, so that those that were read need not be read again.
func (p *proof) late(ctx context.Context) error {
	missing := map[domain.JobID]*Missing{}
	for i := range p.verdict.Missing {
		missing[p.verdict.Missing[i].Job] = &p.verdict.Missing[i]
	}
	until := time.Now().Add(p.options.MailGrace)
	for len(missing) > 0 && time.Now().Before(until) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(mailPause):
		}
		if err := each(ctx, p.messages, func(m *domain.Message) {
			of := missing[m.JobID]
			if of == nil || m.PoolID != p.pool.ID {
				return
			}
			delete(missing, m.JobID)
			p.book.messages++
			if fault := mailFault([]mail{{m.TaskID, m.Submission, m.Status, m.Reason.Code, m.CreatedAt}}, &of.outcome); fault != "" {
				of.Violation.Message = fault
				p.findings.Add(of.Violation)
			}
		}, func(int) {}); err != nil {
			return fmt.Errorf("read the mailboxes: %w", err)
		}
	}
	for i := range p.verdict.Missing {
		if of := &p.verdict.Missing[i]; missing[of.Job] != nil {
			p.findings.Add(of.Violation)
		}
	}
	return nil
}

// sumUp adds the pool to the report.
func (p *proof) sumUp() {
	l, r := p.ledger, &p.report
	if e := p.execution(); e != nil {
		r.Executions = append(r.Executions, *e)
	}
	p.all.merge(p.findings)
	of := PoolReport{
		Pool: p.pool.ID, Events: l.Events, Tasks: p.verdict.Tasks, Attempts: l.Started,
		Messages: p.book.messages, Outcomes: l.Outcomes, MaxUnits: l.Limit(), Usage: l.Usage,
		PassedBy: p.verdict.PassedBy, LongestIdle: l.LongestIdle, MostAlive: l.MostAlive, Violations: p.findings.Total,
	}
	if b := l.begin; !b.At.IsZero() {
		of.Since = &Since{Seq: b.Seq, At: b.At, Active: b.Active, Running: b.Running, Queued: b.Queued}
	}
	r.Pools = append(r.Pools, of)
	r.Tasks += of.Tasks
	r.Messages += of.Messages
}

// execution checks the executors' records of the pool; nil: there is nothing to check.
func (p *proof) execution() *ExecutionReport {
	if p.options.Records == nil {
		return nil
	}
	records := recordsAfter(p.options.Records, p.pool.ID, p.ledger.begin.At)
	if len(records) == 0 && len(p.ledger.Attempts) == 0 {
		return nil
	}
	report := Execution(p.ledger, records)
	return &report
}
