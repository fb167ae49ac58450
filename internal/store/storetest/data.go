package storetest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/internal/store"
)

var dataTests = map[string]func(*testing.T, *bundle){
	"bad rows are refused and nothing is written": testDataRefused,
	"text of all kinds":                           testDataText,
	"big payloads":                                testDataBig,
	"the same row twice":                          testDataTwice,
}

// testDataRefused has one bad row among good ones: the whole turn is refused.
func testDataRefused(t *testing.T, b *bundle) {
	b.pool(t, "p")
	b.submit(t, "p", task("there", units(4)))
	before := b.state(t, "p")
	row := func(change func(*domain.Task)) func(*plan.Decisions) {
		return func(d *plan.Decisions) { change(&d.Inserted[1]) }
	}
	for name, wrong := range map[string]func(*plan.Decisions){
		"units":              row(func(t *domain.Task) { t.Units = 0 }),
		"status":             row(func(t *domain.Task) { t.Status = "parked" }),
		"submitted":          row(func(t *domain.Task) { t.Status = domain.StatusSubmitted }),
		"kind":               row(func(t *domain.Task) { t.Kind = "coffee" }),
		"priority":           row(func(t *domain.Task) { t.Priority = 4 }),
		"requested priority": row(func(t *domain.Task) { t.Requested = -1 }),
		"attempt":            row(func(t *domain.Task) { t.Attempt = t.MaxAttempts + 1 }),
		"timeout":            row(func(t *domain.Task) { t.Timeout = 0 }),
		"running unstarted":  row(func(t *domain.Task) { t.StartedAt = nil }),
		"final unfinished":   row(func(t *domain.Task) { t.Status = domain.StatusFailed }),
		"unfinal finished":   row(func(t *domain.Task) { t.FinishedAt = &t.CreatedAt }),
		"NUL in payload":     row(func(t *domain.Task) { t.Payload = []byte("{\"a\":\"\x00\"}") }),
		"NUL in label":       row(func(t *domain.Task) { t.Labels = map[string]string{"k": "a\x00b"} }),
		"NUL in mailbox":     row(func(t *domain.Task) { t.Mailbox = &domain.MailboxKey{Tenant: "acme", UserID: "a\x00"} }),
		"NUL in reason":      row(func(t *domain.Task) { t.Reason.Message = "\x00" }),
		"broken UTF-8":       row(func(t *domain.Task) { t.Payload = []byte("\"\xff\"") }),
		"NUL in event":       func(d *plan.Decisions) { d.Events[3].Reason.Message = "a\x00" },
		"NUL in message": func(d *plan.Decisions) {
			d.Messages = []domain.Message{{
				Source: "p", Seq: 1, Mailbox: domain.MailboxKey{Tenant: "acme"}, PoolID: "p", TaskID: "m", Submission: 1,
				Status: domain.StatusFailed, Reason: domain.Reason{Message: "\x00"}, CreatedAt: d.Now,
			}}
		},
		"capacity": func(d *plan.Decisions) { d.Counters.ActiveUnits = 11 },
		"tenant":   func(d *plan.Decisions) { d.Tenants[0].ActiveUnits = -1 },
	} {
		d, err := b.decide(t.Context(), "p", plan.Requests{Submits: many("new", 3)}, tamper(wrong))
		require.ErrorIs(t, err, store.ErrData, name)
		require.NotErrorIs(t, err, store.ErrUnavailable, name)
		require.Len(t, d.Inserted, 3, name)
		require.Equal(t, before, b.state(t, "p"), name)
	}
	b.submit(t, "p", many("new", 3)...)
	b.agrees(t, "p")
}

func testDataText(t *testing.T, b *bundle) {
	b.pool(t, "p", func(p *domain.Pool) { p.Name = "Fünf €, 'quoted' \"double\" \\ 日本語 🅿️" })
	view, err := b.Pool(t.Context(), "p")
	require.NoError(t, err)
	require.Equal(t, "Fünf €, 'quoted' \"double\" \\ 日本語 🅿️", view.Name)
	for i, s := range []string{
		"plain", "ünïcödé", "日本語", "🅿️🚗", "a'b\"c\\d", "%_*?", " leading and trailing ", "tab\tnewline\nreturn\r",
		"\u200f\u202e rtl", strings.Repeat("é", 200), "null", "{}", "'; DROP TABLE pl_pools; --", "$1 ?1 :name @x", "\\u0000",
	} {
		name := domain.Tenant(s)
		id := many("text", i+1)[i].TaskID
		sent := []byte("[\"" + strings.NewReplacer("\\", "\\\\", "\"", "\\\"", "\t", "\\t", "\n", "\\n", "\r", "\\r").Replace(s) + "\"]")
		d := b.submit(t, "p", task(id, tenant(name), labels(map[string]string{"l": s, s: "l"}), payload(sent),
			mailbox(domain.MailboxKey{Tenant: name, UserID: s, SessionID: s})))
		b.turn(t, "p", plan.Requests{Settles: []plan.Settle{{
			Ref: d.Started[0].Ref(), Verdict: plan.VerdictFailed, Reason: domain.Reason{Message: s},
		}}})
		got, err := b.Task(t.Context(), "p", id)
		require.NoError(t, err)
		require.Equal(t, name, got.Tenant)
		require.Equal(t, map[string]string{"l": s, s: "l"}, got.Labels)
		require.Equal(t, s, got.Reason.Message)
		payloads, err := b.Payloads(t.Context(), "p", []domain.JobID{got.JobID})
		require.NoError(t, err)
		require.Equal(t, map[domain.JobID][]byte{got.JobID: sent}, payloads, "byte for byte")
		for _, f := range []store.TaskFilter{{Tenant: name}, {Label: [2]string{"l", s}}, {Label: [2]string{s, "l"}}} {
			f.Pool, f.Limit = "p", 10
			list, err := b.ListTasks(t.Context(), f)
			require.NoError(t, err)
			require.Equal(t, []domain.TaskID{id}, ids(list))
		}
		messages, err := b.Messages(t.Context(), store.MailboxFilter{Tenant: name, UserID: s, SessionID: &s, Limit: 5})
		require.NoError(t, err)
		require.Len(t, messages, 1)
		require.Equal(t, s, messages[0].Reason.Message)
		events, err := b.Events(t.Context(), store.EventFilter{Subject: "tenant:" + s, Limit: 50})
		require.NoError(t, err)
		require.NotEmpty(t, events)
		require.Equal(t, name, events[0].Tenant)
	}
	b.agrees(t, "p")
}

func testDataBig(t *testing.T, b *bundle) {
	b.pool(t, "p")
	big := []byte(`"` + strings.Repeat("0123456789abcdé ", 64<<10) + `"`) // a bit over 1 MiB
	d := b.submit(t, "p", task("a", payload(big)), task("b", payload(nil)), task("c", payload([]byte(`""`))))
	payloads, err := b.Payloads(t.Context(), "p", []domain.JobID{1, 2, 3, 4})
	require.NoError(t, err)
	require.Equal(t, map[domain.JobID][]byte{1: big, 3: []byte(`""`)}, payloads)

	b.turn(t, "p", plan.Requests{Settles: []plan.Settle{{Ref: d.Started[0].Ref(), Verdict: plan.VerdictCompleted, Result: big}}})
	got, err := b.Task(t.Context(), "p", "a")
	require.NoError(t, err)
	require.Equal(t, big, got.Result)
	require.Nil(t, got.Payload)
	b.agrees(t, "p")
}

func testDataTwice(t *testing.T, b *bundle) {
	b.pool(t, "p")
	b.submit(t, "p", task("a"))
	before := b.state(t, "p")
	for name, wrong := range map[string]func(*plan.Decisions){
		"job id":        func(d *plan.Decisions) { d.Inserted[0].JobID = 1 },
		"task id":       func(d *plan.Decisions) { d.Inserted[0].TaskID = "a" },
		"event":         func(d *plan.Decisions) { d.Events[0].Seq = 1 },
		"event in turn": func(d *plan.Decisions) { d.Events[1].Seq = d.Events[0].Seq },
	} {
		_, err := b.decide(t.Context(), "p", plan.Requests{Submits: []plan.Submit{task("b")}}, tamper(wrong))
		require.ErrorIs(t, err, store.ErrGuard, name)
		require.NotErrorIs(t, err, store.ErrData, name)
		require.Equal(t, before, b.state(t, "p"), name)
	}
}
