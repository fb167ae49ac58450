package plan

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// change applies an operator's or a configuration's change of the pool. One that
// changes nothing writes nothing.
//
// The order cannot change under tasks that stand in it: ranks of different policies
// do not compare, and old tasks could wait for ever behind new ones. Such a change is
// refused with CodeConflict until the queue is empty.
func (t *turn) change(c *PoolChange) Answer {
	if faults := changeFaults(c); len(faults) > 0 {
		return Answer{Err: &domain.Error{
			Code: domain.CodeInvalid, Message: fmt.Sprintf("the pool cannot be changed like this: %d faults", len(faults)), Faults: faults,
		}}
	}
	old, next := t.pool, changed(t.pool, c)
	now, was := differences(&old, &next)
	if len(now) == 0 {
		return Answer{Pool: &old}
	}
	if next.Policy != old.Policy && t.counters.Queued > 0 {
		return Answer{Pool: &old, Err: domain.Errorf(domain.CodeConflict,
			"priority_policy of pool %q cannot change from %s to %s while %d tasks are queued: drain the pool first",
			old.PoolID, old.Policy, next.Policy, t.counters.Queued)}
	}
	next.Version++
	t.pool, t.changed = next, true
	for tenant, a := range t.accounts {
		a.limit = next.Tenants[tenant]
	}
	t.moveLanes(&old)

	now["from"] = was
	detail, err := json.Marshal(now)
	if err != nil {
		detail = nil // strings, numbers and maps of them: cannot happen, and is not worth the change
	}
	t.append(&domain.Event{
		Kind: domain.EventPoolChange, Actor: c.Actor, Subjects: []string{t.poolSubject}, Detail: detail,
	})
	return Answer{Pool: &next}
}

// changed returns the pool with the change applied. What rows depend on (id,
// backend of the queue) never changes.
func changed(pool domain.Pool, c *PoolChange) domain.Pool {
	if p := c.Policy; p != nil {
		pool.Name, pool.DefaultTimeout, pool.MailboxBackend, pool.Runtime = p.Name, p.DefaultTimeout, p.MailboxBackend, p.Runtime
		pool.Policy, pool.ResourceKind, pool.MaxOvertakes, pool.MaxAttempts = p.Policy, p.ResourceKind, p.MaxOvertakes, p.MaxAttempts
		pool.RetryBackoff, pool.Tenants = p.RetryBackoff, p.Tenants
		pool.Executors = slices.Compact(slices.Sorted(slices.Values(p.Executors)))
	}
	if c.State != nil {
		pool.State = *c.State
	}
	if c.MaxUnits != nil {
		pool.MaxUnits = *c.MaxUnits
	}
	if c.MaxQueueDepth != nil {
		pool.MaxQueueDepth = *c.MaxQueueDepth
	}
	return pool
}

// differences returns the fields in which two pools differ, as the audit trail
// shows them: new values and old ones.
func differences(old, next *domain.Pool) (now, was map[string]any) {
	now, was = map[string]any{}, map[string]any{}
	note := func(name string, differs bool, before, after any) {
		if differs {
			was[name], now[name] = before, after
		}
	}
	note("state", old.State != next.State, old.State, next.State)
	note("maxUnits", old.MaxUnits != next.MaxUnits, old.MaxUnits, next.MaxUnits)
	note("maxQueueDepth", old.MaxQueueDepth != next.MaxQueueDepth, old.MaxQueueDepth, next.MaxQueueDepth)
	note("name", old.Name != next.Name, old.Name, next.Name)
	note("defaultTimeout", old.DefaultTimeout != next.DefaultTimeout, old.DefaultTimeout.String(), next.DefaultTimeout.String())
	note("mailboxBackend", old.MailboxBackend != next.MailboxBackend, old.MailboxBackend, next.MailboxBackend)
	note("runtime", old.Runtime != next.Runtime, old.Runtime, next.Runtime)
	note("priorityPolicy", old.Policy != next.Policy, old.Policy, next.Policy)
	note("resourceKind", old.ResourceKind != next.ResourceKind, old.ResourceKind, next.ResourceKind)
	note("maxOvertakes", old.MaxOvertakes != next.MaxOvertakes, old.MaxOvertakes, next.MaxOvertakes)
	note("maxAttempts", old.MaxAttempts != next.MaxAttempts, old.MaxAttempts, next.MaxAttempts)
	note("retryBackoff", old.RetryBackoff != next.RetryBackoff, backoffText(old.RetryBackoff), backoffText(next.RetryBackoff))
	note("tenants", !maps.Equal(old.Tenants, next.Tenants), only(old.Tenants, next.Tenants), only(next.Tenants, old.Tenants))
	note("executors", !slices.Equal(old.Executors, next.Executors), old.Executors, next.Executors)
	return now, was
}

// only returns the tenants of a that b has not, or not like this.
func only(a, b map[domain.Tenant]domain.TenantPolicy) map[domain.Tenant]domain.TenantPolicy {
	out := map[domain.Tenant]domain.TenantPolicy{}
	for tenant, policy := range a {
		if other, ok := b[tenant]; !ok || other != policy {
			out[tenant] = policy
		}
	}
	return out
}

func backoffText(b domain.Backoff) string { return b.Base.String() + " to " + b.Max.String() }

// moveLanes notes the tenants whose tasks wait in another lane now. Rows that this
// turn writes anyway are moved here, the others by the store.
func (t *turn) moveLanes(old *domain.Pool) {
	moved := map[domain.Tenant]bool{}
	for _, policies := range []map[domain.Tenant]domain.TenantPolicy{old.Tenants, t.pool.Tenants} {
		for tenant := range policies {
			if old.TenantLane(tenant) != t.pool.TenantLane(tenant) {
				moved[tenant] = true
			}
		}
	}
	for _, tenant := range t.relane { // an earlier change of the same turn
		moved[tenant] = true
	}
	t.relane = slices.Sorted(maps.Keys(moved))
	if len(moved) == 0 {
		return
	}
	for _, r := range t.rows {
		r.t.Lane = t.pool.TenantLane(r.t.Tenant)
	}
}

// changeFaults returns everything that is wrong with a change.
func changeFaults(c *PoolChange) []domain.Fault {
	var faults []domain.Fault
	check := func(ok bool, value any, location, message string) {
		if !ok {
			faults = append(faults, domain.Fault{Location: "body." + location, Message: message, Value: value})
		}
	}
	if c.State != nil {
		states := []domain.PoolState{domain.PoolActive, domain.PoolDraining, domain.PoolDisabled}
		check(slices.Contains(states, *c.State), *c.State, "state", "must be active, draining or disabled")
	}
	if c.MaxUnits != nil {
		check(*c.MaxUnits >= 0 && *c.MaxUnits <= domain.MaxPoolUnits, *c.MaxUnits, "maxUnits",
			fmt.Sprintf("must be between 0 and %d", domain.MaxPoolUnits))
	}
	if c.MaxQueueDepth != nil {
		check(*c.MaxQueueDepth >= 0, *c.MaxQueueDepth, "maxQueueDepth", "must not be negative")
	}
	p := c.Policy
	if p == nil {
		return faults
	}
	check(p.DefaultTimeout >= time.Millisecond, p.DefaultTimeout.String(), "policy.defaultTimeout", "must be at least 1ms")
	check(slices.Contains([]domain.Backend{domain.BackendMemory, domain.BackendFile, domain.BackendPostgres}, p.MailboxBackend),
		p.MailboxBackend, "policy.mailboxBackend", "must be memory, file or postgres")
	check(slices.Contains([]domain.Runtime{domain.RuntimeNative, domain.RuntimeWorker, domain.RuntimeWeb}, p.Runtime),
		p.Runtime, "policy.runtime", "must be native, worker or web")
	check(slices.Contains([]domain.PriorityPolicy{domain.PolicyFIFO, domain.PolicyPriority, domain.PolicyFair, domain.PolicyDeadline}, p.Policy),
		p.Policy, "policy.priorityPolicy", "must be fifo, priority, fair or deadline")
	check(slices.Contains(domain.ResourceKinds(), p.ResourceKind), p.ResourceKind, "policy.resourceKind", "is not a kind of resource")
	check(p.MaxOvertakes >= 0, p.MaxOvertakes, "policy.maxOvertakes", "must not be negative")
	check(p.MaxAttempts >= 1 && p.MaxAttempts <= maxTaskAttempts, p.MaxAttempts, "policy.maxAttempts",
		fmt.Sprintf("must be between 1 and %d", maxTaskAttempts))
	check(p.RetryBackoff.Base >= 0 && p.RetryBackoff.Max >= 0, backoffText(p.RetryBackoff), "policy.retryBackoff", "must not be negative")
	for _, tenant := range slices.SortedFunc(maps.Keys(p.Tenants), cmp.Compare[domain.Tenant]) {
		policy := p.Tenants[tenant]
		check(policy.Weight >= 0 && policy.MaxUnits >= 0 && policy.MaxQueueDepth >= 0, policy,
			"policy.tenants."+string(tenant), "must not be negative")
	}
	return faults
}
