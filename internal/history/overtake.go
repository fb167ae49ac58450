package history

import (
	"slices"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Steps of a task as the count of who was passed by whom needs them, by class and event.
const (
	stepSubmitted byte = iota // and was to be queued
	stepLeft                  // the queue, without a start
	stepStarted               // from the queue
	stepArrived               // and started at once
)

// passes notes when a task of a class came, started and left the queue. Classes are known of
// tasks whose row was read.
func (j *judge) passes(s *submission, class domain.Priority) {
	if class < 0 || int(class) >= domain.PriorityClasses || s.submit == 0 {
		return
	}
	note := func(seq int64, step byte) {
		j.record = j.record[:0]
		j.record.byte(byte(class))
		j.record.key(seq)
		j.record.byte(step)
		j.record.number(s.submit)
		j.passing.add(j.record)
	}
	switch {
	case s.enqueue == 0 && s.start == 0:
		return
	case s.enqueue == 0:
		note(s.start, stepArrived)
		return
	case s.start != 0:
		note(s.start, stepStarted)
	case s.end != 0:
		note(s.end, stepLeft)
	}
	note(s.submit, stepSubmitted)
}

// mostPassed returns the most tasks of one class that were submitted after a task and
// started before it left the queue. It keeps those that are queued at a time.
func mostPassed(steps *sorter) (int64, error) {
	var (
		most  int64
		of    domain.Priority
		queue passQueue
	)
	leaveAll := func() {
		for i := range queue.tasks {
			if !queue.tasks[i].left {
				most = max(most, queue.passed(i))
			}
		}
		queue = passQueue{}
	}
	err := steps.each(func(record []byte) error {
		u := unpacker{left: record}
		class := domain.Priority(u.byte())
		u.key()
		step, submit := u.byte(), u.number()
		if u.broken {
			return errRecord
		}
		if class != of {
			leaveAll()
			of = class
		}
		switch step {
		case stepSubmitted:
			queue.join(submit)
			return nil
		case stepLeft, stepStarted:
			most = max(most, queue.leave(submit))
		}
		if step != stepLeft {
			queue.start(submit)
		}
		return nil
	})
	leaveAll()
	return most, err
}

// passQueue counts, for those that are queued, later ones that have started: a Fenwick
// tree over the tasks in the order of their submission, which adds to all before a place.
type passQueue struct {
	tasks []passed
	tree  []int64 // over the places of tasks
	gone  int     // tasks that have left
}

type passed struct {
	submit int64
	base   int64 // what the tree said at its place when it joined, less what it had been passed by
	left   bool
}

func (q *passQueue) join(submit int64) {
	if len(q.tasks) == len(q.tree) {
		q.rebuild()
	}
	q.tasks = append(q.tasks, passed{submit: submit, base: q.sum(len(q.tasks))})
}

// rebuild drops those that have left, and makes room where that is not enough.
func (q *passQueue) rebuild() {
	kept := make([]passed, 0, len(q.tasks)-q.gone)
	for i := range q.tasks {
		if !q.tasks[i].left {
			kept = append(kept, passed{submit: q.tasks[i].submit, base: -q.passed(i)})
		}
	}
	q.tasks, q.gone = kept, 0
	q.tree = make([]int64, max(64, 2*len(kept)))
}

// start counts a start for all that were submitted before.
func (q *passQueue) start(submit int64) {
	before, _ := q.find(submit)
	if before == 0 {
		return
	}
	q.plus(0, 1)
	q.plus(before, -1)
}

// leave returns how many passed the task.
func (q *passQueue) leave(submit int64) int64 {
	i, found := q.find(submit)
	if !found || q.tasks[i].left {
		return 0
	}
	q.tasks[i].left = true
	q.gone++
	return q.passed(i)
}

func (q *passQueue) find(submit int64) (int, bool) {
	return slices.BinarySearchFunc(q.tasks, submit, func(t passed, submit int64) int { return compareInt(t.submit, submit) })
}

func (q *passQueue) passed(i int) int64 { return q.sum(i) - q.tasks[i].base }

func (q *passQueue) plus(place int, n int64) {
	for i := place + 1; i <= len(q.tree); i += i & -i {
		q.tree[i-1] += n
	}
}

func (q *passQueue) sum(place int) int64 {
	var sum int64
	for i := place + 1; i > 0; i -= i & -i {
		sum += q.tree[i-1]
	}
	return sum
}
