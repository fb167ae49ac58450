package garage

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
	_ "time/tzdata" // prices depend on time zones, whatever the machine has

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/parking"
	"github.com/parkinglot/parkinglot/internal/store"
)

const (
	clockSkew   = 5 * time.Second           // how far into the future a clock elsewhere may tell
	maxPast     = 10 * 366 * 24 * time.Hour // how far into the past a gate may report
	retryAfter  = time.Second               // advice when the backend does not answer
	commitTries = 3                         // of a change whose commit got lost
)

// Options makes a Garage.
type Options struct {
	Store store.Parking
	// Now is the clock of the process; nil: time.Now. The backend's decides: what happens
	// outside a facility's lock goes by this one set to that one, as Measure found it.
	Now func() time.Time
	Log *slog.Logger // nil: slog.Default
	// Pools names the pools, whose ids a facility may not have; nil: none.
	Pools func() []domain.PoolID
	// NewID makes ids that nobody chose; nil: random ones.
	NewID func() string
	// Written is told, after the commit, which source has new events or messages. It must
	// not block; nil: nobody is told.
	Written func(domain.Source)
}

// Garage runs the facilities of a store. It is safe for concurrent use, in any number
// of processes.
type Garage struct {
	store store.Parking
	now   func() time.Time
	log   *slog.Logger
	pools func() []domain.PoolID
	newID func() string
	tell  func(domain.Source)

	strategies strategies
	layouts    layouts
	alarm      alarm
	measured   atomic.Pointer[measured]
}

// New makes a Garage. It starts nothing.
func New(opts Options) *Garage {
	g := &Garage{store: opts.Store, now: opts.Now, log: opts.Log, pools: opts.Pools, newID: opts.NewID, tell: opts.Written}
	if g.now == nil {
		g.now = time.Now
	}
	if g.log == nil {
		g.log = slog.Default()
	}
	if g.pools == nil {
		g.pools = func() []domain.PoolID { return nil }
	}
	if g.tell == nil {
		g.tell = func(domain.Source) {}
	}
	if g.newID == nil {
		g.newID = rand.Text
	}
	return g
}

// change runs f under the facility's lock. When the connection is lost while
// committing nobody knows whether f happened: it runs again, with again set, and
// looks first. Inside f only tx may be asked, never the store: in memory there is one
// connection, and tx has it.
func (g *Garage) change(ctx context.Context, id parking.FacilityID, f func(ctx context.Context, tx store.FacilityTx, again bool) error) error {
	for try := 1; ; try++ {
		var next *time.Time
		err := g.store.InFacility(ctx, id, func(ctx context.Context, tx store.FacilityTx) error {
			err := f(ctx, tx, try > 1)
			next = tx.Facility().NextDueAt
			return err
		})
		switch {
		case err == nil:
			g.alarm.due(next)
			g.tell(id.Source())
			return nil
		case errors.Is(err, store.ErrCommitUnknown) && try < commitTries && ctx.Err() == nil:
			g.log.WarnContext(ctx, "a commit was lost; looking whether it happened", slog.Any("error", err), slog.String("facility", string(id)))
		default:
			return edge(err, unknownFacility(id))
		}
	}
}

// edge turns an error of the store into one that a client can act on.
func edge(err error, notFound *domain.Error) error {
	var coded *domain.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &coded):
		return coded
	case errors.Is(err, store.ErrNotFound) && notFound != nil:
		return notFound
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrCommitUnknown),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &domain.Error{
			Code: domain.CodeUnavailable, Message: "the backend does not answer now; send the same request again",
			RetryAfter: retryAfter, Err: err,
		}
	}
	return err
}

func unknownFacility(id parking.FacilityID) *domain.Error {
	return domain.Errorf(domain.CodeUnknownFacility, "there is no facility %q here", id)
}

func unknownTicket(id string) *domain.Error {
	return domain.Errorf(domain.CodeUnknownTicket, "there is no ticket %q here", id)
}

func unknownVehicle(id string) *domain.Error {
	return domain.Errorf(domain.CodeUnknownVehicle, "there is no vehicle %q here; POST /vehicles, or give vehicle with its plate", id)
}

func exists(what, id string) *domain.Error {
	return domain.Errorf(domain.CodeExists, "the %s %q is already there, with other content; choose another id", what, id)
}

// invalid makes the error of faults; nil without any. Places are under the body.
func invalid(faults []domain.Fault) error {
	if len(faults) == 0 {
		return nil
	}
	located := make([]domain.Fault, len(faults))
	for i, f := range faults {
		f.Location = "body." + f.Location
		located[i] = f
	}
	return refused(located)
}

// refused makes the error of faults whose places are complete.
func refused(faults []domain.Fault) *domain.Error {
	err := domain.Errorf(domain.CodeInvalid, "The request breaks %d rules; errors has each of them.", len(faults))
	if len(faults) == 1 {
		err.Message = "The request breaks a rule: " + faults[0].Location + " " + faults[0].Message + "."
	}
	err.Faults = faults
	return err
}

// fault is an invalid request with one fault; at is its complete place.
func fault(at, format string, args ...any) *domain.Error {
	return refused([]domain.Fault{{Location: at, Message: fmt.Sprintf(format, args...)}})
}

// instant is when something happened: what the caller says, at the complete place
// where, or now. It must not be later than now and a little, nor before earliest.
func instant(where string, said *time.Time, now, earliest time.Time) (time.Time, error) {
	if said == nil {
		return later(now, earliest), nil
	}
	at := said.UTC().Truncate(time.Microsecond)
	switch {
	case at.After(now.Add(clockSkew)):
		return at, fault(where, "is in the future; it is %s", now.Format(time.RFC3339))
	case at.Before(earliest):
		return at, fault(where, "must not be before %s", earliest.Format(time.RFC3339Nano))
	}
	return at, nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// hashOf tells requests apart: of two with the same id, equal hashes are the same
// request. Fields of requests keep their names for this.
func hashOf(request any) ([]byte, error) {
	encoded, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("hash a request: %w", err)
	}
	sum := sha256.Sum256(encoded)
	return sum[:], nil
}

// detail is the detail of an event.
func detail(fields map[string]any) ([]byte, error) {
	encoded, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("detail of an event: %w", err)
	}
	return encoded, nil
}

// record writes an event of the facility, which is always a subject.
func record(ctx context.Context, tx store.FacilityTx, kind domain.EventKind, actor string, subjects []string, fields map[string]any) error {
	encoded, err := detail(fields)
	if err != nil {
		return err
	}
	return tx.Record(ctx, &domain.Event{
		Kind: kind, Actor: actor, Detail: encoded,
		Subjects: append([]string{parking.FacilitySubject(tx.Facility().FacilityID)}, subjects...),
	})
}

// strategies remembers versions, which never change.
type strategies struct {
	mu    sync.Mutex
	known map[versionKey]*parking.Strategy
}

type versionKey struct {
	id      string
	version int
}

const maxRemembered = 4096

func (s *strategies) get(key versionKey) *parking.Strategy {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[key]
}

func (s *strategies) put(key versionKey, strategy *parking.Strategy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || len(s.known) >= maxRemembered {
		s.known = map[versionKey]*parking.Strategy{}
	}
	s.known[key] = strategy
}

// strategy returns a version; 0: the newest, asked for each time.
func (g *Garage) strategy(ctx context.Context, id string, version int) (*parking.Strategy, error) {
	if known := g.strategies.get(versionKey{id, version}); known != nil {
		return known, nil
	}
	row, err := g.store.StrategyVersion(ctx, id, version)
	if err != nil {
		return nil, edge(err, unknownStrategy(id, version))
	}
	if known := g.strategies.get(versionKey{id, row.Version}); known != nil {
		return known, nil
	}
	read, err := parking.StrategyOf(&row)
	if err != nil {
		return nil, err
	}
	g.strategies.put(versionKey{id, row.Version}, &read)
	return &read, nil
}

// facilityStrategy returns the tariff of who enters a facility now.
func (g *Garage) facilityStrategy(ctx context.Context, id parking.FacilityID) (*parking.Strategy, error) {
	f, err := g.Facility(ctx, id)
	if err != nil {
		return nil, err
	}
	return g.strategy(ctx, f.StrategyID, 0)
}

func unknownStrategy(id string, version int) *domain.Error {
	if version == 0 {
		return domain.Errorf(domain.CodeUnknownStrategy, "there is no pricing strategy %q here", id)
	}
	return domain.Errorf(domain.CodeUnknownStrategy, "there is no version %d of a pricing strategy %q here", version, id)
}
