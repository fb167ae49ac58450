package telemetry

import (
	"cmp"
	"net/http"
	"strconv"
	"time"
)

// Request measures one HTTP request, by method, route pattern and status. What
// matched no route counts as route "none", so that scanners do not make new series.
func (m *Metrics) Request(method, route string, status int, took time.Duration) {
	m.httpSeconds.WithLabelValues(knownMethod(method), cmp.Or(route, "none"), strconv.Itoa(status)).Observe(took.Seconds())
}

func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}
