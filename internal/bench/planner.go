package bench

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

const plannerCase = "dearest turn"

// measurePlanner runs the planner's own benchmark, each of its turns a few times, and
// keeps the dearest turn at its best: what takes longer waited for a core.
func measurePlanner(ctx context.Context, _ *bench, _ *Case) (Metrics, error) {
	out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkTurn$", "-benchtime", "50x", "-count", "5",
		"github.com/parkinglot/parkinglot/internal/plan").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("benchmark of the planner: %w\n%s", err, out)
	}
	m := Metrics{}
	for _, all := range parseBenchmark(string(out), "ns/task") {
		m[NsACandidate] = max(m[NsACandidate], slices.Min(all))
	}
	if len(m) == 0 {
		return nil, fmt.Errorf("the benchmark of the planner reports no ns/task:\n%s", out)
	}
	return m, nil
}

// parseBenchmark returns the values of a unit in the output of go test -bench, by
// the name of the benchmark.
func parseBenchmark(out, unit string) map[string][]float64 {
	all := map[string][]float64{}
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "Benchmark") {
			continue
		}
		fields := strings.Fields(line)
		for i := 1; i < len(fields); i++ {
			if v, err := strconv.ParseFloat(fields[i-1], 64); fields[i] == unit && err == nil {
				all[fields[0]] = append(all[fields[0]], v)
			}
		}
	}
	return all
}
