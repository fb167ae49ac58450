package scheduler

import (
	"context"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

// Submit has all reqs decided, in as few turns as possible, and answers each, in
// order. What is wrong with one is in its Answer.Err. The error is for the call as a whole, and a *domain.Error:
// CodeUnknownPool; CodeUnavailable when the backend does not answer, too much is
// waiting, the process is stopping or ctx ended before everything was decided. After
// CodeUnavailable some may have been accepted: asking again with the same ids and
// bodies finds out.
func (s *Scheduler) Submit(ctx context.Context, pool domain.PoolID, reqs []plan.Submit) ([]plan.Answer, error) {
	if len(reqs) == 0 {
		return nil, nil
	}
	bodies := make([]any, len(reqs))
	for i := range reqs {
		bodies[i] = reqs[i]
	}
	answers, err := s.ask(ctx, pool, bodies...)
	if err != nil {
		return nil, err
	}
	for i := range answers {
		if !undecided(answers[i].Err) {
			return answers, nil
		}
	}
	return nil, answers[0].Err // not one of them was decided
}

// Settle reports the end of an attempt. While the backend does not answer it keeps
// trying, until ctx ends; even then the report stays in the inbox as long as the
// process runs. That an attempt is no longer live is in Answer.Err.
func (s *Scheduler) Settle(ctx context.Context, settle plan.Settle) (plan.Answer, error) {
	return s.askOne(ctx, settle.Ref.PoolID, settle)
}

// Cancel asks for a task to end. Errors as for Submit; CodeUnknownTask is in
// Answer.Err.
func (s *Scheduler) Cancel(ctx context.Context, pool domain.PoolID, cancel plan.Cancel) (plan.Answer, error) {
	return s.askOne(ctx, pool, cancel)
}

// Force settles a task by an operator's hand. Errors as for Cancel; CodeTaskFinal
// is in Answer.Err as well.
func (s *Scheduler) Force(ctx context.Context, pool domain.PoolID, force plan.Force) (plan.Answer, error) {
	return s.askOne(ctx, pool, force)
}

// Change changes a pool. Errors as for Submit.
func (s *Scheduler) Change(ctx context.Context, pool domain.PoolID, change plan.PoolChange) (plan.Answer, error) {
	return s.askOne(ctx, pool, change)
}

func (s *Scheduler) askOne(ctx context.Context, pool domain.PoolID, body any) (plan.Answer, error) {
	answers, err := s.ask(ctx, pool, body)
	if err != nil {
		return plan.Answer{}, err
	}
	if undecided(answers[0].Err) {
		return plan.Answer{}, answers[0].Err
	}
	return answers[0], nil
}

// ask puts requests of one sort into the pool's inbox and waits for all answers.
func (s *Scheduler) ask(ctx context.Context, pool domain.PoolID, bodies ...any) ([]plan.Answer, error) {
	l := s.loop(pool)
	if l == nil {
		return nil, errUnknownPool(pool)
	}
	if ctx.Err() != nil {
		return nil, errGaveUp(ctx)
	}
	now, c := s.now(), newCall(len(bodies))
	rs := make([]*request, len(bodies))
	for i, body := range bodies {
		rs[i] = newRequest(body, c, i, now)
	}
	if err := l.inbox.put(rs); err != nil {
		return nil, err
	}
	select {
	case <-c.done:
		return c.answers, nil
	case <-ctx.Done():
		return nil, errGaveUp(ctx)
	}
}

// Watch returns a channel that gets a signal (one at a time, coalesced) when tasks
// of the pool ended, here or in another process; the empty pool means all pools.
// Register, then look, then wait. The function ends the registration. A signal may
// come without cause, and one from another process may come as late as the safety poll.
func (s *Scheduler) Watch(pool domain.PoolID) (<-chan struct{}, func()) {
	return s.watchers.pool(pool)
}

// WatchTask is Watch for one task: what ends beside it in this process does not wake the caller.
func (s *Scheduler) WatchTask(pool domain.PoolID, id domain.TaskID) (<-chan struct{}, func()) {
	return s.watchers.task(pool, id)
}

// WatchElsewhere returns a channel that gets a signal (one at a time, coalesced) when
// something may have been written that was not handed to Options.Feed: another process
// says that something ended, hints may have been missed, or Announce was called. Events
// that end nothing, of other processes, give no signal.
func (s *Scheduler) WatchElsewhere() (<-chan struct{}, func()) { return s.watchers.others() }

// Announce says that something that has no loop here was written to a backend:
// messages, events. It wakes who watches in this process and in the others. It never
// blocks.
func (s *Scheduler) Announce(name domain.Backend, source domain.Source) {
	s.watchers.unknown(domain.PoolID(source))
	if b := s.backends[name]; b != nil {
		b.hint(store.Wake{Pool: domain.PoolID(source), Ended: true})
	}
}
