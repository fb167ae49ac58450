package api

import (
	"log/slog"
	"net/http"
	"strings"
)

// express is an operation that is served past the mux and Huma: submissions, which come
// by the thousand a second, where what those cost counts. It answers what they would,
// byte for byte, because whatever is read, decided and said is in functions that both
// ways share; a request with anything unusual about it goes the ordinary way.
type express struct {
	route string
	serve func(w http.ResponseWriter, r *http.Request, pool string)
}

// Names of the operations that have two ways to them.
const (
	submitTask  = "submitTask"
	submitTasks = "submitTasks"
)

// expressOf returns the operation that a request asks for, and of which pool; nil: it
// goes the ordinary way.
func (s *server) expressOf(r *http.Request) (operation *express, pool string) {
	u := r.URL
	if r.Method != http.MethodPost || u.RawQuery != "" || u.ForceQuery || u.RawPath != "" || !takesJSON(r.Header["Accept"]) {
		return nil, ""
	}
	rest, found := strings.CutPrefix(u.Path, "/pools/")
	if !found {
		return nil, ""
	}
	pool, rest, _ = strings.Cut(rest, "/")
	if pool == "" || pool == "." || pool == ".." { // no form that paths are redirected from
		return nil, ""
	}
	switch rest {
	case "tasks":
		return &s.submitExpress, pool
	case "tasks:batch":
		return &s.batchExpress, pool
	}
	return nil, ""
}

// takesJSON reports whether a client that accepts this gets JSON without negotiation.
func takesJSON(accept []string) bool {
	return len(accept) == 0 || len(accept) == 1 && (accept[0] == mediaJSON || accept[0] == "*/*")
}

func (s *server) expressRoutes() {
	s.submitExpress = express{tasksPath, func(w http.ResponseWriter, r *http.Request, pool string) {
		in := submitInput{PoolID: pool}
		if err := in.read(w, r); err != nil {
			write(w, r, err)
			return
		}
		output, err := s.submit(r.Context(), &in)
		if err != nil {
			writeProblem(w, r, failed(r.Context(), submitTask, err))
			return
		}
		var text [512]byte
		send(w, r, http.StatusAccepted, append(output.Body.append(text[:0]), '\n'))
	}}
	s.batchExpress = express{batchPath, func(w http.ResponseWriter, r *http.Request, pool string) {
		in := batchInput{PoolID: pool}
		if err := in.read(w, r); err != nil {
			write(w, r, err)
			return
		}
		output, err := s.submitBatch(r.Context(), &in)
		if err != nil {
			writeProblem(w, r, failed(r.Context(), submitTasks, err))
			return
		}
		const each = 128 // bytes, more or less
		text := make([]byte, 0, each*(len(output.Body.Results)+1))
		send(w, r, http.StatusOK, append(output.Body.append(text), '\n'))
	}}
}

// send answers with JSON.
func send(w http.ResponseWriter, r *http.Request, status int, text []byte) {
	w.Header()["Content-Type"] = []string{mediaJSON}
	w.WriteHeader(status)
	if _, err := w.Write(text); err != nil { //nolint:gosec // JSON, and said to be
		requestOf(r.Context()).log().DebugContext(r.Context(), "answer not delivered", slog.Any("error", err))
	}
}
