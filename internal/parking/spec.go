package parking

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Spec is a strategy as it is written and stored: JSON with the names of the
// contract. Tiers and Table exclude each other; a stored spec always has tiers.
type Spec struct {
	StrategyID        string           `json:"strategyId,omitempty"`
	Version           int              `json:"version,omitempty"`
	Name              string           `json:"name"`
	TimeZone          string           `json:"timeZone"`
	Currency          string           `json:"currency"`
	GraceMinutes      int64            `json:"graceMinutes"`
	Tiers             []TierSpec       `json:"tiers,omitempty"`
	Table             []TableSpec      `json:"table,omitempty"`
	Period            Period           `json:"period"`              // default none
	ResetTime         string           `json:"resetTime,omitempty"` // HH:MM, default 00:00
	PeriodCap         *Money           `json:"periodCap"`
	StayCap           *Money           `json:"stayCap"`
	Multipliers       []MultiplierSpec `json:"multipliers"`
	Surge             []SurgeSpec      `json:"surge"`
	LostFee           *Money           `json:"lostFee"`
	ExitWindowMinutes int64            `json:"exitWindowMinutes"`
}

// TierSpec is a tier as it is written.
type TierSpec struct {
	FromMinute       int64  `json:"fromMinute"`
	ToMinute         *int64 `json:"toMinute"`
	IncrementMinutes int64  `json:"incrementMinutes"`
	Value            Money  `json:"value"`
}

// TableSpec is a row of a table as it is written.
type TableSpec struct {
	UpToMinute int64 `json:"upToMinute"`
	Total      Money `json:"total"`
}

// MultiplierSpec is a weekly multiplier as it is written; End may be 24:00.
type MultiplierSpec struct {
	Days  []int  `json:"days"`
	Start string `json:"start"`
	End   string `json:"end"`
	BP    int64  `json:"bp"`
}

// SurgeSpec is a surge as it is written.
type SurgeSpec struct {
	AboveBP int64 `json:"aboveBp"`
	BP      int64 `json:"bp"`
}

// Bounds of what a strategy may list.
const (
	maxTiers   = 1000
	maxWindows = 1000
	maxName    = 200
)

const dayMinutes = 24 * 60

// Strategy reads the spec. It returns everything wrong with it, each with its place
// under the body; with faults the strategy is not to be used.
func (p *Spec) Strategy() (Strategy, []domain.Fault) {
	f := faults(NameFaults("name", p.Name))
	s := Strategy{
		StrategyID: p.StrategyID, Version: p.Version, Name: p.Name, TimeZone: p.TimeZone, Currency: p.Currency,
		GraceMinutes: p.GraceMinutes, Period: p.Period, PeriodCap: p.PeriodCap, StayCap: p.StayCap, LostFee: p.LostFee,
		ExitWindowMinutes: p.ExitWindowMinutes, Location: time.UTC,
	}
	f = append(f, CurrencyFaults("currency", p.Currency)...)
	location, wrong := Zone("timeZone", p.TimeZone)
	f = append(f, wrong...)
	if location != nil {
		s.Location = location
	}
	if s.Period == "" {
		s.Period = PeriodNone
	}
	if p.ResetTime != "" {
		s.ResetMinute = f.clock("resetTime", p.ResetTime, false)
	}
	f.tiersOf(p, &s)
	f.windowsOf(p, &s)
	f = append(f, s.Validate()...)
	return s, f
}

// tiersOf takes the tiers, or makes them of the table.
func (f *faults) tiersOf(p *Spec, s *Strategy) {
	f.check(len(p.Tiers) == 0 || len(p.Table) == 0, "table", "give tiers or a table, not both", nil)
	f.check(len(p.Tiers) <= maxTiers, "tiers", fmt.Sprintf("must be at most %d", maxTiers), len(p.Tiers))
	f.check(len(p.Table) <= maxTiers, "table", fmt.Sprintf("must be at most %d rows", maxTiers), len(p.Table))
	for _, t := range p.Tiers {
		s.Tiers = append(s.Tiers, Tier(t))
	}
	if len(p.Tiers) > 0 || len(p.Table) == 0 {
		return
	}
	rows := make([]TableRow, len(p.Table))
	for i, r := range p.Table {
		rows[i] = TableRow(r)
	}
	tiers, wrong := TiersOf(rows)
	*f = append(*f, wrong...)
	s.Tiers = tiers
	if len(wrong) > 0 {
		// What the table got wrong is said once, in its own words.
		s.Tiers = []Tier{{IncrementMinutes: 1}}
	}
}

func (f *faults) windowsOf(p *Spec, s *Strategy) {
	f.check(len(p.Multipliers) <= maxWindows, "multipliers", fmt.Sprintf("must be at most %d", maxWindows), len(p.Multipliers))
	f.check(len(p.Surge) <= maxWindows, "surge", fmt.Sprintf("must be at most %d", maxWindows), len(p.Surge))
	for i, m := range p.Multipliers {
		at := fmt.Sprintf("multipliers[%d]", i)
		before := len(*f)
		start, end := f.clock(at+".start", m.Start, false), f.clock(at+".end", m.End, true)
		if len(*f) > before {
			start, end = 0, dayMinutes // the order of times that are none is no fault of its own
		}
		s.Multipliers = append(s.Multipliers, Multiplier{Days: m.Days, Start: start, End: end, BP: m.BP})
	}
	for _, r := range p.Surge {
		s.Surge = append(s.Surge, Surge(r))
	}
}

// clock reads HH:MM as the minute of the day; midnight says whether 24:00 is one.
func (f *faults) clock(at, text string, midnight bool) int {
	ok := len(text) == 5 && text[2] == ':' && digits(text[:2]) && digits(text[3:])
	minute := 0
	if ok {
		hour := int(text[0]-'0')*10 + int(text[1]-'0')
		past := int(text[3]-'0')*10 + int(text[4]-'0')
		minute = hour*60 + past
		ok = past < 60 && (minute < dayMinutes || midnight && minute == dayMinutes)
	}
	message := "must be a time of day, HH:MM"
	if midnight {
		message += ", at most 24:00"
	}
	f.check(ok, at, message, text)
	if !ok {
		return 0
	}
	return minute
}

func digits(text string) bool {
	return strings.Trim(text, "0123456789") == ""
}

// SpecOf writes a strategy, as tiers.
func SpecOf(s *Strategy) Spec {
	p := Spec{
		StrategyID: s.StrategyID, Version: s.Version, Name: s.Name, TimeZone: s.TimeZone, Currency: s.Currency,
		GraceMinutes: s.GraceMinutes, Tiers: []TierSpec{}, Period: s.Period, ResetTime: clockText(s.ResetMinute),
		PeriodCap: s.PeriodCap, StayCap: s.StayCap, Multipliers: []MultiplierSpec{}, Surge: []SurgeSpec{},
		LostFee: s.LostFee, ExitWindowMinutes: s.ExitWindowMinutes,
	}
	for _, t := range s.Tiers {
		p.Tiers = append(p.Tiers, TierSpec(t))
	}
	for _, m := range s.Multipliers {
		p.Multipliers = append(p.Multipliers, MultiplierSpec{Days: m.Days, Start: clockText(m.Start), End: clockText(m.End), BP: m.BP})
	}
	for _, r := range s.Surge {
		p.Surge = append(p.Surge, SurgeSpec(r))
	}
	return p
}

func clockText(minute int) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }

// StrategyOf reads a stored version.
func StrategyOf(row *StrategyRow) (Strategy, error) {
	var p Spec
	if err := json.Unmarshal(row.Spec, &p); err != nil {
		return Strategy{}, fmt.Errorf("pricing strategy %s, version %d: %w", row.StrategyID, row.Version, err)
	}
	p.StrategyID, p.Version = row.StrategyID, row.Version
	s, wrong := p.Strategy()
	if len(wrong) > 0 {
		return Strategy{}, fmt.Errorf("pricing strategy %s, version %d: %s %s", row.StrategyID, row.Version, wrong[0].Location, wrong[0].Message)
	}
	return s, nil
}

// Zone loads a time zone by its IANA name.
func Zone(at, name string) (*time.Location, []domain.Fault) {
	if name != "" && name != "Local" {
		if location, err := time.LoadLocation(name); err == nil {
			return location, nil
		}
	}
	return nil, []domain.Fault{{Location: at, Message: `must be the IANA name of a time zone, such as "Europe/Berlin"`, Value: name}}
}

// CurrencyFaults says what is wrong with a currency code.
func CurrencyFaults(at, code string) []domain.Fault {
	if len(code) == 3 && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" {
		return nil
	}
	return []domain.Fault{{Location: at, Message: `must be an ISO 4217 code of three capital letters, such as "EUR"`, Value: code}}
}

// NameFaults says what is wrong with a name that people read.
func NameFaults(at, name string) []domain.Fault {
	f := faults(TextFaults(at, name))
	f.check(name != "", at, fmt.Sprintf("must have 1 to %d characters", maxName), nil)
	return f
}

// TextFaults says what is wrong with a text of any length up to a name's.
func TextFaults(at, text string) []domain.Fault {
	var f faults
	f.check(!strings.ContainsRune(text, 0) && utf8.ValidString(text), at, "must be UTF-8 without the character NUL", nil)
	if utf8.RuneCountInString(text) > maxName {
		f.check(text == "", at, fmt.Sprintf("must have at most %d characters", maxName), nil)
	}
	return f
}

// IDFaults says what is wrong with an id: 1 to 200 of A–Z a–z 0–9 . _ : -
func IDFaults(at, id string) []domain.Fault {
	const marks = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-"
	if len(id) >= 1 && len(id) <= maxName && strings.Trim(id, marks) == "" {
		return nil
	}
	return []domain.Fault{{Location: at, Message: "must have 1 to 200 of the characters A-Z a-z 0-9 . _ : -"}}
}
