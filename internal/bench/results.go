package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Results is everything that was measured, by the name of the scenario.
type Results struct {
	Scenarios map[string]*Record `json:"scenarios"`
}

// Record is what was measured of one scenario in one run.
type Record struct {
	Machine  Machine              `json:"machine"`
	Rounds   []map[string]Metrics `json:"rounds"` // by case
	Failures []string             `json:"failures,omitempty"`
}

// Machine is where and when something was measured.
type Machine struct {
	Date     string  `json:"date"`
	Postgres string  `json:"postgres"`
	Go       string  `json:"go"`
	Cores    int     `json:"cores"`
	Load     float64 `json:"loadAverage"` // of the last minute, before the run began
}

func (b *bench) machine(ctx context.Context) (Machine, error) {
	m := Machine{Date: time.Now().UTC().Format(time.DateOnly), Go: runtime.Version(), Cores: runtime.NumCPU()}
	if err := b.meter.conn.QueryRow(ctx, "SHOW server_version").Scan(&m.Postgres); err != nil {
		return Machine{}, fmt.Errorf("ask for the version: %w", err)
	}
	if raw, err := os.ReadFile("/proc/loadavg"); err == nil {
		_, _ = fmt.Sscan(string(raw), &m.Load) // 0 where it cannot be read
	}
	return m, nil
}

// add adds a round, with as many digits as mean anything.
func (r *Record) add(found map[string]Metrics, failures []error) {
	for _, metrics := range found {
		for metric, v := range metrics {
			metrics[metric] = rounded(v)
		}
	}
	r.Rounds = append(r.Rounds, found)
	for _, err := range failures {
		r.Failures = append(r.Failures, err.Error())
	}
}

// rounded keeps four significant digits.
func rounded(v float64) float64 {
	if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return 0
	}
	const digits = 4
	scale := math.Pow(10, digits-math.Ceil(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}

// readResults reads the file; empty results when there is none yet.
func readResults(path string) (*Results, error) {
	results := &Results{Scenarios: map[string]*Record{}}
	if path == "" {
		return results, nil
	}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return results, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, results)
	}
	if err != nil {
		return nil, fmt.Errorf("read the results: %w", err)
	}
	return results, nil
}

// write replaces the file, whole or not at all.
func (r *Results) write(path string) error {
	if path == "" {
		return nil
	}
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	const mode, folder = 0o644, 0o755
	if err := os.MkdirAll(filepath.Dir(path), folder); err != nil { // a fresh checkout has no results
		return fmt.Errorf("write the results: %w", err)
	}
	if err := os.WriteFile(path+".new", append(raw, '\n'), mode); err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	return nil
}

// String tells a machine in a line.
func (m Machine) String() string {
	version, _, _ := strings.Cut(m.Postgres, " ")
	return fmt.Sprintf("%s, Postgres %s (fsync on), %s, %d cores shared by clients, contender and database, load average before the run %.2f",
		m.Date, version, m.Go, m.Cores, m.Load)
}
