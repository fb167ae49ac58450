package parking

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(name)
	require.NoError(t, err)
	return l
}

func at(t *testing.T, value string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339Nano, value)
	require.NoError(t, err)
	return v
}

// hourly is 200 an hour, grace 10 minutes, in UTC.
func hourly() *Strategy {
	return &Strategy{
		Location: time.UTC, GraceMinutes: 10, Period: PeriodNone,
		Tiers: []Tier{{FromMinute: 0, IncrementMinutes: 60, Value: 200}},
	}
}

func total(s *Strategy, entry, until time.Time) Money {
	return Compute(s, Stay{Entry: entry, Until: until}).Total
}

func TestComputeHourly(t *testing.T) {
	t.Parallel()
	entry := at(t, "2026-03-02T08:00:00Z")
	for _, c := range []struct {
		stay time.Duration
		want Money
	}{
		{-time.Hour, 0},
		{0, 0},
		{999 * time.Millisecond, 0},
		{10 * time.Minute, 0},
		{10*time.Minute + 999*time.Millisecond, 0}, // whole seconds: still 600
		{10*time.Minute + time.Second, 200},        // grace over, charged from minute 0
		{60 * time.Minute, 200},                    // 60:00 does not start minute 60
		{60*time.Minute + time.Second, 400},        // 60:01 does
		{25 * time.Hour, 25 * 200},
	} {
		require.Equal(t, c.want, total(hourly(), entry, entry.Add(c.stay)), "%s", c.stay)
	}
}

func TestComputeKeepsMicrosecondsOfBothEnds(t *testing.T) {
	t.Parallel()
	entry := at(t, "2026-03-02T08:00:00.900Z")
	until := at(t, "2026-03-02T09:00:01.800Z") // 3600.9 s: 3600 whole ones
	require.Equal(t, Money(200), total(hourly(), entry, until))
	require.Equal(t, Money(400), total(hourly(), entry, until.Add(100*time.Millisecond)))
}

func TestComputeTiersAddUpAndRestartTheirIncrements(t *testing.T) {
	t.Parallel()
	s := &Strategy{Location: time.UTC, Period: PeriodNone, Tiers: []Tier{
		{FromMinute: 0, ToMinute: new(int64(50)), IncrementMinutes: 30, Value: 100}, // 0 and 30, the second cut short, in full
		{FromMinute: 50, ToMinute: new(int64(120)), IncrementMinutes: 60, Value: 300},
	}}
	entry := at(t, "2026-03-02T08:00:00Z")
	require.Equal(t, Money(100), total(s, entry, entry.Add(30*time.Minute)))
	require.Equal(t, Money(200), total(s, entry, entry.Add(50*time.Minute)))
	require.Equal(t, Money(500), total(s, entry, entry.Add(51*time.Minute)))
	require.Equal(t, Money(800), total(s, entry, entry.Add(111*time.Minute)))
	require.Equal(t, Money(800), total(s, entry, entry.Add(30*time.Hour)), "past a bounded last tier nothing more is charged")
}

func TestComputeRolling24hRestartsAndCaps(t *testing.T) {
	t.Parallel()
	s := hourly()
	s.Period, s.PeriodCap = PeriodRolling24h, new(Money(1500))
	berlin := zone(t, "Europe/Berlin")
	s.Location = berlin
	// Over the night of 29 March 2026 the local day has 23 hours; the period has 24.
	entry := time.Date(2026, 3, 28, 12, 0, 0, 0, berlin)
	p := Compute(s, Stay{Entry: entry, Until: entry.Add(24*time.Hour + time.Second)})
	require.Equal(t, Money(1700), p.Total)
	require.Equal(t, 1, *p.Lines[len(p.Lines)-1].Period)
}

func TestComputeCalendarDayAcrossClockChanges(t *testing.T) {
	t.Parallel()
	berlin := zone(t, "Europe/Berlin")
	s := hourly()
	s.Location, s.Period, s.PeriodCap = berlin, PeriodCalendarDay, new(Money(100_000))
	// 25 October 2026 has 25 hours in Berlin, 29 March 23.
	for _, c := range []struct {
		day   time.Time
		hours int
	}{
		{time.Date(2026, 10, 25, 0, 0, 0, 0, berlin), 25},
		{time.Date(2026, 3, 29, 0, 0, 0, 0, berlin), 23},
		{time.Date(2026, 6, 1, 0, 0, 0, 0, berlin), 24},
	} {
		p := Compute(s, Stay{Entry: c.day, Until: c.day.Add(30 * time.Hour)})
		first := 0
		for _, l := range p.Lines {
			if l.Kind == LineIncrement && *l.Period == 0 {
				first++
			}
		}
		require.Equal(t, c.hours, first, "increments of the first day of %s", c.day)
	}
}

func TestBoundary(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, zone, date string
		reset            int
		want             string
	}{
		{"plain", "Europe/Berlin", "2026-06-01", 0, "2026-05-31T22:00:00Z"},
		{"reset at six", "Europe/Berlin", "2026-06-01", 6 * 60, "2026-06-01T04:00:00Z"},
		{"a reset time that does not exist: the first instant past it", "Europe/Berlin", "2026-03-29", 2*60 + 30, "2026-03-29T01:00:00Z"},
		{"a repeated reset time: the first pass", "Europe/Berlin", "2026-10-25", 2*60 + 30, "2026-10-25T00:30:00Z"},
		{"a midnight that does not exist", "Africa/Cairo", "2026-04-24", 0, "2026-04-23T22:00:00Z"},
		{"midnight skipped in Beirut", "Asia/Beirut", "2026-03-29", 0, "2026-03-28T22:00:00Z"},
		{"a midnight that comes twice: Havana falls back at 01:00", "America/Havana", "2026-11-01", 0, "2026-11-01T04:00:00Z"},
		{"a date that does not exist: the first instant of the next", "Pacific/Apia", "2011-12-30", 6 * 60, "2011-12-30T10:00:00Z"},
		{"the date after it", "Pacific/Apia", "2011-12-31", 6 * 60, "2011-12-30T16:00:00Z"},
		{"half an hour of saving", "Australia/Lord_Howe", "2026-10-04", 2*60 + 15, "2026-10-03T15:30:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			date, err := time.Parse(time.DateOnly, c.date)
			require.NoError(t, err)
			got := calendar{zone(t, c.zone), c.reset}.boundary(date)
			require.Equal(t, c.want, got.Format(time.RFC3339))
		})
	}
}

func TestEntryExactlyOnTheBoundaryStartsInTheNewPeriod(t *testing.T) {
	t.Parallel()
	s := hourly()
	s.Period, s.PeriodCap = PeriodCalendarDay, new(Money(300))
	midnight := at(t, "2026-06-01T00:00:00Z")
	require.Equal(t, Money(300), total(s, midnight, midnight.Add(24*time.Hour)))
	require.Equal(t, Money(500), total(s, midnight.Add(-time.Minute), midnight.Add(24*time.Hour)),
		"one minute before costs an hour of the old day, capped new day after it")
}

func TestMultipliersTakeTheLargestNeverTheProduct(t *testing.T) {
	t.Parallel()
	s := hourly()
	s.Multipliers = []Multiplier{
		{Days: []int{1}, Start: 9 * 60, End: 11 * 60, BP: 15000},
		{Days: []int{1}, Start: 10 * 60, End: 24 * 60, BP: 8000},
		{Days: []int{7}, Start: 0, End: 24 * 60, BP: 5000},
	}
	s.Surge = []Surge{{AboveBP: 8000, BP: 12000}, {AboveBP: 9000, BP: 20000}}
	monday := at(t, "2026-03-02T08:00:00Z")
	amounts := func(entry time.Time, hours int, occupancy *int64) []Money {
		var got []Money
		for _, l := range Compute(s, Stay{Entry: entry, Until: entry.Add(time.Duration(hours) * time.Hour), EntryOccupancyBP: occupancy}).Lines {
			got = append(got, l.Amount)
		}
		return got
	}
	require.Equal(t, []Money{200, 300, 300, 160, 160}, amounts(monday, 5, nil))
	require.Equal(t, []Money{200, 300, 300, 160, 160}, amounts(monday, 5, new(int64(8000))), "strictly above")
	require.Equal(t, []Money{240, 300, 300, 240, 240}, amounts(monday, 5, new(int64(8001))))
	require.Equal(t, []Money{400, 400}, amounts(monday, 2, new(int64(9001))))
	require.Equal(t, []Money{100, 100}, amounts(at(t, "2026-03-01T08:00:00Z"), 2, nil))
}

func TestReductionsInTheirOrder(t *testing.T) {
	t.Parallel()
	s := hourly()
	s.StayCap = new(Money(1000))
	entry := at(t, "2026-03-02T08:00:00Z")
	price := func(lost bool, adjustments ...Adjustment) Price {
		return Compute(s, Stay{Entry: entry, Until: entry.Add(6 * time.Hour), Adjustments: adjustments, Lost: lost})
	}
	require.Equal(t, Money(1000), price(false).Total)
	require.Equal(t, Money(800), price(false, Adjustment{Kind: AdjustFreeMinutes, Minutes: 90}).Total,
		"the hours that start at 0 and 60 are free; the rest is not shifted")
	require.Equal(t, Money(405), price(false,
		Adjustment{Kind: AdjustFixed, Amount: 45},
		Adjustment{Kind: AdjustPercent, BP: 5000},
		Adjustment{Kind: AdjustPercent, BP: 1000}).Total, "percents one after the other, then what is fixed")
	require.Equal(t, Money(0), price(false, Adjustment{Kind: AdjustFixed, Amount: 5000}).Total)
	s.LostFee = new(Money(3000))
	require.Equal(t, Money(3000), price(true, Adjustment{Kind: AdjustPercent, BP: 10000}).Total, "the fee is not discounted")
	require.Equal(t, Money(3000), Compute(s, Stay{Entry: entry, Until: entry, Lost: true}).Total, "nor waived by grace")
}

func TestRoundingIsPerIncrement(t *testing.T) {
	t.Parallel()
	s := hourly()
	s.Tiers[0].Value = 33 // yen: no decimals
	s.Multipliers = []Multiplier{{Days: []int{1, 2, 3, 4, 5, 6, 7}, Start: 0, End: 1440, BP: 15000}}
	entry := at(t, "2026-03-02T08:00:00Z")
	require.Equal(t, Money(150), total(s, entry, entry.Add(3*time.Hour)), "49.5 rounds to 50, three times")
}

func TestValidateNamesEveryFault(t *testing.T) {
	t.Parallel()
	s := &Strategy{
		GraceMinutes: -1, Period: "week", ResetMinute: 1440, StayCap: new(Money(-1)),
		Tiers:       []Tier{{FromMinute: 5, IncrementMinutes: 0, Value: -3}, {FromMinute: 9, IncrementMinutes: 1}},
		Multipliers: []Multiplier{{Days: []int{0}, Start: 600, End: 500, BP: 1}},
		Surge:       []Surge{{AboveBP: -1, BP: 0}},
	}
	var where []string
	for _, f := range s.Validate() {
		where = append(where, f.Location)
	}
	require.Equal(t, []string{
		"graceMinutes", "period", "resetTime", "stayCap",
		"tiers[0].fromMinute", "tiers[0].incrementMinutes", "tiers[0].value", "tiers[0].toMinute", "tiers[1].fromMinute",
		"multipliers[0].days", "multipliers[0]", "surge[0].aboveBp", "surge[0].bp",
	}, where)
	require.Empty(t, hourly().Validate())
}

func TestTiersOfTable(t *testing.T) {
	t.Parallel()
	tiers, faults := TiersOf([]TableRow{{UpToMinute: 60, Total: 200}, {UpToMinute: 180, Total: 500}})
	require.Empty(t, faults)
	require.Equal(t, []Tier{
		{FromMinute: 0, ToMinute: new(int64(60)), IncrementMinutes: 60, Value: 200},
		{FromMinute: 60, ToMinute: new(int64(180)), IncrementMinutes: 120, Value: 300},
	}, tiers)
	_, faults = TiersOf([]TableRow{{UpToMinute: 60, Total: 200}, {UpToMinute: 60, Total: 100}})
	require.Len(t, faults, 2)
}
