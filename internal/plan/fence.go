//go:build !mutate_fence

package plan

import "github.com/parkinglot/parkinglot/internal/domain"

// live reports whether ref is the running attempt of the task. It is the fence: a
// result of an attempt that was lost in the meantime is nobody's any more.
func live(t *domain.Task, ref domain.Ref) bool {
	return t.Status == domain.StatusRunning && t.Attempt == ref.Attempt
}
