package history

import (
	"fmt"
	"slices"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/runtime/attempts"
)

// settleSkew is how far the clock of the database may be behind that of an
// executor before a settlement counts as earlier than the exit it reports.
const settleSkew = 20 * time.Millisecond

// ExecutionReport is what the executors' own records say of one pool.
type ExecutionReport struct {
	Pool      domain.PoolID `json:"pool"`
	Runs      int           `json:"runs"`
	Processes int           `json:"processes"`
	Unended   int           `json:"unended"` // entered and never left: their process died, or they run
	// PeakUnits is the most units that ran at one instant, by the machine's monotonic
	// clock, attempts that had already been given up not counted.
	PeakUnits domain.Units `json:"peakUnits"`
	// Overlap is for how long attempts went on after the trail had ended them, by
	// the kind of event that did.
	Overlap map[domain.EventKind]time.Duration `json:"overlapNs,omitempty"`
	// Freed is the time from when the units that a queued task took had been given
	// up by executors to its own entry.
	Freed Percentiles `json:"freedToEntered"`
	// Arrival is the time from the submit to the entry of tasks that started on
	// arrival, Entry that from any start to its entry; both compare two clocks.
	Arrival Percentiles `json:"submitToEntered"`
	Entry   Percentiles `json:"startToEntered"`
}

type runKey struct {
	task    domain.TaskID
	attempt int
}

// run is one attempt as its executor tells it.
type run struct {
	enter, exit *Record
	attempt     *Attempt
	until       int64 // mono ns at which it stopped counting; 0: it still does
	late        bool  // entered when its attempt was over already: it never counts
}

// mono translates a wall-clock time to the monotonic clock of the run's machine. A
// record's wall clock is read after its monotonic one, and its process may be held
// up in between: the smaller distance is the right one.
func (r *run) mono(t time.Time) int64 {
	apart := wall(r.enter).UnixNano() - r.enter.MonoNS
	if r.exit != nil {
		apart = min(apart, wall(r.exit).UnixNano()-r.exit.MonoNS)
	}
	return t.UnixNano() - apart
}

// Execution compares the executors' records of one pool with its trail, which
// must have been followed after the records were read.
func Execution(l *Ledger, records []Record) ExecutionReport {
	report := ExecutionReport{Pool: l.Pool(), Overlap: map[domain.EventKind]time.Duration{}}
	runs := matchRuns(l, records, &report)
	for _, r := range runs {
		r.settle(l, &report)
	}
	report.PeakUnits = peakRunning(l, runs)
	report.Freed = freedToEntered(l, runs)
	report.Arrival, report.Entry = startToEntered(runs)
	return report
}

// matchRuns pairs entries and exits with the attempts they belong to, in order of entry.
func matchRuns(l *Ledger, records []Record, report *ExecutionReport) []*run {
	started := map[runKey]*Attempt{}
	for _, a := range l.Attempts {
		started[runKey{a.TaskID, a.Number}] = a
	}
	sorted := slices.Clone(records)
	slices.SortStableFunc(sorted, func(a, b Record) int { return compareInt(a.MonoNS, b.MonoNS) })
	byKey := map[runKey]*run{}
	pids := map[int]bool{}
	var runs []*run
	for i := range sorted {
		rec := &sorted[i]
		key := runKey{rec.Task, rec.Attempt}
		pids[rec.PID] = true
		r := byKey[key]
		switch {
		case rec.Kind == attempts.RecordExit && (r == nil || r.exit != nil):
			l.executionFaultf(rec, nil, "process %d left attempt %d, which it had not entered", rec.PID, rec.Attempt)
		case rec.Kind == attempts.RecordExit:
			r.exit = rec
		case r != nil:
			l.executionFaultf(rec, r.attempt, "attempt %d was executed twice, by processes %d and %d", rec.Attempt, r.enter.PID, rec.PID)
		default:
			r = &run{enter: rec, attempt: started[key]}
			byKey[key] = r
			runs = append(runs, r)
		}
	}
	for _, a := range l.Attempts {
		if a.EndKind == domain.EventComplete && a.EndCode != domain.ReasonForced && byKey[runKey{a.TaskID, a.Number}] == nil {
			l.executionFaultf(&Record{Task: a.TaskID}, a, "attempt %d completed and no executor entered it", a.Number)
		}
	}
	report.Runs, report.Processes = len(runs), len(pids)
	return runs
}

// settle decides until when the run counts against the pool, and how long it
// went on after that.
func (r *run) settle(l *Ledger, report *ExecutionReport) {
	if r.attempt == nil {
		l.executionFaultf(r.enter, nil, "process %d executed attempt %d, which the trail never started", r.enter.PID, r.enter.Attempt)
	} else if r.attempt.Units != r.enter.Units {
		l.executionFaultf(r.enter, r.attempt, "it ran with %d units, its start took %d", r.enter.Units, r.attempt.Units)
	}
	if r.exit != nil {
		r.until = r.exit.MonoNS
	} else {
		report.Unended++
	}
	if r.attempt == nil || r.attempt.End == 0 {
		return
	}
	ended := r.mono(r.attempt.EndAt)
	if r.exit == nil {
		r.until, r.late = ended, ended <= r.enter.MonoNS && !byItsExecutor(r.attempt)
		return
	}
	overlap := time.Duration(r.exit.MonoNS - ended)
	if overlap <= 0 {
		return
	}
	if byItsExecutor(r.attempt) {
		if overlap > settleSkew {
			l.executionFaultf(r.exit, r.attempt, "it was settled %s before its executor left", Brief(overlap))
		}
		return
	}
	r.until = max(ended, r.enter.MonoNS)
	report.Overlap[r.attempt.EndKind] += time.Duration(r.exit.MonoNS - r.until)
	r.late = ended <= r.enter.MonoNS
}

// byItsExecutor says whether the attempt ended because its executor returned:
// then its units were in use until it had.
func byItsExecutor(a *Attempt) bool {
	switch a.EndKind {
	case domain.EventComplete, domain.EventFail, domain.EventExpire:
		return a.EndCode != domain.ReasonForced && a.EndCode != domain.ReasonWorkerLost
	}
	return false
}

// edge is one change of what runs.
type edge struct {
	at int64
	r  *run
	in bool
}

// peakRunning sweeps over the runs and reports every entry that makes more run
// than the pool allows.
func peakRunning(l *Ledger, runs []*run) domain.Units {
	edges := make([]edge, 0, 2*len(runs))
	for _, r := range runs {
		if r.late {
			continue // reported as overlap, or as unended
		}
		edges = append(edges, edge{r.enter.MonoNS, r, true})
		if r.until != 0 {
			edges = append(edges, edge{max(r.until, r.enter.MonoNS+1), r, false})
		}
	}
	slices.SortStableFunc(edges, func(a, b edge) int {
		switch {
		case a.at != b.at:
			return compareInt(a.at, b.at)
		case a.in == b.in:
			return 0
		case a.in:
			return 1 // who leaves at this instant leaves first
		}
		return -1
	})
	running := map[*run]bool{}
	var sum, peak domain.Units
	for _, e := range edges {
		if !e.in {
			delete(running, e.r)
			sum = sum.Sub(e.r.enter.Units)
			continue
		}
		running[e.r] = true
		sum = sum.Add(e.r.enter.Units)
		peak = max(peak, sum)
		if limit := limitOf(e.r, l); sum > limit && sum > widest(running, l) {
			l.executionFaultf(e.r.enter, e.r.attempt, "its entry made %d units run at once, max_units is %d", sum, limit)
		}
	}
	return peak
}

func limitOf(r *run, l *Ledger) domain.Units {
	if r.attempt == nil {
		return l.Limit()
	}
	return r.attempt.Limit
}

// widest is the largest limit under which one of those running was started: a
// pool that shrank lets them end.
func widest(running map[*run]bool, l *Ledger) domain.Units {
	var most domain.Units
	for r := range running {
		most = max(most, limitOf(r, l))
	}
	return most
}

func (l *Ledger) executionFaultf(rec *Record, a *Attempt, format string, args ...any) {
	v := Violation{
		Promise: PromiseExecution, Source: l.Source, TaskID: rec.Task, Message: fmt.Sprintf(format, args...),
	}
	if a != nil {
		v.Seq = a.Start
	}
	l.findings.Add(v)
}

func compareInt(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
