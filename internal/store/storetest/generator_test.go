package storetest_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/storetest"
)

// elsewhere is the backend that a pool's mailbox has in the model when it is not in
// the pool's own.
const elsewhere = domain.BackendPostgres

var (
	tenants = []domain.Tenant{"acme", "zeta", "Zoë & Co. <ü>", "capped", "tiny", "queue-capped", "日本"}
	users   = []string{"", "u1", "u:2", "_", "ü%5F"}
	shades  = []string{"red", "blue", "grün \"x\""}
	workers = []domain.WorkerID{"w1", "w2", "w3", "w4"}
)

// generator makes random requests that hit what is there often enough to matter.
type generator struct {
	rand   *rand.Rand
	clock  *storetest.Clock
	n      int           // task ids made so far
	lastID domain.TaskID // some recent task id
}

func oneOf[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// chance is true p times in a hundred.
func (g *generator) chance(p int) bool { return g.rand.IntN(100) < p }

// pools are one of each policy, and one whose mailbox is in another backend.
func (g *generator) pools() []domain.Pool {
	base := domain.Pool{
		Name: "Pool", State: domain.PoolActive, MaxUnits: 20, MaxQueueDepth: 60, DefaultTimeout: time.Minute,
		QueueBackend: domain.BackendMemory, MailboxBackend: domain.BackendMemory, Runtime: domain.RuntimeNative,
		ResourceKind: domain.KindCPU, MaxOvertakes: 3, MaxAttempts: 2,
		RetryBackoff: domain.Backoff{Base: 2 * time.Second, Max: time.Minute}, Executors: []string{"default", "other"},
	}
	var pools []domain.Pool
	for i, policy := range []domain.PriorityPolicy{domain.PolicyFIFO, domain.PolicyPriority, domain.PolicyFair, domain.PolicyDeadline, domain.PolicyFair} {
		p := base
		p.PoolID, p.Policy = domain.PoolID(fmt.Sprint("p", i)), policy
		if i > 0 {
			p.Tenants = g.caps()
		}
		pools = append(pools, p)
	}
	pools[0].MaxOvertakes, pools[0].Executors = 0, nil
	pools[3].RetryBackoff = domain.Backoff{}
	pools[4].MailboxBackend, pools[4].MaxUnits, pools[4].MaxQueueDepth = elsewhere, 400, 2000
	return pools
}

func (g *generator) caps() map[domain.Tenant]domain.TenantPolicy {
	all := map[domain.Tenant]domain.TenantPolicy{
		"acme":          {Weight: int64(1 + g.rand.IntN(5))},
		"capped":        {Weight: 2, MaxUnits: domain.Units(3 + g.rand.IntN(6))},
		"tiny":          {MaxUnits: domain.Units(1 + g.rand.IntN(3))},
		"queue-capped":  {MaxQueueDepth: int64(1 + g.rand.IntN(5))},
		"Zoë & Co. <ü>": {Weight: 3, MaxUnits: 7, MaxQueueDepth: 9},
	}
	for _, tenant := range tenants {
		if g.chance(25) {
			delete(all, tenant)
		}
	}
	return all
}

func (g *generator) pick() domain.PoolID { return domain.PoolID(fmt.Sprint("p", g.rand.IntN(5))) }

// step is how far the clock moves: mostly a bit, at times far, at times back.
func (g *generator) step() time.Duration {
	switch g.rand.IntN(8) {
	case 0:
		return time.Duration(g.rand.IntN(2000)) // nanoseconds: may be less than a microsecond
	case 1:
		return -time.Duration(g.rand.IntN(20_000)) * time.Millisecond
	case 2:
		return time.Duration(g.rand.IntN(3600)) * time.Second
	}
	return time.Duration(g.rand.IntN(20_000)) * time.Millisecond
}

// requests makes what one turn has gathered.
func (g *generator) requests(t *testing.T, model *storetest.Model, pool domain.PoolID) *plan.Requests {
	t.Helper()
	rq := &plan.Requests{Worker: oneOf(g.rand, workers), NoStart: g.chance(5)}
	held, err := model.Held(t.Context(), pool, "", 0, 1000)
	require.NoError(t, err)
	for i := range held {
		switch {
		case g.chance(25):
			rq.Settles = append(rq.Settles, g.settle(&held[i]))
		case g.chance(4):
			rq.Losts = append(rq.Losts, plan.Lost{Ref: g.bend(held[i].Ref()), Holder: g.holder(held[i].Holder)})
		}
	}
	if g.chance(20) { // of an attempt that ended long ago, or never was
		ref := domain.Ref{PoolID: pool, JobID: domain.JobID(g.rand.IntN(200)), Attempt: g.rand.IntN(3)}
		rq.Settles = append(rq.Settles, plan.Settle{Ref: ref, Verdict: plan.VerdictCompleted, Result: []byte("1")})
	}
	most := 12
	if pool == "p4" && g.chance(10) {
		most = 300
	}
	for range g.rand.IntN(most) {
		rq.Submits = append(rq.Submits, g.submit(t, model, pool))
	}
	for range g.rand.IntN(3) {
		rq.Cancels = append(rq.Cancels, plan.Cancel{TaskID: g.someTask(t, model, pool), Actor: "öps"})
	}
	if g.chance(15) {
		rq.Forces = append(rq.Forces, plan.Force{
			TaskID: g.someTask(t, model, pool), Actor: "ops", Reason: domain.Reason{Code: domain.ReasonForced, Message: "by hand"},
			Status: oneOf(g.rand, []domain.Status{domain.StatusCompleted, domain.StatusFailed, domain.StatusExpired, domain.StatusDropped}),
		})
	}
	if g.chance(8) {
		rq.Changes = append(rq.Changes, g.change(t, model, pool))
	}
	return rq
}

func (g *generator) settle(task *domain.Task) plan.Settle {
	s := plan.Settle{Ref: g.bend(task.Ref()), Units: task.Units, Retryable: g.chance(60)}
	s.Verdict = oneOf(g.rand, []plan.Verdict{
		plan.VerdictCompleted, plan.VerdictCompleted, plan.VerdictFailed, plan.VerdictTimedOut, plan.VerdictCancelled, plan.VerdictHandBack,
	})
	switch s.Verdict {
	case plan.VerdictCompleted:
		s.Result = []byte(fmt.Sprintf(`{"of": %q}`, task.TaskID))
	case plan.VerdictHandBack:
		s.Reason = domain.Reason{Code: "draining", Message: "handed back"}
	default:
		s.Reason = domain.Reason{Code: domain.ReasonExecutorFailed, Message: "it said \"нет\"\n"}
	}
	return s
}

// bend makes some references stale.
func (g *generator) bend(ref domain.Ref) domain.Ref {
	switch g.rand.IntN(30) {
	case 0:
		ref.Attempt++
	case 1:
		ref.PoolID = "p0"
	}
	return ref
}

func (g *generator) holder(is domain.WorkerID) domain.WorkerID {
	if g.chance(10) {
		return oneOf(g.rand, workers)
	}
	return is
}

// plain makes a submission that every active pool takes.
func (g *generator) plain() plan.Submit {
	g.n++
	g.lastID = domain.TaskID(fmt.Sprint("t", g.n))
	hash := sha256.Sum256([]byte(g.lastID))
	return plan.Submit{
		TaskID: g.lastID, BodyHash: hash[:], Tenant: oneOf(g.rand, tenants), Priority: domain.Priority(g.rand.IntN(domain.PriorityClasses)),
		Units: 1, Executor: "default",
	}
}

func (g *generator) submit(t *testing.T, model *storetest.Model, pool domain.PoolID) plan.Submit {
	t.Helper()
	s := g.plain()
	s.Units = domain.Units(1 + g.rand.IntN(1+g.rand.IntN(12)))
	s.Payload = []byte(fmt.Sprintf(`{"n":%d,"s":"%s"}`, g.n, strings.Repeat("é", g.rand.IntN(30))))
	now := g.clock.Now()
	switch n := g.rand.IntN(100); {
	case n < 12: // an id that is there already, at times with the same body
		s.TaskID = g.someTask(t, model, pool)
		hash := sha256.Sum256([]byte(s.TaskID))
		if g.chance(70) {
			s.BodyHash = hash[:]
		}
	case n < 14:
		s.Units = 10_000
	case n < 16:
		s.Executor = "unknown"
	case n < 18:
		s.Payload = []byte(`"` + strings.Repeat("big ", 20_000) + `"`)
	case n < 21:
		s.Payload = nil
	}
	if g.chance(25) {
		at := now.Add(time.Duration(g.rand.IntN(120)-5) * time.Second)
		s.Deadline = &at
	}
	if g.chance(20) {
		s.Timeout = time.Duration(1+g.rand.IntN(100_000)) * time.Millisecond
	}
	if g.chance(50) {
		s.MaxAttempts = g.rand.IntN(4)
	}
	if g.chance(20) {
		s.Kind = oneOf(g.rand, domain.ResourceKinds())
	}
	if g.chance(60) {
		s.Mailbox = &domain.MailboxKey{Tenant: s.Tenant, UserID: oneOf(g.rand, users)}
		if s.Mailbox.UserID != "" {
			s.Mailbox.SessionID = oneOf(g.rand, []string{"", "s1", "s2"})
		}
	}
	if g.chance(40) {
		s.Labels = map[string]string{"shade": oneOf(g.rand, shades), "ключ": fmt.Sprint(g.rand.IntN(3))}
	}
	return s
}

func (g *generator) change(t *testing.T, model *storetest.Model, pool domain.PoolID) plan.PoolChange {
	t.Helper()
	c := plan.PoolChange{Actor: "ops"}
	if g.chance(60) {
		state := oneOf(g.rand, []domain.PoolState{domain.PoolActive, domain.PoolActive, domain.PoolActive, domain.PoolDraining, domain.PoolDisabled})
		c.State = &state
	}
	if g.chance(40) {
		units := oneOf(g.rand, []domain.Units{0, 5, 12, 20, 30, 400})
		c.MaxUnits = &units
	}
	if g.chance(20) {
		depth := oneOf(g.rand, []int64{0, 10, 60, 2000})
		c.MaxQueueDepth = &depth
	}
	if g.chance(40) {
		view, err := model.Pool(t.Context(), pool)
		require.NoError(t, err)
		p := view.Pool
		p.Tenants, p.MaxOvertakes, p.MaxAttempts = g.caps(), g.rand.IntN(5), 1+g.rand.IntN(3)
		p.Name = fmt.Sprint("Pool №", g.rand.IntN(1000))
		if g.chance(20) {
			p.Policy = oneOf(g.rand, []domain.PriorityPolicy{domain.PolicyFIFO, domain.PolicyPriority, domain.PolicyFair, domain.PolicyDeadline})
		}
		c.Policy = &p
	}
	return c
}

// someTask returns the id of a task of the pool, or one that nobody has.
func (g *generator) someTask(t *testing.T, model *storetest.Model, pool domain.PoolID) domain.TaskID {
	t.Helper()
	f := store.TaskFilter{Pool: pool, Limit: 30}
	if g.chance(60) {
		f.Status = oneOf(g.rand, []domain.Status{domain.StatusQueued, domain.StatusRunning, domain.StatusRejected})
	}
	tasks, err := model.ListTasks(t.Context(), f)
	require.NoError(t, err)
	if len(tasks) == 0 || g.chance(3) {
		return "nobody"
	}
	g.lastID = oneOf(g.rand, tasks).TaskID
	return g.lastID
}

// someJobs returns some job ids of the pool, live ones first; never none.
func (g *generator) someJobs(t *testing.T, model *storetest.Model, pool domain.PoolID) []domain.JobID {
	t.Helper()
	jobs := []domain.JobID{domain.JobID(1 + g.rand.IntN(50))}
	for _, status := range []domain.Status{domain.StatusQueued, domain.StatusRunning, domain.StatusCompleted} {
		tasks, err := model.ListTasks(t.Context(), store.TaskFilter{Pool: pool, Status: status, Limit: 20})
		require.NoError(t, err)
		if len(tasks) > 0 {
			jobs = append(jobs, oneOf(g.rand, tasks).JobID, oneOf(g.rand, tasks).JobID)
		}
	}
	return jobs
}
