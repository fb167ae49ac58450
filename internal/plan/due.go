package plan

import "github.com/parkinglot/parkinglot/internal/domain"

// expireDue ends queued tasks whose deadline has come.
func (t *turn) expireDue() {
	for i := range t.snap.Due {
		r := t.adopt(&t.snap.Due[i])
		if r.t.Status == domain.StatusQueued && passed(r.t.Deadline, t.now) {
			t.end(r, domain.EventExpire, domain.StatusExpired, deadlinePassed())
		}
	}
}

// enterRested brings retries whose backoff is over back into the order, at a new
// place.
func (t *turn) enterRested() {
	for i := range t.snap.Rested {
		r := t.adopt(&t.snap.Rested[i])
		switch {
		case r.t.Status != domain.StatusQueued || !passed(r.t.NotBefore, t.now):
		case passed(r.t.Deadline, t.now):
			t.end(r, domain.EventExpire, domain.StatusExpired, deadlinePassed())
		default:
			t.move(r, record{}, func(task *domain.Task) {
				task.NotBefore = nil
				t.place(task)
			})
			t.enter(r)
		}
	}
}

// enter takes a row that has come into the order in this turn among the candidates
// for a start.
func (t *turn) enter(r *row) {
	t.record(r, record{kind: domain.EventEnqueue}, r.t.Attempt, r.t.Units, r.t.Reason)
	t.entered = append(t.entered, r)
}
