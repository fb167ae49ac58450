package parking

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// oracle prices a stay a second way: it walks minute by minute, keeps the wall
// clock of the minute before, and never computes a boundary.
type oracle struct {
	s    *Strategy
	stay Stay
}

func (o oracle) total() Money {
	seconds := int64(0)
	if d := o.stay.Until.Sub(o.stay.Entry); d > 0 {
		seconds = int64(d / time.Second)
	}
	minutes := seconds / 60
	if seconds%60 > 0 {
		minutes++
	}
	running := Money(0)
	if minutes > o.s.GraceMinutes {
		running = o.charged(minutes)
		if o.s.StayCap != nil {
			running = min(running, *o.s.StayCap)
		}
		for _, a := range o.stay.Adjustments {
			if a.Kind == AdjustPercent {
				running -= (running*Money(a.BP) + 5000) / 10000
			}
		}
		for _, a := range o.stay.Adjustments {
			if a.Kind == AdjustFixed {
				running = max(0, running-a.Amount)
			}
		}
	}
	if o.stay.Lost && o.s.LostFee != nil {
		running = max(running, *o.s.LostFee)
	}
	return running
}

func (o oracle) charged(minutes int64) Money {
	var free int64
	for _, a := range o.stay.Adjustments {
		if a.Kind == AdjustFreeMinutes {
			free += a.Minutes
		}
	}
	var all, period Money
	inPeriod := int64(0)
	days := o.daysSeen()
	for k := range minutes {
		now := o.stay.Entry.Add(time.Duration(k) * time.Minute)
		if k > 0 && o.starts(now, k, days) {
			all, period, inPeriod = all+o.capped(period), 0, 0
		}
		for _, tier := range o.s.Tiers {
			if inPeriod < tier.FromMinute || (tier.ToMinute != nil && inPeriod >= *tier.ToMinute) {
				continue
			}
			if (inPeriod-tier.FromMinute)%tier.IncrementMinutes == 0 && k >= free {
				period += (tier.Value*Money(o.bp(now)) + 5000) / 10000
			}
		}
		inPeriod++
	}
	return all + o.capped(period)
}

func (o oracle) capped(m Money) Money {
	if o.s.PeriodCap != nil {
		return min(m, *o.s.PeriodCap)
	}
	return m
}

// daysSeen follows the wall clock, a minute of the epoch at a time, from days before
// the entry, and returns the instants at which a date reached its reset time for the
// first time, or was found to have gone by without.
func (o oracle) daysSeen() *dayWalk {
	start := o.stay.Entry.Add(-72 * time.Hour).Truncate(time.Minute)
	local := start.In(o.s.Location)
	return &dayWalk{at: start, date: dateOf(local), passed: true}
}

type dayWalk struct {
	at     time.Time
	date   time.Time // the latest date seen
	passed bool      // its reset time has been reached
	last   time.Time // newest boundary
}

func dateOf(local time.Time) time.Time {
	return time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, time.UTC)
}

// until walks to t (inclusive) and returns the newest boundary at or before it.
func (w *dayWalk) until(t time.Time, location *time.Location, reset int) time.Time {
	for ; !w.at.After(t); w.at = w.at.Add(time.Minute) {
		local := w.at.In(location)
		if date := dateOf(local); date.After(w.date) {
			if !w.passed || date.Sub(w.date) > 24*time.Hour {
				w.last = w.at // a date went by that never reached its reset time
			}
			w.date, w.passed = date, false
		}
		if !w.passed && dateOf(local).Equal(w.date) && local.Hour()*60+local.Minute() >= reset {
			w.last, w.passed = w.at, true
		}
	}
	return w.last
}

func (o oracle) starts(now time.Time, k int64, days *dayWalk) bool {
	switch o.s.Period {
	case PeriodRolling24h:
		return k%(24*60) == 0
	case PeriodCalendarDay:
		return days.until(now, o.s.Location, o.s.ResetMinute).After(now.Add(-time.Minute))
	case PeriodNone:
	}
	return false
}

func (o oracle) bp(now time.Time) int64 {
	found, bp := false, int64(0)
	local := now.In(o.s.Location)
	weekday := int(local.Weekday())
	if weekday == 0 {
		weekday = 7
	}
	minute := local.Hour()*60 + local.Minute()
	for _, m := range o.s.Multipliers {
		for _, d := range m.Days {
			if d == weekday && m.Start <= minute && minute < m.End {
				found, bp = true, max(bp, m.BP)
			}
		}
	}
	for _, s := range o.s.Surge {
		if o.stay.EntryOccupancyBP != nil && *o.stay.EntryOccupancyBP > s.AboveBP {
			found, bp = true, max(bp, s.BP)
		}
	}
	if !found {
		return 10000
	}
	return bp
}

var oracleZones = []string{
	"UTC", "Europe/Berlin", "America/New_York", "Africa/Cairo", "Asia/Beirut", "America/Havana",
	"Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "America/St_Johns",
}

// Instants around which the zones above change their clocks.
var oracleTimes = []string{
	"2026-03-28T00:00:00Z", "2026-10-24T00:00:00Z", "2026-11-01T00:00:00Z", "2026-03-08T00:00:00Z",
	"2026-04-23T12:00:00Z", "2026-10-29T12:00:00Z", "2011-12-29T06:00:00Z", "2026-10-03T06:00:00Z", "2026-07-01T00:00:00Z",
}

func randomStrategy(r *rand.Rand, zones map[string]*time.Location) *Strategy {
	name := oracleZones[r.IntN(len(oracleZones))]
	s := &Strategy{
		TimeZone: name, Location: zones[name], GraceMinutes: r.Int64N(30),
		Period:      []Period{PeriodNone, PeriodRolling24h, PeriodCalendarDay, PeriodCalendarDay}[r.IntN(4)],
		ResetMinute: []int{0, 0, 6 * 60, 2*60 + 30, r.IntN(1440)}[r.IntN(5)],
	}
	from := int64(0)
	for n := 1 + r.IntN(3); n > 0; n-- {
		tier := Tier{FromMinute: from, IncrementMinutes: 1 + r.Int64N(180), Value: Money(r.Int64N(1000))}
		if n > 1 || r.IntN(3) == 0 {
			to := from + 1 + r.Int64N(600)
			tier.ToMinute, from = &to, to
		}
		s.Tiers = append(s.Tiers, tier)
	}
	maybe := func() *Money {
		if r.IntN(2) == 0 {
			return nil
		}
		return new(Money(r.Int64N(5000)))
	}
	s.PeriodCap, s.StayCap, s.LostFee = maybe(), maybe(), maybe()
	for n := r.IntN(3); n > 0; n-- {
		start := r.IntN(1439)
		s.Multipliers = append(s.Multipliers, Multiplier{
			Days: []int{1 + r.IntN(7), 1 + r.IntN(7)}, Start: start, End: start + 1 + r.IntN(1440-start), BP: r.Int64N(30000),
		})
	}
	for n := r.IntN(2); n > 0; n-- {
		s.Surge = append(s.Surge, Surge{AboveBP: r.Int64N(10000), BP: 1 + r.Int64N(30000)})
	}
	return s
}

func randomStay(r *rand.Rand, times []time.Time) Stay {
	entry := times[r.IntN(len(times))].Add(time.Duration(r.Int64N(int64(60 * time.Hour)))).Truncate(time.Microsecond)
	stay := Stay{Entry: entry, Until: entry.Add(time.Duration(r.Int64N(int64(70 * time.Hour)))), Lost: r.IntN(10) == 0}
	if r.IntN(5) == 0 {
		stay.Entry = entry.Truncate(time.Hour)
	}
	if r.IntN(2) == 0 {
		stay.EntryOccupancyBP = new(r.Int64N(10001))
	}
	for n := r.IntN(3); n > 0; n-- {
		stay.Adjustments = append(stay.Adjustments, []Adjustment{
			{Kind: AdjustFreeMinutes, Minutes: 1 + r.Int64N(200)},
			{Kind: AdjustPercent, BP: 1 + r.Int64N(10000)},
			{Kind: AdjustFixed, Amount: Money(1 + r.Int64N(500))},
		}[r.IntN(3)])
	}
	return stay
}

// TestComputeAgainstOracle compares both implementations and the properties of a
// price on random cases: 100,000, or as many as PARKING_ORACLE_CASES says.
func TestComputeAgainstOracle(t *testing.T) {
	t.Parallel()
	const shards = 4
	cases := 100_000
	if v := os.Getenv("PARKING_ORACLE_CASES"); v != "" {
		var err error
		cases, err = strconv.Atoi(v)
		require.NoError(t, err)
	}
	zones := map[string]*time.Location{}
	for _, name := range oracleZones {
		zones[name] = zone(t, name)
	}
	var times []time.Time
	for _, v := range oracleTimes {
		times = append(times, at(t, v))
	}
	for shard := range shards {
		t.Run(strconv.Itoa(shard), func(t *testing.T) {
			t.Parallel()
			for seed := shard; seed < cases; seed += shards {
				compare(t, uint64(seed), zones, times)
			}
		})
	}
}

// compare prices one random stay both ways.
func compare(t *testing.T, seed uint64, zones map[string]*time.Location, times []time.Time) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	s, stay := randomStrategy(r, zones), randomStay(r, times)
	require.Empty(t, s.Validate(), "seed %d", seed)

	p := Compute(s, stay)
	require.Equal(t, oracle{s, stay}.total(), p.Total, "seed %d: %+v %+v", seed, s, stay)

	var sum Money
	for _, l := range p.Lines {
		sum += l.Amount
	}
	require.Equal(t, p.Total, sum, "seed %d: the lines sum to the total", seed)

	longer := stay
	longer.Until = stay.Until.Add(time.Duration(r.Int64N(int64(30 * time.Hour))))
	require.GreaterOrEqual(t, Compute(s, longer).Total, p.Total, "seed %d: a longer stay never costs less", seed)
	if s.StayCap != nil && !stay.Lost {
		require.LessOrEqual(t, p.Total, *s.StayCap, "seed %d: never over the cap", seed)
	}
}
