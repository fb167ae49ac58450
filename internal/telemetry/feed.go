package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Feed counts what followers of one kind of entries do. It implements feed.Metrics.
type Feed struct {
	following           prometheus.Gauge
	delivered, caughtUp prometheus.Counter
}

// Feed returns the metrics of a feed.
func (m *Metrics) Feed(name string) Feed {
	return Feed{
		following: m.following.WithLabelValues(name), delivered: m.delivered.WithLabelValues(name),
		caughtUp: m.caughtUp.WithLabelValues(name),
	}
}

// Following implements feed.Metrics.
func (f Feed) Following(delta int) { f.following.Add(float64(delta)) }

// Delivered implements feed.Metrics.
func (f Feed) Delivered(entries int) { f.delivered.Add(float64(entries)) }

// CaughtUp implements feed.Metrics.
func (f Feed) CaughtUp() { f.caughtUp.Inc() }
