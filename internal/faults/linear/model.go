package linear

import (
	"fmt"

	"github.com/anishathalye/porcupine"
)

// MaxTasks is how many tasks a round may have.
const MaxTasks = 16

// Do says what an operation does.
type Do string

// Operations of the model. Submissions are told apart by their answers.
const (
	Submit Do = "submit"
	Start  Do = "start" // of a queued task
	End    Do = "end"   // of an attempt
	Cancel Do = "cancel"
	Read   Do = "read"
)

// Status is what a task is. The zero value is a task that is not there.
type Status string

// Statuses of the model. Waiting is a task between two attempts: in the queue or not,
// which only the scheduler knows.
const (
	None     Status = ""
	Queued   Status = "queued"
	Waiting  Status = "waiting"
	Running  Status = "running"
	Rejected Status = "rejected"
	Ended    Status = "ended" // completed, failed, expired
	Dropped  Status = "dropped"
)

// input is what is asked, and of which task.
type input struct {
	do    Do
	task  int
	units int64
	to    Status // End: what the task becomes
}

// state is a pool. It is comparable.
type state struct {
	active int64
	tasks  [MaxTasks]Status
}

// Pool is what the model needs to know of a pool.
type Pool struct {
	Units int64 // capacity
	Depth int   // of the queue
}

func (p Pool) model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return state{} },
		Step: func(s, in, out any) (bool, any) {
			before, is := s.(state)
			what, asks := in.(input)
			answer, answers := out.(Status)
			if !is || !asks || !answers {
				return false, s
			}
			return p.step(before, what, answer)
		},
		DescribeOperation: func(in, out any) string { return fmt.Sprintf("%v -> %v", in, out) },
		DescribeState:     func(s any) string { return fmt.Sprint(s) },
	}
}

// step says whether the pool could do this now and answer so, and what it is then.
func (p Pool) step(s state, in input, answer Status) (bool, state) {
	now := s.tasks[in.task]
	become := func(status Status) (bool, state) {
		if now == Running {
			s.active -= in.units
		}
		if status == Running {
			s.active += in.units
		}
		s.tasks[in.task] = status
		return s.active <= p.Units, s
	}
	switch in.do {
	case Submit:
		if now != None || answer == Rejected && s.inQueue() < p.Depth {
			return false, s
		}
		return become(answer)
	case Start:
		if now != Queued && now != Waiting {
			return false, s
		}
		return become(Running)
	case End:
		if now != Running {
			return false, s
		}
		return become(in.to)
	case Cancel:
		if answer == Dropped && (now == Queued || now == Waiting) {
			return become(Dropped)
		}
	case Read:
	}
	return now == answer || answer == Queued && now == Waiting, s
}

// inQueue is the most tasks that may be in the queue now.
func (s *state) inQueue() int {
	n := 0
	for _, status := range s.tasks {
		if status == Queued || status == Waiting {
			n++
		}
	}
	return n
}
