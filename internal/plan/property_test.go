package plan_test

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/plan/plantest"
)

// TestTurnKeepsItsPromises runs random sequences of turns and checks design
// section 4 after each: what plantest checks, and the order besides. The holes it has
// found took hundreds of sequences, hence several rounds.
func TestTurnKeepsItsPromises(t *testing.T) {
	t.Parallel()
	for round := range 20 {
		t.Run(strconv.Itoa(round), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, promises)
		})
	}
}

// FuzzTurn is the same for the fuzzer, which finds the sequences by coverage. The
// seeds are long enough for whole sequences.
func FuzzTurn(f *testing.F) {
	for i := range 16 {
		var seed []byte
		for sum := sha256.Sum256([]byte{byte(i)}); len(seed) < 1<<16; sum = sha256.Sum256(sum[:]) {
			seed = append(seed, sum[:]...)
		}
		f.Add(seed)
	}
	f.Fuzz(rapid.MakeFuzz(promises))
}

func promises(t *rapid.T) {
	w := newWorld(t)
	for range rapid.IntRange(1, 25).Draw(t, "turns") {
		w.now = w.now.Add(time.Duration(rapid.SampledFrom([]int{0, 0, 1, 1, 2, 5, 90}).Draw(t, "seconds")) * time.Second)
		w.turn(w.requests())
	}
	w.drain()
}

var tenants = []domain.Tenant{"capped", "short", "heavy", "plain"}

// world is a random pool and what happens to it.
type world struct {
	*rapid.T
	m      *plantest.Model
	now    time.Time
	passed map[domain.JobID]int // how often a task in front of its class was passed
}

func newWorld(t *rapid.T) *world {
	pool := domain.Pool{
		PoolID: "p", State: domain.PoolActive,
		MaxUnits:       rapid.SampledFrom([]domain.Units{0, 1, 5, 10, 10, 10}).Draw(t, "maxUnits"),
		MaxQueueDepth:  rapid.SampledFrom([]int64{0, 1, 5, 50, 50}).Draw(t, "depth"),
		DefaultTimeout: time.Minute, MailboxBackend: domain.BackendMemory,
		Runtime:      rapid.SampledFrom([]domain.Runtime{domain.RuntimeNative, domain.RuntimeNative, domain.RuntimeWorker, domain.RuntimeWeb}).Draw(t, "runtime"),
		Policy:       drawPolicy(t),
		ResourceKind: domain.KindCPU,
		MaxOvertakes: rapid.IntRange(0, 3).Draw(t, "overtakes"),
		MaxAttempts:  rapid.IntRange(1, 3).Draw(t, "attempts"),
		RetryBackoff: domain.Backoff{Base: time.Duration(rapid.IntRange(0, 3).Draw(t, "backoff")) * time.Second, Max: time.Minute},
		Tenants:      drawTenants(t),
		Version:      1,
	}
	w := &world{T: t, m: plantest.New(pool), now: epoch, passed: map[domain.JobID]int{}}
	w.m.Limits = plantest.Limits{
		Candidates: rapid.SampledFrom([]int{1, 2, 3, 256}).Draw(t, "candidates"),
		Due:        rapid.SampledFrom([]int{1, 2, 500}).Draw(t, "due"),
		Untold:     rapid.Bool().Draw(t, "untold"),
	}
	return w
}

func drawPolicy(t *rapid.T) domain.PriorityPolicy {
	return rapid.SampledFrom([]domain.PriorityPolicy{
		domain.PolicyFIFO, domain.PolicyPriority, domain.PolicyFair, domain.PolicyDeadline,
	}).Draw(t, "policy")
}

func drawTenants(t *rapid.T) map[domain.Tenant]domain.TenantPolicy {
	return map[domain.Tenant]domain.TenantPolicy{
		"capped": {MaxUnits: domain.Units(rapid.SampledFrom([]int{0, 2, 4, 4}).Draw(t, "cap"))},
		"short":  {MaxQueueDepth: int64(rapid.IntRange(0, 2).Draw(t, "tenantDepth")), MaxUnits: domain.Units(rapid.SampledFrom([]int{0, 6}).Draw(t, "cap"))},
		"heavy":  {Weight: int64(rapid.IntRange(0, 5).Draw(t, "weight"))},
	}
}

// requests draws what one turn has gathered.
func (w *world) requests() *plan.Requests {
	req := &plan.Requests{
		Worker:  domain.WorkerID(rapid.SampledFrom([]string{"w1", "w2"}).Draw(w.T, "worker")),
		NoStart: rapid.IntRange(0, 9).Draw(w.T, "noStart") == 9,
	}
	for range rapid.SampledFrom([]int{0, 1, 2, 5}).Draw(w.T, "settles") {
		req.Settles = append(req.Settles, plan.Settle{
			Ref: w.ref(), Verdict: rapid.SampledFrom([]plan.Verdict{
				plan.VerdictCompleted, plan.VerdictCompleted, plan.VerdictFailed, plan.VerdictTimedOut,
				plan.VerdictCancelled, plan.VerdictHandBack, "",
			}).Draw(w.T, "verdict"),
			Retryable: rapid.Bool().Draw(w.T, "retryable"), Result: []byte(`1`),
		})
		if s := &req.Settles[len(req.Settles)-1]; w.web() {
			s.Lease = rapid.SampledFrom([]domain.LeaseID{w.m.Leases[s.Ref.JobID].ID, w.m.Leases[s.Ref.JobID].ID, "p.1.1.guessed"}).Draw(w.T, "lease")
		}
	}
	for range rapid.SampledFrom([]int{0, 1, 1, 2, 3}).Draw(w.T, "lessees") {
		if w.web() {
			req.Lessees = append(req.Lessees, plan.Lessee{
				Worker: "remote", Tasks: rapid.IntRange(0, 4).Draw(w.T, "tasks"), TTL: 5 * time.Second, Secret: []byte("s"),
			})
		}
	}
	for range rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(w.T, "losts") {
		holder := domain.WorkerID("w1")
		if w.web() {
			holder = domain.LeaseHolder("remote")
		}
		req.Losts = append(req.Losts, plan.Lost{Ref: w.ref(), Holder: holder})
	}
	for range rapid.SampledFrom([]int{0, 0, 0, 0, 1}).Draw(w.T, "forces") {
		req.Forces = append(req.Forces, plan.Force{TaskID: w.id(), Status: rapid.SampledFrom(domain.Statuses()).Draw(w.T, "status")})
	}
	for range rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(w.T, "cancels") {
		req.Cancels = append(req.Cancels, plan.Cancel{TaskID: w.id()})
	}
	for range rapid.SampledFrom([]int{0, 0, 0, 0, 0, 1, 2}).Draw(w.T, "changes") {
		req.Changes = append(req.Changes, w.poolChange())
	}
	for range rapid.SampledFrom([]int{0, 1, 2, 4, 12}).Draw(w.T, "submits") {
		req.Submits = append(req.Submits, w.submission())
	}
	return req
}

func (w *world) web() bool { return w.m.Pool.Runtime == domain.RuntimeWeb }

func (w *world) id() domain.TaskID {
	return domain.TaskID(fmt.Sprintf("t%d", rapid.IntRange(0, 80).Draw(w.T, "id")))
}

// ref names an attempt, mostly one that is running.
func (w *world) ref() domain.Ref {
	var running []domain.Ref
	for i := range w.m.Tasks {
		if w.m.Tasks[i].Status == domain.StatusRunning {
			running = append(running, w.m.Tasks[i].Ref())
		}
	}
	if len(running) == 0 || rapid.IntRange(0, 4).Draw(w.T, "odd") == 4 {
		return domain.Ref{
			PoolID: "p", JobID: domain.JobID(rapid.IntRange(0, len(w.m.Tasks)+1).Draw(w.T, "job")),
			Attempt: rapid.IntRange(0, 3).Draw(w.T, "attempt"),
		}
	}
	return rapid.SampledFrom(running).Draw(w.T, "running")
}

func (w *world) submission() plan.Submit {
	s := plan.Submit{
		TaskID: w.id(), BodyHash: []byte{byte(rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(w.T, "body"))},
		Tenant:   rapid.SampledFrom(tenants).Draw(w.T, "tenant"),
		Priority: domain.Priority(rapid.IntRange(0, 3).Draw(w.T, "priority")),
		Units:    domain.Units(rapid.SampledFrom([]int{1, 1, 1, 2, 3, 4, 5, 7, 10, 11}).Draw(w.T, "units")),
	}
	if rapid.IntRange(0, 2).Draw(w.T, "dated") == 0 {
		deadline := w.now.Add(time.Duration(rapid.IntRange(0, 20).Draw(w.T, "deadline")) * time.Second)
		s.Deadline = &deadline
	}
	if rapid.Bool().Draw(w.T, "mailed") {
		s.Mailbox = &domain.MailboxKey{Tenant: s.Tenant}
	}
	return s
}

func (w *world) poolChange() plan.PoolChange {
	var c plan.PoolChange
	switch rapid.IntRange(0, 3).Draw(w.T, "what") {
	case 0:
		state := rapid.SampledFrom([]domain.PoolState{domain.PoolActive, domain.PoolActive, domain.PoolDraining, domain.PoolDisabled}).Draw(w.T, "state")
		c.State = &state
	case 1:
		units := rapid.SampledFrom([]domain.Units{0, 3, 8, 10, 15}).Draw(w.T, "maxUnits")
		c.MaxUnits = &units
	case 2:
		depth := rapid.Int64Range(0, 50).Draw(w.T, "depth")
		c.MaxQueueDepth = &depth
	case 3:
		pool := w.m.Pool
		pool.Policy, pool.Tenants = drawPolicy(w.T), drawTenants(w.T)
		c.Policy = &pool
	}
	return c
}

// turn takes a turn, and those that it asks for at once.
func (w *world) turn(req *plan.Requests) {
	noStart := req.NoStart
	for n := 0; ; n++ {
		require.Less(w.T, n, 500, "turns go on for ever")
		newest := domain.JobID(len(w.m.Tasks))
		d, err := w.m.Turn(w.now, req)
		require.NoError(w.T, err)
		w.answered(req, &d)
		w.countPassed(&d, newest)
		waiting := w.waiting(req, &d)
		if !d.Again {
			if !noStart && (!w.web() || len(waiting) > 0) {
				w.workConserving()
			}
			return
		}
		req = &plan.Requests{Worker: req.Worker, NoStart: noStart, Lessees: waiting}
	}
}

// waiting returns the lessees of a turn that would take more, and checks that none got
// more than it takes.
func (w *world) waiting(req *plan.Requests, d *plan.Decisions) []plan.Lessee {
	var waiting []plan.Lessee
	started := 0
	for i, lessee := range req.Lessees {
		lent := d.Answers.Lessees[i]
		require.Nil(w.T, lent.Err)
		require.Len(w.T, lent.Tasks, len(lent.Leases))
		started += len(lent.Leases)
		lessee.Tasks -= len(lent.Leases)
		require.GreaterOrEqual(w.T, lessee.Tasks, 0)
		if lessee.Tasks > 0 {
			waiting = append(waiting, lessee)
		}
	}
	if w.web() {
		require.Len(w.T, d.Started, started, "the lease is the start")
	}
	return waiting
}

// answered checks that every request has its answer.
func (w *world) answered(req *plan.Requests, d *plan.Decisions) {
	a := d.Answers
	require.Len(w.T, a.Settles, len(req.Settles))
	require.Len(w.T, a.Submits, len(req.Submits))
	for _, answers := range [][]plan.Answer{a.Settles, a.Losts, a.Forces, a.Cancels, a.Changes, a.Submits} {
		for i := range answers {
			require.True(w.T, answers[i].Task != nil || answers[i].Pool != nil || answers[i].Err != nil, "an empty answer")
		}
	}
	for i := range a.Submits {
		s, answer := &req.Submits[i], &a.Submits[i]
		if answer.Err == nil {
			require.Equal(w.T, s.TaskID, answer.Task.TaskID)
			row := w.m.Tasks[answer.Task.JobID-1]
			require.Equal(w.T, row.Status, answer.Task.Status)
			require.NotEqual(w.T, domain.StatusRejected, row.Status)
		}
		if position := answer.Position; position > 0 {
			require.Equal(w.T, answer.Task.JobID, w.m.Order()[position-1].JobID, "position %d", position)
		}
	}
}

// eligible returns the queued tasks that nothing but units keeps back, in order.
func (w *world) eligible() []domain.Task {
	var out []domain.Task
	capped := map[domain.Tenant]bool{}
	for _, task := range w.m.Order() {
		limit := w.m.Pool.Tenants[task.Tenant].MaxUnits
		switch {
		case capped[task.Tenant]:
		case limit > 0 && w.m.Tenants[task.Tenant].ActiveUnits+task.Units > limit:
			capped[task.Tenant] = true
		default:
			out = append(out, task)
		}
	}
	return out
}

// workConserving: no units stay free while the first eligible task fits them.
func (w *world) workConserving() {
	if w.m.Pool.State == domain.PoolDisabled || w.m.Pool.MaxUnits == 0 {
		return
	}
	if first := w.eligible(); len(first) > 0 {
		require.Greater(w.T, first[0].Units+w.m.Counters.ActiveUnits, w.m.Pool.MaxUnits, "job %d fits and waits", first[0].JobID)
	}
}

// countPassed counts by itself how often those in front were passed. One that came
// in this turn (after newest) does not count: it may have owed its place in a
// full queue to the start that passed it.
func (w *world) countPassed(d *plan.Decisions, newest domain.JobID) {
	var seen [domain.PriorityClasses]bool
	started := map[domain.Tenant]bool{}
	for i := range d.Started {
		started[d.Started[i].Tenant] = true
	}
	eligible := map[domain.JobID]bool{}
	for _, task := range w.eligible() {
		eligible[task.JobID] = true
	}
	for _, head := range w.m.Order() {
		// One whose tenant has just reached its cap may have been in front before that.
		if seen[head.Priority] || !eligible[head.JobID] && !started[head.Tenant] {
			continue
		}
		seen[head.Priority] = true
		if head.JobID > newest || !eligible[head.JobID] {
			continue
		}
		for i := range d.Started {
			s := &w.m.Tasks[d.Started[i].JobID-1]
			later := cmp.Or(cmp.Compare(head.Priority, s.Priority), cmp.Compare(s.Rank, head.Rank), cmp.Compare(s.JobID, head.JobID))
			if later > 0 {
				w.passed[head.JobID]++
			}
		}
		require.LessOrEqual(w.T, w.passed[head.JobID], w.m.Pool.MaxOvertakes, "job %d was passed too often", head.JobID)
	}
}

// drain lets everything end: nothing may be stuck.
func (w *world) drain() {
	active, units := domain.PoolActive, domain.Units(15)
	w.turn(&plan.Requests{Worker: "w1", Changes: []plan.PoolChange{{State: &active, MaxUnits: &units}}})
	for n := 0; w.m.Counters.Running+w.m.Counters.Queued+w.m.Counters.Waiting > 0; n++ {
		require.Less(w.T, n, 500, "a task is stuck")
		w.now = w.now.Add(time.Hour)
		req := &plan.Requests{Worker: "w1"}
		for i := range w.m.Tasks {
			if task := &w.m.Tasks[i]; task.Status == domain.StatusRunning {
				req.Settles = append(req.Settles, plan.Settle{Ref: task.Ref(), Verdict: plan.VerdictCompleted})
			}
		}
		if w.web() {
			req.Lessees = []plan.Lessee{{Worker: "remote", Tasks: 100, TTL: time.Second, Secret: []byte("s")}}
		}
		w.turn(req)
	}
	require.Zero(w.T, w.m.Counters.ActiveUnits)
}
