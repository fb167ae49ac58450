package api_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/api"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

// fake stands in for the program behind the edge: it remembers what it was asked and
// answers what the test put in. The end-to-end tests drive the real one.
type fake struct {
	mu sync.Mutex

	submitted []plan.Submit
	answer    func(plan.Submit) plan.Answer
	err       error // of every call
	task      api.TaskView
	scene     plan.Scene
	tasks     []domain.Task
	pools     []store.PoolView
	messages  []domain.Message
	origin    store.Origin
	events    []domain.Event
	problems  []api.Problem
	panics    bool

	wait    time.Duration
	actor   string
	label   [2]string
	force   plan.Force
	change  plan.PoolChange
	tasksF  store.TaskFilter
	mailF   store.MailboxFilter
	eventsF store.EventFilter
	upTo    domain.Cursor
	closed  atomic.Int64 // streams

	ask      api.LeaseAsk
	leased   []api.LeasedTask
	alive    map[domain.LeaseID]domain.Lease
	leases   []domain.Lease
	leasesF  store.LeaseFilter
	extended []domain.LeaseID
	settled  []plan.Settle
}

func (f *fake) lock() func() {
	f.mu.Lock()
	if f.panics {
		f.mu.Unlock()
		panic("the service fell over")
	}
	return f.mu.Unlock
}

func (f *fake) Submit(_ context.Context, pool domain.PoolID, tasks []plan.Submit) ([]plan.Answer, error) {
	defer f.lock()()
	if f.err != nil {
		return nil, f.err
	}
	f.submitted = append(f.submitted, tasks...)
	answers := make([]plan.Answer, 0, len(tasks))
	for _, s := range tasks {
		if f.answer != nil {
			answers = append(answers, f.answer(s))
			continue
		}
		answers = append(answers, plan.Answer{Task: &domain.Task{
			PoolID: pool, TaskID: s.TaskID, JobID: 7, Submission: 1, Status: domain.StatusRunning,
		}})
	}
	return answers, nil
}

func (f *fake) Task(_ context.Context, _ domain.PoolID, _ domain.TaskID, wait time.Duration) (api.TaskView, error) {
	defer f.lock()()
	f.wait = wait
	return f.task, f.err
}

func (f *fake) Why(context.Context, domain.PoolID, domain.TaskID) (plan.Scene, plan.Explanation, error) {
	defer f.lock()()
	return f.scene, plan.Explain(&f.scene), f.err
}

func (f *fake) Tasks(_ context.Context, filter store.TaskFilter) ([]domain.Task, error) {
	defer f.lock()()
	f.tasksF = filter
	return f.tasks[:min(len(f.tasks), filter.Limit)], f.err
}

func (f *fake) Cancel(_ context.Context, _ domain.PoolID, _ domain.TaskID, actor string) (domain.Task, error) {
	defer f.lock()()
	f.actor = actor
	return f.task.Task, f.err
}

func (f *fake) CancelLabelled(_ context.Context, _ domain.PoolID, key, value, actor string) (int, error) {
	defer f.lock()()
	f.label, f.actor = [2]string{key, value}, actor
	return 3, f.err
}

func (f *fake) Force(_ context.Context, _ domain.PoolID, force plan.Force) (domain.Task, error) {
	defer f.lock()()
	f.force = force
	return f.task.Task, f.err
}

func (f *fake) Pools(context.Context) ([]store.PoolView, error) {
	defer f.lock()()
	return f.pools, f.err
}

func (f *fake) Pool(_ context.Context, id domain.PoolID) (store.PoolView, error) {
	defer f.lock()()
	for _, p := range f.pools {
		if p.PoolID == id {
			return p, f.err
		}
	}
	return store.PoolView{}, domain.Errorf(domain.CodeUnknownPool, "There is no pool %q.", id)
}

func (f *fake) Origin(_ context.Context, id domain.PoolID) (store.Origin, error) {
	if _, err := f.Pool(context.Background(), id); err != nil {
		return store.Origin{}, err
	}
	return f.origin, f.err
}

func (f *fake) ChangePool(_ context.Context, _ domain.PoolID, change plan.PoolChange) (store.PoolView, error) {
	defer f.lock()()
	f.change = change
	return f.pools[0], f.err
}

func (f *fake) Messages(_ context.Context, filter store.MailboxFilter, wait time.Duration) ([]domain.Message, error) {
	defer f.lock()()
	f.mailF, f.wait = filter, wait
	return f.messages, f.err
}

func (f *fake) Events(_ context.Context, filter store.EventFilter) ([]domain.Event, error) {
	defer f.lock()()
	f.eventsF = filter
	return f.events, f.err
}

func (f *fake) FollowMessages(_ context.Context, filter store.MailboxFilter) (api.Stream[domain.Message], error) {
	defer f.lock()()
	f.mailF = filter
	return &fakeStream[domain.Message]{batches: [][]domain.Message{f.messages}, closed: &f.closed}, f.err
}

func (f *fake) FollowEvents(_ context.Context, filter store.EventFilter) (api.Stream[domain.Event], error) {
	defer f.lock()()
	f.eventsF = filter
	return &fakeStream[domain.Event]{batches: [][]domain.Event{f.events}, closed: &f.closed}, f.err
}

func (f *fake) Acknowledge(_ context.Context, filter store.MailboxFilter, upTo domain.Cursor) (int64, error) {
	defer f.lock()()
	f.mailF, f.upTo = filter, upTo
	return 7, f.err
}

// fakeStream gives its batches, nothing once, an outage once, and ends.
type fakeStream[T any] struct {
	batches [][]T
	calls   int
	closed  *atomic.Int64
}

func (s *fakeStream[T]) Next(context.Context, time.Duration) ([]T, error) {
	s.calls++
	switch n := s.calls - len(s.batches); {
	case n <= 0:
		return s.batches[s.calls-1], nil
	case n == 1:
		return nil, nil
	case n == 2:
		return nil, &domain.Error{Code: domain.CodeUnavailable, Message: "away"}
	}
	return nil, io.EOF
}

func (s *fakeStream[T]) Close() { s.closed.Add(1) }

func (f *fake) Ready(context.Context) []api.Problem { return f.problems }

// bundle is a server over a fake, reached through a real connection.
type bundle struct {
	*fake

	url string
}

func setup(t *testing.T, f *fake) bundle {
	t.Helper()
	if f.pools == nil {
		f.pools = []store.PoolView{{Pool: domain.Pool{PoolID: "llm", MaxUnits: 8, DefaultTimeout: time.Minute}}}
	}
	server := httptest.NewServer(api.New(f, api.Options{
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") }),
		Now:     func() time.Time { return now },
	}))
	t.Cleanup(server.Close)
	return bundle{fake: f, url: server.URL}
}

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) into(t *testing.T, v any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(a.body), v), a.body)
}

// problem checks that the answer is a problem as the contract has it.
func (a answer) problem(t *testing.T, status int, code domain.Code) api.ProblemDetails {
	t.Helper()
	require.Equal(t, status, a.status, a.body)
	require.Equal(t, "application/problem+json", a.header.Get("Content-Type"))
	var p api.ProblemDetails
	a.into(t, &p)
	require.Equal(t, string(code), p.Code, a.body)
	require.Equal(t, status, p.Status)
	require.NotEmpty(t, p.Detail)
	require.NotEmpty(t, p.RequestID)
	require.Equal(t, p.RequestID, a.header.Get("X-Request-ID"))
	return p
}

// do sends a request whose path is used as it is written.
func (b bundle) do(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, b.url+path, reader)
	require.NoError(t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	raw, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return answer{status: res.StatusCode, header: res.Header, body: string(raw)}
}

func (f *fake) Lease(_ context.Context, _ domain.PoolID, ask api.LeaseAsk) ([]api.LeasedTask, error) {
	defer f.lock()()
	f.ask = ask
	return f.leased, f.err
}

func (f *fake) ExtendLeases(_ context.Context, ids []domain.LeaseID) (map[domain.LeaseID]domain.Lease, error) {
	defer f.lock()()
	f.extended = ids
	return f.alive, f.err
}

func (f *fake) SettleLease(_ context.Context, id domain.LeaseID, how plan.Settle) (domain.Task, error) {
	defer f.lock()()
	f.settled = append(f.settled, how)
	f.extended = []domain.LeaseID{id}
	return f.task.Task, f.err
}

func (f *fake) Leases(_ context.Context, filter store.LeaseFilter) ([]domain.Lease, error) {
	defer f.lock()()
	f.leasesF = filter
	return f.leases[:min(len(f.leases), filter.Limit)], f.err
}

func (f *fake) PostedMessages(_ context.Context, pool domain.PoolID, after domain.Cursor, limit int) ([]domain.Message, error) {
	var page []domain.Message
	for _, m := range f.messages {
		if (pool == "" || m.PoolID == pool) && m.Seq > after[m.Source] && len(page) < limit {
			page = append(page, m)
		}
	}
	return page, nil
}
