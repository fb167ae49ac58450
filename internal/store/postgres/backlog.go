package postgres

import (
	"cmp"
	"slices"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// backlog is the whole queue of a pool, as its turns left it: for as long as it is short, a
// turn need not read who is next.
type backlog struct {
	tasks map[domain.JobID]entry
	lanes map[string]*lane
	last  int64 // number of the newest entry
	bytes int   // of payloads
}

// entry is a queued task with its payload and labels, if those are kept.
type entry struct {
	task   domain.Task
	number int64 // of its entry in a lane; 0: in backoff
}

// lane is the order of a lane. What has left it stays until it is met at the front.
type lane struct {
	sorted []entrance
	fresh  []entrance // came after the last look, in any order
}

type entrance struct {
	place

	number int64
}

// Bounds of a backlog.
const (
	mostQueued = 20_000  // tasks, some 600 bytes each; of longer queues nothing is kept
	mostBytes  = 4 << 20 // of payloads; the others are read when their tasks start
)

func newBacklog() *backlog {
	return &backlog{tasks: make(map[domain.JobID]entry), lanes: make(map[string]*lane)}
}

// note takes in a task as it was written: it came, moved or left.
func (b *backlog) note(t *domain.Task) {
	old, was := b.tasks[t.JobID]
	if t.Status != domain.StatusQueued {
		if was {
			b.bytes -= len(old.task.Payload)
			delete(b.tasks, t.JobID)
		}
		return
	}
	e := entry{task: light(t)}
	switch {
	case was:
		e.task.Payload, e.task.Labels = old.task.Payload, old.task.Labels
	case b.bytes+len(t.Payload) <= mostBytes:
		e.task.Payload, e.task.Labels = t.Payload, t.Labels
		b.bytes += len(t.Payload)
	}
	switch {
	case t.NotBefore != nil:
	case was && old.number != 0 && old.task.Lane == t.Lane && placeOf(&old.task) == placeOf(t):
		e.number = old.number
	default:
		b.last++
		e.number = b.last
		l := b.lanes[t.Lane]
		if l == nil {
			l = &lane{}
			b.lanes[t.Lane] = l
		}
		l.fresh = append(l.fresh, entrance{placeOf(t), e.number})
	}
	b.tasks[t.JobID] = e
}

// front returns the first n tasks of a lane, in the order.
func (b *backlog) front(name string, n int) []domain.Task {
	l := b.lanes[name]
	if l == nil {
		return nil
	}
	l.merge()
	var front []domain.Task
	gone := 0 // at the very front
	for i := 0; i < len(l.sorted) && len(front) < n; i++ {
		if e, there := b.tasks[l.sorted[i].job]; there && e.number == l.sorted[i].number {
			front = append(front, e.task)
		} else if len(front) == 0 {
			gone++
		}
	}
	if l.sorted = l.sorted[gone:]; len(l.sorted) > 2*mostQueued { // far behind the front too much is gone
		l.sorted = slices.DeleteFunc(l.sorted, func(e entrance) bool { return b.tasks[e.job].number != e.number })
	}
	return front
}

// merge puts what came into the order. Most of it goes to the end.
func (l *lane) merge() {
	if len(l.fresh) == 0 {
		return
	}
	slices.SortFunc(l.fresh, byOrder)
	if n := len(l.sorted); n == 0 || byOrder(l.sorted[n-1], l.fresh[0]) < 0 {
		l.sorted = append(l.sorted, l.fresh...)
	} else {
		merged := make([]entrance, 0, n+len(l.fresh))
		rest := l.sorted
		for _, f := range l.fresh {
			at, _ := slices.BinarySearchFunc(rest, f, byOrder)
			merged = append(append(merged, rest[:at]...), f)
			rest = rest[at:]
		}
		merged = append(merged, rest...)
		l.sorted = merged
	}
	l.fresh = l.fresh[:0]
}

// byOrder is the order within a lane: the order of pl_queued_jobs_order.
func byOrder(a, b entrance) int {
	return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(a.rank, b.rank), cmp.Compare(a.job, b.job), cmp.Compare(a.number, b.number))
}

func placeOf(t *domain.Task) place { return place{t.JobID, t.Priority, t.Rank} }
