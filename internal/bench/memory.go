package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// settleDown is how long after the last submission memory is read.
const settleDown = 5 * time.Second

// measureMemory lets a server take the tasks of a long queue and reads its resident
// memory then, and the most it ever was. One unit and a first task of an hour keep everything queued.
func measureMemory(ctx context.Context, b *bench, c *Case) (m Metrics, err error) {
	fresh := *c
	fresh.Queued = 0 // the server fills the tables itself
	schema, drop, err := b.home(ctx, &fresh)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, drop()) }()
	f, err := b.serve(ctx, c, schema)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.close(ctx)) }()
	conns, hangUp, err := f.dial(ctx, c.Submitters)
	if err != nil {
		return nil, err
	}
	defer hangUp()
	begin := time.Now()
	if err := submitOver(ctx, c, conns, 0, c.Queued+1); err != nil {
		return nil, err
	}
	took := time.Since(begin)
	left, err := f.left(ctx)
	if err != nil {
		return nil, err
	}
	if left != int64(c.Queued)+1 {
		return nil, fmt.Errorf("%d of %d tasks are live", left, c.Queued+1)
	}
	m = Metrics{PerSecond: float64(c.Queued) / took.Seconds()}
	select { // what the last requests left behind is no part of the queue
	case <-time.After(settleDown):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", f.processes[0].PID()))
	if err != nil {
		return nil, fmt.Errorf("read the server's memory: %w", err)
	}
	for metric, key := range map[Metric]string{Resident: "VmRSS", PeakResident: "VmHWM"} {
		if m[metric], err = parseStatus(string(status), key); err != nil {
			return nil, err
		}
	}
	return m, nil
}
