package history

import (
	"math"
	"slices"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// PassedBy returns the most tasks of one priority class that were submitted
// after a task and started before it left the queue. Classes are known of tasks
// whose row was read. It counts for each task the later ones with a Fenwick tree
// over start times: O(n log n).
func (l *Ledger) PassedBy() int64 {
	var classes [domain.PriorityClasses][]*submission
	l.outcomes(func(_ domain.TaskID, s *submission) {
		if s.row && s.priority >= 0 && int(s.priority) < len(classes) {
			classes[s.priority] = append(classes[s.priority], s)
		}
	})
	var most int64
	for _, class := range classes {
		most = max(most, mostPassed(class))
	}
	return most
}

func mostPassed(tasks []*submission) int64 {
	slices.SortFunc(tasks, func(a, b *submission) int { return int(b.submit - a.submit) }) // latest first
	var starts []int64
	for _, s := range tasks {
		if s.start != 0 {
			starts = append(starts, s.start)
		}
	}
	slices.Sort(starts)
	tree := make([]int64, len(starts)+1)
	var most int64
	for _, s := range tasks {
		left := int64(math.MaxInt64)
		switch {
		case s.start != 0:
			left = s.start
		case s.end != 0:
			left = s.end
		}
		before, _ := slices.BinarySearch(starts, left)
		if s.enqueue != 0 {
			var passed int64
			for i := before; i > 0; i -= i & -i {
				passed += tree[i]
			}
			most = max(most, passed)
		}
		if s.start != 0 {
			for i := before + 1; i < len(tree); i += i & -i {
				tree[i]++
			}
		}
	}
	return most
}
