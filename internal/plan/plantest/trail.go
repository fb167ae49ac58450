package plantest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// trail follows an audit trail and knows nothing else: what it says of a task and of
// a pool's use must be what the rows say.
type trail struct {
	seq    int64
	at     time.Time
	limit  domain.Units // max_units, as far as the trail tells
	active domain.Units
	jobs   map[domain.JobID]*life
}

// life is what a trail tells of one row.
type life struct {
	status   domain.Status
	attempt  int
	held     domain.Units
	inOrder  bool
	outcomes int
}

func newTrail(limit domain.Units) trail {
	return trail{limit: limit, jobs: map[domain.JobID]*life{}}
}

// follow takes the next event.
func (tr *trail) follow(e *domain.Event) error {
	if e.Seq != tr.seq+1 {
		return fmt.Errorf("it follows event %d", tr.seq)
	}
	if e.At.Before(tr.at) {
		return fmt.Errorf("its time %s is before %s", e.At, tr.at)
	}
	tr.seq, tr.at = e.Seq, e.At
	if e.Kind == domain.EventPoolChange {
		return tr.change(e)
	}
	subjects := strings.Join(e.Subjects, " ")
	if want := fmt.Sprintf("task:%s pool:%s tenant:%s", e.TaskID, e.PoolID, e.Tenant); subjects != want {
		return fmt.Errorf("its subjects are %q", subjects)
	}
	l := tr.jobs[e.JobID]
	if e.Kind == domain.EventSubmit {
		if l != nil {
			return errors.New("the row was submitted before")
		}
		tr.jobs[e.JobID] = &life{status: domain.StatusSubmitted}
		return nil
	}
	if l == nil {
		return errors.New("the row was never submitted")
	}
	return tr.transition(e, l)
}

func (tr *trail) transition(e *domain.Event, l *life) error {
	switch e.Kind {
	case domain.EventCancel:
		if l.status != e.Status || l.status.Terminal() {
			return fmt.Errorf("a task that is %s is cancelled as %s", l.status, e.Status)
		}
		return nil
	case domain.EventRefused:
		if l.status == domain.StatusRunning && l.attempt == e.Attempt {
			return errors.New("a result of the live attempt is refused")
		}
		if e.Units != 0 {
			return fmt.Errorf("it carries %d units", e.Units)
		}
		return nil
	case domain.EventEnqueue:
		if l.inOrder {
			return errors.New("the task is in the order already")
		}
		if l.status != domain.StatusSubmitted && l.status != domain.StatusQueued || e.Status != domain.StatusQueued {
			return fmt.Errorf("a task that is %s comes into the order as %s", l.status, e.Status)
		}
		l.status, l.inOrder = domain.StatusQueued, true
		return nil
	}
	if !l.status.CanBecome(e.Status) {
		return fmt.Errorf("a task that is %s becomes %s", l.status, e.Status)
	}
	l.inOrder = false
	l.status = e.Status
	switch e.Kind {
	case domain.EventStart:
		l.attempt++
		l.held = e.Units
		tr.active += e.Units
		if e.Attempt != l.attempt || e.Units < 1 {
			return fmt.Errorf("attempt %d takes %d units where attempt %d should start", e.Attempt, e.Units, l.attempt)
		}
		if tr.active > tr.limit {
			return fmt.Errorf("it makes %d units in use of %d", tr.active, tr.limit)
		}
	case domain.EventComplete, domain.EventFail, domain.EventExpire, domain.EventRetry, domain.EventLost:
		if e.Units != l.held {
			return fmt.Errorf("it gives %d units back of %d", e.Units, l.held)
		}
		tr.active -= e.Units
		l.held = 0
	}
	if l.held > 0 && e.Kind != domain.EventStart {
		return fmt.Errorf("%d units are still held", l.held)
	}
	if e.Status.Terminal() {
		l.outcomes++
	}
	return nil
}

func (tr *trail) change(e *domain.Event) error {
	var c struct {
		MaxUnits *domain.Units `json:"maxUnits"`
		From     struct {
			MaxUnits *domain.Units `json:"maxUnits"`
		} `json:"from"`
	}
	if err := json.Unmarshal(e.Detail, &c); err != nil {
		return fmt.Errorf("its detail: %w", err)
	}
	if c.MaxUnits == nil {
		return nil
	}
	if c.From.MaxUnits == nil || *c.From.MaxUnits != tr.limit {
		return fmt.Errorf("it changes max_units from %v, which was %d", c.From.MaxUnits, tr.limit)
	}
	tr.limit = *c.MaxUnits
	return nil
}

// agrees compares what the trail tells of a task with its row.
func (tr *trail) agrees(t *domain.Task) error {
	l := tr.jobs[t.JobID]
	outcomes := 0
	if t.Status.Terminal() {
		outcomes = 1
	}
	inOrder := t.Status == domain.StatusQueued && t.NotBefore == nil
	if l == nil || l.status != t.Status || l.attempt != t.Attempt || l.inOrder != inOrder || l.outcomes != outcomes {
		return fmt.Errorf("the trail tells %+v of the row %+v", l, *t)
	}
	return nil
}
