package parking

import (
	"fmt"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Bounds of a strategy's numbers. They keep every sum of a stay of MaxStayMinutes
// inside int64.
const (
	MaxMoney   Money = 10_000_000_000
	MaxBP      int64 = 100_000
	maxMinutes int64 = MaxStayMinutes
)

// Validate returns everything wrong with the strategy, each with its place under
// the body. It does not look at TimeZone, which the caller has already resolved.
func (s *Strategy) Validate() []domain.Fault {
	var f faults
	f.check(s.GraceMinutes >= 0 && s.GraceMinutes <= maxMinutes, "graceMinutes", "must be 0 or more, at most ten years", s.GraceMinutes)
	f.check(s.ExitWindowMinutes >= 0 && s.ExitWindowMinutes <= maxMinutes, "exitWindowMinutes", "must be 0 or more, at most ten years", s.ExitWindowMinutes)
	f.check(s.Period == PeriodNone || s.Period == PeriodRolling24h || s.Period == PeriodCalendarDay,
		"period", "must be none, rolling24h or calendarDay", s.Period)
	f.check(s.ResetMinute >= 0 && s.ResetMinute < 24*60, "resetTime", "must be a time of day, HH:MM", s.ResetMinute)
	f.amount("periodCap", s.PeriodCap)
	f.amount("stayCap", s.StayCap)
	f.amount("lostFee", s.LostFee)
	f.tiers(s.Tiers)
	for i, m := range s.Multipliers {
		at := fmt.Sprintf("multipliers[%d]", i)
		f.check(len(m.Days) > 0, at+".days", "name at least one ISO weekday", nil)
		for _, d := range m.Days {
			f.check(d >= 1 && d <= 7, at+".days", "must be ISO weekdays, 1 (Monday) to 7", d)
		}
		f.check(m.Start >= 0 && m.End <= 24*60 && m.Start < m.End, at,
			"start must be before end within one day; use two windows to cross midnight", nil)
		f.check(m.BP >= 0 && m.BP <= MaxBP, at+".bp", "must be 0 to 100000", m.BP)
	}
	for i, r := range s.Surge {
		at := fmt.Sprintf("surge[%d]", i)
		f.check(r.AboveBP >= 0 && r.AboveBP <= MaxBP, at+".aboveBp", "must be 0 to 100000", r.AboveBP)
		f.check(r.BP > 0 && r.BP <= MaxBP, at+".bp", "must be 1 to 100000", r.BP)
	}
	return f
}

// Faults returns everything wrong with the adjustment; at is its place in the body.
func (a Adjustment) Faults(at string) []domain.Fault {
	var f faults
	switch a.Kind {
	case AdjustFreeMinutes:
		f.check(a.Minutes > 0 && a.Minutes <= maxMinutes, at+".minutes", "must be 1 or more, at most ten years", a.Minutes)
	case AdjustPercent:
		f.check(a.BP > 0 && a.BP <= OneBP, at+".bp", "must be 1 to 10000", a.BP)
	case AdjustFixed:
		f.check(a.Amount > 0 && a.Amount <= MaxMoney, at+".amount", "must be above 0", a.Amount)
	default:
		f.check(false, at+".kind", "must be freeMinutes, percent or fixed", a.Kind)
	}
	return f
}

type faults []domain.Fault

func (f *faults) check(ok bool, at, message string, value any) {
	if !ok {
		*f = append(*f, domain.Fault{Location: at, Message: message, Value: value})
	}
}

func (f *faults) amount(at string, m *Money) {
	f.check(m == nil || (*m >= 0 && *m <= MaxMoney), at, "must be 0 or more", m)
}

// tiers start at 0, touch each other, and only the last may be open.
func (f *faults) tiers(tiers []Tier) {
	f.check(len(tiers) > 0, "tiers", "name at least one tier, or a table", nil)
	next := int64(0)
	for i, t := range tiers {
		at := fmt.Sprintf("tiers[%d]", i)
		f.check(t.FromMinute == next, at+".fromMinute", fmt.Sprintf("must be %d: tiers start at 0 and touch each other", next), t.FromMinute)
		f.check(t.IncrementMinutes >= 1 && t.IncrementMinutes <= maxMinutes, at+".incrementMinutes", "must be 1 or more", t.IncrementMinutes)
		f.check(t.Value >= 0 && t.Value <= MaxMoney, at+".value", "must be 0 or more", t.Value)
		if t.ToMinute == nil {
			f.check(i == len(tiers)-1, at+".toMinute", "only the last tier may be open", nil)
			continue
		}
		f.check(*t.ToMinute > t.FromMinute && *t.ToMinute <= maxMinutes, at+".toMinute", "must be after fromMinute, within ten years", *t.ToMinute)
		next = *t.ToMinute
	}
}

// TableRow is the other way to write tiers: what a stay up to a minute costs in all.
type TableRow struct {
	UpToMinute int64
	Total      Money
}

// TiersOf turns a table into tiers: each row becomes one tier whose increment is its
// length and whose value is the difference to the row before. Totals that fall and
// minutes that do not rise are faults.
func TiersOf(table []TableRow) ([]Tier, []domain.Fault) {
	var (
		f     faults
		tiers = make([]Tier, 0, len(table))
		from  int64
		total Money
	)
	for i, row := range table {
		at := fmt.Sprintf("table[%d]", i)
		f.check(row.UpToMinute > from && row.UpToMinute <= maxMinutes, at+".upToMinute", "must be above the row before, within ten years", row.UpToMinute)
		f.check(row.Total >= total && row.Total <= MaxMoney, at+".total", "must not fall below the row before", row.Total)
		to := row.UpToMinute
		tiers = append(tiers, Tier{FromMinute: from, ToMinute: &to, IncrementMinutes: to - from, Value: row.Total - total})
		from, total = to, row.Total
	}
	return tiers, f
}
