package bench

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

const plannerCase = "dearest turn"

// measurePlanner runs the planner's own benchmark and keeps the dearest of its
// turns.
func measurePlanner(ctx context.Context, _ *bench, _ *Case) (Metrics, error) {
	out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkTurn$", "-benchtime", "100x",
		"github.com/parkinglot/parkinglot/internal/plan").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("benchmark of the planner: %w\n%s", err, out)
	}
	m := Metrics{}
	for _, v := range parseBenchmark(string(out), "ns/task") {
		m[NsACandidate] = max(m[NsACandidate], v)
	}
	if len(m) == 0 {
		return nil, fmt.Errorf("the benchmark of the planner reports no ns/task:\n%s", out)
	}
	return m, nil
}

// parseBenchmark returns the values of a unit in the output of go test -bench.
func parseBenchmark(out, unit string) []float64 {
	var all []float64
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "Benchmark") {
			continue
		}
		fields := strings.Fields(line)
		for i := 1; i < len(fields); i++ {
			if v, err := strconv.ParseFloat(fields[i-1], 64); fields[i] == unit && err == nil {
				all = append(all, v)
			}
		}
	}
	return all
}
