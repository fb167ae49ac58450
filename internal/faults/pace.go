package faults

import (
	"slices"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Pace is when work went on: from it follows how long a fault held it up.
type Pace struct {
	starts map[domain.PoolID][]time.Time
	ends   []lostAt
}

// lostAt is the end of an attempt whose process was gone.
type lostAt struct {
	attempt attempt
	at      time.Time
}

type attempt struct {
	named

	number int
}

// saw takes an event of the trail.
func (p *Pace) saw(e *domain.Event) {
	switch e.Kind {
	case domain.EventStart:
		if p.starts == nil {
			p.starts = map[domain.PoolID][]time.Time{}
		}
		p.starts[e.PoolID] = append(p.starts[e.PoolID], e.At)
	case domain.EventLost:
		p.ends = append(p.ends, lostAt{attempt{named{e.PoolID, e.TaskID}, e.Attempt}, e.At})
	}
}

// after is how long behind a fault its effects are looked for.
const after = 10 * time.Second

// stood returns the longest time in which nothing started in the pool, within
// the fault and what came after it.
func (p *Pace) stood(pool domain.PoolID, e *Episode) time.Duration {
	var longest time.Duration
	last, until := e.Began, e.Ended.Add(after)
	for _, at := range p.starts[pool] {
		if at.Before(last) {
			continue
		}
		longest = max(longest, at.Sub(last))
		if last = at; at.After(until) {
			break
		}
	}
	return longest
}

// Recovery sums up the episodes of one kind.
type Recovery struct {
	Kind     Kind          `json:"kind"`
	Count    int           `json:"count"`
	Failed   int           `json:"failed"`   // could not be done
	InTurn   int           `json:"inTurn"`   // hit a turn that held its pool's lock
	Median   time.Duration `json:"medianNs"` // in which nothing started, in the pool where that was longest
	Longest  time.Duration `json:"longestNs"`
	Together int           `json:"together"` // episodes during which another one was at work
}

// recoveries sums up all episodes, kind by kind.
func (p *Pace) recoveries(episodes []Episode, affected func(Fault) []domain.PoolID) []Recovery {
	by := map[Kind]*Recovery{}
	stalls := map[Kind][]time.Duration{}
	for i := range episodes {
		e := &episodes[i]
		r := by[e.Kind]
		if r == nil {
			r = &Recovery{Kind: e.Kind}
			by[e.Kind] = r
		}
		r.Count++
		switch {
		case e.Err != nil || e.Note == noTurn:
			r.Failed++
			continue
		case e.Note == lockNote:
			r.InTurn++
		}
		var longest time.Duration
		for _, pool := range affected(e.Fault) {
			longest = max(longest, p.stood(pool, e))
		}
		stalls[e.Kind] = append(stalls[e.Kind], longest)
		for j := range episodes {
			if j != i && episodes[j].Began.Before(e.Ended) && e.Began.Before(episodes[j].Ended) {
				r.Together++
				break
			}
		}
	}
	all := make([]Recovery, 0, len(by))
	for kind, r := range by {
		if times := stalls[kind]; len(times) > 0 {
			slices.Sort(times)
			r.Median, r.Longest = times[len(times)/2], times[len(times)-1]
		}
		all = append(all, *r)
	}
	slices.SortFunc(all, func(a, b Recovery) int {
		if a.Kind < b.Kind {
			return -1
		}
		return 1
	})
	return all
}
