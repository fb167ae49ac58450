package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store/sqlite/dbsqlc"
)

// InsertGateCall implements store.FacilityTx.
func (t *facilityTx) InsertGateCall(ctx context.Context, c *parking.GateCall) error {
	what := "insert gate call"
	if err := errors.Join(checkText("a gate call", c.GateID, c.TicketID), checkJSON("an answer", c.Answer)); err != nil {
		return t.wrote(what, err)
	}
	return t.wrote(what, taken(t.w.InsertGateCall(ctx, dbsqlc.InsertGateCallParams{
		GateID: c.GateID, Sequence: c.Sequence, FacilityID: string(c.FacilityID), Kind: c.Kind, BodyHash: blob(c.BodyHash),
		Status: int64(c.Status), Answer: string(c.Answer), TicketID: c.TicketID, ObservedAt: micros(c.ObservedAt),
	})))
}

// GateCall implements store.FacilityTx.
func (t *facilityTx) GateCall(ctx context.Context, gate string, sequence int64) (parking.GateCall, error) {
	row, err := t.w.GetGateCall(ctx, dbsqlc.GetGateCallParams{GateID: gate, Sequence: sequence})
	return gateCallOf(&row), t.call("gate call", err)
}

// GateCall implements store.Parking.
func (s *Store) GateCall(ctx context.Context, gate string, sequence int64) (call parking.GateCall, err error) {
	err = s.read(ctx, "gate call", func(ctx context.Context, q *dbsqlc.Queries) error {
		row, err := q.GetGateCall(ctx, dbsqlc.GetGateCallParams{GateID: gate, Sequence: sequence})
		call = gateCallOf(&row)
		return err
	})
	return call, err
}

// GateCalls implements store.Parking.
func (s *Store) GateCalls(ctx context.Context, id parking.FacilityID, from, to time.Time) (calls []parking.GateCall, err error) {
	fromUS, toUS := span(from, to)
	err = s.read(ctx, "gate calls of facility "+string(id), func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.GateCalls(ctx, dbsqlc.GateCallsParams{FacilityID: string(id), FromAt: fromUS, ToAt: toUS})
		for i := range rows {
			calls = append(calls, gateCallOf(&rows[i]))
		}
		return err
	})
	return calls, err
}

func gateCallOf(row *dbsqlc.PlGateCall) parking.GateCall {
	return parking.GateCall{
		GateID: row.GateID, Sequence: row.Sequence, FacilityID: parking.FacilityID(row.FacilityID), Kind: row.Kind, BodyHash: row.BodyHash,
		Status: int(row.Status), Answer: []byte(row.Answer), TicketID: row.TicketID, ObservedAt: timeOf(row.ObservedAt),
	}
}
