package telemetry

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/runtime/attempts"
	"github.com/parkinglot/parkinglot/internal/scheduler"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/workers"
)

const namespace = "parkinglot"

// Metrics holds the program's instruments in a registry of its own, so that many
// programs can live in one process. It is a scheduler.Metrics and an attempts.Metrics. Its methods are
// safe for concurrent use and do not block.
type Metrics struct {
	registry *prometheus.Registry

	turnSeconds  *prometheus.HistogramVec
	turnRequests *prometheus.HistogramVec
	turnWait     *prometheus.HistogramVec
	submissions  *prometheus.CounterVec
	starts       *prometheus.CounterVec
	retries      *prometheus.CounterVec
	ended        *prometheus.CounterVec
	waitSeconds  *prometheus.HistogramVec
	backendUp    *prometheus.GaugeVec
	differences  *prometheus.GaugeVec
	httpSeconds  *prometheus.HistogramVec
	entrySeconds *prometheus.HistogramVec
	runSeconds   *prometheus.HistogramVec
	leaking      *prometheus.GaugeVec
	following    *prometheus.GaugeVec
	drifts       *prometheus.GaugeVec
	delivered    *prometheus.CounterVec
	caughtUp     *prometheus.CounterVec
	losses       *prometheus.CounterVec
	leases       *prometheus.CounterVec
	leasesEnded  *prometheus.CounterVec
	heartbeats   *prometheus.CounterVec
	swept        *prometheus.CounterVec
	sweptAt      *prometheus.GaugeVec
	oldestAudit  *prometheus.GaugeVec
}

var (
	_ scheduler.Metrics = (*Metrics)(nil)
	_ attempts.Metrics  = (*Metrics)(nil)
)

// NewMetrics makes the instruments.
func NewMetrics() *Metrics {
	fast := prometheus.ExponentialBuckets(0.0005, 2, 15) // 0.5 ms to 8 s
	slow := prometheus.ExponentialBuckets(0.001, 4, 11)  // 1 ms to 17 min
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		turnSeconds: histogram("turn_seconds", "Duration of turns: one transaction each.",
			fast, "pool", "outcome"),
		turnRequests: histogram("turn_requests", "Requests that one turn decided.",
			prometheus.ExponentialBuckets(1, 4, 7), "pool"),
		turnWait: histogram("turn_wait_seconds", "How long the oldest request of a turn waited for it.",
			fast, "pool"),
		submissions: counter("submissions_total", "Submissions by outcome: running, queued, known or the code of a refusal.", "pool", "outcome"),
		starts:      counter("starts_total", "Attempts started.", "pool"),
		retries:     counter("retries_total", "Failed or lost attempts that went back to the queue.", "pool"),
		ended:       counter("ended_total", "Tasks that reached a terminal status.", "pool", "status"),
		waitSeconds: histogram("wait_seconds", "Time from the submission of a task to its first start.",
			slow, "pool"),
		backendUp: gauge("backend_up", "1 while the backend answers turns.", "backend"),
		differences: gauge("reconcile_difference",
			"Counter minus rows at the last check; anything but 0 is a defect.", "pool", "what"),
		httpSeconds: histogram("http_request_seconds", "Duration of HTTP requests, waiting included.",
			slow, "method", "route", "status"),
		entrySeconds: histogram("executor_entry_seconds", "Time from a task's start to the entry of its executor.",
			fast, "pool"),
		runSeconds: histogram("executor_seconds", "Duration of attempts, by executor and how they ended.",
			slow, "pool", "executor", "verdict"),
		leaking:     gauge("executors_leaking", "Executors that outlive their attempts: their work is covered by no units.", "pool"),
		losses:      counter("losses_total", "Attempts lost with the process or remote worker that held them.", "pool"),
		leases:      counter("leases_granted_total", "Leases that remote workers got on tasks of web pools.", "pool"),
		leasesEnded: counter("leases_ended_total", "Leases that ended, however their attempts did.", "pool"),
		heartbeats:  counter("lease_heartbeats_total", "Heartbeats of remote workers by outcome: extended or lost.", "outcome"),
	}
	m.drifts = gauge("pool_config_differs", "In how many settings the stored pool, which counts, differs from this process's configuration.", "pool")
	m.following = gauge("followers", "Readers that follow a mailbox or the audit trail: streams and long polls.", "feed")
	m.delivered = counter("followed_total", "Messages and events handed to followers.", "feed")
	m.caughtUp = counter("follower_reads_total", "Reads of followers that caught up by queries of their own.", "feed")
	m.swept = counter("retention_deleted_total", "What retention deleted: tasks, messages, audit (days on Postgres, else events).", "backend", "what")
	m.sweptAt = gauge("retention_last_run_timestamp_seconds", "When retention last looked for what to delete.", "backend", "what")
	m.oldestAudit = gauge("audit_oldest_day_timestamp_seconds", "The oldest day of the audit trail on Postgres.", "backend")
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.turnSeconds, m.turnRequests, m.turnWait, m.submissions, m.starts, m.retries, m.ended,
		m.waitSeconds, m.backendUp, m.differences, m.httpSeconds,
		m.entrySeconds, m.runSeconds, m.leaking, m.drifts, m.following, m.delivered, m.caughtUp,
		m.losses, m.leases, m.leasesEnded, m.heartbeats, m.swept, m.sweptAt, m.oldestAudit,
	)
	return m
}

// Register adds a collector; see PoolCollector.
func (m *Metrics) Register(c prometheus.Collector) { m.registry.MustRegister(c) }

// Handler serves the metrics. What cannot be collected is left out, not an error
// of the whole page.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// Drifted says in how many settings a stored pool differs from the configuration.
func (m *Metrics) Drifted(pool domain.PoolID, settings int) {
	m.drifts.WithLabelValues(string(pool)).Set(float64(settings))
}

// Turn implements scheduler.Metrics.
func (m *Metrics) Turn(r scheduler.TurnReport) {
	pool := string(r.Pool)
	m.turnSeconds.WithLabelValues(pool, r.Outcome).Observe(r.Duration.Seconds())
	if r.Requests > 0 {
		m.turnRequests.WithLabelValues(pool).Observe(float64(r.Requests))
		m.turnWait.WithLabelValues(pool).Observe(r.Waited.Seconds())
	}
	if r.Decisions != nil {
		m.decisions(pool, r.Decisions)
	}
}

func (m *Metrics) decisions(pool string, d *plan.Decisions) {
	for i := range d.Answers.Submits {
		m.submissions.WithLabelValues(pool, outcomeOf(&d.Answers.Submits[i])).Inc()
	}
	m.starts.WithLabelValues(pool).Add(float64(len(d.Started)))
	for i := range d.Started {
		if t := &d.Started[i]; t.Attempt == 1 && t.StartedAt != nil {
			m.waitSeconds.WithLabelValues(pool).Observe(t.StartedAt.Sub(t.CreatedAt).Seconds())
		}
	}
	for i := range d.Events {
		switch d.Events[i].Kind {
		case domain.EventRetry:
			m.retries.WithLabelValues(pool).Inc()
		case domain.EventLost:
			m.losses.WithLabelValues(pool).Inc()
		default:
		}
	}
	if len(d.Leased)+len(d.Unleased) > 0 {
		m.leases.WithLabelValues(pool).Add(float64(len(d.Leased)))
		m.leasesEnded.WithLabelValues(pool).Add(float64(len(d.Unleased)))
	}
	for i := range d.Ended {
		m.ended.WithLabelValues(pool, string(d.Ended[i].Status)).Inc()
	}
}

func outcomeOf(a *plan.Answer) string {
	switch {
	case a.Known && a.Err == nil:
		return "known"
	case a.Err != nil:
		return string(a.Err.Code)
	case a.Task != nil:
		return string(a.Task.Status)
	}
	return "unknown"
}

// Heartbeats counts leases that heartbeats of remote workers extended, and those they
// found lost.
func (m *Metrics) Heartbeats(extended, lost int) {
	m.heartbeats.WithLabelValues("extended").Add(float64(extended))
	m.heartbeats.WithLabelValues("lost").Add(float64(lost))
}

// BackendUp implements scheduler.Metrics.
func (m *Metrics) BackendUp(backend domain.Backend, up bool) {
	value := 0.0
	if up {
		value = 1
	}
	m.backendUp.WithLabelValues(string(backend)).Set(value)
}

// Swept implements scheduler.Metrics.
func (m *Metrics) Swept(backend domain.Backend, what string, deleted int64) {
	m.swept.WithLabelValues(string(backend), what).Add(float64(deleted))
	m.sweptAt.WithLabelValues(string(backend), what).SetToCurrentTime()
}

// OldestAudit implements scheduler.Metrics.
func (m *Metrics) OldestAudit(backend domain.Backend, day time.Time) {
	m.oldestAudit.WithLabelValues(string(backend)).Set(float64(day.Unix()))
}

// Entered implements attempts.Metrics. Clocks of two machines may differ: what would be
// negative counts as nothing.
func (m *Metrics) Entered(pool domain.PoolID, waited time.Duration) {
	m.entrySeconds.WithLabelValues(string(pool)).Observe(max(0, waited.Seconds()))
}

// Ended implements attempts.Metrics.
func (m *Metrics) Ended(pool domain.PoolID, executor string, verdict workers.Verdict, ran time.Duration) {
	m.runSeconds.WithLabelValues(string(pool), executor, string(verdict)).Observe(ran.Seconds())
}

// Leaking implements attempts.Metrics.
func (m *Metrics) Leaking(pool domain.PoolID, delta int) {
	m.leaking.WithLabelValues(string(pool)).Add(float64(delta))
}

// Reconciled notes what a check of a pool's counters found.
func (m *Metrics) Reconciled(pool domain.PoolID, found []store.Difference) {
	m.differences.DeletePartialMatch(prometheus.Labels{"pool": string(pool)})
	m.differences.WithLabelValues(string(pool), "any").Set(float64(len(found)))
	for _, d := range found {
		m.differences.WithLabelValues(string(pool), d.What).Set(float64(d.Counter - d.Rows))
	}
}

func histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: buckets,
	}, labels)
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
}
