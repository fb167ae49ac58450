package scheduler

import (
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
)

// refsOf returns the attempts that the requests end.
func refsOf(rs []*request) map[domain.Ref]bool {
	refs := make(map[domain.Ref]bool, len(rs))
	for _, r := range rs {
		switch body := r.body.(type) {
		case plan.Settle:
			refs[body.Ref] = true
		case plan.Lost:
			refs[body.Ref] = true
		}
	}
	return refs
}

func refsOfTasks(tasks []domain.Task) []domain.Ref {
	refs := make([]domain.Ref, len(tasks))
	for i := range tasks {
		refs[i] = tasks[i].Ref()
	}
	return refs
}
