package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parkinglot/parkinglot/internal/dbtest"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/faults/clients"
	"github.com/parkinglot/parkinglot/internal/fleet"
	"github.com/parkinglot/parkinglot/internal/runtime/attempts"
)

// schema is where the fleet's tables are.
const schema = "faults"

// The pools of a world. Those of the fleet are in Postgres and every server takes
// their tasks; those of the one on the embedded backend are its own.
const (
	poolNative = domain.PoolID("native") // run by the servers
	poolFleet  = domain.PoolID("fleet")  // run by the workers, through River
	poolWeb    = domain.PoolID("web")    // leased over HTTP by lessees of the harness
	poolLine   = domain.PoolID("line")   // small, for the linearizability check
	poolDisk   = domain.PoolID("disk")   // queue and mailbox in a file
	poolRelay  = domain.PoolID("relay")  // queue in a file, mailbox in Postgres: through the outbox
)

const (
	poolUnits  = 16
	ownersOnly = 0o600 // mode of files that name passwords
)

// world is everything there is to break.
type world struct {
	dir     string
	config  string // of the one on the embedded backend, which names every backend
	records string // the executors' own
	log     func(format string, args ...any)

	postgres *dbtest.Server
	servers  []*member
	workers  []*member
	lessees  []*member
	solo     *member
	link     *link // of the last worker; nil: there are no network namespaces here
	disk     *disk // under the solo's files; nil: none that could be filled
}

// newWorld starts everything and waits until it serves. What it could not do here
// is said by log.
func newWorld(ctx context.Context, o Options) (_ *world, err error) {
	w := &world{dir: o.Dir, records: filepath.Join(o.Dir, "executions.jsonl"), log: o.Log}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	w.log("starting Postgres, %d servers, %d workers, %d lessees and one server on the embedded backend", o.Servers, o.Workers, o.Lessees)
	w.postgres, err = dbtest.StartOwn(ctx, dbtest.Options{Durable: true, Settings: map[string]string{"log_min_messages": "fatal"}})
	if err != nil {
		return nil, err
	}
	if w.link, err = newLink(ctx); err != nil {
		w.log("no network namespace for a worker (%v): a link that is down is packets held by the proxy instead", err)
	}
	data := filepath.Join(o.Dir, "data")
	if w.disk, err = newDisk(ctx, data, o.Duration); err != nil {
		w.log("no disk of its own for the file backend (%v): it does not become full", err)
		if err := os.MkdirAll(data, 0o700); err != nil {
			return nil, fmt.Errorf("make a folder: %w", err)
		}
	}
	if err := w.people(o, data); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for i, m := range w.members() {
		go m.keep()
		if i > 0 {
			continue
		}
		if err := m.ready(ctx); err != nil { // the first one migrates
			return nil, err
		}
		if err := w.setUp(ctx, o.Setup); err != nil {
			return nil, err
		}
	}
	for _, m := range w.members() {
		if err := m.ready(ctx); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// setUp changes the schema.
func (w *world) setUp(ctx context.Context, statements []string) error {
	return w.ask(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "SET search_path = "+schema); err != nil {
			return err
		}
		for _, statement := range statements {
			if _, err := conn.Exec(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	})
}

// people makes the members.
func (w *world) people(o Options, data string) error {
	line := pool(poolLine, lineShape.Units, "native", "postgres", "postgres")
	line["max_queue_depth"] = lineShape.Depth
	web := pool(poolWeb, poolUnits, "web", "postgres", "postgres")
	delete(web, "executors") // its remote workers know what to do
	shared, err := w.writeConfig("fleet.json", "", o.TTL, []any{
		pool(poolNative, poolUnits, "native", "postgres", "postgres"),
		pool(poolFleet, poolUnits, "worker", "postgres", "postgres"),
		web,
		line,
	})
	if err != nil {
		return err
	}
	w.config, err = w.writeConfig("solo.json", data, o.TTL, []any{
		pool(poolDisk, poolUnits, "native", "file", "file"),
		pool(poolRelay, poolUnits, "native", "file", "postgres"),
	})
	if err != nil {
		return err
	}
	add := func(name, host, config string, wrap []string, args ...string) (*member, error) {
		proxy, err := fleet.NewProxy(w.postgres.URL, host)
		if err != nil {
			return nil, err
		}
		dir := filepath.Join(w.dir, name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make a folder: %w", err)
		}
		return newMember(name, fleet.Command{
			Binary: o.Binary, Args: append(args, "--config", config, "--grace", "2s"), Dir: dir,
			Log:  filepath.Join(w.dir, name+".log"),
			Env:  []string{attempts.RecordVariable + "=" + w.records, "PARKINGLOT_DATABASE_URL=" + proxy.URL},
			Wrap: wrap,
		}, proxy), nil
	}
	serve := func(name, config string) (*member, error) {
		addr, err := freeAddress() // the same after every restart
		if err != nil {
			return nil, err
		}
		m, err := add(name, localhost, config, nil, "serve", "--migrate", "--listen", addr, "--concurrency", "0")
		if err == nil {
			m.url = "http://" + addr
		}
		return m, err
	}
	for i := range o.Servers {
		m, err := serve(fmt.Sprintf("serve-%d", i+1), shared)
		if err != nil {
			return err
		}
		w.servers = append(w.servers, m)
	}
	for i := range o.Workers {
		host, wrap := localhost, []string(nil)
		if i == o.Workers-1 && w.link != nil {
			host, wrap = w.link.host, w.link.wrap()
		}
		m, err := add(fmt.Sprintf("work-%d", i+1), host, shared, wrap, "work", "--concurrency", "8")
		if err != nil {
			return err
		}
		w.workers = append(w.workers, m)
	}
	if w.solo, err = serve("solo", w.config); err != nil {
		return err
	}
	return w.addLessees(o)
}

// addLessees makes the remote workers: processes of the harness that know nothing but HTTP.
func (w *world) addLessees(o Options) error {
	const slots = 6
	raw, err := json.Marshal(clients.Leasing{Pool: poolWeb, Servers: w.addresses(), Record: w.records, Slots: slots, TTL: o.TTL})
	if err != nil {
		return fmt.Errorf("make the lessees' plan: %w", err)
	}
	path := filepath.Join(w.dir, "lessees.json")
	if err := os.WriteFile(path, raw, ownersOnly); err != nil {
		return fmt.Errorf("write the lessees' plan: %w", err)
	}
	for i := range o.Lessees {
		name := fmt.Sprintf("lessee-%d", i+1)
		w.lessees = append(w.lessees, newMember(name, fleet.Command{
			Binary: o.Self, Args: []string{LesseeVerb, path}, Dir: w.dir, Log: filepath.Join(w.dir, name+".log"),
		}, nil))
	}
	return nil
}

const localhost = "127.0.0.1"

func freeAddress() (string, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", net.JoinHostPort(localhost, "0"))
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer listener.Close() //nolint:errcheck // only its number was wanted
	return listener.Addr().String(), nil
}

func pool(id domain.PoolID, units int64, runtime, queue, mailbox string) map[string]any {
	return map[string]any{
		"pool_id": id, "max_units": units, "max_queue_depth": 300, "runtime_adapter": runtime,
		"queue_backend": queue, "mailbox_backend": mailbox, "priority_policy": "fair", "retry_base_ms": 50, "max_attempts": 3,
		"tenants":   map[string]any{"tenant-0": map[string]any{"weight": 3}, "tenant-1": map[string]any{"max_units": units / 2}},
		"executors": map[string]any{"default": map[string]any{"type": "sleep"}},
	}
}

func (w *world) writeConfig(name, data string, ttl time.Duration, pools []any) (string, error) {
	config := map[string]any{
		"database": map[string]any{"url": w.postgres.URL, "schema": schema},
		"limits": map[string]any{
			"heartbeat_ms": (ttl / 6).Milliseconds(), "worker_ttl_ms": ttl.Milliseconds(), "safety_poll_ms": 300, "reconcile_secs": 5,
		},
		"pools": pools,
	}
	if data != "" {
		config["data_dir"] = data
	}
	raw, err := json.Marshal(config)
	if err != nil {
		return "", fmt.Errorf("make a configuration: %w", err)
	}
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, raw, ownersOnly); err != nil {
		return "", fmt.Errorf("write a configuration: %w", err)
	}
	return path, nil
}

// members returns every process.
func (w *world) members() []*member {
	var all []*member
	all = append(append(append(all, w.servers...), w.workers...), w.lessees...)
	if w.solo != nil {
		all = append(all, w.solo)
	}
	return all
}

func (w *world) member(name string) *member {
	for _, m := range w.members() {
		if m.name == name {
			return m
		}
	}
	return nil
}

// addresses returns the URLs of the fleet's servers.
func (w *world) addresses() []string {
	urls := make([]string, len(w.servers))
	for i, m := range w.servers {
		urls[i] = m.url
	}
	return urls
}

// places says what may be broken where.
func (w *world) places() Places {
	names := func(members ...*member) (all []string) {
		for _, m := range members {
			all = append(all, m.name)
		}
		return all
	}
	everybody := names(w.members()...)
	local := append(names(append(append([]*member(nil), w.servers...), w.workers...)...), w.solo.name) // who talks to Postgres
	shared := names(append(append([]*member(nil), w.servers...), w.workers...)...)
	p := Places{
		Kill: everybody, Drain: everybody, Freeze: everybody, FreezeLong: append(names(w.lessees...), shared...),
		FreezeInTurn: shared, HoldTurn: shared,
		CrashPostgres: {""}, Drop: local, Terminate: {""}, Cut: local, Unplug: local,
	}
	if n := len(w.workers); n > 0 {
		p[LinkDown] = names(w.workers[n-1])
	}
	if w.disk != nil {
		p[DiskFull] = names(w.solo)
	}
	return p
}

// heal mends whatever is broken.
func (w *world) heal() error {
	var errs []error
	for _, m := range w.members() {
		if m.proxy != nil {
			m.proxy.HoldTurn(nil)
			m.proxy.Thaw()
			m.proxy.Mend()
		}
	}
	if w.link != nil {
		errs = append(errs, w.link.set(true))
	}
	if w.disk != nil {
		errs = append(errs, w.disk.free())
	}
	return errors.Join(errs...)
}

// stop asks every process to end, and returns how each did that should not have.
func (w *world) stop() []string {
	var strange []string
	for _, m := range w.members() {
		m.stop()
		strange = append(strange, m.strange...)
	}
	return strange
}

// close ends everything at once.
func (w *world) close() {
	for _, m := range w.members() {
		m.mu.Lock()
		m.ending = true
		process := m.process
		m.mu.Unlock()
		if process != nil {
			process.Kill()
		}
		if m.proxy != nil {
			m.proxy.Close()
		}
	}
	w.link.close()
	w.disk.close()
	if w.postgres != nil {
		w.postgres.Stop()
	}
}
