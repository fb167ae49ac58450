package faults

import (
	"context"
	"fmt"
	"net/http"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/faults/clients"
	"github.com/parkinglot/parkinglot/internal/history"
)

// named is a task by the name that clients gave it.
type named struct {
	pool domain.PoolID
	task domain.TaskID
}

// told is what clients know of one task, and what became of it.
type told struct {
	tenant   domain.Tenant // of its mailbox
	sent     int
	accepted int
	refused  int   // 4xx: it was judged and not taken
	job      int64 // of the first 202
	status   string
	// otherwise is what a later answer said instead of status.
	otherwise string

	submissions int
	terminals   int
	rejects     int
	messages    int
}

// Promised is what the clients were promised, counted.
type Promised struct {
	Requests   int `json:"requests"`   // sent, repetitions included
	Unanswered int `json:"unanswered"` // requests without an answer, or answered that nobody knows now
	Tasks      int `json:"tasks"`
	Accepted   int `json:"accepted"`
	Refused    int `json:"refused"` // rejected or invalid, for good
	Unknown    int `json:"unknown"` // no answer to the end: either is right
	Repeated   int `json:"repeated"`
	Messages   int `json:"messages"`
}

// accepted holds the clients' log against the trail and the mailboxes. It is written
// apart from the history checker on purpose: neither may believe the other.
func (r *Result) accepted(ctx context.Context, log string, pools []clients.Pool, source history.Source) error {
	tasks := map[named]*told{}
	if err := clients.ReadLog(log, func(e clients.Entry) { r.heard(tasks, e) }); err != nil {
		return err
	}
	for _, p := range pools {
		if err := r.follow(ctx, source, p.ID, tasks); err != nil {
			return err
		}
		if err := r.collect(ctx, source, p.ID, tasks); err != nil {
			return err
		}
	}
	for name, t := range tasks {
		r.settle(name, t)
	}
	return nil
}

// heard takes one line of the clients' log.
func (r *Result) heard(tasks map[named]*told, e clients.Entry) {
	p := &r.Promised
	if !e.Answer {
		p.Requests++
	} else if e.Code == 0 || e.Code >= http.StatusInternalServerError {
		p.Unanswered++
	}
	if e.Task == "" || e.Do != clients.Submit && e.Do != clients.Again {
		return
	}
	name := named{e.Pool, e.Task}
	t := tasks[name]
	if t == nil {
		t = &told{tenant: e.Tenant}
		tasks[name] = t
	}
	switch {
	case !e.Answer:
		t.sent++
	case e.Code == http.StatusAccepted:
		if t.accepted++; t.accepted == 1 {
			t.job, t.status = e.Job, e.Status
		} else if t.job != e.Job {
			r.addf(Answers, "task %s in %s: first job %d, then job %d", e.Task, e.Pool, t.job, e.Job)
		} else if t.status != e.Status {
			t.otherwise = e.Status
		}
	case e.Code >= http.StatusBadRequest && e.Code < http.StatusInternalServerError:
		if t.refused++; t.accepted > 0 {
			r.addf(Answers, "task %s in %s was accepted, and then answered %d %s", e.Task, e.Pool, e.Code, e.Why)
		}
	}
}

// collect counts the messages of a pool's tasks in all mailboxes.
func (r *Result) collect(ctx context.Context, source history.Source, pool domain.PoolID, tasks map[named]*told) error {
	stream := source.Messages(pool)
	for {
		messages, err := stream.Next(ctx)
		if err != nil {
			return fmt.Errorf("read the mailboxes: %w", err)
		}
		if len(messages) == 0 {
			return nil
		}
		for i := range messages {
			m := &messages[i]
			r.Promised.Messages++
			tenant := m.Mailbox.Tenant
			if t := tasks[named{m.PoolID, m.TaskID}]; t == nil || t.tenant != tenant {
				r.addf(Lost, "mailbox of %s: a message of task %s in %s, which was never submitted with that key", tenant, m.TaskID, m.PoolID)
			} else {
				t.messages++
			}
		}
	}
}

// follow counts what the trail of a pool says of each task.
func (r *Result) follow(ctx context.Context, source history.Source, pool domain.PoolID, tasks map[named]*told) error {
	stream := source.Events(history.EventQuery{Source: domain.Source(pool)})
	for {
		events, err := stream.Next(ctx)
		if err != nil {
			return fmt.Errorf("read the trail of pool %s: %w", pool, err)
		}
		if len(events) == 0 {
			return nil
		}
		for i := range events {
			e := &events[i]
			r.Pace.saw(e)
			if e.TaskID == "" {
				continue
			}
			t := tasks[named{pool, e.TaskID}]
			if t == nil {
				r.addf(Lost, "pool %s has task %s, which nobody submitted", pool, e.TaskID)
				continue
			}
			t.follow(e)
		}
	}
}

func (t *told) follow(e *domain.Event) {
	switch e.Kind {
	case domain.EventSubmit:
		t.submissions++
	case domain.EventReject:
		t.rejects++
		t.terminals++
	case domain.EventComplete, domain.EventFail, domain.EventExpire, domain.EventDrop:
		t.terminals++
	case domain.EventLost:
		if e.Status.Terminal() {
			t.terminals++
		}
	}
}

// settle compares what a client was told of a task with what became of it.
func (r *Result) settle(name named, t *told) {
	p := &r.Promised
	p.Tasks++
	if t.sent > 1 {
		p.Repeated++
	}
	violated := func(what What, format string, args ...any) {
		r.addf(what, "task %s in %s: "+format, append([]any{name.task, name.pool}, args...)...)
	}
	switch {
	case t.accepted > 0:
		p.Accepted++
		if t.otherwise != "" {
			violated(Answers, "first it was %s, then %s", t.status, t.otherwise)
		}
		if t.submissions == t.rejects {
			violated(Lost, "it was answered 202 and is not in the trail, or only as rejected")
		}
		if t.terminals-t.rejects > 1 {
			violated(Twice, "it ended %d times", t.terminals-t.rejects)
		}
	case t.refused > 0:
		p.Refused++
		if t.terminals != t.rejects {
			violated(Answers, "it was refused and ran all the same")
		}
	default:
		p.Unknown++
	}
	switch {
	case t.terminals > t.submissions:
		violated(Twice, "%d submissions have %d terminal states", t.submissions, t.terminals)
	case t.terminals < t.submissions:
		violated(r.in(name.pool, Unended), "%d submissions have %d terminal states; %d times it was answered 202", t.submissions, t.terminals, t.accepted)
	}
	switch {
	case t.tenant == "" && t.messages > 0:
		violated(Mail, "%d messages, and it has no mailbox key", t.messages)
	case t.tenant != "" && t.messages != t.terminals:
		violated(Mail, "%d outcomes, %d messages", t.terminals, t.messages)
	}
}
