package clients

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/domain"
)

// loader is one client of one pool.
type loader struct {
	caller

	name     string
	made     int
	recent   []domain.TaskID // accepted not long ago
	accepted []client.TaskSubmission
}

func newLoader(plan *Plan, pool, n int, log *logFile, stopped <-chan struct{}) *loader {
	return &loader{
		caller: newCaller(plan, pool, uint64(n)+1, log, stopped),
		name:   fmt.Sprintf("%s-%d", plan.Pools[pool].ID, n),
	}
}

func (l *loader) run(ctx context.Context) {
	mean := time.Duration(float64(l.plan.Clients) / l.pool.Rate * float64(time.Second))
	for ctx.Err() == nil && !l.over() {
		l.pause(ctx, time.Duration(l.random.Int64N(int64(2*mean))))
		switch n := l.random.IntN(100); {
		case n < 4 && len(l.recent) > 0:
			l.cancel(ctx)
		case n < 5 && len(l.recent) > 0:
			l.force(ctx)
		default:
			l.submit(ctx)
		}
	}
	l.again(ctx)
}

// submit submits a new task until it is answered.
func (l *loader) submit(ctx context.Context) {
	body := l.task()
	e := Entry{Do: Submit, Pool: l.pool.ID, Task: domain.TaskID(body.TaskID)}
	if body.MailboxKey != nil {
		e.Tenant = domain.Tenant(body.MailboxKey.Tenant)
	}
	got := l.answered(ctx, e, func(api *client.Client) (*http.Response, error) {
		return api.SubmitTask(ctx, string(l.pool.ID), body)
	})
	if got.Code != http.StatusAccepted {
		return
	}
	const remembered = 20
	l.recent = append(l.recent, e.Task)
	if len(l.recent) > remembered {
		l.recent = slices.Delete(l.recent, 0, 1)
	}
	if len(l.accepted) < l.plan.Samples {
		l.accepted = append(l.accepted, body)
	} else if i := l.random.IntN(l.made); i < l.plan.Samples {
		l.accepted[i] = body // any accepted task is as likely as any other
	}
}

// task makes up a task: weighted, of some tenant, mostly short, sometimes failing,
// sometimes with a deadline that a queue may well outlast.
func (l *loader) task() client.TaskSubmission {
	l.made++
	tenant := fmt.Sprintf("tenant-%d", l.random.IntN(4))
	sleep := time.Duration(l.random.Int64N(int64(400 * time.Millisecond)))
	if l.random.IntN(l.plan.Long) == 0 {
		sleep = time.Duration(l.random.Int64N(int64(l.plan.Longest)))
	}
	body := client.TaskSubmission{
		TaskID: fmt.Sprintf("%s-%06d", l.name, l.made), Tenant: tenant,
		Priority:     client.TaskSubmissionPriority(domain.Priority(l.random.IntN(domain.PriorityClasses)).String()),
		ResourceCost: client.ResourceCost{Units: 1 + l.random.Int64N(4)},
		MaxAttempts:  2 + l.random.Int64N(2),
		Payload:      fmt.Appendf(nil, `{"durationMs":%d}`, sleep.Milliseconds()),
	}
	if l.random.IntN(10) > 0 {
		body.MailboxKey = &client.MailboxKey{Tenant: tenant, UserID: fmt.Sprintf("user-%d", l.random.IntN(10))}
	}
	switch l.random.IntN(20) {
	case 0:
		body.Payload = fmt.Appendf(nil, `{"durationMs":%d,"fail":"made to fail"}`, sleep.Milliseconds())
	case 1, 2:
		deadline := time.Now().UTC().Add(time.Second + time.Duration(l.random.Int64N(int64(5*time.Second))))
		body.Deadline = &deadline
	case 3:
		if l.pool.Timeouts {
			body.TimeoutSecs = 1
		}
	}
	return body
}

// some picks a task that may still be under way.
func (l *loader) some() domain.TaskID { return l.recent[l.random.IntN(len(l.recent))] }

func (l *loader) cancel(ctx context.Context) {
	id := l.some()
	l.answered(ctx, Entry{Do: Cancel, Pool: l.pool.ID, Task: id}, func(api *client.Client) (*http.Response, error) {
		return api.CancelTask(ctx, string(l.pool.ID), string(id))
	})
}

func (l *loader) force(ctx context.Context) {
	id := l.some()
	l.answered(ctx, Entry{Do: Force, Pool: l.pool.ID, Task: id}, func(api *client.Client) (*http.Response, error) {
		return api.SettleTask(ctx, string(l.pool.ID), string(id), client.Settlement{Status: "failed", Reason: "the operator has had enough"})
	})
}

// again submits what was accepted once more: the first answer must come again.
func (l *loader) again(ctx context.Context) {
	for _, body := range l.accepted {
		if l.gaveUp() {
			return
		}
		l.answered(ctx, Entry{Do: Again, Pool: l.pool.ID, Task: domain.TaskID(body.TaskID)},
			func(api *client.Client) (*http.Response, error) { return api.SubmitTask(ctx, string(l.pool.ID), body) })
	}
}

// operator changes a pool now and then, and leaves it as it was.
type operator struct{ caller }

func newOperator(plan *Plan, pool int, log *logFile, stopped <-chan struct{}) *operator {
	return &operator{caller: newCaller(plan, pool, 0, log, stopped)}
}

func (o *operator) run(ctx context.Context) {
	most := o.pool.MaxUnits
	for ctx.Err() == nil && !o.over() {
		o.pause(ctx, time.Second+time.Duration(o.random.Int64N(int64(5*time.Second))))
		switch o.random.IntN(6) {
		case 0:
			o.change(ctx, client.PoolChange{State: "draining"})
			o.pause(ctx, 300*time.Millisecond)
			o.change(ctx, client.PoolChange{State: "active"})
		case 1:
			o.change(ctx, client.PoolChange{State: "disabled"})
			o.pause(ctx, 300*time.Millisecond)
			o.change(ctx, client.PoolChange{State: "active"})
		default:
			units := most/2 + o.random.Int64N(most)
			o.change(ctx, client.PoolChange{MaxUnits: &units})
		}
	}
	o.change(ctx, client.PoolChange{State: "active", MaxUnits: &most})
}

func (o *operator) change(ctx context.Context, change client.PoolChange) {
	o.answered(ctx, Entry{Do: Change, Pool: o.pool.ID}, func(api *client.Client) (*http.Response, error) {
		return api.ChangePool(ctx, string(o.pool.ID), change)
	})
}
