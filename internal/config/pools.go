package config

import (
	"maps"
	"reflect"
	"slices"

	"github.com/parkinglot/parkinglot/internal/domain"
)

var executorType = reflect.TypeFor[Executor]() //nolint:gochecknoglobals // constant

// Domain returns the pool as the rest of the program knows it, active, with the
// names of its configured executors.
func (p *Pool) Domain() domain.Pool {
	tenants := make(map[domain.Tenant]domain.TenantPolicy, len(p.Tenants))
	for name, t := range p.Tenants {
		tenants[domain.Tenant(name)] = domain.TenantPolicy{
			Weight: t.Weight, MaxUnits: domain.Units(t.MaxUnits), MaxQueueDepth: t.MaxQueueDepth,
		}
	}
	return domain.Pool{
		PoolID: domain.PoolID(p.PoolID), Name: p.Name, State: domain.PoolActive,
		MaxUnits: domain.Units(p.MaxUnits), MaxQueueDepth: p.MaxQueueDepth,
		DefaultTimeout: seconds(p.DefaultTimeoutSecs),
		QueueBackend:   domain.Backend(p.QueueBackend), MailboxBackend: domain.Backend(p.MailboxBackend),
		Runtime: domain.Runtime(p.RuntimeAdapter), Policy: domain.PriorityPolicy(p.PriorityPolicy),
		ResourceKind: domain.ResourceKind(p.ResourceKind),
		MaxOvertakes: int(p.MaxOvertakes), MaxAttempts: int(p.MaxAttempts),
		RetryBackoff: domain.Backoff{Base: millis(p.RetryBaseMS), Max: millis(p.RetryMaxMS)},
		Tenants:      tenants, Executors: slices.Sorted(maps.Keys(p.Executors)),
	}
}

// ParkingBackend returns where the parking half lives.
func (c *Config) ParkingBackend() domain.Backend {
	switch {
	case c.Parking.Backend != "":
		return domain.Backend(c.Parking.Backend)
	case c.Database.URL != "":
		return domain.BackendPostgres
	case slices.ContainsFunc(c.Pools, func(p Pool) bool { return !p.uses(domain.BackendMemory) || p.uses(domain.BackendFile) }):
		return domain.BackendFile
	}
	return domain.BackendMemory
}

// Backends returns the backends that the pools and the parking half use, each once,
// in the order memory, file, postgres.
func (c *Config) Backends() []domain.Backend {
	var used []domain.Backend
	for _, backend := range []domain.Backend{domain.BackendMemory, domain.BackendFile, domain.BackendPostgres} {
		if slices.ContainsFunc(c.Pools, func(p Pool) bool { return p.uses(backend) }) || c.ParkingBackend() == backend {
			used = append(used, backend)
		}
	}
	return used
}
