package parking

import (
	"slices"
	"time"
)

// MaxStayMinutes bounds what Compute is asked to itemise: ten years. A stay has a
// line for each increment, so a longer one is refused at the edge.
const MaxStayMinutes int64 = 10 * 366 * 24 * 60

// Compute returns what the stay costs under the strategy, with every line. It is a
// pure function; the strategy must have passed Validate.
//
// Order of the rules: increments (free minutes cost nothing), period caps, stay
// cap, percents in the order recorded, fixed amounts, and the fee of a lost ticket.
func Compute(s *Strategy, stay Stay) Price {
	p := Price{Seconds: max(0, wholeSeconds(stay.Entry, stay.Until))}
	p.Minutes = (p.Seconds + 59) / 60
	if p.Minutes > s.GraceMinutes {
		charge(&p, s, stay)
		reduce(&p, stay.Adjustments)
	}
	if stay.Lost && s.LostFee != nil && *s.LostFee > p.Total {
		p.add(Line{Kind: LineLost, Amount: *s.LostFee - p.Total})
	}
	return p
}

// wholeSeconds is floor(until − entry); neither end is truncated first, below the
// microsecond that instants are kept to.
func wholeSeconds(entry, until time.Time) int64 {
	d := until.Truncate(time.Microsecond).Sub(entry.Truncate(time.Microsecond))
	seconds := int64(d / time.Second)
	if d < 0 && d%time.Second != 0 {
		seconds--
	}
	return seconds
}

// scale is (amount × bp + 5000) / 10000, rounded half up, without the overflow of
// the product.
func scale(amount Money, bp int64) Money {
	whole, rest := amount/Money(OneBP), amount%Money(OneBP)
	return whole*Money(bp) + (rest*Money(bp)+Money(OneBP/2))/Money(OneBP)
}

func (p *Price) add(l Line) {
	p.Lines = append(p.Lines, l)
	p.Total += l.Amount
}

// charge adds a line for every increment that starts at one of the stay's pricing
// instants, and the period caps.
func charge(p *Price, s *Strategy, stay Stay) {
	surge := surgeBP(s.Surge, stay.EntryOccupancyBP)
	free := freeMinutes(stay.Adjustments)
	for period, span := range periods(s, stay.Entry, p.Minutes) {
		var sum Money
		for _, tier := range s.Tiers {
			end := span.end - span.start
			if tier.ToMinute != nil {
				end = min(end, *tier.ToMinute)
			}
			for minute := tier.FromMinute; minute < end; minute += tier.IncrementMinutes {
				k := span.start + minute
				at := stay.Entry.Truncate(time.Microsecond).Add(time.Duration(k) * time.Minute)
				bp := multiplierBP(s, at, surge)
				var amount Money
				if k >= free {
					amount = scale(tier.Value, bp)
				}
				utc := at.UTC()
				p.add(Line{Kind: LineIncrement, At: &utc, Period: &period, BP: &bp, Amount: amount})
				sum += amount
			}
		}
		if s.PeriodCap != nil && sum > *s.PeriodCap {
			p.add(Line{Kind: LinePeriodCap, Period: &period, Amount: *s.PeriodCap - sum})
		}
	}
	if s.StayCap != nil && p.Total > *s.StayCap {
		p.add(Line{Kind: LineStayCap, Amount: *s.StayCap - p.Total})
	}
}

// reduce takes percents off the running amount in the order recorded, then fixed
// amounts. Nothing falls below zero.
func reduce(p *Price, adjustments []Adjustment) {
	for _, a := range adjustments {
		if a.Kind == AdjustPercent {
			p.add(Line{Kind: LinePercent, BP: &a.BP, Amount: -min(p.Total, scale(p.Total, a.BP))})
		}
	}
	for _, a := range adjustments {
		if a.Kind == AdjustFixed {
			p.add(Line{Kind: LineFixed, Amount: -min(p.Total, a.Amount)})
		}
	}
}

func freeMinutes(adjustments []Adjustment) int64 {
	var sum int64
	for _, a := range adjustments {
		if a.Kind == AdjustFreeMinutes {
			sum += a.Minutes
		}
	}
	return sum
}

// surgeBP is the largest surge that applies, 0 for none.
func surgeBP(surge []Surge, occupancy *int64) int64 {
	var bp int64
	if occupancy == nil {
		return 0
	}
	for _, s := range surge {
		if *occupancy > s.AboveBP {
			bp = max(bp, s.BP)
		}
	}
	return bp
}

// multiplierBP is the largest multiplier that applies at an increment's start,
// never the product; one where none applies.
func multiplierBP(s *Strategy, at time.Time, surge int64) int64 {
	applies, bp := surge > 0, surge
	if len(s.Multipliers) > 0 {
		local := at.In(s.Location)
		day := isoWeekday(local)
		second := local.Hour()*3600 + local.Minute()*60 + local.Second()
		for _, m := range s.Multipliers {
			if second >= m.Start*60 && second < m.End*60 && slices.Contains(m.Days, day) {
				applies, bp = true, max(bp, m.BP)
			}
		}
	}
	if !applies {
		return OneBP
	}
	return bp
}

func isoWeekday(t time.Time) int {
	if t.Weekday() == time.Sunday {
		return 7
	}
	return int(t.Weekday())
}
