package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite/dbsqlc"
)

// CreateFacility implements store.Parking.
func (s *Store) CreateFacility(ctx context.Context, f parking.Facility, now time.Time, events ...domain.Event) error {
	what := "create facility " + string(f.FacilityID)
	if err := checkText("a facility", string(f.FacilityID), f.Name, f.TimeZone, f.Currency, f.StrategyID); err != nil {
		return classify(what, err)
	}
	at := s.clockOr(now)
	number(events, f.FacilityID.Source(), int64(len(events)), at)
	return s.change(ctx, what, func(ctx context.Context, q *dbsqlc.Queries) error {
		made, err := q.InsertFacility(ctx, dbsqlc.InsertFacilityParams{
			FacilityID:         string(f.FacilityID),
			BodyHash:           blob(f.BodyHash),
			Name:               f.Name,
			TimeZone:           f.TimeZone,
			Currency:           f.Currency,
			AllocationStrategy: string(f.Rules.Allocation),
			DynamicBands:       bandsJSON(f.Rules.Bands),
			PricingStrategyID:  f.StrategyID,
			WindowRegular:      f.Rules.WindowSizes[parking.KindRegular],
			WindowCompact:      f.Rules.WindowSizes[parking.KindCompact],
			WindowRule:         string(f.Rules.WindowRule),
			MaxOvertakes:       int64(f.MaxOvertakes),
			OfferHoldSecs:      int64(f.OfferHold / time.Second),
			EventSeq:           int64(len(events)),
			Now:                micros(at),
		})
		if err := taken(made, err); err != nil {
			return err
		}
		return record(ctx, q, events, f.FacilityID.Source(), at)
	})
}

// number fills in what the store gives to events; last is the number of the last.
func number(events []domain.Event, source domain.Source, last int64, at time.Time) {
	for i := range events {
		events[i].Source, events[i].Seq, events[i].At = source, last-int64(len(events)-1-i), at
	}
}

// record writes numbered events of a source that may be new.
func record(ctx context.Context, q *dbsqlc.Queries, events []domain.Event, source domain.Source, now time.Time) error {
	if err := q.InsertSource(ctx, dbsqlc.InsertSourceParams{Source: string(source), Now: micros(now)}); err != nil {
		return err
	}
	return insertEvents(ctx, q, events)
}

// register numbers and writes events that belong to no facility.
func (s *Store) register(ctx context.Context, q *dbsqlc.Queries, events []domain.Event) error {
	if len(events) == 0 {
		return nil
	}
	last, err := q.NextEventSeq(ctx, dbsqlc.NextEventSeqParams{
		Source: string(parking.RegisterSource), Events: int64(len(events)), Now: micros(s.clock()),
	})
	if err != nil {
		return err
	}
	number(events, parking.RegisterSource, last.EventSeq, timeOf(last.LastAt))
	return record(ctx, q, events, parking.RegisterSource, timeOf(last.LastAt))
}

// Facility implements store.Parking.
func (s *Store) Facility(ctx context.Context, id parking.FacilityID) (f parking.Facility, err error) {
	err = s.read(ctx, "facility "+string(id), func(ctx context.Context, q *dbsqlc.Queries) error {
		row, err := q.GetFacility(ctx, string(id))
		if err != nil {
			return err
		}
		f, err = facilityOf(&row)
		return err
	})
	return f, err
}

// ListFacilities implements store.Parking.
func (s *Store) ListFacilities(ctx context.Context) (found []parking.Facility, err error) {
	err = s.read(ctx, "list facilities", func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.ListFacilities(ctx)
		if err != nil {
			return err
		}
		found = make([]parking.Facility, len(rows))
		for i := range rows {
			if found[i], err = facilityOf(&rows[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return found, err
}

// DueFacilities implements store.Parking.
func (s *Store) DueFacilities(ctx context.Context, now time.Time) (store.Due, error) {
	due := store.Due{Now: s.clockOr(now)}
	err := s.read(ctx, "due facilities", func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.DueFacilities(ctx, new(micros(due.Now)))
		if err != nil {
			return err
		}
		for i := range rows {
			due.Facilities = append(due.Facilities, parking.FacilityID(rows[i].FacilityID))
		}
		at, err := q.NextDueFacility(ctx, new(micros(due.Now)))
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		due.Next = timePtr(at)
		return err
	})
	return due, err
}

// NextDue implements store.FacilityTx.
func (t *facilityTx) NextDue(ctx context.Context) (*time.Time, error) {
	at, err := t.w.NextDue(ctx, dbsqlc.NextDueParams{FacilityID: string(t.facility.FacilityID), Now: micros(t.now)})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // nothing falls due
	}
	if err != nil {
		return nil, t.call("next due", err)
	}
	return new(timeOf(at)), nil
}

// updateFacility takes what an operator sets from settings and the counters from f.
func updateFacility(settings, f *parking.Facility, now time.Time) (dbsqlc.UpdateFacilityParams, error) {
	return dbsqlc.UpdateFacilityParams{
		FacilityID:         string(f.FacilityID),
		Name:               settings.Name,
		AllocationStrategy: string(settings.Rules.Allocation),
		DynamicBands:       bandsJSON(settings.Rules.Bands),
		PricingStrategyID:  settings.StrategyID,
		WindowRegular:      settings.Rules.WindowSizes[parking.KindRegular],
		WindowCompact:      settings.Rules.WindowSizes[parking.KindCompact],
		WindowRule:         string(settings.Rules.WindowRule),
		MaxOvertakes:       int64(settings.MaxOvertakes),
		OfferHoldSecs:      int64(settings.OfferHold / time.Second),
		Total:              f.Counts.Total,
		InService:          f.Counts.InService,
		Occupied:           f.Counts.Occupied,
		Reserved:           f.Counts.Reserved,
		EventSeq:           f.Sequences.Event,
		MessageSeq:         f.Sequences.Message,
		WaitSeq:            f.Sequences.Wait,
		LastAt:             micros(now),
		NextDueAt:          microsPtr(settings.NextDueAt),
	}, checkText("a facility", settings.Name, settings.StrategyID)
}

func facilityOf(row *dbsqlc.PlFacility) (parking.Facility, error) {
	f := parking.Facility{
		FacilityID: parking.FacilityID(row.FacilityID),
		BodyHash:   row.BodyHash,
		Name:       row.Name,
		TimeZone:   row.TimeZone,
		Currency:   row.Currency,
		Rules: parking.Rules{
			Allocation:  parking.Allocation(row.AllocationStrategy),
			WindowSizes: map[parking.SpotKind]int64{},
			WindowRule:  parking.WindowRule(row.WindowRule),
		},
		StrategyID:   row.PricingStrategyID,
		MaxOvertakes: int(row.MaxOvertakes),
		OfferHold:    time.Duration(row.OfferHoldSecs) * time.Second,
		Counts:       parking.Counts{Total: row.Total, InService: row.InService, Occupied: row.Occupied, Reserved: row.Reserved},
		Sequences:    parking.Sequences{Event: row.EventSeq, Message: row.MessageSeq, Wait: row.WaitSeq, At: timeOf(row.LastAt)},
		NextDueAt:    timePtr(row.NextDueAt),
		CreatedAt:    timeOf(row.CreatedAt),
	}
	for kind, size := range map[parking.SpotKind]int64{parking.KindRegular: row.WindowRegular, parking.KindCompact: row.WindowCompact} {
		if size > 0 {
			f.Rules.WindowSizes[kind] = size
		}
	}
	var bands []storedBand
	if err := json.Unmarshal([]byte(row.DynamicBands), &bands); err != nil {
		return f, fmt.Errorf("bands of facility %s: %w", row.FacilityID, err)
	}
	for _, b := range bands {
		f.Rules.Bands = append(f.Rules.Bands, parking.Band(b))
	}
	return f, nil
}

// storedBand is a band as it is in the facility's row.
type storedBand struct {
	AboveBP  int64              `json:"aboveBp"`
	Strategy parking.Allocation `json:"strategy"`
}

func bandsJSON(bands []parking.Band) string {
	stored := make([]storedBand, len(bands))
	for i, b := range bands {
		stored[i] = storedBand(b)
	}
	return jsonOf(stored)
}

// blob is bytes that are never NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// list is a JSON array that is never null; ErrData for a text that Postgres would refuse.
func list(what string, values []string) (string, error) {
	if len(values) == 0 {
		return "[]", nil
	}
	return jsonOf(values), checkText(what, values...)
}

// listOf reads a column written by list; empty: nil.
func listOf(column string) ([]string, error) {
	if column == "[]" {
		return nil, nil
	}
	var values []string
	if err := json.Unmarshal([]byte(column), &values); err != nil {
		return nil, fmt.Errorf("a stored list: %w: %w", store.ErrData, err)
	}
	return values, nil
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
