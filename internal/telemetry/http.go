package telemetry

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// HTTP measures the requests that next serves, by method, route pattern and
// status. Routes come from http.ServeMux; a request that none matched counts as
// route "none", so that scanners do not make new series.
func (m *Metrics) HTTP(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		recorder := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			_, route, _ := strings.Cut(r.Pattern, " ")
			if r.Pattern == "" || r.Pattern == "/" || route == "/" {
				route = "none"
			}
			m.httpSeconds.WithLabelValues(knownMethod(r.Method), route, strconv.Itoa(recorder.status)).
				Observe(time.Since(begin).Seconds())
		}()
		next.ServeHTTP(recorder, r)
	})
}

func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

// statusRecorder remembers the status. Unwrap lets http.ResponseController reach
// the writer below.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (r *statusRecorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap returns the writer below.
func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
