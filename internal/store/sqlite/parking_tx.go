package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite/dbsqlc"
)

var _ store.Parking = (*Store)(nil)

// facilityTx is one change of a facility under way, on the writer. What it writes to
// the facility's row and to the streams is kept until the commit.
type facilityTx struct {
	*Store
	now      time.Time
	facility parking.Facility
	settings parking.Facility // as stored, or as of the last SetFacility
	before   parking.Counts
	events   []domain.Event
	messages []domain.Message
	dirty    bool
	broken   error // after it the transaction can only end
}

// InFacility implements store.Parking. The writer's mutex is the lock of every
// facility.
func (s *Store) InFacility(ctx context.Context, id parking.FacilityID, change func(context.Context, store.FacilityTx) error) error {
	what := "facility " + string(id)
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	done, err := s.acquire(ctx)
	if err != nil {
		return classify(what, err)
	}
	defer done()
	if err := s.begin(ctx); err != nil {
		return classify(what, err)
	}
	ended := false
	defer func() {
		if !ended { // change panicked
			_ = s.rollback(ctx, nil)
		}
	}()
	wrote, err := s.changeFacility(ctx, id, what, change)
	ended = true
	if err != nil || !wrote {
		return s.rollback(ctx, err)
	}
	return s.commit(ctx, what)
}

// changeFacility runs change within a transaction and writes what it kept.
func (s *Store) changeFacility(
	ctx context.Context, id parking.FacilityID, what string, change func(context.Context, store.FacilityTx) error,
) (wrote bool, err error) {
	t := &facilityTx{Store: s}
	if err := t.load(ctx, id); err != nil {
		return false, classify(what, err)
	}
	err = change(context.WithValue(ctx, insideKey{}, s), t)
	if err == nil {
		err = t.broken
	}
	if err == nil {
		err = classify(what, ctx.Err())
	}
	if err != nil || !t.dirty {
		return false, err
	}
	return true, classify(what, t.flush(context.WithoutCancel(ctx))) // not cut off from here; see Turn
}

// insideKey marks the context of a change with its store: a call that would wait for
// the writer while the change holds it is told so at once.
type insideKey struct{}

var errInside = errors.New("this call would wait for the change that makes it; make it before InFacility, or use the FacilityTx")

func (t *facilityTx) load(ctx context.Context, id parking.FacilityID) error {
	row, err := t.w.GetFacility(ctx, string(id))
	if err != nil {
		return err
	}
	if t.facility, err = facilityOf(&row); err != nil {
		return err
	}
	t.settings, t.before = t.facility, t.facility.Counts
	t.now = t.clock()
	if last := t.facility.Sequences.At; t.now.Before(last) {
		t.now = last
	}
	return nil
}

// flush writes what was kept.
func (t *facilityTx) flush(ctx context.Context) error {
	update, err := updateFacility(&t.settings, &t.facility, t.now)
	if err != nil {
		return err
	}
	if err := t.w.UpdateFacility(ctx, update); err != nil {
		return fmt.Errorf("counts: %w", err)
	}
	if t.facility.Counts != t.before {
		if err := t.w.InsertOccupancy(ctx, dbsqlc.InsertOccupancyParams{
			FacilityID: update.FacilityID, EventSeq: update.EventSeq, At: update.LastAt,
			InService: update.InService, Occupied: update.Occupied, Reserved: update.Reserved,
		}); err != nil {
			return fmt.Errorf("occupancy: %w", err)
		}
	}
	if err := insertEvents(ctx, t.w, t.events); err != nil {
		return err
	}
	for i := range t.messages {
		p, err := insertMessage(&t.messages[i])
		if err != nil {
			return err
		}
		if err := t.w.InsertMessage(ctx, p); err != nil {
			return fmt.Errorf("message %s: %w", t.messages[i].ID(), err)
		}
	}
	return nil
}

// call makes one call of the change. After an error that is no answer the transaction
// can only end, whatever the caller makes of it.
func (t *facilityTx) call(what string, err error) error {
	if err == nil {
		return nil
	}
	err = classifyParking("facility "+string(t.facility.FacilityID)+": "+what, err)
	answer := errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrConflict)
	if !answer && t.broken == nil {
		t.broken = err
	}
	return err
}

// wrote is call for what writes.
func (t *facilityTx) wrote(what string, err error) error {
	t.dirty = true
	return t.call(what, err)
}

// atomically undoes what f has written when it fails, and leaves the transaction as it
// was before.
func (t *facilityTx) atomically(ctx context.Context, f func() error) error {
	if _, err := t.writer.ExecContext(ctx, "SAVEPOINT call"); err != nil {
		return err
	}
	err := f()
	if err != nil {
		if _, undo := t.writer.ExecContext(ctx, "ROLLBACK TO call"); undo != nil {
			return errors.Join(undo, err)
		}
	}
	if _, release := t.writer.ExecContext(ctx, "RELEASE call"); release != nil {
		return errors.Join(release, err)
	}
	return err
}

// Now implements store.FacilityTx.
func (t *facilityTx) Now() time.Time { return t.now }

// Facility implements store.FacilityTx.
func (t *facilityTx) Facility() *parking.Facility { return &t.facility }

// SetFacility implements store.FacilityTx.
func (t *facilityTx) SetFacility(context.Context) error {
	t.settings, t.dirty = t.facility, true
	return t.call("settings", checkText("a facility", t.facility.Name, t.facility.StrategyID))
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

func insertEvents(ctx context.Context, q *dbsqlc.Queries, events []domain.Event) error {
	for i := range events {
		p, err := insertEvent(&events[i])
		if err != nil {
			return err
		}
		if err := q.InsertEvent(ctx, p); err != nil {
			return fmt.Errorf("event %s: %w", events[i].ID(), err)
		}
	}
	return nil
}

// classifyParking is classify for what store.Parking promises: an index or a trigger
// that refuses is ErrConflict.
func classifyParking(what string, err error) error {
	if errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("sqlite: %s: %w", what, err)
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() {
		case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_TRIGGER:
			return fmt.Errorf("sqlite: %s: %w: %w", what, store.ErrConflict, err)
		}
	}
	return classify(what, err)
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

// some makes an empty answer ErrNotFound.
func some(rows int64, err error) error {
	if err == nil && rows == 0 {
		return store.ErrNotFound
	}
	return err
}

// taken makes an insert of nothing ErrExists.
func taken(made int64, err error) error {
	if err == nil && made == 0 {
		return store.ErrExists
	}
	return err
}
