package api

import (
	"context"
	"net/http"
	"time"

	"github.com/parkinglot/parkinglot/internal/parking"
)

// NewStrategy is a version of a tariff as it is written: tiers or a table.
type NewStrategy struct {
	StrategyID        string       `doc:"Default: a new one; of a later version that of the path." example:"day" json:"strategyId,omitempty" maxLength:"200" minLength:"1" pattern:"^[A-Za-z0-9._:-]+$"`
	Version           int          `doc:"The one it will be; to be left out." json:"version,omitempty" maximum:"1000000" minimum:"1"`
	Name              string       `example:"Day tariff" json:"name" maxLength:"200" minLength:"1"`
	TimeZone          string       `doc:"IANA name; frozen." example:"Europe/Berlin" json:"timeZone" maxLength:"200"`
	Currency          string       `doc:"ISO 4217; frozen." example:"EUR" json:"currency" pattern:"^[A-Z]{3}$"`
	GraceMinutes      int64        `doc:"A stay of at most these costs nothing; a longer one is charged from its start." json:"graceMinutes,omitempty" minimum:"0"`
	Tiers             []Tier       `doc:"Contiguous from minute 0; only the last may be open." json:"tiers,omitempty" maxItems:"1000"`
	Table             []TableRow   `doc:"Instead of tiers: what a stay up to a minute costs in all." json:"table,omitempty" maxItems:"1000"`
	Period            string       `default:"none" doc:"Where the tiers start over." enum:"none,rolling24h,calendarDay" json:"period,omitempty"`
	ResetTime         string       `default:"00:00" doc:"When a calendarDay begins, HH:MM local." example:"04:00" json:"resetTime,omitempty"`
	PeriodCap         *int64       `doc:"Minor units." json:"periodCap,omitempty" minimum:"0"`
	StayCap           *int64       `doc:"Minor units." json:"stayCap,omitempty" minimum:"0"`
	Multipliers       []Multiplier `json:"multipliers,omitempty" maxItems:"1000"`
	Surge             []Surge      `json:"surge,omitempty" maxItems:"1000"`
	LostFee           *int64       `doc:"The least a lost ticket costs." json:"lostFee,omitempty" minimum:"0"`
	ExitWindowMinutes int64        `doc:"How long leaving is free after paying." json:"exitWindowMinutes,omitempty" minimum:"0"`
	_                 struct{}     `additionalProperties:"false" json:"-"`
}

// Tier prices a stretch of a period by the increment. Minutes count from the
// period's start.
type Tier struct {
	FromMinute       int64  `json:"fromMinute" minimum:"0"`
	ToMinute         *int64 `doc:"Exclusive; null: open." json:"toMinute" required:"false"`
	IncrementMinutes int64  `json:"incrementMinutes" minimum:"1"`
	Value            int64  `doc:"Of one increment begun, in minor units." json:"value" minimum:"0"`
}

// TableRow says what a stay up to a minute costs in all.
type TableRow struct {
	UpToMinute int64 `json:"upToMinute" minimum:"1"`
	Total      int64 `doc:"Minor units." json:"total" minimum:"0"`
}

// Multiplier changes increments that start in a weekly window of local time. The
// largest that applies counts.
type Multiplier struct {
	Days  []int  `doc:"ISO weekdays, 1 is Monday." json:"days" maxItems:"7" minItems:"1" nullable:"false"`
	Start string `example:"08:00" json:"start"`
	End   string `doc:"Exclusive; may be 24:00." example:"18:00" json:"end"`
	Bp    int64  `doc:"10000 is one." example:"15000" json:"bp" maximum:"100000" minimum:"0"`
}

// Surge changes every increment of a stay that began above an occupancy.
type Surge struct {
	AboveBp int64 `doc:"Strictly above." example:"8000" json:"aboveBp" maximum:"100000" minimum:"0"`
	Bp      int64 `example:"12500" json:"bp" maximum:"100000" minimum:"1"`
}

// Strategy is a version of a tariff, as tiers.
type Strategy struct {
	StrategyID        string       `example:"day" json:"strategyId"`
	Version           int          `example:"1" json:"version"`
	Name              string       `json:"name"`
	TimeZone          string       `json:"timeZone"`
	Currency          string       `json:"currency"`
	GraceMinutes      int64        `json:"graceMinutes"`
	Tiers             []Tier       `json:"tiers" nullable:"false"`
	Period            string       `enum:"none,rolling24h,calendarDay" json:"period"`
	ResetTime         string       `json:"resetTime"`
	PeriodCap         *int64       `json:"periodCap"`
	StayCap           *int64       `json:"stayCap"`
	Multipliers       []Multiplier `json:"multipliers" nullable:"false"`
	Surge             []Surge      `json:"surge" nullable:"false"`
	LostFee           *int64       `json:"lostFee"`
	ExitWindowMinutes int64        `json:"exitWindowMinutes"`
}

// NewAdjustment is a validation or discount. Only the field of its kind counts.
type NewAdjustment struct {
	Kind    string   `enum:"freeMinutes,percent,fixed" json:"kind"`
	Minutes int64    `doc:"Of freeMinutes." json:"minutes,omitempty" minimum:"1"`
	Bp      int64    `doc:"Of percent: basis points taken off." json:"bp,omitempty" maximum:"10000" minimum:"1"`
	Amount  int64    `doc:"Of fixed: minor units taken off." json:"amount,omitempty" minimum:"1"`
	Reason  string   `json:"reason,omitempty" maxLength:"200"`
	_       struct{} `additionalProperties:"false" json:"-"`
}

func (a *NewAdjustment) adjustment() parking.Adjustment {
	return parking.Adjustment{Kind: parking.AdjustmentKind(a.Kind), Minutes: a.Minutes, BP: a.Bp, Amount: parking.Money(a.Amount)}
}

// PriceRequest asks what a stay would cost.
type PriceRequest struct {
	EntryTime        time.Time       `json:"entryTime"`
	Until            time.Time       `json:"until"`
	EntryOccupancyBp *int64          `json:"entryOccupancyBp,omitempty" maximum:"10000" minimum:"0"`
	Adjustments      []NewAdjustment `json:"adjustments,omitempty" maxItems:"100"`
	Lost             bool            `json:"lost,omitempty"`
	_                struct{}        `additionalProperties:"false" json:"-"`
}

// Price is what a stay costs and why. The lines sum to the total.
type Price struct {
	EntryTime time.Time   `json:"entryTime"`
	Until     time.Time   `json:"until"`
	Seconds   int64       `doc:"Whole seconds of the stay." json:"seconds"`
	Minutes   int64       `doc:"Minutes begun." json:"minutes"`
	Currency  string      `json:"currency"`
	Total     int64       `doc:"Minor units." json:"total"`
	Lines     []PriceLine `json:"lines" nullable:"false"`
}

// PriceLine is a part of a price; reductions are negative.
type PriceLine struct {
	Kind   string     `enum:"increment,periodCap,stayCap,percent,fixed,lost" json:"kind"`
	At     *time.Time `doc:"Of an increment: its start." json:"at,omitempty"`
	Period *int       `doc:"Counts from 0." json:"period,omitempty"`
	Bp     *int64     `doc:"Of an increment the multiplier, of a percent what it takes off." json:"bp,omitempty"`
	Amount int64      `doc:"Minor units." json:"amount"`
}

type createStrategyInput struct {
	formBody[NewStrategy]
}

type strategyInput struct {
	StrategyID string `doc:"The strategy." example:"day" path:"strategyId"`
}

type addVersionInput struct {
	formBody[NewStrategy]

	StrategyID string `doc:"The strategy." example:"day" path:"strategyId"`
}

type versionInput struct {
	StrategyID string `doc:"The strategy." example:"day" path:"strategyId"`
	Version    int    `doc:"The version." example:"1" minimum:"1" path:"version"`
}

type priceInput struct {
	formBody[PriceRequest]

	StrategyID string `doc:"The strategy." example:"day" path:"strategyId"`
	Version    int    `doc:"The version." example:"1" minimum:"1" path:"version"`
}

func (s *server) strategyRoutes() {
	const path = "/pricing-strategies"
	example := `{"strategyId": "day", "name": "Day tariff", "timeZone": "Europe/Berlin", "currency": "EUR", "graceMinutes": 10,
		"tiers": [{"fromMinute": 0, "toMinute": null, "incrementMinutes": 60, "value": 200}], "period": "calendarDay", "periodCap": 1500,
		"exitWindowMinutes": 15}`
	registerForm[NewStrategy](s, writing("createStrategy", http.MethodPost, path, tagPricing, http.StatusCreated,
		"Create a pricing strategy", "Stores version 1. Versions never change."), maxStrategyBody, example, s.createStrategy)
	registerPlain(s, reading("getStrategy", path+"/{strategyId}", tagPricing, "Read a pricing strategy", "Its newest version, as tiers."), s.getStrategy)
	registerForm[NewStrategy](s, writing("addStrategyVersion", http.MethodPost, path+"/{strategyId}/versions", tagPricing, http.StatusCreated,
		"Add a version", "Tickets keep the version they entered under. Zone and currency stay."), maxStrategyBody, example, s.addVersion)
	registerPlain(s, reading("getStrategyVersion", path+"/{strategyId}/versions/{version}", tagPricing, "Read a version", "As tiers."), s.getVersion)
	registerForm[PriceRequest](s, writing("priceStay", http.MethodPost, path+"/{strategyId}/versions/{version}/price", tagPricing, http.StatusOK,
		"Price a stay", "A pure function of the version and the body; any dates, nothing is stored."), maxSmallBody,
		`{"entryTime": "2026-03-01T08:00:00Z", "until": "2026-03-01T09:30:00Z"}`, s.priceStay)
}

func (s *server) createStrategy(ctx context.Context, in *createStrategyInput) (*out[Strategy], error) {
	spec, err := s.parking.CreateStrategy(ctx, in.sent.spec(), requestOf(ctx).actor)
	return answered(strategyJSON(&spec), err)
}

func (s *server) addVersion(ctx context.Context, in *addVersionInput) (*out[Strategy], error) {
	spec, err := s.parking.AddStrategyVersion(ctx, in.StrategyID, in.sent.spec(), requestOf(ctx).actor)
	return answered(strategyJSON(&spec), err)
}

func (s *server) getStrategy(ctx context.Context, in *strategyInput) (*out[Strategy], error) {
	spec, err := s.parking.Strategy(ctx, in.StrategyID, 0)
	return answered(strategyJSON(&spec), err)
}

func (s *server) getVersion(ctx context.Context, in *versionInput) (*out[Strategy], error) {
	spec, err := s.parking.Strategy(ctx, in.StrategyID, in.Version)
	return answered(strategyJSON(&spec), err)
}

func (s *server) priceStay(ctx context.Context, in *priceInput) (*out[Price], error) {
	b := &in.sent
	request := parking.PriceRequest{
		Entry: *micros(&b.EntryTime), Until: *micros(&b.Until), EntryOccupancyBP: b.EntryOccupancyBp, Lost: b.Lost,
	}
	for i := range b.Adjustments {
		request.Adjustments = append(request.Adjustments, b.Adjustments[i].adjustment())
	}
	price, currency, err := s.parking.Price(ctx, in.StrategyID, in.Version, request)
	return answered(priceJSON(request.Entry, request.Until, currency, &price), err)
}

func priceJSON(entry, until time.Time, currency string, p *parking.Price) Price {
	return Price{
		EntryTime: entry.UTC(), Until: until.UTC(), Seconds: p.Seconds, Minutes: p.Minutes, Currency: currency,
		Total: int64(p.Total), Lines: linesJSON(p.Lines),
	}
}

func linesJSON(lines []parking.Line) []PriceLine {
	list := make([]PriceLine, 0, len(lines))
	for _, l := range lines {
		list = append(list, PriceLine{Kind: string(l.Kind), At: utc(l.At), Period: l.Period, Bp: l.BP, Amount: int64(l.Amount)})
	}
	return list
}

func (n *NewStrategy) spec() parking.Spec {
	spec := parking.Spec{
		StrategyID: n.StrategyID, Version: n.Version, Name: n.Name, TimeZone: n.TimeZone, Currency: n.Currency,
		GraceMinutes: n.GraceMinutes, Period: parking.Period(n.Period), ResetTime: n.ResetTime,
		PeriodCap: (*parking.Money)(n.PeriodCap), StayCap: (*parking.Money)(n.StayCap), LostFee: (*parking.Money)(n.LostFee),
		ExitWindowMinutes: n.ExitWindowMinutes,
	}
	for _, t := range n.Tiers {
		spec.Tiers = append(spec.Tiers, parking.TierSpec{
			FromMinute: t.FromMinute, ToMinute: t.ToMinute, IncrementMinutes: t.IncrementMinutes, Value: parking.Money(t.Value),
		})
	}
	for _, r := range n.Table {
		spec.Table = append(spec.Table, parking.TableSpec{UpToMinute: r.UpToMinute, Total: parking.Money(r.Total)})
	}
	for _, m := range n.Multipliers {
		spec.Multipliers = append(spec.Multipliers, parking.MultiplierSpec{Days: m.Days, Start: m.Start, End: m.End, BP: m.Bp})
	}
	for _, r := range n.Surge {
		spec.Surge = append(spec.Surge, parking.SurgeSpec{AboveBP: r.AboveBp, BP: r.Bp})
	}
	return spec
}

func strategyJSON(p *parking.Spec) Strategy {
	view := Strategy{
		StrategyID: p.StrategyID, Version: p.Version, Name: p.Name, TimeZone: p.TimeZone, Currency: p.Currency,
		GraceMinutes: p.GraceMinutes, Tiers: []Tier{}, Period: string(p.Period), ResetTime: p.ResetTime,
		PeriodCap: (*int64)(p.PeriodCap), StayCap: (*int64)(p.StayCap), Multipliers: []Multiplier{}, Surge: []Surge{},
		LostFee: (*int64)(p.LostFee), ExitWindowMinutes: p.ExitWindowMinutes,
	}
	for _, t := range p.Tiers {
		view.Tiers = append(view.Tiers, Tier{FromMinute: t.FromMinute, ToMinute: t.ToMinute, IncrementMinutes: t.IncrementMinutes, Value: int64(t.Value)})
	}
	for _, m := range p.Multipliers {
		view.Multipliers = append(view.Multipliers, Multiplier{Days: append([]int{}, m.Days...), Start: m.Start, End: m.End, Bp: m.BP})
	}
	for _, r := range p.Surge {
		view.Surge = append(view.Surge, Surge{AboveBp: r.AboveBP, Bp: r.BP})
	}
	return view
}
