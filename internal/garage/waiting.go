package garage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

// The statuses of messages about a place in a waiting line; expired is the scheduler's.
const (
	messageOffered   domain.Status = "offered"
	messageTaken     domain.Status = "taken"
	messageCancelled domain.Status = "cancelled"
)

const reasonOfferLapsed = domain.ReasonCode(domain.CodeOfferLapsed)

func unknownWaiting(id string) *domain.Error {
	return domain.Errorf(domain.CodeUnknownWaiting, "there is nobody waiting by the id %q here", id)
}

// offerHold marks spots held for somebody who waits.
func offerHold(waiting string) string { return "offer:" + waiting }

// join puts an arrival at the end of its class in the waiting line.
func (g *Garage) join(ctx context.Context, tx store.FacilityTx, a *arrival) (parking.WaitingView, error) {
	now, wait := tx.Now(), a.request.Wait
	w := parking.Waiting{
		WaitingID: g.newID(), FacilityID: tx.Facility().FacilityID, VehicleID: a.vehicle.VehicleID, Features: a.request.Features,
		Priority: wait.Priority, Deadline: wait.Deadline.UTC().Truncate(time.Microsecond), Mailbox: wait.Mailbox,
		Status: parking.WaitingWaits, CreatedAt: now,
	}
	if !w.Deadline.After(now) {
		return parking.WaitingView{}, fault("body.wait.deadline", "has passed; it is %s", now.Format(time.RFC3339))
	}
	ahead, err := tx.Line(ctx, maxLine)
	if err != nil {
		return parking.WaitingView{}, err
	}
	if len(ahead) >= maxLine {
		return parking.WaitingView{}, domain.Errorf(domain.CodeFull, "the facility is full, and so is its waiting line (%d)", maxLine)
	}
	switch err := tx.InsertWaiting(ctx, &w); {
	case errors.Is(err, store.ErrConflict):
		return parking.WaitingView{}, domain.Errorf(domain.CodeAlreadyWaiting,
			"vehicle %s waits already, here or elsewhere; cancel that first", w.VehicleID)
	case err != nil:
		return parking.WaitingView{}, err
	}
	if err := record(ctx, tx, parking.EventWait, a.passage.actor, []string{parking.VehicleSubject(w.VehicleID)}, a.passage.fields(map[string]any{
		"waitingId": w.WaitingID, "vehicleId": w.VehicleID, "priority": w.Priority.String(), "deadline": w.Deadline, "size": a.vehicle.Size,
	})); err != nil {
		return parking.WaitingView{}, err
	}
	position := int64(1)
	for i := range ahead {
		if ahead[i].Priority >= w.Priority {
			position++
		}
	}
	return parking.WaitingView{Waiting: w, Position: position}, schedule(ctx, tx)
}

// offer holds spots for somebody who waits and says so.
func offer(ctx context.Context, tx store.FacilityTx, w *parking.Waiting, spots []parking.Spot) error {
	ids := idsOf(spots)
	if err := tx.Hold(ctx, ids, offerHold(w.WaitingID)); err != nil {
		return err
	}
	// Nobody is told that a place is theirs for longer than they want to wait.
	expires := tx.Now().Add(tx.Facility().OfferHold)
	if w.Deadline.Before(expires) {
		expires = w.Deadline
	}
	w.Status, w.OfferSpotIDs, w.OfferExpiresAt = parking.WaitingOffered, ids, &expires
	if err := tx.SetWaiting(ctx, w); err != nil {
		return err
	}
	subjects := append(parking.SpotSubjects(ids...), parking.VehicleSubject(w.VehicleID))
	if err := record(ctx, tx, parking.EventOffer, "", subjects, map[string]any{
		"waitingId": w.WaitingID, "vehicleId": w.VehicleID, "spotIds": ids, "expiresAt": expires, "overtaken": w.Overtaken,
	}); err != nil {
		return err
	}
	return post(ctx, tx, w, messageOffered, domain.Reason{})
}

// endWaiting takes somebody out of the line and gives what was held for them back.
// The caller lets release run.
func endWaiting(ctx context.Context, tx store.FacilityTx, w *parking.Waiting, status parking.WaitingStatus, reason domain.Reason, actor string) error {
	spots := w.OfferSpotIDs
	if w.Status == parking.WaitingOffered && status != parking.WaitingTaken {
		if err := tx.Free(ctx, spots); err != nil {
			return err
		}
	}
	w.Status, w.ReasonCode, w.OfferExpiresAt = status, reason.Code, nil
	if err := tx.SetWaiting(ctx, w); err != nil {
		return err
	}
	subjects := []string{parking.VehicleSubject(w.VehicleID)}
	fields := map[string]any{"waitingId": w.WaitingID, "vehicleId": w.VehicleID}
	if reason.Code == reasonOfferLapsed {
		fields["spotIds"] = spots
		if err := record(ctx, tx, parking.EventOfferLapsed, actor, append(parking.SpotSubjects(spots...), subjects...), fields); err != nil {
			return err
		}
	}
	fields["status"], fields["overtaken"] = status, w.Overtaken
	if reason.Code != "" {
		fields["reason"] = reason.Code
	}
	if w.TicketID != "" {
		fields["ticketId"] = w.TicketID
		subjects = append(subjects, parking.TicketSubject(w.TicketID))
	}
	if err := record(ctx, tx, parking.EventWaitEnd, actor, subjects, fields); err != nil {
		return err
	}
	return post(ctx, tx, w, domain.Status(status), reason)
}

// post leaves a message about somebody who waits, if they gave a mailbox. It names no
// task: a place in a line has more than one message.
func post(ctx context.Context, tx store.FacilityTx, w *parking.Waiting, status domain.Status, reason domain.Reason) error {
	if w.Mailbox == nil {
		return nil
	}
	payload, err := json.Marshal(struct {
		FacilityID parking.FacilityID `json:"facilityId"`
		WaitingID  string             `json:"waitingId"`
		VehicleID  string             `json:"vehicleId"`
		TicketID   string             `json:"ticketId,omitempty"`
		SpotIDs    []string           `json:"spotIds,omitempty"`
		ExpiresAt  *time.Time         `json:"expiresAt,omitempty"`
	}{w.FacilityID, w.WaitingID, w.VehicleID, w.TicketID, w.OfferSpotIDs, w.OfferExpiresAt})
	if err != nil {
		return fmt.Errorf("message about waiting %s: %w", w.WaitingID, err)
	}
	return tx.Post(ctx, &domain.Message{
		Mailbox: *w.Mailbox, PoolID: domain.PoolID(w.FacilityID), Status: status, Reason: reason, Payload: payload,
	})
}

// WaitingLine returns who waits or has an offer, in order. Those with an offer have no
// position any more.
func (g *Garage) WaitingLine(ctx context.Context, id parking.FacilityID) ([]parking.WaitingView, error) {
	if _, err := g.store.Facility(ctx, id); err != nil {
		return nil, edge(err, unknownFacility(id))
	}
	line, err := g.store.WaitingLine(ctx, id)
	if err != nil {
		return nil, edge(err, unknownFacility(id))
	}
	return positioned(line), nil
}

func positioned(line []parking.Waiting) []parking.WaitingView {
	views := make([]parking.WaitingView, len(line))
	position := int64(0)
	for i := range line {
		views[i].Waiting = line[i]
		if line[i].Status == parking.WaitingWaits {
			position++
			views[i].Position = position
		}
	}
	return views
}

// Waiting returns one who waits or waited.
func (g *Garage) Waiting(ctx context.Context, id string) (parking.WaitingView, error) {
	w, err := g.store.Waiting(ctx, id)
	if err != nil {
		return parking.WaitingView{}, edge(err, unknownWaiting(id))
	}
	view := parking.WaitingView{Waiting: w}
	if w.Status != parking.WaitingWaits {
		return view, nil
	}
	line, err := g.store.WaitingLine(ctx, w.FacilityID)
	if err != nil {
		return view, edge(err, nil)
	}
	for _, in := range positioned(line) {
		if in.WaitingID == id {
			return in, nil
		}
	}
	// Just gone from the line: look again.
	w, err = g.store.Waiting(ctx, id)
	return parking.WaitingView{Waiting: w}, edge(err, unknownWaiting(id))
}

// CancelWaiting takes somebody out of the line. What has ended is left as it ended.
func (g *Garage) CancelWaiting(ctx context.Context, id, actor string) (parking.WaitingView, error) {
	w, err := g.store.Waiting(ctx, id)
	if err != nil {
		return parking.WaitingView{}, edge(err, unknownWaiting(id))
	}
	err = g.change(ctx, w.FacilityID, func(ctx context.Context, tx store.FacilityTx, _ bool) error {
		if w, err = tx.Waiting(ctx, id); err != nil {
			return err
		}
		if w.Status != parking.WaitingWaits && w.Status != parking.WaitingOffered {
			return nil
		}
		reason := domain.Reason{Code: domain.ReasonCancelled, Message: "cancelled while waiting"}
		if err := endWaiting(ctx, tx, &w, parking.WaitingCancelled, reason, actor); err != nil {
			return err
		}
		return g.release(ctx, tx)
	})
	return parking.WaitingView{Waiting: w}, err
}

// AcceptOffer turns the spots held for somebody who waited into a ticket.
func (g *Garage) AcceptOffer(ctx context.Context, id string, at *time.Time, actor string) (parking.TicketView, error) {
	w, err := g.store.Waiting(ctx, id)
	if err != nil {
		return parking.TicketView{}, edge(err, unknownWaiting(id))
	}
	a := arrival{
		passage: &passage{facility: w.FacilityID, at: at, where: "body.at", actor: actor},
		request: &parking.NewEntry{VehicleID: w.VehicleID, At: at}, ticketID: g.newID(),
	}
	for {
		if w.Status != parking.WaitingTaken {
			if err := g.prepare(ctx, &a); err != nil {
				return parking.TicketView{}, err
			}
		}
		var answer gateAnswer
		err := g.change(ctx, w.FacilityID, func(ctx context.Context, tx store.FacilityTx, _ bool) (err error) {
			answer, err = g.accept(ctx, tx, id, &a)
			return err
		})
		if err == nil {
			err = answer.refusal()
		}
		if errors.Is(err, errChanged) {
			continue
		}
		if err != nil {
			return parking.TicketView{}, err
		}
		return g.view(ctx, answer.Ticket)
	}
}

// accept decides under the lock. The refusal of an offer that lapsed just now is an
// answer: what it changes is kept.
func (g *Garage) accept(ctx context.Context, tx store.FacilityTx, id string, a *arrival) (gateAnswer, error) {
	if err := g.sweep(ctx, tx); err != nil {
		return gateAnswer{}, err
	}
	w, err := tx.Waiting(ctx, id)
	switch {
	case err != nil:
		return gateAnswer{}, err
	case w.Status == parking.WaitingTaken:
		t, err := tx.Ticket(ctx, w.TicketID)
		return gateAnswer{Ticket: &t}, err
	case w.Status == parking.WaitingWaits:
		return gateAnswer{Code: domain.CodeNoOffer, Message: "no spot has been offered yet; wait for the message, or look again"}, nil
	case w.Status != parking.WaitingOffered:
		return gateAnswer{
			Code: domain.CodeOfferLapsed, Message: fmt.Sprintf("no spot is held any more (%s); enter again", w.Status),
		}, nil
	case a.refusal != nil:
		return gateAnswer{}, a.refusal
	case tx.Facility().StrategyID != a.strategy.StrategyID:
		return gateAnswer{}, errChanged
	}
	if a.at, err = instant(a.passage.where, a.request.At, tx.Now(), w.CreatedAt); err != nil {
		return gateAnswer{}, err
	}
	answer, err := g.letIn(ctx, tx, a, w.OfferSpotIDs, offerHold(id))
	if err != nil {
		return answer, err
	}
	w.TicketID = a.ticketID
	if err := endWaiting(ctx, tx, &w, parking.WaitingTaken, domain.Reason{}, a.passage.actor); err != nil {
		return answer, err
	}
	return answer, schedule(ctx, tx)
}
