package history

import (
	"slices"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// freedToEntered measures how long freed units stayed unused while work was
// queued, by the executors' own clock: from the instant at which executors had
// given up the units that a task needed to the task's entry.
//
// Which exit freed a task's units follows from the order of the starts alone.
// When the starts up to and including a task took T units in a pool of L, at
// least T-L must have been given back before; the instant at which the executors
// had given back that many is when the task could have started. Tasks are counted
// that had been queued, on their first attempt, and not before they were queued.
func freedToEntered(l *Ledger, runs []*run) Percentiles {
	byAttempt := map[*Attempt]*run{}
	for _, r := range runs {
		if r.attempt != nil {
			byAttempt[r.attempt] = r
		}
	}
	if len(byAttempt) == 0 {
		return Percentiles{}
	}
	freed := freedUnits(l, runs[0], byAttempt)
	var (
		latencies   []time.Duration
		taken, back domain.Units
		next        int
	)
	for _, a := range l.Attempts {
		taken = taken.Add(a.Units)
		for next < len(freed) && back < taken.Sub(a.Limit) {
			back = back.Add(freed[next].units)
			next++
		}
		r := byAttempt[a]
		if r == nil || a.QueuedAt.IsZero() || next == 0 || back < taken.Sub(a.Limit) {
			continue
		}
		since := max(freed[next-1].at, r.mono(a.QueuedAt))
		latencies = append(latencies, max(0, time.Duration(r.enter.MonoNS-since)))
	}
	return PercentilesOf(latencies)
}

// giving is the instant at which an attempt gave its units up.
type giving struct {
	at    int64
	units domain.Units
}

// freedUnits lists when attempts gave their units up, in order: when their
// executor left, else when the trail ended them, told by the clock of a run.
func freedUnits(l *Ledger, clock *run, byAttempt map[*Attempt]*run) []giving {
	var freed []giving
	for _, a := range l.Attempts {
		r := byAttempt[a]
		switch {
		case r != nil && r.until != 0:
			freed = append(freed, giving{r.until, a.Units})
		case r == nil && a.End != 0:
			freed = append(freed, giving{clock.mono(a.EndAt), a.Units})
		}
	}
	slices.SortStableFunc(freed, func(a, b giving) int { return compareInt(a.at, b.at) })
	return freed
}

// startToEntered measures how soon a started task is in its executor: from its
// submit for those that started on arrival, and from the start for all.
func startToEntered(runs []*run) (arrival, entry Percentiles) {
	var fromSubmit, fromStart []time.Duration
	for _, r := range runs {
		a := r.attempt
		if a == nil {
			continue
		}
		entered := wall(r.enter)
		fromStart = append(fromStart, max(0, entered.Sub(a.StartAt)))
		if a.Number == 1 && a.QueuedAt.IsZero() && !a.SubmitAt.IsZero() {
			fromSubmit = append(fromSubmit, max(0, entered.Sub(a.SubmitAt)))
		}
	}
	return PercentilesOf(fromSubmit), PercentilesOf(fromStart)
}
