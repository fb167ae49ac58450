package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/migrate"
	"github.com/parkinglot/parkinglot/internal/store/postgres"
)

// smallGarage opens a store with a facility of three spots and two vehicles.
func smallGarage(t *testing.T, db dbtest.DB, opts postgres.Options) *postgres.Store {
	t.Helper()
	s := open(t, db, opts)
	now := time.Now().UTC().Truncate(time.Microsecond)
	require.NoError(t, s.CreateStrategy(t.Context(), parking.StrategyRow{StrategyID: "tariff", Version: 1, Spec: []byte("{}"), CreatedAt: now}))
	for _, v := range []string{"v", "w"} {
		require.NoError(t, s.CreateVehicle(t.Context(), parking.Vehicle{VehicleID: v, Plate: v, Size: parking.SizeMedium, Type: "car", CreatedAt: now}))
	}
	for _, id := range []parking.FacilityID{"garage", "other"} {
		require.NoError(t, s.CreateFacility(t.Context(), parking.Facility{
			FacilityID: id, Name: "G", TimeZone: "UTC", Currency: "EUR", StrategyID: "tariff", OfferHold: time.Minute,
			Rules: parking.Rules{Allocation: parking.Nearest, WindowRule: parking.WindowNoneFree},
		}, now))
		require.NoError(t, s.InFacility(t.Context(), id, func(ctx context.Context, tx store.FacilityTx) error {
			_, _, err := tx.PutSpots(ctx, []parking.Spot{
				{SpotID: "a", Kind: parking.KindRegular, Position: 1}, {SpotID: "b", Kind: parking.KindRegular, Position: 2},
				{SpotID: "c", Kind: parking.KindRegular, Position: 3},
			})
			return err
		}))
	}
	return s
}

func reserve(id string, from time.Time, hours int, spots ...string) *parking.Reservation {
	return &parking.Reservation{
		ReservationID: id, FacilityID: "garage", VehicleID: "v", SpotIDs: spots, From: from, To: from.Add(time.Duration(hours) * time.Hour),
		NoShowAt: from.Add(time.Minute), Status: parking.ReservationBooked, CreatedAt: from,
	}
}

// TestParkingConstraints goes past the program: the database itself refuses what must
// never be.
func TestParkingConstraints(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	s := smallGarage(t, db, postgres.Options{})
	from := time.Date(2031, time.May, 7, 9, 0, 0, 0, time.UTC)
	require.NoError(t, s.InFacility(t.Context(), "garage", func(ctx context.Context, tx store.FacilityTx) error {
		k := &parking.Ticket{
			TicketID: "k", FacilityID: "garage", VehicleID: "v", SpotIDs: []string{"a"}, Status: parking.TicketOpen,
			EntryTime: from, StrategyID: "tariff", StrategyVersion: 1,
		}
		return errors.Join(
			tx.InsertReservation(ctx, reserve("one", from, 2, "a", "b")), tx.InsertReservation(ctx, reserve("two", from.Add(3*time.Hour), 1, "a")),
			tx.Occupy(ctx, k.SpotIDs, "k", "v", ""), tx.InsertTicket(ctx, k))
	}))
	for name, c := range map[string]struct{ sql, constraint string }{
		"overlapping reservations": {
			`UPDATE pl_reservation_spots SET during = during + tstzrange('2031-05-07 11:00Z', '2031-05-07 12:01Z') WHERE reservation_id = 'one'`,
			"pl_reservation_spots_apart",
		},
		"another that overlaps": {
			`INSERT INTO pl_reservation_spots SELECT 'two', b.spot_no, b.during, true FROM pl_reservation_spots AS b JOIN pl_spots AS s USING (spot_no)
			 WHERE b.reservation_id = 'one' AND s.spot_id = 'b'`,
			"pl_reservation_spots_apart",
		},
		"two live tickets on a spot": {
			`WITH t AS (INSERT INTO pl_tickets (ticket_id, seq, facility_id, vehicle_id, spot_id, spot_ids, status, entry_time, strategy_id, strategy_version)
				SELECT 'l', 99, 'garage', 'w', 'a', '{a}', 'open', now(), 'tariff', 1 RETURNING ticket_id)
			 INSERT INTO pl_ticket_spots SELECT ticket_id, 'garage', 'a', true FROM t`,
			"pl_ticket_spots_live",
		},
		"two open tickets of a vehicle": {
			`INSERT INTO pl_tickets (ticket_id, seq, facility_id, vehicle_id, spot_id, spot_ids, status, entry_time, strategy_id, strategy_version)
			 VALUES ('l', 1, 'other', 'v', 'a', '{a}', 'open', now(), 'tariff', 1)`,
			"pl_tickets_open_vehicle",
		},
		"more taken than there is": {`UPDATE pl_facilities SET occupied = 3, reserved = 1 WHERE facility_id = 'garage'`, "pl_facilities_capacity"},
		"occupied by nobody":       {`UPDATE pl_spots SET state = 'occupied' WHERE spot_id = 'b' AND facility_id = 'garage'`, "pl_spots_occupied"},
		"reserved for nobody":      {`UPDATE pl_spots SET state = 'reserved' WHERE spot_id = 'b' AND facility_id = 'garage'`, "pl_spots_reserved"},
		"two spots in one place":   {`UPDATE pl_spots SET position = 1 WHERE spot_id = 'b' AND facility_id = 'garage'`, "pl_spots_place"},
	} {
		_, err := db.Pool.Exec(t.Context(), c.sql)
		var refused *pgconn.PgError
		require.ErrorAs(t, err, &refused, name)
		require.Equal(t, c.constraint, refused.ConstraintName, name)
	}
	// Beside each other in time, and not booked, is fine.
	execute(t, db, `UPDATE pl_reservation_spots SET during = tstzrange('2031-05-07 09:00Z', '2031-05-07 12:00Z') WHERE reservation_id = 'one'`)
	execute(t, db, `UPDATE pl_reservation_spots SET booked = false WHERE reservation_id = 'one'`)
	execute(t, db, `UPDATE pl_reservation_spots SET during = tstzrange('2031-05-07 09:00Z', '2031-05-07 20:00Z') WHERE reservation_id = 'one'`)
}

// TestParkingLockHeld has somebody else hold the facility's row: the change is refused in
// time, and others go on.
func TestParkingLockHeld(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	s := smallGarage(t, db, postgres.Options{})
	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "SELECT FROM pl_facilities WHERE facility_id = 'garage' FOR UPDATE")
	require.NoError(t, err)
	start := time.Now()
	err = s.InFacility(t.Context(), "garage", func(context.Context, store.FacilityTx) error { panic("it is locked") })
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.Less(t, time.Since(start), 9*time.Second)
	require.NoError(t, s.InFacility(t.Context(), "other", recordOne))
	require.NoError(t, tx.Rollback(t.Context()))
	require.NoError(t, s.InFacility(t.Context(), "garage", recordOne))
}

func recordOne(ctx context.Context, tx store.FacilityTx) error {
	return tx.Record(ctx, &domain.Event{Kind: "parking.gate_open"})
}

// TestParkingFrozenHolder has a process stand still in the middle of a change: the server
// throws it out, another process's change goes on, and nothing of it is stored.
func TestParkingFrozenHolder(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	s := smallGarage(t, db, postgres.Options{})
	other := open(t, db, postgres.Options{})
	has, done := make(chan struct{}), make(chan error, 1)
	go func() {
		<-has
		done <- other.InFacility(t.Context(), "garage", recordOne)
	}()
	err := s.InFacility(t.Context(), "garage", func(ctx context.Context, tx store.FacilityTx) error {
		if err := tx.Hold(ctx, []string{"a"}, "offer:w"); err != nil {
			return err
		}
		close(has)
		if err := <-done; err != nil {
			return err
		}
		return recordOne(ctx, tx)
	})
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.NotErrorIs(t, err, store.ErrCommitUnknown)
	f, err := s.Facility(t.Context(), "garage")
	require.NoError(t, err)
	require.Equal(t, parking.Counts{Total: 3, InService: 3}, f.Counts)
	require.Equal(t, int64(1), f.Sequences.Event)
}

// TestParkingCommitUnknown loses the connection while committing.
func TestParkingCommitUnknown(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t)
	s := smallGarage(t, db, postgres.Options{})
	// A deferred trigger ends the session in the midst of COMMIT.
	execute(t, db, `CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$`)
	execute(t, db, `CREATE CONSTRAINT TRIGGER die AFTER UPDATE ON pl_facilities DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()`)
	err := s.InFacility(t.Context(), "garage", recordOne)
	require.ErrorIs(t, err, store.ErrCommitUnknown)
	execute(t, db, `DROP TRIGGER die ON pl_facilities`)
	require.NoError(t, s.InFacility(t.Context(), "garage", recordOne))
	f, err := s.Facility(t.Context(), "garage")
	require.NoError(t, err)
	require.Equal(t, int64(1), f.Sequences.Event, "the first one was not stored")
}

// TestParkingRushLeavesConnections has more gates rush at one facility than there are
// connections, while its holder takes its time: others are still served.
func TestParkingRushLeavesConnections(t *testing.T) {
	t.Parallel()
	s := smallGarage(t, dbtest.Postgres(t), postgres.Options{MaxConns: 2})
	const gates = 12
	errs, inside := make(chan error, gates), make(chan struct{})
	for range gates {
		go func() {
			errs <- s.InFacility(t.Context(), "garage", func(ctx context.Context, tx store.FacilityTx) error {
				if tx.Facility().Sequences.Event == 0 {
					close(inside)
					time.Sleep(500 * time.Millisecond)
				}
				return recordOne(ctx, tx)
			})
		}()
	}
	<-inside
	start := time.Now()
	require.NoError(t, s.InFacility(t.Context(), "other", recordOne))
	_, err := s.Facility(t.Context(), "other")
	require.NoError(t, err)
	require.Less(t, time.Since(start), 400*time.Millisecond, "served while the rush waits")
	for range gates {
		require.NoError(t, <-errs)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.InFacility(ended, "garage", recordOne), store.ErrUnavailable)
}

// TestParkingSchemas migrates two schemas of one database: reservations are kept apart
// in both.
func TestParkingSchemas(t *testing.T) {
	t.Parallel()
	db := dbtest.Empty(t)
	from := time.Date(2031, time.May, 7, 9, 0, 0, 0, time.UTC)
	for _, schema := range []string{"one", "two"} {
		config, err := pgxpool.ParseConfig(db.URL)
		require.NoError(t, err)
		config.ConnConfig.RuntimeParams["search_path"] = schema
		pool, err := pgxpool.NewWithConfig(t.Context(), config)
		require.NoError(t, err)
		migrator, err := migrate.NewPostgres(pool, schema, nil)
		require.NoError(t, err)
		_, err = migrator.Up(t.Context())
		require.NoError(t, err)
		pool.Close()
		s := smallGarage(t, dbtest.DB{URL: db.URL, Schema: schema}, postgres.Options{})
		require.NoError(t, s.InFacility(t.Context(), "garage", func(ctx context.Context, tx store.FacilityTx) error {
			require.NoError(t, tx.InsertReservation(ctx, reserve("one", from, 2, "a")))
			require.ErrorIs(t, tx.InsertReservation(ctx, reserve("two", from.Add(time.Hour), 2, "a")), store.ErrConflict)
			return nil
		}))
	}
}
