package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/api"
	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
)

func TestStreamIsServerSentEvents(t *testing.T) {
	t.Parallel()
	f := &fake{messages: []domain.Message{
		{Source: "llm", Seq: 7, PoolID: "llm", TaskID: "a", Status: domain.StatusCompleted, Payload: []byte("{\"x\":\n1}"), CreatedAt: now},
		{Source: "b", Seq: 2, PoolID: "b", TaskID: "b", Status: domain.StatusFailed, CreatedAt: now},
	}, events: []domain.Event{{Source: "llm", Seq: 3, At: now, Kind: domain.EventStart}}}
	b := setup(t, f)
	res := b.do(t, get, "/mailbox/acme/ada:s-1/events?since=2026-01-01T00:00:00Z", "")
	require.Equal(t, http.StatusOK, res.status, res.body)
	require.Equal(t, "text/event-stream", res.header.Get("Content-Type"))
	require.Equal(t, "no-store", res.header.Get("Cache-Control"))
	require.True(t, strings.HasPrefix(res.body, "retry: 1000\n\nid: "), res.body)
	require.Contains(t, res.body, "\n\n:\n\n", "a quiet stream says that it lives")
	require.Contains(t, res.body, ": the backend does not answer")
	require.Equal(t, int64(1), f.closed.Load())

	events, err := client.Events(&http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(res.body))}, nil)
	require.NoError(t, err)
	var ids []string
	for i := range f.messages {
		event, err := events.Next()
		require.NoError(t, err)
		require.Equal(t, "message", event.Name)
		var m api.Message
		require.NoError(t, json.Unmarshal(event.Data, &m))
		require.Equal(t, f.messages[i].ID(), m.MessageID)
		ids = append(ids, event.ID)
	}
	require.Equal(t, time.Second, events.Retry())
	_, err = events.Next()
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, events.Close())

	// An id begins where it was given out: sources, and the time reading began.
	b.do(t, get, "/mailbox/acme/ada/events?since=2020-01-01T00:00:00Z", "", "Last-Event-ID", ids[1])
	require.Equal(t, domain.Cursor{"llm": 7, "b": 2}, f.mailF.Cursor, "the header comes first")
	require.Equal(t, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), f.mailF.Since)
	require.Equal(t, http.StatusOK, b.do(t, get, "/mailbox/acme/ada?since="+ids[0], "").status)
	require.Equal(t, domain.Cursor{"llm": 7}, f.mailF.Cursor, "an id is a cursor of pages")

	res = b.do(t, get, "/audit/events?poolId=llm&kind=start&from=2026-01-01T00:00:00Z", "")
	require.Contains(t, res.body, "event: event\ndata: {\"eventId\":\"0000000000000003.llm\"")
	require.Equal(t, store.EventFilter{Pool: "llm", Kind: "start", From: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}, f.eventsF)
}

func TestStreamThatCannotBeginIsAProblem(t *testing.T) {
	t.Parallel()
	f := &fake{messages: []domain.Message{{Source: "llm", Seq: 1}}, events: []domain.Event{{Source: "llm", Seq: 1}}}
	b := setup(t, f)
	id := func(path string) string {
		_, rest, _ := strings.Cut(b.do(t, get, path, "").body, "id: ")
		id, _, _ := strings.Cut(rest, "\n")
		return id
	}
	mine, trail := id("/mailbox/acme/ada/events"), id("/audit/events")
	for _, c := range []struct{ path, id, location string }{
		{"/mailbox/acme/ada/events", "x", "header.Last-Event-ID"},
		{"/mailbox/acme/ada/events", trail, "header.Last-Event-ID"},
		{"/mailbox/acme/ada/events?since=" + trail, "", "query.since"},
		{"/mailbox/acme/ada?since=" + trail, "", "query.since"},
		{"/mailbox/acme/:s/events", "", "path.mailboxKey"},
		{"/audit/events", mine, "header.Last-Event-ID"},
		{"/audit/events?cursor=" + mine, "", "query.cursor"},
		{"/audit?cursor=" + mine, "", "query.cursor"},
		{"/pools/llm/tasks?cursor=" + mine, "", "query.cursor"},
		{"/audit/events?from=yesterday", "", "query.from"},
	} {
		res := b.do(t, get, c.path, "", "Last-Event-ID", c.id)
		p := res.problem(t, http.StatusUnprocessableEntity, domain.CodeInvalid)
		require.Equal(t, c.location, p.Errors[0].Location, c.path)
	}
	f.err = fmt.Errorf("%w: stopping", io.EOF)
	res := b.do(t, get, "/audit/events", "")
	res.problem(t, http.StatusServiceUnavailable, domain.CodeUnavailable)
	require.Equal(t, "1", res.header.Get("Retry-After"))
}

func TestAcknowledge(t *testing.T) {
	t.Parallel()
	f := &fake{messages: []domain.Message{{Source: "llm", Seq: 7}}}
	b := setup(t, f)
	var page api.MailboxPage
	b.do(t, get, "/mailbox/acme/ada?since=2026-01-01T00:00:00Z", "").into(t, &page)
	res := b.do(t, post, "/mailbox/acme/ada:s-1/ack", `{"upTo": "`+page.NextCursor+`"}`)
	require.Equal(t, http.StatusOK, res.status, res.body)
	require.JSONEq(t, `{"acknowledged": 7}`, res.body)
	require.Equal(t, domain.Cursor{"llm": 7}, f.upTo)
	session := "s-1"
	require.Equal(t, store.MailboxFilter{
		Tenant: "acme", UserID: "ada", SessionID: &session, Since: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}, f.mailF)
	for body, location := range map[string]string{
		`{}`:            "body.upTo",
		`{"upTo": ""}`:  "body.upTo",
		`{"upTo": 7}`:   "body.upTo",
		`{"upTo": "x"}`: "body.upTo",
		`{"upTo": "` + page.NextCursor + `", "x": 1}`: "body.x",
	} {
		p := b.do(t, post, "/mailbox/acme/ada/ack", body).problem(t, http.StatusUnprocessableEntity, domain.CodeInvalid)
		require.Equal(t, location, p.Errors[0].Location, body)
	}
	p := b.do(t, post, "/mailbox/acme/:s/ack", `{"upTo": "x"}`).problem(t, http.StatusUnprocessableEntity, domain.CodeInvalid)
	require.Len(t, p.Errors, 2, "all faults at once")
}

// endless always has something to say.
type endless struct {
	*fake

	ended chan struct{}
}

func (e endless) FollowMessages(context.Context, store.MailboxFilter) (api.Stream[domain.Message], error) {
	return e, nil
}

func (endless) Next(context.Context, time.Duration) ([]domain.Message, error) {
	return []domain.Message{{Source: "llm", Seq: 1, Payload: []byte(`"` + strings.Repeat("x", 1<<20) + `"`)}}, nil
}

func (e endless) Close() { close(e.ended) }

func TestClientThatDoesNotReadIsCutOff(t *testing.T) {
	t.Parallel()
	e := endless{fake: &fake{}, ended: make(chan struct{})}
	server := httptest.NewServer(api.New(e, api.Options{SendTimeout: 100 * time.Millisecond}))
	defer server.Close()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }() // cut off by the server
	_, err = io.WriteString(conn, "GET /mailbox/acme/ada/events HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	select {
	case <-e.ended:
	case <-time.After(20 * time.Second):
		require.Fail(t, "the stream goes on though nobody reads it")
	}
}

func TestEventReaderReadsWhatTheStandardAllows(t *testing.T) {
	t.Parallel()
	const text = ":hello\n\nretry: 250\nid: 1\nevent: a\ndata: x\ndata:  y\n\nid: 2\n\ndata\n\r\nid:3\r\ndata:z\r\n\r\ndata: cut"
	events, err := client.Events(&http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(text))}, nil)
	require.NoError(t, err)
	for _, want := range []client.StreamEvent{
		{ID: "1", Name: "a", Data: []byte("x\n y")}, {ID: "2", Data: []byte{}}, {ID: "3", Data: []byte("z")},
	} {
		got, err := events.Next()
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	require.Equal(t, 250*time.Millisecond, events.Retry())
	_, err = events.Next()
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	_, err = client.Events(nil, errors.New("no way"))
	require.Error(t, err)
}
