package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

var _ store.Parking = (*Store)(nil)

const (
	codeExclusion   = "23P01"
	codeCardinality = "21000" // the same row twice in one upsert

	facilityTimeout = 15 * time.Second // one change of a facility, an import of 10,000 spots included
	importTimeout   = 12 * time.Second // its longest statement
)

// facilityTx is one change of a facility under way, on a connection of its own. What
// it writes to the facility's row and to the streams is kept until the commit, and sent
// with it in one round trip.
type facilityTx struct {
	*Store
	conn     *pgxpool.Conn
	q        *dbsqlc.Queries
	now      time.Time
	facility parking.Facility
	settings parking.Facility // as stored, or as of the last SetFacility
	before   parking.Counts
	events   []domain.Event
	messages []domain.Message
	dirty    bool
	broken   error // what the server refused: the transaction can only end
}

// InFacility implements store.Parking. Within this process those who want the same
// facility queue up before they take a connection, so that a rush at one facility
// does not take all connections from the others.
func (s *Store) InFacility(ctx context.Context, id parking.FacilityID, change func(context.Context, store.FacilityTx) error) error {
	what := "facility " + string(id)
	leave, err := s.queues.enter(ctx, id)
	if err != nil {
		return classify(what+": queue", unavailable(err))
	}
	defer leave()
	conn, err := s.acquire(ctx)
	if err != nil {
		return classify(what, err)
	}
	defer conn.Release() // closes one whose transaction is still open
	ctx, cancel := context.WithTimeout(ctx, facilityTimeout)
	defer cancel()
	t := &facilityTx{Store: s, conn: conn, q: dbsqlc.New(conn)}
	if err := t.begin(ctx, id); err != nil {
		s.abandon(ctx, conn, what)
		return classifyParking(what+": lock", err)
	}
	err = change(ctx, t)
	if err == nil {
		err = t.broken
	}
	if err == nil && ctx.Err() != nil {
		err = classify(what, unavailable(ctx.Err()))
	}
	if err != nil {
		s.abandon(ctx, conn, what)
		return err
	}
	return t.commit(ctx, what)
}

// begin sends BEGIN, the settings, the lock and the first read in one round trip.
func (t *facilityTx) begin(ctx context.Context, id parking.FacilityID) error {
	var row dbsqlc.LockedFacilityRow
	err := pipelined(ctx, t.conn, func(p pipe) (err error) {
		if err = p.exec(ctx, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"); err != nil {
			return err
		}
		if err = t.planner(ctx, p.Queries); err != nil {
			return err
		}
		if err = p.FacilitySettings(ctx, dbsqlc.FacilitySettingsParams{
			Idle: milliseconds(idleTimeout), Statement: milliseconds(importTimeout), LockWait: milliseconds(poolLockTimeout),
		}); err != nil {
			return err
		}
		if err = p.LockFacility(ctx, string(id)); err != nil {
			return err
		}
		row, err = p.LockedFacility(ctx, dbsqlc.LockedFacilityParams{Now: t.clock(), FacilityID: string(id)})
		return err
	})
	if err != nil {
		return err
	}
	t.now = row.Now.Time.UTC()
	if t.facility, err = facilityOf(&row.PlFacility); err != nil {
		return err
	}
	t.settings, t.before = t.facility, t.facility.Counts
	return nil
}

// commit sends what was kept and the COMMIT. From here the caller's context ending
// would only leave an unknown commit.
func (t *facilityTx) commit(ctx context.Context, what string) error {
	if !t.dirty {
		t.abandon(ctx, t.conn, what)
		return nil
	}
	update, err := updateFacilityParams(&t.settings, &t.facility, t.now)
	if err != nil {
		t.abandon(ctx, t.conn, what)
		return classifyParking(what, err)
	}
	var w writes
	w.report(t.events, &w.messages, t.messages)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tripTimeout)
	defer cancel()
	err = pipelined(ctx, t.conn, func(p pipe) error {
		if err := p.UpdateFacility(ctx, *update); err != nil {
			return err
		}
		if t.facility.Counts != t.before {
			if err := p.InsertOccupancy(ctx, dbsqlc.InsertOccupancyParams{
				FacilityID: update.FacilityID, EventSeq: update.EventSeq, At: update.LastAt,
				InService: update.InService, Occupied: update.Occupied, Reserved: update.Reserved,
			}); err != nil {
				return err
			}
		}
		if err := w.record(ctx, p); err != nil {
			return err
		}
		return p.exec(ctx, "COMMIT")
	})
	if err == nil {
		t.summaries.committed(w.finished) //nolint:contextcheck // what is summarised afterwards does not end with this call
		return nil
	}
	unknown := t.abandon(ctx, t.conn, what)
	if unknown && !hasCode(err, codeIdleInTx) { // that one came before anything was sent
		return fmt.Errorf("postgres: %s: %w: %w", what, store.ErrCommitUnknown, err)
	}
	if noPartition(err) {
		return errors.Join(classify(what, unavailable(err)), t.EnsureAudit(ctx, t.now))
	}
	return classifyParking(what+": commit", err)
}

// call makes one call of the change. After an error of the server the transaction
// can only end, whatever the caller makes of it.
func (t *facilityTx) call(what string, err error) error {
	if err == nil {
		return nil
	}
	err = classifyParking("facility "+string(t.facility.FacilityID)+": "+what, err)
	var refused *pgconn.PgError
	benign := errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrConflict)
	if t.broken == nil && (!benign || errors.As(err, &refused)) {
		t.broken = err
	}
	return err
}

// wrote is call for what writes.
func (t *facilityTx) wrote(what string, err error) error {
	t.dirty = true
	return t.call(what, err)
}

// Now implements store.FacilityTx.
func (t *facilityTx) Now() time.Time { return t.now }

// Facility implements store.FacilityTx.
func (t *facilityTx) Facility() *parking.Facility { return &t.facility }

// SetFacility implements store.FacilityTx.
func (t *facilityTx) SetFacility(context.Context) error {
	t.settings, t.dirty = t.facility, true
	return nil
}

// Record implements store.FacilityTx.
func (t *facilityTx) Record(_ context.Context, e *domain.Event) error {
	t.facility.Sequences.Event++
	e.Source, e.Seq, e.At = t.facility.FacilityID.Source(), t.facility.Sequences.Event, t.now
	t.events, t.dirty = append(t.events, *e), true
	return nil
}

// Post implements store.FacilityTx.
func (t *facilityTx) Post(_ context.Context, m *domain.Message) error {
	t.facility.Sequences.Message++
	m.Source, m.Seq, m.CreatedAt = t.facility.FacilityID.Source(), t.facility.Sequences.Message, t.now
	t.messages, t.dirty = append(t.messages, *m), true
	return nil
}

// classifyParking is classify for what store.Parking promises: an index that refuses is
// ErrConflict, and a lock that is not granted ErrUnavailable.
func classifyParking(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrExists), errors.Is(err, store.ErrConflict):
		return fmt.Errorf("postgres: %s: %w", what, err)
	case hasCode(err, codeUnique, codeExclusion, codeCardinality):
		return fmt.Errorf("postgres: %s: %w: %w", what, store.ErrConflict, err)
	case hasCode(err, codeLockNotAvailable, codeDeadlock, codeSerialization):
		return classify(what, unavailable(err))
	}
	return classify(what, err)
}

// facilityQueues are the lines of this process's goroutines before each facility,
// first come first served.
type facilityQueues struct {
	mu    sync.Mutex
	lines map[parking.FacilityID]*facilityQueue
}

type facilityQueue struct {
	turn chan struct{} // holds one while somebody is in
	in   int           // who is in or waits
}

// enter waits for the caller's turn. leave must be called once.
func (f *facilityQueues) enter(ctx context.Context, id parking.FacilityID) (leave func(), err error) {
	f.mu.Lock()
	if f.lines == nil {
		f.lines = map[parking.FacilityID]*facilityQueue{}
	}
	line := f.lines[id]
	if line == nil {
		line = &facilityQueue{turn: make(chan struct{}, 1)}
		f.lines[id] = line
	}
	line.in++
	f.mu.Unlock()
	forget := func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if line.in--; line.in == 0 {
			delete(f.lines, id)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, tripTimeout)
	defer cancel()
	select {
	case line.turn <- struct{}{}:
		return func() { <-line.turn; forget() }, nil
	case <-ctx.Done():
		forget()
		return nil, ctx.Err()
	}
}
