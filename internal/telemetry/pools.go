package telemetry

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/scheduler"
	"github.com/parkinglot/parkinglot/internal/store"
)

// scrapeTimeout bounds what one scrape asks of the backends.
const scrapeTimeout = 2 * time.Second

// PoolReader is what the gauges of pools are read from.
type PoolReader interface {
	// PoolViews returns the pools of all backends that answer.
	PoolViews(ctx context.Context) []store.PoolView
	// OutboxBacklog returns what waits for mailboxes in other backends.
	OutboxBacklog() []scheduler.Backlog
}

// PoolCollector reads pools when somebody scrapes: a process that nobody watches
// asks its backends nothing.
type PoolCollector struct {
	reader PoolReader
	now    func() time.Time
	gauges []poolGauge
	outbox *prometheus.Desc
}

type poolGauge struct {
	desc  *prometheus.Desc
	value func(v *store.PoolView, now time.Time) float64
}

// NewPoolCollector returns a collector of the reader's pools.
func NewPoolCollector(reader PoolReader) *PoolCollector {
	return &PoolCollector{
		reader: reader, now: time.Now,
		outbox: desc("outbox_messages", "Messages waiting for a mailbox in another backend, at least.", "backend"),
		gauges: []poolGauge{
			{desc("pool_max_units", "Units that may be in use at once.", "pool"), func(v *store.PoolView, _ time.Time) float64 { return float64(v.MaxUnits) }},
			{desc("pool_active_units", "Units in use.", "pool"), func(v *store.PoolView, _ time.Time) float64 { return float64(v.ActiveUnits) }},
			{desc("pool_running", "Tasks running.", "pool"), func(v *store.PoolView, _ time.Time) float64 { return float64(v.Running) }},
			{desc("pool_queued", "Tasks in the queue's order.", "pool"), func(v *store.PoolView, _ time.Time) float64 { return float64(v.Queued) }},
			{desc("pool_waiting", "Tasks waiting for a retry.", "pool"), func(v *store.PoolView, _ time.Time) float64 { return float64(v.Waiting) }},
			{desc("pool_accepting", "1 while the pool is active.", "pool"), accepting},
			{desc("pool_oldest_queued_seconds", "Age of the oldest queued task; 0 when none is queued.", "pool"), oldest},
		},
	}
}

func accepting(v *store.PoolView, _ time.Time) float64 {
	if v.State == domain.PoolActive {
		return 1
	}
	return 0
}

func oldest(v *store.PoolView, now time.Time) float64 {
	if v.OldestQueuedAt == nil {
		return 0
	}
	return max(0, now.Sub(*v.OldestQueuedAt).Seconds())
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

// Describe implements prometheus.Collector.
func (c *PoolCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.outbox
	for _, g := range c.gauges {
		ch <- g.desc
	}
}

// Collect implements prometheus.Collector. A backend that does not answer in time
// has no pools this time.
func (c *PoolCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()

	now := c.now()
	views := c.reader.PoolViews(ctx)
	for i := range views {
		for _, g := range c.gauges {
			ch <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, g.value(&views[i], now), string(views[i].PoolID))
		}
	}
	for _, backlog := range c.reader.OutboxBacklog() {
		ch <- prometheus.MustNewConstMetric(c.outbox, prometheus.GaugeValue, float64(backlog.Messages), string(backlog.Backend))
	}
}
