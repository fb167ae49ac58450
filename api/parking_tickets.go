package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

// Ticket is one stay of one vehicle.
type Ticket struct {
	TicketID         string       `json:"ticketId"`
	FacilityID       string       `json:"facilityId"`
	VehicleID        string       `json:"vehicleId"`
	SpotID           string       `doc:"The lowest position of its spots." json:"spotId"`
	SpotIDs          []string     `json:"spotIds" nullable:"false"`
	EntryTime        time.Time    `json:"entryTime"`
	ExitTime         *time.Time   `json:"exitTime,omitempty"`
	Status           string       `enum:"open,closed,void" json:"status"`
	Lost             bool         `json:"lost"`
	PricingStrategy  StrategyRef  `json:"pricingStrategy"`
	EntryOccupancyBp *int64       `doc:"Measured before this entry; null: no spot was in service." json:"entryOccupancyBp"`
	Adjustments      []Adjustment `json:"adjustments" nullable:"false"`
	Payments         []Payment    `json:"payments" nullable:"false"`
	Refunds          []Refund     `json:"refunds" nullable:"false"`
	Paid             int64        `doc:"Sum of the payments, in minor units." json:"paid"`
	Amount           *int64       `doc:"What it cost; once closed." json:"amount,omitempty"`
	PricedUntil      *time.Time   `doc:"What amount was computed for." json:"pricedUntil,omitempty"`
	Lines            []PriceLine  `doc:"Of amount; lists leave them out." json:"lines,omitempty"`
	VoidReason       string       `json:"voidReason,omitempty"`
	ReservationID    string       `json:"reservationId,omitempty"`
}

// StrategyRef names a version of a tariff.
type StrategyRef struct {
	StrategyID string `json:"strategyId"`
	Version    int    `json:"version"`
}

// Adjustment is a validation or discount of a ticket.
type Adjustment struct {
	AdjustmentID string `json:"adjustmentId"`
	Kind         string `enum:"freeMinutes,percent,fixed" json:"kind"`
	Minutes      int64  `json:"minutes,omitempty"`
	Bp           int64  `json:"bp,omitempty"`
	Amount       int64  `json:"amount,omitempty"`
	Reason       string `json:"reason,omitempty"`
}

// Payment is money taken.
type Payment struct {
	PaymentID string    `json:"paymentId"`
	Amount    int64     `json:"amount"`
	Method    string    `json:"method,omitempty"`
	PaidAt    time.Time `json:"paidAt"`
}

// Refund is money given back.
type Refund struct {
	PaymentID string `json:"paymentId"`
	Amount    int64  `json:"amount"`
}

// TicketPage is a page of tickets.
type TicketPage struct {
	Items      []Ticket `doc:"In the order of their entry, facility by facility, without lines." json:"items" nullable:"false"`
	NextCursor string   `doc:"Continues after this page; absent on the last." json:"nextCursor,omitempty"`
}

// Quote is what a ticket costs until an instant.
type Quote struct {
	EntryTime time.Time   `json:"entryTime"`
	Until     time.Time   `json:"until"`
	Seconds   int64       `doc:"Whole seconds of the stay." json:"seconds"`
	Minutes   int64       `doc:"Minutes begun." json:"minutes"`
	Currency  string      `json:"currency"`
	Total     int64       `doc:"Minor units." json:"total"`
	Lines     []PriceLine `json:"lines" nullable:"false"`
	Paid      int64       `json:"paid"`
	Due       int64       `doc:"What is still to be paid." json:"due"`
	FreeUntil *time.Time  `doc:"Leaving is free until then." json:"freeUntil,omitempty"`
}

// NewPayment is money offered for a ticket.
type NewPayment struct {
	PaymentID string     `doc:"The same id with the same body is taken once." example:"p-1" json:"paymentId" maxLength:"200" minLength:"1" pattern:"^[A-Za-z0-9._:-]+$"`
	Amount    int64      `doc:"Minor units." example:"400" json:"amount" maximum:"10000000000" minimum:"1"`
	Method    string     `example:"card" json:"method,omitempty" maxLength:"200"`
	PaidAt    *time.Time `doc:"Default: now." json:"paidAt,omitempty"`
	_         struct{}   `additionalProperties:"false" json:"-"`
}

// TicketAdjustment is a validation or discount for a ticket. Only the field of its
// kind counts.
type TicketAdjustment struct {
	AdjustmentID string   `example:"a-1" json:"adjustmentId" maxLength:"200" minLength:"1" pattern:"^[A-Za-z0-9._:-]+$"`
	Kind         string   `enum:"freeMinutes,percent,fixed" json:"kind"`
	Minutes      int64    `doc:"Of freeMinutes." json:"minutes,omitempty" minimum:"1"`
	Bp           int64    `doc:"Of percent: basis points taken off." json:"bp,omitempty" maximum:"10000" minimum:"1"`
	Amount       int64    `doc:"Of fixed: minor units taken off." json:"amount,omitempty" minimum:"1"`
	Reason       string   `json:"reason,omitempty" maxLength:"200"`
	_            struct{} `additionalProperties:"false" json:"-"`
}

// LostReport says that a ticket was lost.
type LostReport struct {
	At *time.Time `doc:"Default: now." json:"at,omitempty"`
	_  struct{}   `additionalProperties:"false" json:"-"`
}

// VoidRequest ends a ticket that should not have been.
type VoidRequest struct {
	Reason string   `example:"barrier defect" json:"reason" maxLength:"200" minLength:"1"`
	_      struct{} `additionalProperties:"false" json:"-"`
}

type ticketInput struct {
	TicketID string `doc:"The ticket." path:"ticketId"`
}

type listTicketsInput struct {
	Paging

	FacilityID string `doc:"Only tickets of this facility." query:"facilityId"`
	VehicleID  string `doc:"Only tickets of this vehicle." query:"vehicleId"`
	Status     string `doc:"Only tickets in this status." enum:"open,closed,void" query:"status"`
}

type quoteInput struct {
	TicketID string `doc:"The ticket." path:"ticketId"`
	Until    string `doc:"A time as RFC 3339 has it; default: now." query:"until"`

	until *time.Time
}

// Resolve reads the parameters Huma does not know how to.
func (in *quoteInput) Resolve(huma.Context) []error {
	d := decoder{}
	if until := d.queryTime("until", in.Until); !until.IsZero() {
		in.until = &until
	}
	return d.errors()
}

type payInput struct {
	formBody[NewPayment]

	TicketID string `doc:"The ticket." path:"ticketId"`
}

type adjustInput struct {
	formBody[TicketAdjustment]

	TicketID string `doc:"The ticket." path:"ticketId"`
}

type lostInput struct {
	formBody[LostReport]

	TicketID string `doc:"The ticket." path:"ticketId"`
}

type exitInput struct {
	formBody[NewExit]

	TicketID string `doc:"The ticket." path:"ticketId"`
}

type voidInput struct {
	formBody[VoidRequest]

	TicketID string `doc:"The ticket." path:"ticketId"`
}

func (s *server) ticketRoutes() {
	registerPlain(s, reading("getTicket", ticketPath, tagTickets, "Read a ticket", "A stay, with the lines of its price once it is closed."), s.getTicket)
	registerPlain(s, reading("listTickets", "/tickets", tagTickets, "List tickets", "In the order of their entry, facility by facility."), s.listTickets)
	registerPlain(s, reading("quoteTicket", ticketPath+"/quote", tagTickets, "Quote a ticket",
		"What leaving at an instant costs, and what of it is still due."), s.quoteTicket)
	registerForm[NewPayment](s, writing("payTicket", http.MethodPost, ticketPath+"/payments", tagTickets, http.StatusCreated, "Pay",
		"At most what is due at `paidAt`. `409 ticket_closed`, `overpaid`, or `exists` for a known id with another body."), maxSmallBody,
		`{"paymentId": "p-1", "amount": 400, "method": "card"}`, s.payTicket)
	registerForm[TicketAdjustment](s, writing("adjustTicket", http.MethodPost, ticketPath+"/adjustments", tagTickets, http.StatusCreated,
		"Validate or discount", "Of an open ticket. Adjustments count in the order they were recorded."), maxSmallBody,
		`{"adjustmentId": "a-1", "kind": "freeMinutes", "minutes": 60, "reason": "cinema"}`, s.adjustTicket)
	registerForm[LostReport](s, writing("reportLost", http.MethodPost, ticketPath+"/lost", tagTickets, http.StatusOK, "Report a ticket lost",
		"It then costs at least the strategy's fee."), maxSmallBody, `{}`, s.reportLost)
	exit := writing("exitTicket", http.MethodPost, ticketPath+"/exit", tagTickets, http.StatusOK, "Let a vehicle out",
		"Frees its spots. `402 payment_required` with `due`; `409 ticket_closed`.")
	exit.Errors = append(exit.Errors, http.StatusPaymentRequired)
	registerForm[NewExit](s, exit, maxSmallBody, `{"gateId": "south", "sequence": 5}`, s.exitTicket)
	registerForm[VoidRequest](s, writing("voidTicket", http.MethodPost, ticketPath+"/void", tagTickets, http.StatusOK, "Void a ticket",
		"Refunds what was paid and frees the spots. A repeat gives the same answer."), maxSmallBody, `{"reason": "barrier defect"}`, s.voidTicket)
}

func (s *server) getTicket(ctx context.Context, in *ticketInput) (*out[Ticket], error) {
	t, err := s.parking.Ticket(ctx, in.TicketID)
	return answeredTicket(&t, err)
}

func (s *server) listTickets(ctx context.Context, in *listTicketsInput) (*out[TicketPage], error) {
	filter := store.TicketFilter{
		Facility: parking.FacilityID(in.FacilityID), Vehicle: in.VehicleID, Status: parking.TicketStatus(in.Status), Limit: in.Limit + 1,
	}
	after, err := in.place(2)
	if err != nil {
		return nil, err
	}
	if after != nil {
		filter.AfterFacility = parking.FacilityID(after[0])
		if filter.AfterSeq, err = in.number(after[1]); err != nil {
			return nil, err
		}
	}
	tickets, err := s.parking.Tickets(ctx, filter)
	if err != nil {
		return nil, err
	}
	answer := TicketPage{Items: []Ticket{}}
	if len(tickets) > in.Limit {
		tickets = tickets[:in.Limit]
		last := &tickets[in.Limit-1]
		answer.NextCursor = opaque(string(last.FacilityID), strconv.FormatInt(last.Seq, 10))
	}
	for i := range tickets {
		answer.Items = append(answer.Items, ticketJSON(&tickets[i]))
	}
	return answered(answer, nil)
}

func (s *server) quoteTicket(ctx context.Context, in *quoteInput) (*out[Quote], error) {
	q, err := s.parking.Quote(ctx, in.TicketID, in.until)
	price := priceJSON(q.Entry, q.Until, q.Currency, &q.Price)
	return answered(Quote{
		EntryTime: price.EntryTime, Until: price.Until, Seconds: price.Seconds, Minutes: price.Minutes, Currency: price.Currency,
		Total: price.Total, Lines: price.Lines, Paid: int64(q.Paid), Due: int64(q.Due), FreeUntil: utc(q.FreeUntil),
	}, err)
}

func (s *server) payTicket(ctx context.Context, in *payInput) (*out[Ticket], error) {
	b := &in.sent
	t, err := s.parking.Pay(ctx, in.TicketID, parking.NewPayment{
		PaymentID: b.PaymentID, Amount: parking.Money(b.Amount), Method: b.Method, PaidAt: micros(b.PaidAt),
	}, requestOf(ctx).actor)
	return answeredTicket(&t, err)
}

func (s *server) adjustTicket(ctx context.Context, in *adjustInput) (*out[Ticket], error) {
	b := &in.sent
	t, err := s.parking.Adjust(ctx, in.TicketID, parking.NewAdjustment{
		AdjustmentID: b.AdjustmentID, Reason: b.Reason,
		Adjustment: parking.Adjustment{Kind: parking.AdjustmentKind(b.Kind), Minutes: b.Minutes, BP: b.Bp, Amount: parking.Money(b.Amount)},
	}, requestOf(ctx).actor)
	return answeredTicket(&t, err)
}

func (s *server) reportLost(ctx context.Context, in *lostInput) (*out[Ticket], error) {
	t, err := s.parking.ReportLost(ctx, in.TicketID, micros(in.sent.At), requestOf(ctx).actor)
	return answeredTicket(&t, err)
}

func (s *server) exitTicket(ctx context.Context, in *exitInput) (*out[Ticket], error) {
	call, faults := gateCall(in.sent.GateID, in.sent.Sequence)
	if len(faults) > 0 {
		return nil, invalid(faults)
	}
	t, err := s.parking.Exit(ctx, in.TicketID, parking.NewExit{Call: call, At: micros(in.sent.At)}, requestOf(ctx).actor)
	return answeredTicket(&t, err)
}

func (s *server) voidTicket(ctx context.Context, in *voidInput) (*out[Ticket], error) {
	t, err := s.parking.Void(ctx, in.TicketID, in.sent.Reason, requestOf(ctx).actor)
	return answeredTicket(&t, err)
}

func answeredTicket(t *parking.TicketView, err error) (*out[Ticket], error) {
	if err != nil {
		return nil, err
	}
	return &out[Ticket]{Body: ticketJSON(t)}, nil
}

func ticketJSON(t *parking.TicketView) Ticket {
	view := Ticket{
		TicketID: t.TicketID, FacilityID: string(t.FacilityID), VehicleID: t.VehicleID, SpotIDs: append([]string{}, t.SpotIDs...),
		EntryTime: t.EntryTime.UTC(), ExitTime: utc(t.ExitTime), Status: string(t.Status), Lost: t.Lost,
		PricingStrategy: StrategyRef{StrategyID: t.StrategyID, Version: t.StrategyVersion}, EntryOccupancyBp: t.EntryOccupancyBP,
		Adjustments: []Adjustment{}, Payments: []Payment{}, Refunds: []Refund{}, Paid: int64(t.Paid()),
		Amount: (*int64)(t.Amount), PricedUntil: utc(t.PricedUntil), VoidReason: t.VoidReason, ReservationID: t.ReservationID,
	}
	if len(t.SpotIDs) > 0 {
		view.SpotID = t.SpotIDs[0]
	}
	for _, a := range t.Adjustments {
		view.Adjustments = append(view.Adjustments, Adjustment{
			AdjustmentID: a.AdjustmentID, Kind: string(a.Kind), Minutes: a.Minutes, Bp: a.BP, Amount: int64(a.Amount), Reason: a.Reason,
		})
	}
	for _, p := range t.Payments {
		view.Payments = append(view.Payments, Payment{PaymentID: p.PaymentID, Amount: int64(p.Amount), Method: p.Method, PaidAt: p.PaidAt.UTC()})
		if p.Refunded > 0 {
			view.Refunds = append(view.Refunds, Refund{PaymentID: p.PaymentID, Amount: int64(p.Refunded)})
		}
	}
	if len(t.Lines) > 0 {
		view.Lines = linesJSON(t.Lines)
	}
	return view
}
