package app

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/parkinglot/parkinglot/api"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

// Submit implements api.Service.
func (s *service) Submit(ctx context.Context, pool domain.PoolID, tasks []plan.Submit) ([]plan.Answer, error) {
	if s.isStopping() {
		return nil, stopping()
	}
	answers := make([]plan.Answer, len(tasks))
	var fit []plan.Submit
	var at []int
	for i := range tasks {
		if size := int64(len(tasks[i].Payload)); size > s.limits.MaxPayloadBytes {
			answers[i].Err = domain.Errorf(domain.CodeTooLarge, "payload has %d bytes; at most %d are taken here", size, s.limits.MaxPayloadBytes)
			continue
		}
		fit, at = append(fit, tasks[i]), append(at, i)
	}
	decided, err := s.scheduler.Submit(ctx, pool, fit)
	if err != nil {
		return nil, s.parking.readOnly(ctx, pool, edge(err, nil))
	}
	for i, answer := range decided {
		answers[at[i]] = answer
	}
	return answers, nil
}

// Task implements api.Service.
func (s *service) Task(ctx context.Context, pool domain.PoolID, id domain.TaskID, wait time.Duration) (api.TaskView, error) {
	home, err := s.home(ctx, pool)
	if err != nil {
		return api.TaskView{}, err
	}
	signal, forget := s.scheduler.WatchTask(pool, id)
	defer forget()

	var view api.TaskView
	err = await(ctx, min(wait, s.limits.MaxWait()), signal, s.stop, func(ctx context.Context) (bool, error) {
		task, err := home.Task(ctx, pool, id)
		if err != nil {
			return false, edge(err, unknownTask(pool, id))
		}
		view.Task = task
		return task.Status.Terminal(), nil
	})
	if err != nil {
		return api.TaskView{}, err
	}
	if view.Status == domain.StatusQueued {
		if view.Position, err = home.Position(ctx, pool, view.JobID); err != nil {
			return api.TaskView{}, edge(err, nil)
		}
		view.EstimatedStart = s.scheduler.EstimatedStart(&view.Task, view.Position)
	}
	return view, nil
}

// Why implements api.Service.
func (s *service) Why(ctx context.Context, pool domain.PoolID, id domain.TaskID) (plan.Scene, plan.Explanation, error) {
	home, err := s.home(ctx, pool)
	if err != nil {
		return plan.Scene{}, plan.Explanation{}, err
	}
	scene, err := home.Scene(ctx, pool, id, s.scheduler.Now(pool))
	if err != nil {
		return plan.Scene{}, plan.Explanation{}, edge(err, unknownTask(pool, id))
	}
	scene.Drain = s.scheduler.DrainRate(pool)
	return scene, plan.Explain(&scene), nil
}

// Tasks implements api.Service.
func (s *service) Tasks(ctx context.Context, filter store.TaskFilter) ([]domain.Task, error) {
	home, err := s.home(ctx, filter.Pool)
	if err != nil {
		return nil, err
	}
	if _, err := home.Pool(ctx, filter.Pool); err != nil {
		return nil, edge(err, unknownPool(filter.Pool))
	}
	tasks, err := home.ListTasks(ctx, filter)
	return tasks, edge(err, nil)
}

// Cancel implements api.Service.
func (s *service) Cancel(ctx context.Context, pool domain.PoolID, id domain.TaskID, actor string) (domain.Task, error) {
	answer, err := s.scheduler.Cancel(ctx, pool, plan.Cancel{TaskID: id, Actor: actor})
	return s.after(ctx, pool, id, answer, err)
}

// Force implements api.Service.
func (s *service) Force(ctx context.Context, pool domain.PoolID, force plan.Force) (domain.Task, error) {
	answer, err := s.scheduler.Force(ctx, pool, force)
	return s.after(ctx, pool, force.TaskID, answer, err)
}

// after returns the whole task that a turn has left; an answer holds only what the
// turn needed of it.
func (s *service) after(ctx context.Context, pool domain.PoolID, id domain.TaskID, answer plan.Answer, err error) (domain.Task, error) {
	switch {
	case err != nil:
		return domain.Task{}, edge(err, nil)
	case answer.Err != nil:
		return domain.Task{}, answer.Err
	}
	home, err := s.home(ctx, pool)
	if err != nil {
		return domain.Task{}, err
	}
	task, err := home.Task(ctx, pool, id)
	return task, edge(err, unknownTask(pool, id))
}

// Bounds of a bulk cancellation.
const (
	cancelPage     = 500
	cancelsAtOnce  = 250
	labelListLimit = 1000
)

// CancelLabelled implements api.Service. What waits goes first, so that nothing of it
// starts on the units that the running tasks give back.
func (s *service) CancelLabelled(ctx context.Context, pool domain.PoolID, key, value, actor string) (int, error) {
	home, err := s.home(ctx, pool)
	if err != nil {
		return 0, err
	}
	total := 0
	for _, status := range []domain.Status{domain.StatusQueued, domain.StatusRunning} {
		n, err := s.cancelAll(ctx, home, store.TaskFilter{
			Pool: pool, Status: status, Label: [2]string{key, value}, Limit: min(cancelPage, labelListLimit),
		}, actor)
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

func (s *service) cancelAll(ctx context.Context, home store.Store, filter store.TaskFilter, actor string) (int, error) {
	total := 0
	for {
		page, err := home.ListTasks(ctx, filter)
		if err != nil {
			return total, edge(err, nil)
		}
		n, err := s.cancelEach(ctx, page, actor)
		total += n
		if err != nil || len(page) < filter.Limit {
			return total, err
		}
		filter.Before = page[len(page)-1].JobID
	}
}

// cancelEach asks for all at once, so that one turn takes many.
func (s *service) cancelEach(ctx context.Context, page []domain.Task, actor string) (int, error) {
	done := make([]bool, len(page))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(cancelsAtOnce)
	for i := range page {
		group.Go(func() error {
			answer, err := s.scheduler.Cancel(ctx, page[i].PoolID, plan.Cancel{TaskID: page[i].TaskID, Actor: actor})
			if t := answer.Task; err == nil && answer.Err == nil && t != nil {
				done[i] = t.CancelAsked != nil || t.Reason.Code == domain.ReasonCancelled
			}
			return err
		})
	}
	err := group.Wait()
	n := 0
	for _, ok := range done {
		if ok {
			n++
		}
	}
	return n, edge(err, nil)
}
