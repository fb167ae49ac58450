package parking

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func written() Spec {
	return Spec{
		Name: "Centre", TimeZone: "Europe/Berlin", Currency: "EUR", GraceMinutes: 10,
		Tiers:  []TierSpec{{FromMinute: 0, ToMinute: new(int64(60)), IncrementMinutes: 20, Value: 100}, {FromMinute: 60, IncrementMinutes: 60, Value: 200}},
		Period: PeriodCalendarDay, ResetTime: "04:30", PeriodCap: new(Money(2000)), LostFee: new(Money(5000)),
		Multipliers:       []MultiplierSpec{{Days: []int{5, 6}, Start: "18:00", End: "24:00", BP: 15000}},
		Surge:             []SurgeSpec{{AboveBP: 9000, BP: 12000}},
		ExitWindowMinutes: 15,
	}
}

func TestSpecBecomesStrategyAndBack(t *testing.T) {
	t.Parallel()
	spec := written()
	s, faults := spec.Strategy()
	require.Empty(t, faults)
	require.Equal(t, 4*60+30, s.ResetMinute)
	require.Equal(t, []Multiplier{{Days: []int{5, 6}, Start: 18 * 60, End: 24 * 60, BP: 15000}}, s.Multipliers)
	require.Equal(t, "Europe/Berlin", s.Location.String())
	require.Equal(t, spec, SpecOf(&s))

	stored, err := json.Marshal(SpecOf(&s))
	require.NoError(t, err)
	read, err := StrategyOf(&StrategyRow{StrategyID: "centre", Version: 3, Spec: stored})
	require.NoError(t, err)
	require.Equal(t, "centre", read.StrategyID)
	require.Equal(t, 3, read.Version)
	require.Equal(t, s.Tiers, read.Tiers)
	_, err = StrategyOf(&StrategyRow{StrategyID: "centre", Version: 3, Spec: []byte(`{}`)})
	require.ErrorContains(t, err, "centre, version 3")
}

func TestSpecTableBecomesTiers(t *testing.T) {
	t.Parallel()
	spec := written()
	spec.Tiers = nil
	spec.Table = []TableSpec{{UpToMinute: 30, Total: 100}, {UpToMinute: 120, Total: 300}}
	s, faults := spec.Strategy()
	require.Empty(t, faults)
	back := SpecOf(&s)
	require.Empty(t, back.Table)
	require.Equal(t, []TierSpec{
		{FromMinute: 0, ToMinute: new(int64(30)), IncrementMinutes: 30, Value: 100},
		{FromMinute: 30, ToMinute: new(int64(120)), IncrementMinutes: 90, Value: 200},
	}, back.Tiers)
}

func TestSpecTellsEveryFault(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*Spec)
		at     []string
	}{
		"name":          {func(p *Spec) { p.Name = "" }, []string{"name"}},
		"name with NUL": {func(p *Spec) { p.Name = "a\x00b" }, []string{"name"}},
		"zone":          {func(p *Spec) { p.TimeZone = "Europe/Nowhere" }, []string{"timeZone"}},
		"local zone":    {func(p *Spec) { p.TimeZone = "Local" }, []string{"timeZone"}},
		"currency":      {func(p *Spec) { p.Currency = "eur" }, []string{"currency"}},
		"reset 24:00":   {func(p *Spec) { p.ResetTime = "24:00" }, []string{"resetTime"}},
		"reset short":   {func(p *Spec) { p.ResetTime = "4:30" }, []string{"resetTime"}},
		"start 24:00":   {func(p *Spec) { p.Multipliers[0].Start = "24:00" }, []string{"multipliers[0].start"}},
		"end 24:01":     {func(p *Spec) { p.Multipliers[0].End = "24:01" }, []string{"multipliers[0].end"}},
		"midnight":      {func(p *Spec) { p.Multipliers[0].End = "06:00" }, []string{"multipliers[0]"}},
		"minute 60":     {func(p *Spec) { p.Multipliers[0].Start = "12:60" }, []string{"multipliers[0].start"}},
		"both":          {func(p *Spec) { p.Table = []TableSpec{{UpToMinute: 1, Total: 1}} }, []string{"table"}},
		"neither":       {func(p *Spec) { p.Tiers = nil }, []string{"tiers"}},
		"gap":           {func(p *Spec) { p.Tiers[1].FromMinute = 61 }, []string{"tiers[1].fromMinute"}},
		"falling table": {func(p *Spec) {
			p.Tiers, p.Table = nil, []TableSpec{{UpToMinute: 30, Total: 300}, {UpToMinute: 60, Total: 200}}
		}, []string{"table[1].total"}},
		"several": {func(p *Spec) { p.Currency, p.Period, p.GraceMinutes = "", "weekly", -1 }, []string{"currency", "graceMinutes", "period"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := written()
			c.change(&spec)
			_, faults := spec.Strategy()
			var at []string
			for _, f := range faults {
				at = append(at, f.Location)
				require.NotEmpty(t, f.Message)
			}
			require.ElementsMatch(t, c.at, at)
		})
	}
}

func TestNormalisePlate(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]string{
		"b-mw 1234":      "BMW1234",
		"ＡＢ－１２３":         "AB123", // full width
		"mu\u0308 12":    "MÜ12",  // decomposed
		"MÜ 12":          "MÜ12",
		" - . ":          "",
		"a\x00b":         "AB",
		"ab\u00ad\u200b": "AB",
	} {
		require.Equal(t, want, NormalisePlate(written), "%q", written)
	}
	require.Equal(t, "US-CA", NormaliseJurisdiction("us-ca "))
}

func TestImportFaults(t *testing.T) {
	t.Parallel()
	spot := func(id string, position int64) Spot {
		return Spot{SpotID: id, Kind: KindRegular, Position: position, State: SpotFree}
	}
	taken := spot("taken", 1)
	taken.State = SpotOccupied
	there := []Spot{taken, spot("free", 2)}
	moved := spot("taken", 7)
	wide := taken
	wide.OutOfService = true
	for name, c := range map[string]struct {
		spots []Spot
		at    []string
	}{
		"new":               {[]Spot{spot("a", 3)}, nil},
		"none":              {nil, []string{"spots"}},
		"place of another":  {[]Spot{spot("a", 2)}, []string{"spots[0].position"}},
		"changing places":   {[]Spot{spot("free", 3), spot("a", 2)}, nil},
		"twice":             {[]Spot{spot("a", 3), spot("a", 4)}, []string{"spots[1].spotId"}},
		"same place":        {[]Spot{spot("a", 3), spot("b", 3)}, []string{"spots[1].position"}},
		"moved under a car": {[]Spot{moved}, []string{"spots[0]"}},
		"out of service":    {[]Spot{wide}, nil},
		"all at once": {
			[]Spot{{SpotID: "a b", Kind: "huge", Position: 5}, {SpotID: "c", Kind: KindCompact, Position: 6, Features: []string{"\x00"}}},
			[]string{"spots[0].spotId", "spots[0].kind", "spots[1].features[0]"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var at []string
			for _, f := range ImportFaults(there, c.spots) {
				at = append(at, f.Location)
			}
			require.ElementsMatch(t, c.at, at)
		})
	}
}

func TestChargeWindow(t *testing.T) {
	t.Parallel()
	entry := at(t, "2026-03-02T08:00:00Z")
	s := hourly()
	s.ExitWindowMinutes = 15
	s.LostFee = new(Money(5000))
	minute := func(m float64) time.Time { return entry.Add(time.Duration(m * float64(time.Minute))) }
	paid := func(amounts ...any) *Ticket {
		k := Ticket{EntryTime: entry}
		for i := 0; i < len(amounts); i += 2 {
			k.Payments = append(k.Payments, Payment{PaidAt: minute(amounts[i].(float64)), Amount: Money(amounts[i+1].(int))})
		}
		return &k
	}
	lost := paid(50.0, 200)
	lost.Lost = true
	discounted := paid(50.0, 100)
	discounted.Adjustments = []RecordedAdjustment{{Adjustment: Adjustment{Kind: AdjustFixed, Amount: 100}}}
	for name, c := range map[string]struct {
		ticket *Ticket
		at     float64
		due    Money
		total  Money
		until  float64
		free   bool
	}{
		"nothing paid":                {paid(), 50, 200, 200, 50, false},
		"in grace":                    {paid(), 10, 0, 0, 10, false},
		"inside the window":           {paid(50.0, 200), 64, 0, 200, 50, true},
		"its last instant":            {paid(50.0, 200), 65 + 0.9/60, 0, 200, 50, true},
		"just past it":                {paid(50.0, 200), 65 + 1.0/60, 200, 400, 65 + 1.0/60, false},
		"past it, in the same hour":   {paid(30.0, 200), 59, 0, 200, 59, false},
		"partly paid":                 {paid(50.0, 150), 55, 50, 200, 55, false},
		"paid in two parts":           {paid(50.0, 150, 55.0, 50), 69, 0, 200, 55, true},
		"paid again after the window": {paid(50.0, 200, 80.0, 200), 90, 0, 400, 80, true},
		"left before a late payment":  {paid(50.0, 200, 80.0, 200), 60, 0, 200, 50, true},
		"lost after paying":           {lost, 55, 4800, 5000, 55, false},
		"discount after paying":       {discounted, 60, 0, 100, 50, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := c.ticket.Charge(s, minute(c.at))
			require.Equal(t, c.due, got.Due, "due")
			require.Equal(t, c.total, got.Price.Total, "total")
			require.Equal(t, minute(c.until), got.Until)
			require.Equal(t, c.free, got.FreeUntil != nil)
			if c.free {
				require.Equal(t, minute(c.until+15), *got.FreeUntil)
			}
			// What would be stored gives what would be stored.
			require.Equal(t, got.Price, Compute(s, c.ticket.Stay(got.Until)))
		})
	}
	require.Nil(t, paid(50.0, 100).CoveredAt(s))
	require.Equal(t, minute(80), *paid(50.0, 200, 80.0, 200).CoveredAt(s))
	require.Nil(t, lost.CoveredAt(s))
}
