package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
)

// NewHealth serves /healthz, /readyz and /metrics alone, as New does, for a process
// without an API.
func NewHealth(ready func(context.Context) []Problem, metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, "application/json", Health{Status: "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		health, err := readiness(ready(r.Context()))
		if err == nil {
			answer(w, http.StatusOK, "application/json", health)
			return
		}
		problem := problemOf(r.Context(), err)
		answer(w, problem.Status, problem.ContentType(""), problem)
	})
	mux.Handle("GET /metrics", metrics)
	return mux
}

func answer(w http.ResponseWriter, status int, contentType string, body any) {
	encoded, err := json.Marshal(body)
	if err != nil {
		panic(errors.Join(errors.New("a health answer cannot be encoded"), err)) // strings alone
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(append(encoded, '\n')) // a reader that is gone is told nothing
}
