package history

import (
	"fmt"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Promise names what a violation breaks.
type Promise string

// The promises that are checked.
const (
	PromiseSequence  Promise = "sequence"  // events are numbered 1, 2, 3, … and never go back in time
	PromiseLifecycle Promise = "lifecycle" // every transition is allowed, nothing follows a terminal state
	PromiseAttempt   Promise = "attempt"   // one live attempt, numbered in turn, ended by itself only
	PromiseUnits     Promise = "units"     // an attempt gives back exactly what it took
	PromiseCapacity  Promise = "capacity"  // no start takes a pool above its max_units
	PromiseCounters  Promise = "counters"  // the pool's counters equal the sums of its trail
	PromiseRows      Promise = "rows"      // a task's row is as its last event left it
	PromiseMailbox   Promise = "mailbox"   // one message per terminal outcome with a key, and no other
	PromiseOvertakes Promise = "overtakes" // nobody in front is overtaken more often than the pool allows
	PromiseExecution Promise = "execution" // what executors did is what the trail says, and fits the pool
)

// Violation is one broken promise, in a sentence.
type Violation struct {
	Promise Promise       `json:"promise"`
	Source  domain.Source `json:"source"`
	TaskID  domain.TaskID `json:"taskId,omitempty"`
	Seq     int64         `json:"seq,omitempty"` // of the event that shows it; 0: none
	Message string        `json:"message"`
}

// String returns the violation as one line.
func (v Violation) String() string {
	where := string(v.Source)
	if v.Seq > 0 {
		where += fmt.Sprintf(" #%d", v.Seq)
	}
	if v.TaskID != "" {
		where += " task " + string(v.TaskID)
	}
	return fmt.Sprintf("%s: %s: %s", v.Promise, where, v.Message)
}

// Findings collects violations: the first Keep are kept, all are counted. The
// zero value keeps none. Not safe for concurrent use.
type Findings struct {
	Keep  int
	Kept  []Violation
	Total int
	By    map[Promise]int
}

// Add records a violation.
func (f *Findings) Add(v Violation) {
	f.Total++
	if f.By == nil {
		f.By = map[Promise]int{}
	}
	f.By[v.Promise]++
	if len(f.Kept) < f.Keep {
		f.Kept = append(f.Kept, v)
	}
}

// merge adds what others found.
func (f *Findings) merge(of *Findings) {
	f.Total += of.Total
	for p, n := range of.By {
		if f.By == nil {
			f.By = map[Promise]int{}
		}
		f.By[p] += n
	}
	f.Kept = append(f.Kept, of.Kept[:min(len(of.Kept), f.Keep-min(f.Keep, len(f.Kept)))]...)
}
