package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/fleet"
)

// servers are the program as processes of its own on one set of tables.
type servers struct {
	processes []*fleet.Process
	api       client.ClientInterface // of the first
}

// serve starts the processes of a case; executors sleep for as long as the payload says.
func (b *bench) serve(ctx context.Context, c *Case, schema string) (_ *servers, err error) {
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
	f := &servers{}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for i := range max(c.Processes, 1) {
		args := []string{"serve", "--config", path, "--listen", "127.0.0.1:0", "--log-level", "info"}
		if b.profile != "" && i == 0 {
			args = append(args, "--cpu-profile", b.profile)
		}
		p, err := fleet.Start(fleet.Command{
			Binary: binary, Args: args,
			Dir: dir, Log: filepath.Join(dir, fmt.Sprintf("%d.log", i)),
		})
		if err != nil {
			return nil, errors.Join(err, f.close(ctx))
		}
		f.processes = append(f.processes, p)
		if err := p.Ready(limited); err != nil {
			return nil, errors.Join(fmt.Errorf("start a server: %w", err), f.close(ctx))
		}
	}
	if f.api, err = client.NewClient(f.processes[0].URL()); err != nil {
		return nil, errors.Join(fmt.Errorf("client: %w", err), f.close(ctx))
	}
	return f, nil
}

// close stops all at once. A server that does not end in order is an error.
func (f *servers) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	errs := make([]error, len(f.processes))
	var group sync.WaitGroup
	for i, p := range f.processes {
		group.Go(func() { errs[i] = p.Stop(ctx) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// complaints returns the first of what the servers' logs say beside their routine.
func (f *servers) complaints() string {
	const most = 2000
	var said strings.Builder
	for _, p := range f.processes {
		for line := range strings.Lines(p.Output()) {
			if strings.Contains(line, `"level":"WARN"`) || strings.Contains(line, `"level":"ERROR"`) {
				said.WriteString(line)
			}
			if said.Len() > most {
				return said.String()
			}
		}
	}
	return said.String()
}

func (f *servers) pids() []int {
	pids := make([]int, len(f.processes))
	for i, p := range f.processes {
		pids[i] = p.PID()
	}
	return pids
}

// dial opens the connections of a case, spread over the processes.
func (f *servers) dial(ctx context.Context, connections int) ([]*connection, func(), error) {
	var all []*connection
	hangUp := func() {
		for _, conn := range all {
			conn.close()
		}
	}
	for i := range connections {
		conn, err := dial(ctx, f.processes[i%len(f.processes)].Addr)
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
func (f *servers) left(ctx context.Context) (n int64, err error) {
	list, err := client.Read[client.PoolList](f.api.ListPools(ctx)) //nolint:bodyclose // Read closes it
	if err != nil {
		return 0, fmt.Errorf("look at the pools: %w", err)
	}
	for i := range list.Pools {
		n += list.Pools[i].Queued + list.Pools[i].Running + list.Pools[i].Waiting
	}
	return n, nil
}

func (f *servers) lifecycles(ctx context.Context, c *Case, conns []*connection, first, count int) error {
	if err := submitOver(ctx, c, conns, first, count); err != nil {
		return err
	}
	const between = 20 * time.Millisecond // each look is a request and a query
	return eventually(ctx, between, func() (bool, error) {
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
	f, err := b.serve(ctx, c, schema)
	if err != nil {
		return nil, err
	}
	m, err = b.measureServers(ctx, c, f)
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, f.complaints())
	}
	if err = errors.Join(err, f.close(ctx)); err != nil {
		return nil, err
	}
	return m, b.rows(ctx, c, schema, m, c.Tasks+warmUp)
}

func (b *bench) measureServers(ctx context.Context, c *Case, f *servers) (Metrics, error) {
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
	return costs(from, to, c.Tasks), prove(ctx, f.processes[0].Addr, int64(c.Tasks+warmUp))
}
