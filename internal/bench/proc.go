package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of CPU times in /proc: 100 a second on every Linux that Go
// runs on.
const clockTick = 10 * time.Millisecond

// procStat is what is read of /proc/PID/stat.
type procStat struct {
	name     string
	parent   int
	own      time.Duration // user and system time
	children time.Duration // of those that have ended and were waited for
}

// parseStat reads a line of /proc/PID/stat. The name is in parentheses and may
// hold anything.
func parseStat(line string) (procStat, error) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return procStat{}, fmt.Errorf("no process line: %q", line)
	}
	fields := strings.Fields(line[end+1:]) // from the third field on
	const parent, firstTime, lastTime = 1, 11, 14
	if len(fields) <= lastTime {
		return procStat{}, fmt.Errorf("a process line of %d fields: %q", len(fields), line)
	}
	s := procStat{name: line[open+1 : end]}
	var err error
	if s.parent, err = strconv.Atoi(fields[parent]); err != nil {
		return procStat{}, fmt.Errorf("process line %q: %w", line, err)
	}
	var ticks [4]int64
	for i := range ticks {
		if ticks[i], err = strconv.ParseInt(fields[firstTime+i], 10, 64); err != nil {
			return procStat{}, fmt.Errorf("process line %q: %w", line, err)
		}
	}
	s.own = time.Duration(ticks[0]+ticks[1]) * clockTick
	s.children = time.Duration(ticks[2]+ticks[3]) * clockTick
	return s, nil
}

func readStat(pid int) (procStat, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return procStat{}, err
	}
	return parseStat(string(raw))
}

// familyCPU returns the CPU time of a process, of its children, and of those of its
// children that have ended.
func familyCPU(pid int) (time.Duration, error) {
	root, err := readStat(pid)
	if err != nil {
		return 0, err
	}
	total := root.own + root.children
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	for _, path := range all {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // has ended since
		}
		if s, err := parseStat(string(raw)); err == nil && s.parent == pid {
			total += s.own
		}
	}
	return total, nil
}

// parseStatus returns a size of /proc/PID/status, such as VmRSS, in MiB.
func parseStatus(status, key string) (float64, error) {
	for line := range strings.Lines(status) {
		rest, ok := strings.CutPrefix(line, key+":")
		if !ok {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", line, err)
		}
		return float64(kib) / 1024, nil
	}
	return 0, fmt.Errorf("no %s in the process status", key)
}
