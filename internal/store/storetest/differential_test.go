package storetest_test

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite"
	"github.com/parkinglot/parkinglot/internal/store/storetest"
)

var (
	allOps  = flag.Int("ops", 10_000, "random operations of the differential test, in rounds of 2,500")
	oneSeed = flag.Uint64("seed", 0, "seed of the first round of the differential test; 0: a new one each time")
)

// TestDifferential feeds the same random operations to every backend and to the
// reference model, and compares what each turn read, what became of its writes, and
// every plain read. A failure names the seed that repeats its round:
//
//	go test ./internal/store/storetest -run TestDifferential -ops 2500 -seed N
func TestDifferential(t *testing.T) {
	t.Parallel()
	seed := *oneSeed
	if seed == 0 {
		seed = rand.Uint64()>>1 + 1
	}
	const round = 2500
	for left := *allOps; left > 0; left -= round {
		mine := seed
		t.Run(fmt.Sprint("seed=", mine), func(t *testing.T) {
			t.Parallel()
			newDifferential(t, mine).run(min(left, round))
		})
		seed++
	}
}

// subject is one store under comparison.
type subject struct {
	store.Store
	name  string
	turns int // of its own snapshots that were whole, and decided on to the same end
}

// differential is one round.
type differential struct {
	t     *testing.T
	seed  uint64
	rand  *rand.Rand
	clock *storetest.Clock
	model *storetest.Model
	*generator
	subjects []*subject

	op      int // operations so far
	turnNo  int
	cursor  domain.Cursor // events compared so far
	mailbox domain.Cursor // messages compared so far
}

func newDifferential(t *testing.T, seed uint64) *differential {
	t.Helper()
	clock := storetest.NewClock()
	d := &differential{
		t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 1)),
		clock: clock, model: storetest.NewModel(domain.BackendMemory, clock.Now),
		cursor: domain.Cursor{}, mailbox: domain.Cursor{},
	}
	for name, path := range map[string]string{"memory": "", "file": filepath.Join(t.TempDir(), "differential.db")} {
		s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path, Now: clock.Now})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		d.subjects = append(d.subjects, &subject{Store: s, name: name})
	}
	d.subjects = append(d.subjects, openPostgres(t, clock)...)
	d.generator = &generator{rand: d.rand, clock: clock}
	return d
}

// run creates the pools and performs n operations.
func (d *differential) run(n int) {
	for _, p := range d.pools() {
		d.create(p)
	}
	for d.op < n && !d.t.Failed() {
		switch d.rand.IntN(12) {
		case 0:
			d.op++
			d.advance()
		case 1:
			d.op++
			d.workers()
		case 2:
			d.op++
			d.deliver()
			d.acknowledge()
		case 3:
			d.op++
			d.refuse()
		default:
			d.turn(d.pick())
		}
	}
	d.compareStreams()
	for _, s := range d.subjects {
		require.Positive(d.t, s.turns, "%s: no snapshot was ever whole", s.name)
	}
}

// each runs f on every subject, with a message that tells how to come back here.
func (d *differential) each(f func(s *subject, where string)) {
	d.t.Helper()
	for _, s := range d.subjects {
		f(s, fmt.Sprintf("%s differs from the model at operation %d of -seed %d", s.name, d.op, d.seed))
	}
}

// same compares one read of the model with the same read of every subject.
func same[T any](d *differential, read func(store.Store) (T, error)) T {
	d.t.Helper()
	want, wantErr := read(d.model)
	d.each(func(s *subject, where string) {
		d.t.Helper()
		got, err := read(s.Store)
		require.Equal(d.t, kind(wantErr), kind(err), "%s: %v and %v", where, wantErr, err)
		require.Equal(d.t, tidy(d.model, want), tidy(s, got), where)
	})
	return want
}

// kind is the error of the seam that err is.
func kind(err error) error {
	for _, k := range []error{store.ErrNotFound, store.ErrGuard, store.ErrData, store.ErrUnavailable, store.ErrCommitUnknown} {
		if errors.Is(err, k) {
			return k
		}
	}
	return err
}

func (d *differential) create(p domain.Pool) {
	create := func(s store.Store) (domain.Pool, error) {
		mine := localized(p, s.Backend())
		if err := s.EnsureAudit(d.t.Context(), d.clock.Now()); err != nil {
			return mine, err
		}
		return s.CreatePool(d.t.Context(), mine, d.clock.Now())
	}
	same(d, create)
	d.clock.Advance(time.Second)
	same(d, create) // again: nothing changes
}

func (d *differential) advance() {
	now := d.clock.Advance(d.step())
	d.each(func(s *subject, where string) { require.NoError(d.t, s.EnsureAudit(d.t.Context(), now), where) })
}

// turn takes one turn of one pool everywhere. The model decides; every subject must
// have read what the model has, and writes the same decisions.
func (d *differential) turn(pool domain.PoolID) {
	rq := d.requests(d.t, d.model, pool)
	d.turnNo++
	rq.TurnID = fmt.Sprint("turn-", d.turnNo)
	d.op += max(1, rq.Len())
	d.take(pool, rq, plan.Turn, nil)
	d.compare(pool)
}

// take takes the turn; wantErr is what every store must answer.
func (d *differential) take(pool domain.PoolID, rq *plan.Requests, decide func(plan.Snapshot, *plan.Requests) plan.Decisions, wantErr error) {
	gather := func() *plan.Requests { return rq }
	var seen plan.Snapshot
	want, err := d.model.Turn(d.t.Context(), store.TurnSpec{
		Pool: pool, Gather: gather, Decide: func(s plan.Snapshot, rq *plan.Requests) plan.Decisions {
			seen = cloned(s)
			return decide(s, rq)
		},
	})
	require.ErrorIs(d.t, err, wantErr)
	d.each(func(s *subject, where string) {
		var mine plan.Snapshot // of the last call, which is the one that counts
		got, err := s.Turn(d.t.Context(), store.TurnSpec{
			Pool: pool, Gather: gather, Decide: func(snap plan.Snapshot, _ *plan.Requests) plan.Decisions {
				mine = cloned(snap)
				return decisionsFor(want, s.Backend())
			},
		})
		require.ErrorIs(d.t, err, wantErr, where)
		require.Equal(d.t, want.Counters, got.Counters, where)
		for i := range mine.Candidates { // may come with what is read later elsewhere
			mine.Candidates[i].Payload, mine.Candidates[i].Labels = nil, nil
		}
		d.sameSnapshot(s, where, &seen, &mine, rq)
		if !mine.CandidatesCut {
			mine.Pool = seen.Pool // its backends are named otherwise
			require.Equal(d.t, want, decide(mine, rq), "%s: decided otherwise on its own snapshot", where)
			s.turns++
		}
	})
}

// sameSnapshot requires that a subject has read what the model has, or as much of the
// queue as could matter.
func (d *differential) sameSnapshot(s *subject, where string, want, got *plan.Snapshot, rq *plan.Requests) {
	t := d.t
	require.Equal(t, want.Now, got.Now, where)
	require.Equal(t, tidy(d.model, want.Pool), tidy(s, got.Pool), where)
	require.Equal(t, want.Counters, got.Counters, where)
	require.Equal(t, want.Known, got.Known, where)
	require.Equal(t, want.Held, got.Held, where)
	require.Equal(t, tidy(d.model, want.Due), tidy(s, got.Due), where)
	require.Equal(t, tidy(d.model, want.Rested), tidy(s, got.Rested), where)
	require.Equal(t, want.DueCut, got.DueCut, where)
	require.Equal(t, want.NextDueAt, got.NextDueAt, where)

	lanes, mine := byLane(want.Candidates), byLane(got.Candidates)
	free := int(want.Pool.MaxUnits - want.Counters.ActiveUnits)
	missing := false
	for lane, all := range lanes {
		read := mine[lane]
		require.LessOrEqual(t, len(read), len(all), where)
		require.Equal(t, slices.Concat(all[:len(read)]), slices.Concat(read), "%s: lane %q", where, lane)
		missing = missing || len(read) < len(all)
		if !rq.NoStart && want.Pool.State != domain.PoolDisabled {
			require.GreaterOrEqual(t, len(read), min(len(all), free), "%s: lane %q is read too short", where, lane)
		}
		if len(read) < len(all) && got.LaneLimit > 0 {
			require.Len(t, read, got.LaneLimit, "%s: lane %q", where, lane)
		}
	}
	require.Equal(t, missing || want.CandidatesCut, got.CandidatesCut, where)
	require.True(t, slices.IsSortedFunc(got.Candidates, storetest.InOrder), "%s: the lanes are merged in order", where)
	for tenant, usage := range want.Tenants {
		mine, ok := got.Tenants[tenant]
		if ok || named(tenant, want, got, rq) {
			require.Equal(t, usage, mine, where)
		}
	}
	for tenant := range got.Tenants {
		if !named(tenant, want, got, rq) {
			continue // read along with something else; compared with the rows elsewhere
		}
		require.Contains(t, want.Tenants, tenant, where)
	}
}

// named reports whether the tenant occurs in what got has to have usages for.
func named(tenant domain.Tenant, want, got *plan.Snapshot, rq *plan.Requests) bool {
	limit := want.Pool.Tenants[tenant]
	if limit.MaxUnits > 0 || slices.ContainsFunc(rq.Submits, func(s plan.Submit) bool { return s.Tenant == tenant }) {
		return true
	}
	is := func(t domain.Task) bool { return t.Tenant == tenant }
	lists := [][]domain.Task{
		slices.Collect(maps.Values(want.Known)), slices.Collect(maps.Values(want.Held)), got.Candidates, want.Due, want.Rested,
	}
	return slices.ContainsFunc(lists, func(list []domain.Task) bool { return slices.ContainsFunc(list, is) })
}

func byLane(tasks []domain.Task) map[string][]domain.Task {
	lanes := make(map[string][]domain.Task)
	for i := range tasks {
		lanes[tasks[i].Lane] = append(lanes[tasks[i].Lane], tasks[i])
	}
	return lanes
}

// cloned copies what plan.Turn may change.
func cloned(s plan.Snapshot) plan.Snapshot {
	s.Candidates, s.Due, s.Rested = slices.Clone(s.Candidates), slices.Clone(s.Due), slices.Clone(s.Rested)
	s.Known, s.Held, s.Tenants = maps.Clone(s.Known), maps.Clone(s.Held), maps.Clone(s.Tenants)
	return s
}

// refuse takes a turn that every store must refuse, and nothing changes.
func (d *differential) refuse() {
	pool := d.pick()
	rq := &plan.Requests{TurnID: "refused", Worker: "w1"}
	for range 1 + d.rand.IntN(3) {
		rq.Submits = append(rq.Submits, d.plain())
	}
	held := same(d, func(s store.Store) ([]domain.Task, error) { return s.Held(d.t.Context(), pool, "", 0, 1) })
	wrong, want := func(x *plan.Decisions) { x.Counters.ActiveUnits = x.Counters.Ceiling + 1 }, store.ErrData
	switch n := d.rand.IntN(4); {
	case n == 0:
		wrong, want = func(x *plan.Decisions) { x.Counters.TurnNo-- }, store.ErrGuard
	case n == 1 && len(held) > 0:
		rq.Settles = []plan.Settle{{Ref: held[0].Ref(), Units: held[0].Units, Verdict: plan.VerdictCompleted}}
		wrong, want = func(x *plan.Decisions) { x.Changed[len(x.Changed)-1].FromAttempt += 5 }, store.ErrGuard
	case n == 2:
		wrong = func(x *plan.Decisions) { x.Inserted[len(x.Inserted)-1].Payload = []byte("\x00") }
	}
	d.take(pool, rq, func(s plan.Snapshot, rq *plan.Requests) plan.Decisions {
		x := plan.Turn(s, rq)
		if len(x.Inserted) == 0 {
			x.Counters.TurnNo++
		}
		wrong(&x)
		x.Idle = false
		return x
	}, want)
	d.compare(pool)
}
