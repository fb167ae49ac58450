//go:build mutate_fence

package plan

import "github.com/parkinglot/parkinglot/internal/domain"

// live takes any attempt for the running one: the fault harness must notice.
func live(t *domain.Task, _ domain.Ref) bool { return t.Status == domain.StatusRunning }
