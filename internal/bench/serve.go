package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/loadtest"
)

// fleet is the program as processes of its own on one set of tables.
type fleet struct {
	processes []*loadtest.Process
	api       client.ClientInterface // of the first
}

// fleet starts the processes of a case; executors sleep for as long as the payload says.
func (b *bench) fleet(ctx context.Context, c *Case, schema string) (_ *fleet, err error) {
	binary, err := b.program(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := b.folder()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "config.json")
	if err := writeConfig(path, b.url, schema, c, map[string]any{"default": map[string]any{"type": "sleep"}}); err != nil {
		return nil, err
	}
	f := &fleet{}
	for range max(c.Processes, 1) {
		p, err := loadtest.StartProcess(ctx, binary, []string{"serve", "--config", path, "--listen", "127.0.0.1:0", "--log-level", "info"})
		if err != nil {
			return nil, errors.Join(err, f.close())
		}
		f.processes = append(f.processes, p)
	}
	if f.api, err = client.NewClient("http://" + f.processes[0].Addr()); err != nil {
		return nil, errors.Join(fmt.Errorf("client: %w", err), f.close())
	}
	return f, nil
}

func (f *fleet) close() error {
	errs := make([]error, 0, len(f.processes))
	for _, p := range f.processes {
		p.Drain()
	}
	for _, p := range f.processes {
		errs = append(errs, p.Wait())
	}
	return errors.Join(errs...)
}

func (f *fleet) pids() []int {
	pids := make([]int, len(f.processes))
	for i, p := range f.processes {
		pids[i] = p.PID()
	}
	return pids
}

// dial opens the connections of a case, spread over the processes.
func (f *fleet) dial(ctx context.Context, connections int) ([]*connection, func(), error) {
	var all []*connection
	hangUp := func() {
		for _, conn := range all {
			conn.close()
		}
	}
	for i := range connections {
		conn, err := dial(ctx, f.processes[i%len(f.processes)].Addr())
		if err != nil {
			hangUp()
			return nil, nil, err
		}
		all = append(all, conn)
	}
	return all, hangUp, nil
}

// submitOver submits tasks through the connections, each one request after the other,
// and returns when all were accepted.
func submitOver(ctx context.Context, c *Case, conns []*connection, first, count int) error {
	batch := max(c.Batch, 1)
	free := make(chan *connection, len(conns))
	for _, conn := range conns {
		free <- conn
	}
	err := submitAll(ctx, len(conns), 0, (count+batch-1)/batch, func(_ context.Context, n int) error {
		conn := <-free // as many as there are submitters
		defer func() { free <- conn }()
		from := first + n*batch
		if c.Batch == 0 {
			return conn.submit(c, from)
		}
		return conn.submitBatch(c, from, min(batch, first+count-from))
	})
	if err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	return nil
}

// left returns how many tasks have not ended.
func (f *fleet) left(ctx context.Context) (n int64, err error) {
	list, err := client.Read[client.PoolList](f.api.ListPools(ctx)) //nolint:bodyclose // Read closes it
	if err != nil {
		return 0, fmt.Errorf("look at the pools: %w", err)
	}
	for i := range list.Pools {
		n += list.Pools[i].Queued + list.Pools[i].Running + list.Pools[i].Waiting
	}
	return n, nil
}

func (f *fleet) lifecycles(ctx context.Context, c *Case, conns []*connection, first, count int) error {
	if err := submitOver(ctx, c, conns, first, count); err != nil {
		return err
	}
	return eventually(ctx, 4*time.Millisecond, func() (bool, error) {
		n, err := f.left(ctx)
		return n == 0, err
	})
}

// measureServe measures lifecycles of server processes, submitted over HTTP.
func measureServe(ctx context.Context, b *bench, c *Case) (m Metrics, err error) {
	schema, drop, err := b.home(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, drop()) }()
	f, err := b.fleet(ctx, c, schema)
	if err != nil {
		return nil, err
	}
	m, err = b.measureFleet(ctx, c, f)
	if err = errors.Join(err, f.close()); err != nil {
		return nil, err
	}
	return m, b.rows(ctx, c, schema, m, c.Tasks+warmUp)
}

func (b *bench) measureFleet(ctx context.Context, c *Case, f *fleet) (Metrics, error) {
	conns, hangUp, err := f.dial(ctx, c.Submitters)
	if err != nil {
		return nil, err
	}
	defer hangUp()
	if err := f.lifecycles(ctx, c, conns, 0, warmUp); err != nil {
		return nil, err
	}
	from, err := b.meter.read(ctx, f.pids()...)
	if err != nil {
		return nil, err
	}
	if err := f.lifecycles(ctx, c, conns, warmUp, c.Tasks); err != nil {
		return nil, err
	}
	to, err := b.meter.read(ctx, f.pids()...)
	if err != nil {
		return nil, err
	}
	return costs(from, to, c.Tasks), prove(ctx, f.processes[0].Addr(), int64(c.Tasks+warmUp))
}
