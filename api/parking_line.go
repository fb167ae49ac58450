package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/parkinglot/parkinglot/internal/parking"
)

// NewReservation books spots for a span of time.
type NewReservation struct {
	ReservationID string    `doc:"Default: a new one." example:"r-1" json:"reservationId,omitempty" maxLength:"200" minLength:"1" pattern:"^[A-Za-z0-9._:-]+$"`
	VehicleID     string    `example:"v-1" json:"vehicleId" maxLength:"200" minLength:"1" pattern:"^[A-Za-z0-9._:-]+$"`
	From          time.Time `json:"from"`
	To            time.Time `json:"to"`
	NoShowMinutes *int64    `doc:"It lapses this long after from. Default 30." json:"noShowMinutes,omitempty" maximum:"527040" minimum:"1"`
	Features      []string  `json:"features,omitempty" maxItems:"32"`
	_             struct{}  `additionalProperties:"false" json:"-"`
}

// Reservation keeps spots for a vehicle for a while.
type Reservation struct {
	ReservationID string    `json:"reservationId"`
	FacilityID    string    `json:"facilityId"`
	VehicleID     string    `json:"vehicleId"`
	SpotIDs       []string  `json:"spotIds" nullable:"false"`
	From          time.Time `json:"from"`
	To            time.Time `json:"to"`
	Status        string    `enum:"booked,used,cancelled,no_show" json:"status"`
}

// Waiting is a vehicle in a facility's line.
type Waiting struct {
	WaitingID  string    `json:"waitingId"`
	FacilityID string    `json:"facilityId"`
	VehicleID  string    `json:"vehicleId"`
	Status     string    `enum:"waiting,offered,taken,expired,cancelled" json:"status"`
	Position   int64     `doc:"1 for the first; absent: not in the line." json:"position,omitempty"`
	Priority   string    `enum:"low,normal,high,critical" json:"priority"`
	Deadline   time.Time `json:"deadline"`
	Offer      *Offer    `doc:"Of offered: what is held." json:"offer,omitempty"`
	TicketID   string    `doc:"Of taken." json:"ticketId,omitempty"`
	Reason     string    `doc:"Of expired: offer_lapsed or deadline_passed." json:"reason,omitempty"`
}

// Offer is spots held for somebody who waited.
type Offer struct {
	SpotIDs   []string  `json:"spotIds" nullable:"false"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// WaitingPage is a page of a line.
type WaitingPage struct {
	Items      []Waiting `doc:"In order." json:"items" nullable:"false"`
	NextCursor string    `doc:"Continues after this page; absent on the last." json:"nextCursor,omitempty"`
}

// OfferAcceptance takes an offer.
type OfferAcceptance struct {
	At *time.Time `doc:"Default: now." json:"at,omitempty"`
	_  struct{}   `additionalProperties:"false" json:"-"`
}

type reserveInput struct {
	formBody[NewReservation]

	FacilityID string `doc:"The facility." example:"central" path:"facilityId"`
}

type reservationInput struct {
	ReservationID string `doc:"The reservation." example:"r-1" path:"reservationId"`
}

type lineInput struct {
	Paging

	FacilityID string `doc:"The facility." example:"central" path:"facilityId"`
}

type waitingInput struct {
	WaitingID string `doc:"Who waits." path:"waitingId"`
}

type acceptInput struct {
	formBody[OfferAcceptance]

	WaitingID string `doc:"Who waits." path:"waitingId"`
}

func (s *server) lineRoutes() {
	registerForm[NewReservation](s, writing("reserve", http.MethodPost, facilityPath+"/reservations", tagReservations, http.StatusCreated,
		"Reserve", "`409 no_spot`: nothing is free for that span."), maxSmallBody,
		`{"reservationId": "r-1", "vehicleId": "v-1", "from": "2026-03-02T08:00:00Z", "to": "2026-03-02T18:00:00Z"}`, s.reserve)
	registerPlain(s, reading("getReservation", "/reservations/{reservationId}", tagReservations, "Read a reservation", "Its spots and where it is in its life."), s.getReservation)
	cancel := reading("cancelReservation", "/reservations/{reservationId}", tagReservations, "Cancel a reservation", "Idempotent.")
	cancel.Method, cancel.Errors = http.MethodDelete, append(cancel.Errors, http.StatusConflict)
	registerPlain(s, cancel, s.cancelReservation)
	registerPlain(s, reading("listWaiting", facilityPath+"/waiting", tagReservations, "Read the waiting line", "Who waits or holds an offer, in order."), s.listWaiting)
	registerPlain(s, reading("getWaiting", "/waiting/{waitingId}", tagReservations, "Read a place in line", "Its position, or what is offered."), s.getWaiting)
	leave := reading("cancelWaiting", "/waiting/{waitingId}", tagReservations, "Leave the line", "Idempotent. An offer is passed on.")
	leave.Method, leave.Errors = http.MethodDelete, append(leave.Errors, http.StatusConflict)
	registerPlain(s, leave, s.cancelWaiting)
	accept := writing("acceptOffer", http.MethodPost, "/waiting/{waitingId}/accept", tagReservations, http.StatusCreated, "Take the offered spots",
		"The vehicle enters. `409 no_offer`: it still waits. `410 offer_lapsed`.")
	accept.Errors = append(accept.Errors, http.StatusGone)
	registerForm[OfferAcceptance](s, accept, maxSmallBody, `{}`, s.acceptOffer)
}

func (s *server) reserve(ctx context.Context, in *reserveInput) (*out[Reservation], error) {
	b := &in.sent
	request := parking.NewReservation{
		ReservationID: b.ReservationID, VehicleID: b.VehicleID, From: *micros(&b.From), To: *micros(&b.To), Features: b.Features,
	}
	if b.NoShowMinutes != nil {
		noShow := time.Duration(*b.NoShowMinutes) * time.Minute
		request.NoShow = &noShow
	}
	r, err := s.parking.Reserve(ctx, parking.FacilityID(in.FacilityID), request, requestOf(ctx).actor)
	return answered(reservationJSON(&r), err)
}

func (s *server) getReservation(ctx context.Context, in *reservationInput) (*out[Reservation], error) {
	r, err := s.parking.Reservation(ctx, in.ReservationID)
	return answered(reservationJSON(&r), err)
}

func (s *server) cancelReservation(ctx context.Context, in *reservationInput) (*out[Reservation], error) {
	r, err := s.parking.CancelReservation(ctx, in.ReservationID, requestOf(ctx).actor)
	return answered(reservationJSON(&r), err)
}

// listWaiting pages by the place after priority and arrival, so that somebody who
// leaves meanwhile shifts nothing.
func (s *server) listWaiting(ctx context.Context, in *lineInput) (*out[WaitingPage], error) {
	after, err := in.place(2)
	if err != nil {
		return nil, err
	}
	var priority, seq int64
	if after != nil {
		if priority, err = in.number(after[0]); err != nil {
			return nil, err
		}
		if seq, err = in.number(after[1]); err != nil {
			return nil, err
		}
	}
	line, err := s.parking.WaitingLine(ctx, parking.FacilityID(in.FacilityID))
	if err != nil {
		return nil, err
	}
	answer := WaitingPage{Items: []Waiting{}}
	for i := range line {
		w := &line[i]
		if after != nil && (int64(w.Priority) > priority || int64(w.Priority) == priority && w.Seq <= seq) {
			continue
		}
		if len(answer.Items) == in.Limit {
			last := &line[i-1]
			answer.NextCursor = opaque(strconv.FormatInt(int64(last.Priority), 10), strconv.FormatInt(last.Seq, 10))
			break
		}
		answer.Items = append(answer.Items, waitingJSON(w))
	}
	return answered(answer, nil)
}

func (s *server) getWaiting(ctx context.Context, in *waitingInput) (*out[Waiting], error) {
	w, err := s.parking.Waiting(ctx, in.WaitingID)
	return answered(waitingJSON(&w), err)
}

func (s *server) cancelWaiting(ctx context.Context, in *waitingInput) (*out[Waiting], error) {
	w, err := s.parking.CancelWaiting(ctx, in.WaitingID, requestOf(ctx).actor)
	return answered(waitingJSON(&w), err)
}

func (s *server) acceptOffer(ctx context.Context, in *acceptInput) (*out[Ticket], error) {
	t, err := s.parking.AcceptOffer(ctx, in.WaitingID, micros(in.sent.At), requestOf(ctx).actor)
	return answeredTicket(&t, err)
}

func reservationJSON(r *parking.Reservation) Reservation {
	return Reservation{
		ReservationID: r.ReservationID, FacilityID: string(r.FacilityID), VehicleID: r.VehicleID, SpotIDs: append([]string{}, r.SpotIDs...),
		From: r.From.UTC(), To: r.To.UTC(), Status: string(r.Status),
	}
}

func waitingJSON(w *parking.WaitingView) Waiting {
	view := Waiting{
		WaitingID: w.WaitingID, FacilityID: string(w.FacilityID), VehicleID: w.VehicleID, Status: string(w.Status), Position: w.Position,
		Priority: w.Priority.String(), Deadline: w.Deadline.UTC(), TicketID: w.TicketID, Reason: string(w.ReasonCode),
	}
	if w.Status == parking.WaitingOffered && w.OfferExpiresAt != nil {
		view.Offer = &Offer{SpotIDs: append([]string{}, w.OfferSpotIDs...), ExpiresAt: w.OfferExpiresAt.UTC()}
	}
	return view
}
