package bench

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
)

// poolID names pool i of a case.
func poolID(i int) domain.PoolID { return domain.PoolID("bench-" + strconv.Itoa(i)) }

// writeConfig writes the configuration that a case asks for: its units divided among
// its pools. executors are those of serve; in this process they are registered.
func writeConfig(path, url, schema string, c *Case, executors map[string]any) error {
	policy := c.Policy
	if policy == "" {
		policy = domain.PolicyFIFO
	}
	pools := make([]any, max(c.Pools, 1))
	for i := range pools {
		pool := map[string]any{
			"pool_id": poolID(i), "max_units": max(c.Slots/len(pools), 1), "max_queue_depth": 100_000_000,
			"default_timeout_secs": 3600, "queue_backend": c.Backend, "mailbox_backend": c.Backend,
			"runtime_adapter": c.Runtime, "priority_policy": policy,
		}
		if executors != nil {
			pool["executors"] = executors
		}
		pools[i] = pool
	}
	whole := map[string]any{
		"data_dir": path + ".data", "pools": pools,
		"limits": map[string]any{"worker_concurrency": c.Slots, "grace_secs": 5},
	}
	if c.Backend == domain.BackendPostgres {
		whole["database"] = map[string]any{"url": url, "schema": schema}
	}
	raw, err := json.Marshal(whole)
	if err != nil {
		return fmt.Errorf("make a configuration: %w", err)
	}
	const mode = 0o600
	if err := os.WriteFile(path, raw, mode); err != nil {
		return fmt.Errorf("write a configuration: %w", err)
	}
	return nil
}

// serial makes the ids of one measurement differ from those of all others, which the
// tables of a fixture may still hold.
var serial atomic.Int64

// taskID returns the id of task n: in the order of n, and after every id of a
// fixture, or scattered.
func taskID(run int64, n int, scattered bool) domain.TaskID {
	id := fmt.Sprintf("task-%04d-%08d", run, n)
	if scattered {
		sum := sha256.Sum256([]byte(id))
		id = hex.EncodeToString(sum[:16])
	}
	return domain.TaskID(id)
}

// submission returns task n of a case.
func submission(c *Case, n int) (domain.PoolID, []plan.Submit) {
	id := taskID(serial.Load(), n, c.Scattered)
	tenant := tenantOf(c, n)
	hash := sha256.Sum256([]byte(id))
	return poolOf(c, n), []plan.Submit{{
		TaskID: id, BodyHash: hash[:], Tenant: tenant, Priority: domain.PriorityNormal, Units: 1,
		Executor: "default", Mailbox: &domain.MailboxKey{Tenant: tenant, UserID: "bench"},
		Payload: []byte(`{"durationMs":0}`),
	}}
}

func tenantOf(c *Case, n int) domain.Tenant {
	tenants := c.Tenants
	if tenants == 0 {
		tenants = 4
	}
	return domain.Tenant("tenant-" + strconv.Itoa(n%tenants))
}

func poolOf(c *Case, n int) domain.PoolID { return poolID(n % max(c.Pools, 1)) }

// body is task n of a case as a client sends it.
func body(c *Case, n int) string {
	tenant := string(tenantOf(c, n))
	return `{"taskId":"` + string(taskID(serial.Load(), n, c.Scattered)) + `","tenant":"` + tenant +
		`","resourceCost":{"kind":"cpu","units":1},"mailboxKey":{"tenant":"` + tenant +
		`","userId":"bench"},"payload":{"durationMs":` + strconv.Itoa(c.sleep()) + `}}`
}

// sleep is how long a task of a case sleeps, in milliseconds: not at all, or so long
// that all behind it stay queued.
func (c *Case) sleep() int {
	if c.Queued > 0 {
		return int(time.Hour.Milliseconds())
	}
	return 0
}
