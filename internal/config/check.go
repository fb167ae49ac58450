package config

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// checker applies the rules that hold between fields. A rule about a field that
// has a fault of its own is left alone: one mistake is one fault.
type checker struct {
	*decoder
	env map[string]string
}

// faultf notes a fault once; a mistake in "defaults" shows in every pool.
func (c *checker) faultf(path string, value any, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	same := func(f domain.Fault) bool { return f.Location == path && f.Message == message }
	if !slices.ContainsFunc(c.faults, same) {
		c.faults = append(c.faults, domain.Fault{Location: path, Message: message, Value: value})
	}
}

func (c *checker) bad(path string) bool {
	return slices.ContainsFunc(c.faults, func(f domain.Fault) bool { return f.Location == path })
}

// at returns where a policy field of a pool got its value.
func (c *checker) at(pool, key string) string {
	if own := join(pool, key); c.seen[own] || !c.seen[join("defaults", key)] {
		return own
	}
	return join("defaults", key)
}

func (c *checker) config(cfg *Config) {
	if len(cfg.Pools) == 0 && !c.bad("pools") {
		c.faultf("pools", nil, "at least one pool is needed")
	}
	first := map[string]int{}
	for i := range cfg.Pools {
		path := fmt.Sprintf("pools[%d]", i)
		if c.bad(path) {
			continue
		}
		pool := &cfg.Pools[i]
		if j, twice := first[pool.PoolID]; twice {
			c.faultf(join(path, "pool_id"), pool.PoolID, "%q is already the id of pools[%d]", pool.PoolID, j)
		} else if !c.bad(join(path, "pool_id")) {
			first[pool.PoolID] = i
		}
		if pool.Name == "" {
			pool.Name = pool.PoolID
		}
		c.runtime(path, pool)
		c.retries(path, pool)
		c.tenants(path, pool)
		for _, name := range slices.Sorted(maps.Keys(pool.Executors)) {
			executor := pool.Executors[name]
			c.executor(join(path, "executors."+name), &executor)
			pool.Executors[name] = executor
		}
	}
	c.database(cfg)
	c.dataDir(cfg)
	if l := cfg.Limits; l.WorkerTTLMS < 3*l.HeartbeatMS && !c.bad("limits.worker_ttl_ms") && !c.bad("limits.heartbeat_ms") {
		c.faultf("limits.worker_ttl_ms", l.WorkerTTLMS, "must be at least three times heartbeat_ms (%d), not %d: a process that misses a beat is not dead", 3*l.HeartbeatMS, l.WorkerTTLMS)
	}
}

func (c *checker) runtime(path string, pool *Pool) {
	at := c.at(path, "runtime_adapter")
	switch domain.Runtime(pool.RuntimeAdapter) {
	case domain.RuntimeWeb:
		if len(pool.Executors) > 0 {
			c.faultf(join(path, "executors"), nil, "does not belong to a pool whose runtime_adapter is web: what a task's executor names is up to its remote workers")
		}
	case domain.RuntimeWorker:
		if pool.QueueBackend != string(domain.BackendPostgres) && !c.bad(c.at(path, "queue_backend")) {
			c.faultf(at, pool.RuntimeAdapter, "worker needs queue_backend postgres, not %s: its jobs are handed out by River, which lives in Postgres", pool.QueueBackend)
		}
	case domain.RuntimeNative:
	}
}

func (c *checker) retries(path string, pool *Pool) {
	if pool.RetryMaxMS < pool.RetryBaseMS && !c.bad(c.at(path, "retry_max_ms")) && !c.bad(c.at(path, "retry_base_ms")) {
		c.faultf(c.at(path, "retry_max_ms"), pool.RetryMaxMS, "must be at least retry_base_ms (%d), not %d", pool.RetryBaseMS, pool.RetryMaxMS)
	}
}

func (c *checker) tenants(path string, pool *Pool) {
	for _, name := range slices.Sorted(maps.Keys(pool.Tenants)) {
		at := join(path, "tenants."+name+".max_units")
		if tenant := pool.Tenants[name]; tenant.MaxUnits > pool.MaxUnits && !c.bad(join(path, "max_units")) && c.seen[join(path, "max_units")] {
			c.faultf(at, tenant.MaxUnits, "must be at most the pool's max_units (%d), not %d", pool.MaxUnits, tenant.MaxUnits)
		}
	}
}

func (c *checker) database(cfg *Config) {
	const at = "database.url"
	if c.bad("database") || c.bad(at) {
		return
	}
	c.expandAt(at, &cfg.Database.URL)
	if c.bad(at) {
		return
	}
	if cfg.Database.URL == "" {
		for i, pool := range cfg.Pools {
			if pool.uses(domain.BackendPostgres) {
				c.faultf(at, nil, "is missing: pools[%d] (%s) is on the postgres backend; set it, --database-url or PARKINGLOT_DATABASE_URL", i, pool.PoolID)
				return
			}
		}
		if cfg.Parking.Backend == string(domain.BackendPostgres) {
			c.faultf(at, nil, "is missing: parking is on the postgres backend; set it, --database-url or PARKINGLOT_DATABASE_URL")
		}
		return
	}
	c.dsn(at, cfg.Database.URL)
	const direct = "database.direct_url"
	if c.expandAt(direct, &cfg.Database.DirectURL); cfg.Database.DirectURL != "" && !c.bad(direct) {
		c.dsn(direct, cfg.Database.DirectURL)
	}
}

func (c *checker) dsn(at, dsn string) {
	if _, err := pgconn.ParseConfig(dsn); err != nil {
		// The parser's message repeats the DSN without its password, or with all of it
		// when it could not find one: say what failed, not what was given.
		c.faultf(at, nil, "is no Postgres DSN: write postgres://user:password@host:5432/database or key=value pairs")
	}
}

func (c *checker) dataDir(cfg *Config) {
	uses := slices.ContainsFunc(cfg.Pools, func(p Pool) bool { return p.uses(domain.BackendFile) })
	uses = uses || cfg.ParkingBackend() == domain.BackendFile
	if uses && cfg.DataDir == "" && !c.bad("data_dir") {
		c.faultf("data_dir", nil, "must not be empty: a pool or parking is on the file backend")
	}
}

func (p *Pool) uses(backend domain.Backend) bool {
	return p.QueueBackend == string(backend) || p.MailboxBackend == string(backend)
}

// executorFields says which fields belong to which type.
func executorFields(kind string) []string {
	switch kind {
	case "http":
		return []string{"url", "method", "headers"}
	case "command":
		return []string{"argv", "env", "workdir"}
	}
	return nil
}

func (c *checker) executor(path string, e *Executor) {
	if c.bad(path) || c.bad(join(path, "type")) {
		return
	}
	for _, f := range fieldsOf(executorType) {
		if at := join(path, f.key); c.seen[at] && f.key != "type" && !slices.Contains(executorFields(e.Type), f.key) {
			c.faultf(at, nil, "does not belong to an executor of type %s", e.Type)
		}
	}
	switch e.Type {
	case "http":
		c.httpExecutor(path, e)
	case "command":
		c.commandExecutor(path, e)
	}
}

func (c *checker) httpExecutor(path string, e *Executor) {
	at := join(path, "url")
	c.expandAt(at, &e.URL)
	if e.URL == "" && !c.bad(at) {
		c.faultf(at, nil, "is missing: an http executor needs one")
	}
	if u, err := url.Parse(e.URL); e.URL != "" && !c.bad(at) && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		c.faultf(at, nil, "must be an http:// or https:// URL")
	}
	for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
		at := join(path, "headers."+name)
		value := e.Headers[name]
		c.expandAt(at, &value)
		e.Headers[name] = value
		if !isToken(name) {
			c.faultf(at, nil, "is no name of an HTTP header field")
		}
		if strings.ContainsAny(value, "\r\n\x00") {
			c.faultf(at, nil, "must not contain line breaks or NUL characters")
		}
	}
}

func (c *checker) commandExecutor(path string, e *Executor) {
	at := join(path, "argv")
	if (len(e.Argv) == 0 || e.Argv[0] == "") && !c.bad(at) && !c.bad(at+"[0]") {
		c.faultf(at, nil, "must name the program to run")
	}
	for _, name := range slices.Sorted(maps.Keys(e.Env)) {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			c.faultf(join(path, "env."+name), nil, "is no name of an environment variable")
		}
	}
}

// isToken reports whether s is a token of RFC 9110, section 5.6.2.
func isToken(s string) bool {
	for _, r := range s {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		if !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", r) {
			return false
		}
	}
	return s != ""
}
