package linear

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/history"
	"github.com/parkinglot/parkinglot/internal/runtime/attempts"
)

const pool = domain.PoolID("p")

// ran is what an executor records of one attempt.
func ran(task domain.TaskID, attempt int, enter, exit int64) []history.Record {
	all := []history.Record{{Pool: pool, Task: task, Attempt: attempt, Kind: attempts.RecordEnter, MonoNS: enter}}
	if exit > 0 {
		all = append(all, history.Record{Pool: pool, Task: task, Attempt: attempt, Kind: attempts.RecordExit, MonoNS: exit})
	}
	return all
}

// running is a task that was submitted at from, answered running at once, completed,
// and seen to have at seen.
func running(id domain.TaskID, units, from, seen int64) *Task {
	return &Task{
		ID: id, Units: units, attempts: 1, final: Ended, completed: true, seen: seen,
		calls: []call{
			{do: Submit, from: from, to: from + 1, answer: Running},
			{do: Read, from: seen - 1, to: seen, answer: Ended},
		},
	}
}

func TestHistories(t *testing.T) {
	t.Parallel()
	queued := func(id domain.TaskID, units, from, seen int64) *Task {
		task := running(id, units, from, seen)
		task.calls[0].answer = Queued
		return task
	}
	tests := map[string]struct {
		want  Verdict
		tasks []*Task
		runs  [][]history.Record
	}{
		"one after the other": {
			Right, []*Task{running("a", 3, 10, 30), running("b", 3, 40, 60)},
			[][]history.Record{ran("a", 1, 12, 20), ran("b", 1, 42, 50)},
		},
		"two that do not fit at once": {
			Wrong, []*Task{running("a", 3, 10, 100), running("b", 3, 20, 90)},
			[][]history.Record{ran("a", 1, 12, 80), ran("b", 1, 25, 50)},
		},
		"the second waits until the first has left": {
			Right, []*Task{running("a", 3, 10, 100), queued("b", 3, 20, 90)},
			[][]history.Record{ran("a", 1, 12, 40), ran("b", 1, 45, 50)},
		},
		"the second is entered before the first has left": {
			Wrong, []*Task{running("a", 3, 10, 100), queued("b", 3, 20, 90)},
			[][]history.Record{ran("a", 1, 12, 40), ran("b", 1, 35, 50)},
		},
		"the first attempt was lost": {
			Right, []*Task{
				{
					ID: "a", Units: 3, attempts: 2, final: Ended, completed: true, seen: 100,
					calls: []call{{do: Submit, from: 1, to: 2, answer: Running}, {do: Read, from: 99, to: 100, answer: Ended}},
				}, queued("b", 3, 20, 60),
			},
			[][]history.Record{ran("a", 1, 3, 0), ran("b", 1, 30, 50), ran("a", 2, 70, 80)},
		},
		"a second attempt runs beside another task": {
			Wrong, []*Task{
				{
					ID: "a", Units: 3, attempts: 2, final: Ended, completed: true, seen: 100,
					calls: []call{{do: Submit, from: 1, to: 2, answer: Running}, {do: Read, from: 99, to: 100, answer: Ended}},
				}, queued("b", 3, 20, 90),
			},
			[][]history.Record{ran("a", 1, 3, 0), ran("b", 1, 30, 75), ran("a", 2, 70, 80)},
		},
		"dropped, and run all the same": {
			Wrong, []*Task{{
				ID: "a", Units: 1, attempts: 1, final: Ended, completed: true, seen: 100,
				calls: []call{
					{do: Submit, from: 1, to: 2, answer: Queued}, {do: Cancel, from: 3, to: 4, answer: Dropped},
					{do: Read, from: 99, to: 100, answer: Ended},
				},
			}},
			[][]history.Record{ran("a", 1, 10, 20)},
		},
		"an unanswered cancellation dropped it": {
			Right, []*Task{{
				ID: "a", Units: 1, final: Dropped, seen: 100,
				calls: []call{
					{do: Submit, from: 1, to: 2, answer: Queued}, {do: Cancel, from: 3, to: 4, unanswered: true},
					{do: Read, from: 99, to: 100, answer: Dropped},
				},
			}},
			nil,
		},
		"nobody dropped it": {
			Wrong, []*Task{{
				ID: "a", Units: 1, final: Dropped, seen: 100,
				calls: []call{{do: Submit, from: 1, to: 2, answer: Queued}, {do: Read, from: 99, to: 100, answer: Dropped}},
			}},
			nil,
		},
		"the end is forgotten": {
			Wrong, []*Task{{
				ID: "a", Units: 1, attempts: 1, final: Ended, completed: true, seen: 50,
				calls: []call{
					{do: Submit, from: 1, to: 2, answer: Running}, {do: Read, from: 49, to: 50, answer: Ended},
					{do: Read, from: 60, to: 61, answer: Running},
				},
			}},
			[][]history.Record{ran("a", 1, 10, 20)},
		},
		"refused with room in the queue": {
			Wrong, []*Task{{
				ID: "a", Units: 1, final: Rejected, seen: 50,
				calls: []call{{do: Submit, from: 1, to: 2, answer: Rejected}, {do: Read, from: 49, to: 50, answer: Rejected}},
			}},
			nil,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var records []history.Record
			for _, run := range test.runs {
				records = append(records, run...)
			}
			round := &Round{Pool: pool, Tasks: test.tasks}
			verdict, text := round.Check(Pool{Units: 3, Depth: 2}, records, time.Minute)
			require.Equal(t, test.want, verdict, text)
			require.Equal(t, test.want == Wrong, text != "", "a wrong history is described")
		})
	}
}
