package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parkinglot/parkinglot/internal/parking"
)

// OccupancyReport counts spots by level and kind.
type OccupancyReport struct {
	Rows []OccupancyRow `json:"rows" nullable:"false"`
}

// OccupancyRow counts the spots of a level and kind.
type OccupancyRow struct {
	Level        int64  `json:"level"`
	Kind         string `enum:"compact,regular,oversized" json:"kind"`
	Total        int64  `json:"total"`
	InService    int64  `json:"inService"`
	Occupied     int64  `json:"occupied"`
	Reserved     int64  `json:"reserved"`
	OutOfService int64  `json:"outOfService"`
}

// OccupancyHistory is how full a facility was, step by step.
type OccupancyHistory struct {
	Rows []OccupancySample `json:"rows" nullable:"false"`
}

// OccupancySample is how full a facility was at an instant.
type OccupancySample struct {
	At        time.Time `json:"at"`
	Occupied  int64     `json:"occupied"`
	Reserved  int64     `json:"reserved"`
	InService int64     `json:"inService"`
	Bp        int64     `doc:"Occupancy in basis points; 0 with none in service." json:"bp"`
}

// RevenueReport is what came in by day and strategy version.
type RevenueReport struct {
	Rows []RevenueRow `json:"rows" nullable:"false"`
}

// RevenueRow is what a strategy version brought on a local date.
type RevenueRow struct {
	Date       string `example:"2026-03-01" format:"date" json:"date"`
	StrategyID string `json:"strategyId"`
	Version    int    `json:"version"`
	Tickets    int64  `json:"tickets"`
	Amount     int64  `json:"amount"`
	Paid       int64  `json:"paid"`
	Refunded   int64  `json:"refunded"`
}

// Reconciliation compares gate openings, tickets and payments.
type Reconciliation struct {
	Openings int64                 `json:"openings"`
	Tickets  int64                 `json:"tickets"`
	Charged  int64                 `json:"charged"`
	Paid     int64                 `json:"paid"`
	Refunded int64                 `json:"refunded"`
	Faults   []ReconciliationFault `json:"faults" nullable:"false"`
}

// ReconciliationFault is something that does not add up.
type ReconciliationFault struct {
	Code     string `json:"code"`
	TicketID string `json:"ticketId,omitempty"`
	GateID   string `json:"gateId,omitempty"`
	Sequence *int64 `json:"sequence,omitempty"`
	Message  string `json:"message"`
}

// WhatIfRequest asks what past stays would have cost.
type WhatIfRequest struct {
	From     time.Time   `json:"from"`
	To       time.Time   `json:"to"`
	Strategy NewStrategy `json:"strategy"`
	_        struct{}    `additionalProperties:"false" json:"-"`
}

// WhatIfReport compares what stays cost with what they would have cost.
type WhatIfReport struct {
	Tickets      int64       `json:"tickets"`
	CurrentTotal int64       `json:"currentTotal"`
	DraftTotal   int64       `json:"draftTotal"`
	Rows         []WhatIfRow `json:"rows" nullable:"false"`
}

// WhatIfRow compares one ticket.
type WhatIfRow struct {
	TicketID string `json:"ticketId"`
	Current  int64  `json:"current"`
	Draft    int64  `json:"draft"`
}

type spanInput struct {
	FacilityID string `doc:"The facility." example:"central" path:"facilityId"`
	From       string `doc:"A time as RFC 3339 has it, inclusive." example:"2026-03-01T00:00:00Z" query:"from" required:"true"`
	To         string `doc:"A time as RFC 3339 has it, exclusive." example:"2026-03-02T00:00:00Z" query:"to" required:"true"`

	from, to time.Time
}

// Resolve reads the parameters Huma does not know how to.
func (in *spanInput) Resolve(huma.Context) []error {
	d := decoder{}
	in.from, in.to = d.queryTime("from", in.From), d.queryTime("to", in.To)
	return d.errors()
}

type historyInput struct {
	FacilityID  string `doc:"The facility." example:"central" path:"facilityId"`
	From        string `doc:"A time as RFC 3339 has it, inclusive." example:"2026-03-01T00:00:00Z" query:"from" required:"true"`
	To          string `doc:"A time as RFC 3339 has it, exclusive." example:"2026-03-02T00:00:00Z" query:"to" required:"true"`
	StepMinutes int64  `default:"60" doc:"Minutes between samples." maximum:"525600" minimum:"1" query:"stepMinutes"`

	from, to time.Time
}

// Resolve reads the parameters Huma does not know how to.
func (in *historyInput) Resolve(huma.Context) []error {
	d := decoder{}
	in.from, in.to = d.queryTime("from", in.From), d.queryTime("to", in.To)
	return d.errors()
}

type whatIfInput struct {
	formBody[WhatIfRequest]

	FacilityID string `doc:"The facility." example:"central" path:"facilityId"`
}

func (s *server) reportRoutes() {
	const path = facilityPath + "/reports"
	registerPlain(s, reading("reportOccupancy", path+"/occupancy", tagReports, "Occupancy now", "By level and kind."), s.reportOccupancy)
	registerPlain(s, reading("reportOccupancyHistory", path+"/occupancy-history", tagReports, "Occupancy over time",
		"A sample each step; instants before the first change have none."), s.reportHistory)
	registerPlain(s, reading("reportRevenue", path+"/revenue", tagReports, "Revenue", "By local date of the exit and strategy version."), s.reportRevenue)
	registerPlain(s, reading("reportReconciliation", path+"/reconciliation", tagReports, "Reconciliation",
		"Gate openings, tickets and payments, and what does not add up."), s.reportReconciliation)
	registerForm[WhatIfRequest](s, writing("whatIf", http.MethodPost, path+"/what-if", tagReports, http.StatusOK, "What if",
		"Prices the stays that ended in the span under a draft strategy. Nothing is stored."), maxStrategyBody,
		`{"from": "2026-03-01T00:00:00Z", "to": "2026-03-02T00:00:00Z", "strategy": {"name": "Draft", "timeZone": "Europe/Berlin",
		"currency": "EUR", "tiers": [{"fromMinute": 0, "toMinute": null, "incrementMinutes": 30, "value": 120}]}}`, s.whatIf)
}

func (s *server) reportOccupancy(ctx context.Context, in *facilityInput) (*out[OccupancyReport], error) {
	rows, err := s.parking.OccupancyNow(ctx, parking.FacilityID(in.FacilityID))
	report := OccupancyReport{Rows: []OccupancyRow{}}
	for _, r := range rows {
		report.Rows = append(report.Rows, OccupancyRow{
			Level: r.Level, Kind: string(r.Kind), Total: r.Total, InService: r.InService, Occupied: r.Occupied, Reserved: r.Reserved,
			OutOfService: r.OutOfService(),
		})
	}
	return answered(report, err)
}

func (s *server) reportHistory(ctx context.Context, in *historyInput) (*out[OccupancyHistory], error) {
	samples, err := s.parking.OccupancyHistory(ctx, parking.FacilityID(in.FacilityID), in.from, in.to, time.Duration(in.StepMinutes)*time.Minute)
	report := OccupancyHistory{Rows: []OccupancySample{}}
	for _, r := range samples {
		row := OccupancySample{At: r.At.UTC(), Occupied: r.Occupied, Reserved: r.Reserved, InService: r.InService}
		if r.InService > 0 {
			row.Bp = parking.OneBP * (r.Occupied + r.Reserved) / r.InService
		}
		report.Rows = append(report.Rows, row)
	}
	return answered(report, err)
}

func (s *server) reportRevenue(ctx context.Context, in *spanInput) (*out[RevenueReport], error) {
	rows, err := s.parking.Revenue(ctx, parking.FacilityID(in.FacilityID), in.from, in.to)
	report := RevenueReport{Rows: []RevenueRow{}}
	for _, r := range rows {
		report.Rows = append(report.Rows, RevenueRow{
			Date: r.Date, StrategyID: r.StrategyID, Version: r.Version, Tickets: r.Tickets,
			Amount: int64(r.Amount), Paid: int64(r.Paid), Refunded: int64(r.Refunded),
		})
	}
	return answered(report, err)
}

func (s *server) reportReconciliation(ctx context.Context, in *spanInput) (*out[Reconciliation], error) {
	r, err := s.parking.Reconcile(ctx, parking.FacilityID(in.FacilityID), in.from, in.to)
	report := Reconciliation{
		Openings: r.Openings, Tickets: r.Tickets, Charged: int64(r.Charged), Paid: int64(r.Paid), Refunded: int64(r.Refunded),
		Faults: []ReconciliationFault{},
	}
	for _, f := range r.Faults {
		fault := ReconciliationFault{Code: f.Code, TicketID: f.TicketID, GateID: f.GateID, Message: f.Message}
		if f.GateID != "" {
			fault.Sequence = &f.Sequence
		}
		report.Faults = append(report.Faults, fault)
	}
	return answered(report, err)
}

func (s *server) whatIf(ctx context.Context, in *whatIfInput) (*out[WhatIfReport], error) {
	b := &in.sent
	r, err := s.parking.WhatIf(ctx, parking.FacilityID(in.FacilityID),
		parking.WhatIf{From: *micros(&b.From), To: *micros(&b.To), Strategy: b.Strategy.spec()})
	report := WhatIfReport{
		Tickets: r.Tickets, CurrentTotal: int64(r.CurrentTotal), DraftTotal: int64(r.DraftTotal), Rows: []WhatIfRow{},
	}
	for _, row := range r.Rows {
		report.Rows = append(report.Rows, WhatIfRow{TicketID: row.TicketID, Current: int64(row.Current), Draft: int64(row.Draft)})
	}
	return answered(report, err)
}
