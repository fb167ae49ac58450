package faults

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"time"

	"github.com/parkinglot/parkinglot/internal/app"
	"github.com/parkinglot/parkinglot/internal/config"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/faults/clients"
	"github.com/parkinglot/parkinglot/internal/history"
	"github.com/parkinglot/parkinglot/internal/runtime/attempts"
	"github.com/parkinglot/parkinglot/internal/store"
)

// What is violated, beside the promises of package history.
type What string

// The promises that are judged here.
const (
	Lost    What = "lost"    // an accepted task that is not there
	Unended What = "unended" // a task that is there and never ended
	Stuck   What = "stuck"   // the same, and work left over, in a pool that can take no turn: see world.behind
	Twice   What = "twice"   // more than one terminal state
	Mail    What = "mail"    // not exactly one message for each outcome with a key
	Answers What = "answers" // a known id answered otherwise
	Drained What = "drained" // work left over when all was mended
	Exits   What = "exits"   // a process that ended by itself, or not in order
	Linear  What = "linear"  // no order of the pool's operations explains what was seen
)

// Violation is a broken promise.
type Violation struct {
	What    What   `json:"what"`
	Message string `json:"message"`
}

// Result is what a run did and what of it was proven.
type Result struct {
	Seed       uint64         `json:"seed"`
	Duration   time.Duration  `json:"durationNs"`
	Dir        string         `json:"dir"`
	Episodes   []Episode      `json:"-"`
	Recoveries []Recovery     `json:"recoveries"`
	Promised   Promised       `json:"promised"`
	Rounds     Rounds         `json:"rounds"`
	History    history.Report `json:"history"`
	Noticed    Noticed        `json:"noticed"`
	Violations []Violation    `json:"violations"`
	Starts     int            `json:"starts"` // of processes
	Turns      map[string]int `json:"turns"`  // by outcome, of the servers that were there at the end
	Pace       Pace           `json:"-"`

	behind map[domain.PoolID]bool // see world.behind
}

// Noticed is how long after the end of their process attempts were marked lost.
type Noticed struct {
	Attempts int           `json:"attempts"`
	Median   time.Duration `json:"medianNs"`
	Longest  time.Duration `json:"longestNs"`
}

func (r *Result) addf(what What, format string, args ...any) {
	r.Violations = append(r.Violations, Violation{What: what, Message: fmt.Sprintf(format, args...)})
}

func (r *Result) addAll(what What, messages []string) {
	for _, message := range messages {
		r.addf(what, "%s", message)
	}
}

// in is what is violated by something that has not ended in the pool.
func (r *Result) in(pool domain.PoolID, what What) What {
	if r.behind[pool] {
		return Stuck
	}
	return what
}

// exits takes in how processes have ended. What runs in a pool that can take no turn cannot be
// settled, and its process says so by its status.
func (r *Result) exits(strange []string) {
	for _, message := range strange {
		what := Exits
		if len(r.behind) > 0 && unsettled.MatchString(message) {
			what = Stuck
		}
		r.addf(what, "%s", message)
	}
}

// unsettled is the end of a process that had to leave attempts to others.
var unsettled = regexp.MustCompile(`(?s)^[a-z]+-?[0-9]*: asked to stop: it ended with 1:.*attempts could not be settled before the end\s*$`)

// Broken counts the violations of both judges.
func (r *Result) Broken() int { return len(r.Violations) + r.History.Violations }

// judge reads what the run has left: the executors' record first, so that the trail
// which is read after it has every attempt it names.
func (r *Result) judge(ctx context.Context, w *world, plan clients.Plan) error {
	for _, m := range w.members() {
		r.Starts += m.starts
	}
	records, err := history.ReadRecordFiles([]string{w.records})
	if err != nil {
		return err
	}
	cfg, err := config.Load(config.Source{Path: w.config})
	if err != nil {
		return err
	}
	wanted := []domain.Backend{domain.BackendPostgres, domain.BackendFile}
	err = app.Inspect(ctx, cfg, wanted, slog.New(slog.DiscardHandler), func(stores []store.Store) error {
		source := history.Stores(stores)
		if r.History, err = history.Check(ctx, source, history.Options{Keep: keep, Records: records}); err != nil {
			return err
		}
		if err := r.accepted(ctx, plan.Log, plan.Pools, source); err != nil {
			return err
		}
		r.judgeRounds(records)
		return nil
	})
	if err != nil {
		return err
	}
	r.Recoveries = r.Pace.recoveries(r.Episodes, func(f Fault) []domain.PoolID {
		if f.Target == w.solo.name {
			return []domain.PoolID{poolDisk, poolRelay}
		}
		return []domain.PoolID{poolNative, poolFleet, poolWeb}
	})
	r.notice(records)
	return nil
}

const keep = 50 // violations of the history checker

// notice finds the attempts of killed processes: entered, never left, and then lost.
func (r *Result) notice(records []history.Record) {
	killed := map[int]time.Time{}
	for i := range r.Episodes {
		if e := &r.Episodes[i]; e.Kind == Kill && e.PID != 0 {
			killed[e.PID] = e.Began
		}
	}
	held := map[attempt]int{} // entered and not left: by which process
	for i := range records {
		rec := &records[i]
		key := attempt{named{rec.Pool, rec.Task}, rec.Attempt}
		if rec.Kind == attempts.RecordEnter {
			held[key] = rec.PID
		} else {
			delete(held, key)
		}
	}
	var times []time.Duration
	for _, lost := range r.Pace.ends {
		if at, was := killed[held[lost.attempt]]; was {
			times = append(times, lost.at.Sub(at))
		}
	}
	if len(times) > 0 {
		slices.Sort(times)
		r.Noticed = Noticed{Attempts: len(times), Median: times[len(times)/2], Longest: times[len(times)-1]}
	}
}
