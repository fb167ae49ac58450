package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

// CreateFacility implements store.Parking.
func (s *Store) CreateFacility(ctx context.Context, f parking.Facility, now time.Time, events ...domain.Event) error {
	what := "create facility " + string(f.FacilityID)
	bands, err := bandsJSON(f.Rules.Bands)
	if err != nil {
		return classifyParking(what, err)
	}
	number(events, f.FacilityID.Source(), int64(len(events)), now)
	return s.change(ctx, what, func(ctx context.Context, q *dbsqlc.Queries) error {
		made, err := q.InsertFacility(ctx, dbsqlc.InsertFacilityParams{
			FacilityID:         string(f.FacilityID),
			BodyHash:           blob(f.BodyHash),
			Name:               f.Name,
			TimeZone:           f.TimeZone,
			Currency:           f.Currency,
			AllocationStrategy: string(f.Rules.Allocation),
			DynamicBands:       bands,
			PricingStrategyID:  f.StrategyID,
			WindowRegular:      int32(f.Rules.WindowSizes[parking.KindRegular]),
			WindowCompact:      int32(f.Rules.WindowSizes[parking.KindCompact]),
			WindowRule:         string(f.Rules.WindowRule),
			MaxOvertakes:       int32(f.MaxOvertakes),
			OfferHoldSecs:      int32(f.OfferHold / time.Second),
			EventSeq:           int64(len(events)),
			Now:                instant(now),
		})
		if err != nil {
			return err
		}
		if made == 0 {
			return store.ErrExists
		}
		return record(ctx, q, events, f.FacilityID.Source(), instant(now))
	})
}

// number fills in what the store gives to events; last is the number of the last.
func number(events []domain.Event, source domain.Source, last int64, at time.Time) {
	for i := range events {
		events[i].Source, events[i].Seq, events[i].At = source, last-int64(len(events)-1-i), at
	}
}

// record writes numbered events of a source that may be new.
func record(ctx context.Context, q *dbsqlc.Queries, events []domain.Event, source domain.Source, now pgtype.Timestamptz) error {
	if err := q.InsertSources(ctx, dbsqlc.InsertSourcesParams{Sources: []string{string(source)}, Now: now}); err != nil {
		return err
	}
	if len(events) == 0 {
		return nil
	}
	var w writes
	w.report(events, &w.messages, nil)
	if err := q.InsertEvents(ctx, w.events); err != nil || w.finished == nil {
		return err
	}
	return q.SummariseEvents(ctx, w.finished[0]) // here: the commit is not this function's
}

// register numbers and writes events that belong to no facility.
func (s *Store) register(ctx context.Context, q *dbsqlc.Queries, events []domain.Event) error {
	if len(events) == 0 {
		return nil
	}
	last, err := q.NextEventSeq(ctx, dbsqlc.NextEventSeqParams{
		Source: string(parking.RegisterSource), Events: int64(len(events)), Now: s.clock(),
	})
	if err != nil {
		return err
	}
	number(events, parking.RegisterSource, last.EventSeq, last.LastAt.Time.UTC())
	return record(ctx, q, events, parking.RegisterSource, last.LastAt)
}

// change is write with the errors of store.Parking.
func (s *Store) change(ctx context.Context, what string, f func(ctx context.Context, q *dbsqlc.Queries) error) error {
	var failed error
	err := s.write(ctx, what, func(ctx context.Context, q *dbsqlc.Queries) error {
		failed = f(ctx, q)
		return failed
	})
	if failed != nil {
		return classifyParking(what, failed)
	}
	return err
}

// Facility implements store.Parking.
func (s *Store) Facility(ctx context.Context, id parking.FacilityID) (parking.Facility, error) {
	var row dbsqlc.PlFacility
	err := s.read(ctx, "facility "+string(id), func(ctx context.Context, q *dbsqlc.Queries) (err error) {
		row, err = q.GetFacility(ctx, string(id))
		return err
	})
	if err != nil {
		return parking.Facility{}, err
	}
	return facilityOf(&row)
}

// ListFacilities implements store.Parking.
func (s *Store) ListFacilities(ctx context.Context) ([]parking.Facility, error) {
	var found []parking.Facility
	err := s.read(ctx, "list facilities", func(ctx context.Context, q *dbsqlc.Queries) error {
		rows, err := q.ListFacilities(ctx)
		for i := range rows {
			f, err := facilityOf(&rows[i])
			if err != nil {
				return err
			}
			found = append(found, f)
		}
		return err
	})
	return found, err
}

// DueFacilities implements store.Parking.
func (s *Store) DueFacilities(ctx context.Context, now time.Time) (store.Due, error) {
	var due store.Due
	err := s.read(ctx, "due facilities", func(ctx context.Context, q *dbsqlc.Queries) error {
		next, err := q.NextDueFacility(ctx, s.nowOr(now))
		if err != nil {
			return err
		}
		due.Now, due.Next = next.Now.Time.UTC(), maybeTime(next.NextDueAt)
		rows, err := q.DueFacilities(ctx, s.nowOr(now)) // a little later: in between nothing is missed
		for _, id := range rows {
			due.Facilities = append(due.Facilities, parking.FacilityID(id))
		}
		return err
	})
	return due, err
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
		Sequences:    parking.Sequences{Event: row.EventSeq, Message: row.MessageSeq, Wait: row.WaitSeq, At: row.LastAt.Time.UTC()},
		NextDueAt:    maybeTime(row.NextDueAt),
		CreatedAt:    row.CreatedAt.Time.UTC(),
	}
	for kind, size := range map[parking.SpotKind]int32{parking.KindRegular: row.WindowRegular, parking.KindCompact: row.WindowCompact} {
		if size > 0 {
			f.Rules.WindowSizes[kind] = int64(size)
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

func bandsJSON(bands []parking.Band) (string, error) {
	stored := make([]storedBand, len(bands))
	for i, b := range bands {
		stored[i] = storedBand(b)
	}
	encoded, err := json.Marshal(stored)
	if err != nil {
		return "", fmt.Errorf("encode bands: %w", err)
	}
	return string(encoded), nil
}

// updateFacilityParams takes what an operator sets from settings and the counters
// from f.
func updateFacilityParams(settings, f *parking.Facility, now time.Time) (*dbsqlc.UpdateFacilityParams, error) {
	bands, err := bandsJSON(settings.Rules.Bands)
	if err != nil {
		return nil, err
	}
	return &dbsqlc.UpdateFacilityParams{
		FacilityID:         string(f.FacilityID),
		Name:               settings.Name,
		AllocationStrategy: string(settings.Rules.Allocation),
		DynamicBands:       bands,
		PricingStrategyID:  settings.StrategyID,
		WindowRegular:      int32(settings.Rules.WindowSizes[parking.KindRegular]),
		WindowCompact:      int32(settings.Rules.WindowSizes[parking.KindCompact]),
		WindowRule:         string(settings.Rules.WindowRule),
		MaxOvertakes:       int32(settings.MaxOvertakes),
		OfferHoldSecs:      int32(settings.OfferHold / time.Second),
		Total:              f.Counts.Total,
		InService:          f.Counts.InService,
		Occupied:           f.Counts.Occupied,
		Reserved:           f.Counts.Reserved,
		EventSeq:           f.Sequences.Event,
		MessageSeq:         f.Sequences.Message,
		WaitSeq:            f.Sequences.Wait,
		LastAt:             instant(now),
		NextDueAt:          maybeInstant(settings.NextDueAt),
	}, nil
}
