package api_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/api"
	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/store"
)

func TestMailboxAddressIsReadAsItWasSent(t *testing.T) {
	t.Parallel()
	session := func(s string) *string { return &s }
	for path, want := range map[string]store.MailboxFilter{
		"/mailbox/acme/ada":              {Tenant: "acme", UserID: "ada"},
		"/mailbox/acme/ada:s-1":          {Tenant: "acme", UserID: "ada", SessionID: session("s-1")},
		"/mailbox/acme/a%3Ab:s%3A1":      {Tenant: "acme", UserID: "a:b", SessionID: session("s:1")},
		"/mailbox/acme/a%3Ab":            {Tenant: "acme", UserID: "a:b"},
		"/mailbox/acme/_":                {Tenant: "acme", AllUsers: true},
		"/mailbox/acme/%5F":              {Tenant: "acme", UserID: "_"},
		"/mailbox/acme/_:s":              {Tenant: "acme", UserID: "_", SessionID: session("s")},
		"/mailbox/a%2Fb/x%2Fy%3A%25:%2F": {Tenant: "a/b", UserID: "x/y:%", SessionID: session("/")},
		"/mailbox/%C3%A4/a+b%20c":        {Tenant: "ä", UserID: "a+b c"},
	} {
		b := setup(t, &fake{})
		res := b.do(t, get, path, "")
		require.Equal(t, http.StatusOK, res.status, path+res.body)
		want.Limit = 50
		require.Equal(t, want, b.mailF, path)
	}
	b := setup(t, &fake{})
	for path, location := range map[string]string{
		"/mailbox/acme/a:b:c":                       "path.mailboxKey",
		"/mailbox/acme/:s":                          "path.mailboxKey",
		"/mailbox/acme/u:":                          "path.mailboxKey",
		"/mailbox/acme/" + strings.Repeat("x", 201): "path.mailboxKey",
		"/mailbox/acme/a%00b":                       "path",
		"/mailbox/acme/%FF":                         "path",
		"/mailbox/acme/ada?since=%00":               "query",
		"/mailbox/acme/ada?since=%zz":               "query",
		"/mailbox/acme/ada?since=yesterday":         "query.since",
		"/mailbox/acme/ada?limit=501":               "query.limit",
		"/mailbox/acme/ada?wait=x":                  "query.wait",
	} {
		p := b.do(t, get, path, "").problem(t, http.StatusUnprocessableEntity, domain.CodeInvalid)
		require.Equal(t, location, p.Errors[0].Location, path)
	}
}

func TestClientAddressesAnyMailbox(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ tenant, user, session string }{
		{"acme", "ada", ""}, {"acme", "ada", "s-1"}, {"a/b c", "x:y", "p/q:r"}, {"ä%", "_", ""}, {"_", "_", "_"}, {"t:u", "%3A", "%"},
	} {
		b := setup(t, &fake{})
		c1, err := client.NewClientWithResponses(b.url)
		require.NoError(t, err)
		key := client.UserMailbox(c.user, c.session)
		res, err := c1.ReadMailboxWithResponse(t.Context(), c.tenant, key, nil, client.Address(c.tenant, key))
		require.NoError(t, err)
		require.NoError(t, client.Check(res.HTTPResponse, res.Body))
		require.Equal(t, domain.Tenant(c.tenant), b.mailF.Tenant)
		require.Equal(t, c.user, b.mailF.UserID)
		require.False(t, b.mailF.AllUsers)
		require.Equal(t, c.session == "", b.mailF.SessionID == nil)
		if c.session != "" {
			require.Equal(t, c.session, *b.mailF.SessionID)
		}
	}
}

func TestMailboxPagesGoOn(t *testing.T) {
	t.Parallel()
	f := &fake{messages: []domain.Message{
		{
			Source: "llm", Seq: 42, Mailbox: domain.MailboxKey{Tenant: "acme", UserID: "ada"}, PoolID: "llm", TaskID: "t-1", JobID: 9,
			Submission: 1, Status: domain.StatusCompleted, Payload: []byte(`{"x":1}`), CreatedAt: now,
		},
		{
			Source: "io", Seq: 7, Mailbox: domain.MailboxKey{Tenant: "acme", UserID: "ada", SessionID: "s"}, PoolID: "io", TaskID: "t-2", JobID: 3,
			Submission: 1, Status: domain.StatusFailed, Reason: domain.Reason{Code: domain.ReasonTimeout, Message: "too long"}, CreatedAt: now,
		},
	}}
	b := setup(t, f)
	var page api.MailboxPage
	res := b.do(t, get, "/mailbox/acme/ada?limit=2&wait=5&since=2026-03-01T13:00:00%2B02:00", "")
	res.into(t, &page)
	require.Contains(t, res.body, `{"messageId":"0000000000000042.llm","taskId":"t-1","poolId":"llm","jobId":9,"submission":1,`+
		`"mailboxKey":{"tenant":"acme","userId":"ada"},"status":"completed","payload":{"x":1},"createdAt":"2026-03-01T12:00:00Z"}`)
	require.Contains(t, res.body, `"status":"failed","reason":{"code":"timeout","message":"too long"},"payload":null`)
	start := time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC)
	require.Equal(t, store.MailboxFilter{Tenant: "acme", UserID: "ada", Since: start, Limit: 2}, f.mailF)
	require.Equal(t, 5*time.Second, f.wait)

	// A later page still knows where reading began: sources not seen yet start there.
	f.messages = nil
	cursor := page.NextCursor
	b.do(t, get, "/mailbox/acme/ada?since="+url.QueryEscape(cursor), "").into(t, &page)
	require.Equal(t, store.MailboxFilter{
		Tenant: "acme", UserID: "ada", Since: start, Cursor: domain.Cursor{"llm": 42, "io": 7}, Limit: 50,
	}, f.mailF)
	require.Empty(t, page.Messages)
	require.Equal(t, cursor, page.NextCursor, "an empty page repeats where it began")

	res = b.do(t, get, "/mailbox/acme/ada?since=2026-03-01T13:00:00+02:00", "")
	require.Equal(t, http.StatusOK, res.status, "a plus sign that was not escaped is understood")
	require.Equal(t, start, f.mailF.Since)
	require.Contains(t, b.do(t, get, "/mailbox/acme/nobody", "").body, `{"messages":[],"nextCursor":"`)
}

func TestCursorsAreChecked(t *testing.T) {
	t.Parallel()
	b := setup(t, &fake{})
	for _, cursor := range []string{"x", "eyJh", "W10", "bnVsbA", "eyJhIjp7ImxsbSI6LTF9fQ", "eyJhIjp7Ilx1MDAwMCI6MX19", "eyJ4IjoxfQ", "e30="} {
		b.do(t, get, "/audit?cursor="+cursor, "").problem(t, http.StatusUnprocessableEntity, domain.CodeInvalid)
		b.do(t, get, "/mailbox/acme/_?since="+cursor, "").problem(t, http.StatusUnprocessableEntity, domain.CodeInvalid)
	}
}
