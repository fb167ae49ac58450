package linear

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/history"
	"github.com/parkinglot/parkinglot/internal/runtime/attempts"
)

// call is one call of a client, by the monotonic clock of the machine.
type call struct {
	client     int
	from, to   int64
	do         Do
	answer     Status // None: there was no answer
	unanswered bool
}

// Task is one task of a round, as its clients saw it.
type Task struct {
	ID    domain.TaskID
	Units int64

	calls    []call // the submission first
	attempts int    // as the row said at the end
	final    Status // None: it is not there
	seen     int64  // when the read that saw the end was answered

	completed bool // and nothing else: then its executor had left before
}

// Round is one burst and what was seen of it.
type Round struct {
	Pool  domain.PoolID
	Tasks []*Task
}

// Verdict is what the check of a round found.
type Verdict string

// Verdicts.
const (
	Right   Verdict = "linearizable"
	Wrong   Verdict = "not linearizable"
	Unclear Verdict = "not decided in time"
)

// runs is when one attempt entered and left its executor; 0: not seen.
type runs struct{ enter, exit int64 }

// Check decides whether the round is linearizable, with the executors' records of
// its pool. It gives up after the timeout. The second value describes the history.
func (r *Round) Check(pool Pool, records []history.Record, timeout time.Duration) (Verdict, string) {
	of := map[domain.TaskID]map[int]*runs{}
	for i := range records {
		rec := &records[i]
		if rec.Pool != r.Pool {
			continue
		}
		if of[rec.Task] == nil {
			of[rec.Task] = map[int]*runs{}
		}
		one := of[rec.Task][rec.Attempt]
		if one == nil {
			one = &runs{}
			of[rec.Task][rec.Attempt] = one
		}
		if rec.Kind == attempts.RecordEnter {
			one.enter = rec.MonoNS
		} else {
			one.exit = rec.MonoNS
		}
	}
	ops := make([]porcupine.Operation, 0, 4*len(r.Tasks))
	for n, t := range r.Tasks {
		ops = append(ops, t.operations(n, of[t.ID])...)
	}
	switch porcupine.CheckOperationsTimeout(pool.model(), ops, timeout) {
	case porcupine.Ok:
		return Right, ""
	case porcupine.Illegal:
		return Wrong, describe(pool, ops)
	}
	return Unclear, ""
}

// operations returns what happened to a task, as intervals.
func (t *Task) operations(n int, entered map[int]*runs) []porcupine.Operation {
	var ops []porcupine.Operation
	add := func(client int, do Do, from, to int64, answer, becomes Status) {
		ops = append(ops, porcupine.Operation{
			ClientId: client, Call: from, Return: max(from, to),
			Input: input{do: do, task: n, units: t.Units, to: becomes}, Output: answer,
		})
	}
	if t.final == None { // nobody accepted it, and it is not there
		return nil
	}
	first := t.calls[0] // its submission
	// A bound from above for each attempt: it was entered, or a later one was, or
	// its end was seen.
	bounds := make([]int64, t.attempts+1)
	for k, bound := t.attempts, t.seen; k >= 1; k-- {
		if one := entered[k]; one != nil && one.enter != 0 {
			bound = min(bound, one.enter)
		}
		bounds[k] = bound
	}
	submitted, answer := first.to, first.answer
	if first.unanswered {
		submitted = t.seen
		if answer = Queued; t.final == Rejected {
			answer = Rejected
		}
	}
	if answer != Rejected && t.attempts > 0 {
		submitted = min(submitted, bounds[1])
	}
	add(first.client, Submit, first.from, submitted, answer, None)
	from := first.from
	for k := 1; k <= t.attempts; k++ {
		if k > 1 || answer != Running {
			add(first.client, Start, from, bounds[k], None, None)
		}
		until, becomes := t.seen, t.final
		if one := entered[k]; one != nil {
			from = max(from, one.enter)
			if k == t.attempts && t.final == Ended && one.exit != 0 && t.completed {
				from = max(from, one.exit)
			}
		}
		if k < t.attempts {
			until, becomes = bounds[k+1], Waiting
		} else if t.final == Dropped {
			becomes = Waiting // it was cancelled between two attempts
		}
		add(first.client, End, from, until, None, becomes)
	}
	for _, c := range t.calls[1:] {
		switch {
		case !c.unanswered:
			add(c.client, c.do, c.from, c.to, c.answer, None)
		case t.final == Dropped: // this may be what dropped it
			add(c.client, c.do, c.from, t.seen, Dropped, None)
		}
	}
	return ops
}

// describe lists a history in the order of its calls.
func describe(pool Pool, ops []porcupine.Operation) string {
	slices.SortFunc(ops, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	var text strings.Builder
	fmt.Fprintf(&text, "%d units, depth %d\n", pool.Units, pool.Depth)
	for _, op := range ops {
		in, _ := op.Input.(input) // all are
		fmt.Fprintf(&text, "  %10d us to %10d us: client %d, task %d (%d units): %s %s -> %q\n",
			(op.Call-ops[0].Call)/1000, (op.Return-ops[0].Call)/1000, op.ClientId, in.task, in.units, in.do, in.to, op.Output)
	}
	return text.String()
}
