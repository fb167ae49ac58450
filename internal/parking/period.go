package parking

import "time"

// span is a period in minutes from entry, [start, end).
type span struct{ start, end int64 }

// periods cuts the first minutes of a stay into the periods of the strategy.
func periods(s *Strategy, entry time.Time, minutes int64) []span {
	switch s.Period {
	case PeriodRolling24h:
		return cut(minutes, func(n int64) int64 { return n * 24 * 60 })
	case PeriodCalendarDay:
		days := calendar{s.Location, s.ResetMinute}
		first := days.after(entry)
		return cut(minutes, func(n int64) int64 {
			return ceilMinutes(days.boundary(first.AddDate(0, 0, int(n-1))).Sub(entry.Truncate(time.Microsecond)))
		})
	case PeriodNone:
	}
	return []span{{0, minutes}}
}

// cut makes spans of [0, minutes) from the starts of the periods 1, 2, …; starts
// that fall on the same minute make one period.
func cut(minutes int64, start func(n int64) int64) []span {
	var spans []span
	from := int64(0)
	for n := int64(1); from < minutes; n++ {
		to := min(start(n), minutes)
		if to > from {
			spans = append(spans, span{from, to})
			from = to
		}
	}
	return spans
}

func ceilMinutes(d time.Duration) int64 {
	n := int64(d / time.Minute)
	if d > 0 && d%time.Minute != 0 {
		n++
	}
	return n
}

// calendar finds the instants at which calendar-day periods start. At clock changes
// time.Date does not give them: it invents an instant for a time that does not exist
// and does not promise which pass of a repeated hour it means.
type calendar struct {
	location *time.Location
	reset    int // minute of the day
}

// after returns the date (as midnight UTC) of the first boundary after t.
func (c calendar) after(t time.Time) time.Time {
	local := t.In(c.location)
	date := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, time.UTC).AddDate(0, 0, -2)
	for !c.boundary(date).After(t) {
		date = date.AddDate(0, 0, 1)
	}
	return date
}

// boundary is the first instant whose wall clock is at or past the reset time on
// the date, or, where the date has none, the first instant of a later date.
func (c calendar) boundary(date time.Time) time.Time {
	reset := date.Add(time.Duration(c.reset) * time.Minute)
	next := date.AddDate(0, 0, 1)
	if t, ok := c.first(reset, next); ok {
		return t
	}
	t, _ := c.first(next, next.AddDate(0, 0, 7))
	return t
}

// first returns the first instant whose wall clock, read as if it were UTC, is in
// [from, to). It goes through the stretches of constant offset around the date.
func (c calendar) first(from, to time.Time) (time.Time, bool) {
	// No zone is more than 26 hours from UTC, so nothing of the date is outside.
	for t := from.Add(-26 * time.Hour); t.Before(to.Add(26 * time.Hour)); {
		_, end := t.In(c.location).ZoneBounds()
		_, offset := t.In(c.location).Zone()
		wall := time.Duration(offset) * time.Second
		at := later(t, from.Add(-wall))
		if (end.IsZero() || at.Before(end)) && at.Before(to.Add(-wall)) {
			return at.UTC(), true
		}
		if end.IsZero() {
			break
		}
		t = end
	}
	return time.Time{}, false
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
