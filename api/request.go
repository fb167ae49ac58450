package api

import (
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// request is what the edge knows about the request it serves.
type request struct {
	id          string
	actor       string // who asked, for the audit trail
	escapedPath string
	base        *slog.Logger // of the server
}

// log is for what is said about the request beside its line in the access log.
func (r *request) log() *slog.Logger { return r.base.With(slog.String(logRequestID, r.id)) }

type requestKey struct{}

// requestOf returns the request of ctx; outside of one, a request without name.
func requestOf(ctx context.Context) *request {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		return r
	}
	return &request{base: slog.New(slog.DiscardHandler)}
}

const (
	headerRequestID = "X-Request-Id" // as net/http spells it, which saves it the work
	logRequestID    = "requestId"

	maxRequestID = 128
	maxActor     = 200
)

// serve wraps everything: it names the request, logs it, answers what no route
// takes, and turns a panic into a 500.
func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	req := &request{id: requestID(r), actor: actorOf(r), escapedPath: r.URL.EscapedPath(), base: s.log}
	r = r.WithContext(context.WithValue(r.Context(), requestKey{}, req))
	rec, route := &recorder{ResponseWriter: w}, ""
	rec.Header().Set(headerRequestID, req.id) //nolint:canonicalheader // see there
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
				panic(p)
			}
			s.recovered(rec, r, p)
		}
		took := time.Since(started)
		s.access(rec, r, req, took)
		s.observe(r.Method, route, rec.status, took)
	}()
	if fault, bad := unfit(r.URL); bad {
		write(rec, r, invalid([]domain.Fault{fault}))
		return
	}
	if operation, pool := s.expressOf(r); operation != nil {
		route = operation.route
		operation.serve(rec, r, pool)
		return
	}
	handler, pattern := s.mux.Handler(r)
	if _, path, found := strings.Cut(pattern, " "); found {
		route = path
	}
	if pattern == "" {
		unrouted(rec, r, handler)
		return
	}
	s.mux.ServeHTTP(rec, r)
}

func (s *server) recovered(rec *recorder, r *http.Request, p any) {
	if r.Context().Err() != nil && rec.status != 0 {
		return // the client went away while the answer was being written
	}
	requestOf(r.Context()).log().ErrorContext(r.Context(), "panic while serving",
		slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
	if rec.status == 0 {
		write(rec, r, domain.Errorf(domain.CodeInternal, "panic"))
	}
}

func (s *server) access(rec *recorder, r *http.Request, req *request, took time.Duration) {
	level := slog.LevelInfo
	switch r.URL.Path {
	case "/healthz", "/readyz", "/metrics":
		level = slog.LevelDebug
	}
	if rec.status >= http.StatusInternalServerError {
		level = slog.LevelWarn
	}
	s.log.LogAttrs(r.Context(), level, "request",
		slog.String(logRequestID, req.id), slog.String("method", r.Method), slog.String("path", req.escapedPath), slog.Int("status", rec.status),
		slog.Int64("bytes", rec.bytes), slog.Duration("took", took), slog.String("actor", req.actor))
}

// unrouted answers what the mux would answer in plain text; its redirects to the
// clean form of a path stay.
func unrouted(w http.ResponseWriter, r *http.Request, handler http.Handler) {
	probe := &prober{header: http.Header{}}
	handler.ServeHTTP(probe, r)
	switch {
	case probe.status == http.StatusMethodNotAllowed:
		w.Header().Set("Allow", probe.header.Get("Allow"))
		write(w, r, domain.Errorf(codeMethodNotAllowed, "%s is not a method of this path; it has %s.",
			r.Method, probe.header.Get("Allow")))
	case probe.status >= 300 && probe.status < 400:
		handler.ServeHTTP(w, r)
	default:
		write(w, r, domain.Errorf(codeRouteNotFound, "There is nothing at this path. The document at /openapi.json lists the paths."))
	}
}

// write answers with err where no Huma operation does.
func write(w http.ResponseWriter, r *http.Request, err *domain.Error) {
	writeProblem(w, r, problemOf(r.Context(), err))
}

func writeProblem(w http.ResponseWriter, r *http.Request, problem *ProblemDetails) {
	maps.Copy(w.Header(), problem.GetHeaders())
	w.Header().Set("Content-Type", problem.ContentType(""))
	w.WriteHeader(problem.Status)
	if err := encode(w, problem); err != nil {
		requestOf(r.Context()).log().DebugContext(r.Context(), "answer not delivered", slog.Any("error", err))
	}
}

// unfit finds what no part of a URL may carry into a database: NUL characters and
// bytes that are not UTF-8.
func unfit(u *url.URL) (domain.Fault, bool) {
	query, err := url.QueryUnescape(u.RawQuery)
	if err != nil {
		return domain.Fault{Location: "query", Message: "is not percent-encoded as it should be"}, true
	}
	for _, part := range []struct{ location, text string }{{"path", u.Path}, {"query", query}} {
		if !utf8.ValidString(part.text) {
			return domain.Fault{Location: part.location, Message: "is not UTF-8"}, true
		}
		if strings.ContainsRune(part.text, 0) {
			return domain.Fault{Location: part.location, Message: "contains a NUL character (%00), which cannot be stored"}, true
		}
	}
	return domain.Fault{}, false
}

// requestID takes the client's name of the request, or makes one.
func requestID(r *http.Request) string {
	id := r.Header.Get(headerRequestID) //nolint:canonicalheader // see there
	if id != "" && len(id) <= maxRequestID && charset(id, idMarks+"/+=") {
		return id
	}
	return newRequestID()
}

// newRequestID makes a name that no other request has. It is no secret.
func newRequestID() string {
	const (
		alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
		perWord  = 13 // of five bits
	)
	var text [2 * perWord]byte
	for at := 0; at < len(text); at += perWord {
		word := rand.Uint64() //nolint:gosec // no secret
		for i := range perWord {
			text[at+i] = alphabet[word%uint64(len(alphabet))]
			word /= uint64(len(alphabet))
		}
	}
	return string(text[:])
}

// actorOf returns who asks: the X-Actor header, else the remote address.
func actorOf(r *http.Request) string {
	actor := strings.TrimSpace(strings.ToValidUTF8(r.Header.Get("X-Actor"), "\uFFFD"))
	if runes := []rune(actor); len(runes) > maxActor {
		actor = string(runes[:maxActor])
	}
	if actor != "" {
		return actor
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter

	status int
	bytes  int64
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err //nolint:wrapcheck // a writer hands on what its writer says
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// prober finds out what a handler would answer.
type prober struct {
	header http.Header
	status int
}

func (p *prober) Header() http.Header            { return p.header }
func (p *prober) Write(data []byte) (int, error) { return len(data), nil }
func (p *prober) WriteHeader(status int)         { p.status = status }
