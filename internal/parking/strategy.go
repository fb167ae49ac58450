package parking

import (
	"time"
)

// Money is an amount in minor units of a currency (cents; yen). Never a float.
type Money int64

// OneBP is one, in basis points.
const OneBP int64 = 10000

// Period says where the tiers of a strategy start over.
type Period string

// The periods of a strategy.
const (
	PeriodNone        Period = "none"        // one period, the whole stay
	PeriodRolling24h  Period = "rolling24h"  // every 86,400 s from entry, also across clock changes
	PeriodCalendarDay Period = "calendarDay" // at the reset time of the local day
)

// Tier is a stretch of a period with a price an increment. Minutes count from the
// period's start.
type Tier struct {
	FromMinute       int64
	ToMinute         *int64 // exclusive; nil: open, only for the last
	IncrementMinutes int64
	Value            Money // of one increment, before multipliers
}

// Multiplier changes the value of increments that start in a weekly window of the
// facility's wall clock.
type Multiplier struct {
	Days  []int // ISO weekdays, 1 (Monday) to 7
	Start int   // minute of the day, inclusive
	End   int   // minute of the day, exclusive; 1440 is midnight
	BP    int64
}

// Surge changes the value of all increments of a stay that began at an occupancy
// strictly above AboveBP.
type Surge struct {
	AboveBP int64
	BP      int64
}

// Strategy is one immutable version of a tariff. A ticket keeps the version it
// entered under, so what it costs never changes afterwards.
type Strategy struct {
	StrategyID        string
	Version           int
	Name              string
	TimeZone          string         // IANA name, frozen in the version
	Location          *time.Location // of TimeZone
	Currency          string         // ISO 4217, frozen in the version
	GraceMinutes      int64
	Tiers             []Tier
	Period            Period
	ResetMinute       int // minute of the local day at which a calendarDay period starts
	PeriodCap         *Money
	StayCap           *Money
	Multipliers       []Multiplier
	Surge             []Surge
	LostFee           *Money
	ExitWindowMinutes int64
}

// AdjustmentKind says what a validation or discount takes off.
type AdjustmentKind string

// The kinds of adjustment.
const (
	AdjustFreeMinutes AdjustmentKind = "freeMinutes"
	AdjustPercent     AdjustmentKind = "percent"
	AdjustFixed       AdjustmentKind = "fixed"
)

// Adjustment takes something off a stay. Only the field of its kind counts.
type Adjustment struct {
	Kind    AdjustmentKind
	Minutes int64 // freeMinutes
	BP      int64 // percent: 0 to 10000 taken off the running amount
	Amount  Money // fixed: taken off, never below zero
}

// Stay is what the price of a parked vehicle depends on besides the strategy.
type Stay struct {
	Entry            time.Time
	Until            time.Time
	EntryOccupancyBP *int64 // measured once, before the entry changed any spot; nil: none
	Adjustments      []Adjustment
	Lost             bool
}

// LineKind says what a line of a price stands for.
type LineKind string

// The kinds of line.
const (
	LineIncrement LineKind = "increment"
	LinePeriodCap LineKind = "periodCap"
	LineStayCap   LineKind = "stayCap"
	LinePercent   LineKind = "percent"
	LineFixed     LineKind = "fixed"
	LineLost      LineKind = "lost"
)

// Line is one part of a price. Lines sum to the total; reductions are negative.
type Line struct {
	Kind   LineKind
	At     *time.Time // of an increment: its start, UTC
	Period *int       // of an increment or period cap, from 0
	BP     *int64     // of an increment (the multiplier) or a percent
	Amount Money
}

// Price is what a stay costs, and why.
type Price struct {
	Seconds int64 // whole seconds of the stay
	Minutes int64 // begun minutes
	Total   Money
	Lines   []Line
}
