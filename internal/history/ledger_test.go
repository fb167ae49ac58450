package history_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/history"
)

const pool = domain.PoolID("llm")

// trail builds events of one pool, numbered and a millisecond apart.
type trail struct{ events []domain.Event }

func (tr *trail) add(kind domain.EventKind, id domain.TaskID, units domain.Units, attempt int) *domain.Event {
	seq := int64(len(tr.events) + 1)
	tr.events = append(tr.events, domain.Event{
		Source: domain.Source(pool), Seq: seq, At: at(seq), Kind: kind,
		PoolID: pool, TaskID: id, JobID: tr.job(kind, id), Submission: 1, Units: units, Attempt: attempt,
	})
	return &tr.events[seq-1]
}

// at is when event seq is.
func at(seq int64) time.Time { return time.Unix(1_700_000_000, seq*1e6).UTC() }

// job is the newest job of a task id, or the next one for a submission.
func (tr *trail) job(kind domain.EventKind, id domain.TaskID) domain.JobID {
	var next domain.JobID
	if id == "" {
		return 0
	}
	for i := len(tr.events) - 1; i >= 0; i-- {
		e := &tr.events[i]
		if e.TaskID == id && kind != domain.EventSubmit {
			return e.JobID
		}
		next = max(next, e.JobID)
	}
	return next + 1
}

// run adds a task that starts on arrival and completes.
func (tr *trail) run(id domain.TaskID, units domain.Units) {
	tr.add(domain.EventSubmit, id, units, 0)
	tr.add(domain.EventStart, id, units, 1)
	tr.add(domain.EventComplete, id, units, 1)
}

func replay(t *testing.T, tr *trail, limit domain.Units) (*history.Ledger, *history.Findings) {
	t.Helper()
	found := &history.Findings{Keep: 100}
	book := history.NewBook(1)
	l := history.NewLedger(domain.Source(pool), history.Start{Limit: limit}, found, book)
	l.KeepAttempts = true
	for i := range tr.events {
		l.Apply(&tr.events[i])
	}
	_, err := l.Judge(history.Evidence{})
	require.NoError(t, err)
	require.NoError(t, book.Close())
	return l, found
}

// lives is a trail in which everything happens that may.
func lives() *trail {
	tr := &trail{}
	tr.run("plain", 3)
	tr.add(domain.EventSubmit, "big", 10, 0)
	tr.add(domain.EventStart, "big", 10, 1)
	for _, id := range []domain.TaskID{"parked", "late", "unwanted"} {
		tr.add(domain.EventSubmit, id, 4, 0)
		tr.add(domain.EventEnqueue, id, 4, 0)
	}
	tr.add(domain.EventSubmit, "refused", 4, 0)
	tr.add(domain.EventReject, "refused", 0, 0)
	again := tr.add(domain.EventSubmit, "refused", 4, 0)
	again.Submission = 2
	again = tr.add(domain.EventEnqueue, "refused", 4, 0)
	again.Submission = 2
	tr.add(domain.EventExpire, "late", 0, 0)
	tr.add(domain.EventDrop, "unwanted", 0, 0)
	tr.add(domain.EventLost, "big", 10, 1)
	tr.add(domain.EventRetry, "big", 0, 1)
	tr.add(domain.EventRefused, "big", 0, 1)
	tr.add(domain.EventStart, "parked", 4, 1)
	again = tr.add(domain.EventStart, "refused", 4, 1)
	again.Submission = 2
	tr.add(domain.EventRetry, "parked", 4, 1)
	again = tr.add(domain.EventFail, "refused", 4, 1)
	again.Submission = 2
	change := tr.add(domain.EventPoolChange, "", 0, 0)
	change.Detail = []byte(`{"maxUnits":12,"name":"big","from":{"maxUnits":10,"name":"small"}}`)
	tr.add(domain.EventStart, "big", 10, 2)
	tr.add(domain.EventExpire, "big", 10, 2)
	tr.add(domain.EventStart, "parked", 4, 2)
	tr.add(domain.EventCancel, "parked", 4, 2)
	tr.add(domain.EventFail, "parked", 4, 2)
	return tr
}

func TestLedgerAcceptsEveryAllowedLife(t *testing.T) {
	t.Parallel()
	l, found := replay(t, lives(), 10)
	l.Expect(history.Counters{EventSeq: l.Last()})
	l.Close()
	require.Empty(t, found.Kept)
	require.Equal(t, domain.Units(10), l.Usage.PeakUnits)
	require.Equal(t, domain.Units(12), l.Limit())
	require.Equal(t, map[domain.Status]int64{
		domain.StatusCompleted: 1, domain.StatusRejected: 1, domain.StatusExpired: 2, domain.StatusDropped: 1, domain.StatusFailed: 2,
	}, l.Outcomes)
}

// TestLedgerFindsPlantedViolations breaks one promise at a time.
func TestLedgerFindsPlantedViolations(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		plant   func(*trail)
		promise history.Promise
		says    string
	}{
		"over capacity": {func(tr *trail) {
			tr.add(domain.EventSubmit, "a", 8, 0)
			tr.add(domain.EventStart, "a", 8, 1)
			tr.add(domain.EventSubmit, "b", 3, 0)
			tr.add(domain.EventStart, "b", 3, 1)
		}, history.PromiseCapacity, "makes 11 in use, max_units is 10"},
		"growth under a shrunk limit": {func(tr *trail) {
			tr.add(domain.EventSubmit, "a", 8, 0)
			tr.add(domain.EventStart, "a", 8, 1)
			tr.add(domain.EventPoolChange, "", 0, 0).Detail = []byte(`{"maxUnits":5,"from":{"maxUnits":10}}`)
			tr.add(domain.EventSubmit, "b", 1, 0)
			tr.add(domain.EventStart, "b", 1, 1)
		}, history.PromiseCapacity, "makes 9 in use, max_units is 5"},
		"limit changed unseen": {func(tr *trail) {
			tr.add(domain.EventPoolChange, "", 0, 0).Detail = []byte(`{"maxUnits":5,"from":{"maxUnits":9}}`)
		}, history.PromiseCapacity, "from 9, the trail had 10"},
		"gap": {func(tr *trail) {
			tr.run("a", 1)
			for i := 1; i < 3; i++ {
				tr.events[i].Seq += 5
			}
		}, history.PromiseSequence, "events 2 to 6 are missing"},
		"repeated number": {func(tr *trail) {
			tr.run("a", 1)
			tr.events[2].Seq = 2
		}, history.PromiseSequence, "comes after event 2"},
		"back in time": {func(tr *trail) {
			tr.run("a", 1)
			tr.events[2].At = tr.events[0].At
		}, history.PromiseSequence, "before that of the event before it"},
		"terminal twice": {func(tr *trail) {
			tr.run("a", 1)
			tr.add(domain.EventFail, "a", 0, 1)
		}, history.PromiseLifecycle, "already ended as completed"},
		"start after terminal": {func(tr *trail) {
			tr.run("a", 1)
			tr.add(domain.EventStart, "a", 1, 2)
		}, history.PromiseLifecycle, "completed cannot become running"},
		"enqueued while running": {func(tr *trail) {
			tr.add(domain.EventSubmit, "a", 1, 0)
			tr.add(domain.EventStart, "a", 1, 1)
			tr.add(domain.EventExpire, "a", 1, 1)
			tr.add(domain.EventEnqueue, "a", 1, 1)
		}, history.PromiseLifecycle, "already ended as expired"},
		"dropped while running": {func(tr *trail) {
			tr.add(domain.EventSubmit, "a", 1, 0)
			tr.add(domain.EventStart, "a", 1, 1)
			tr.add(domain.EventDrop, "a", 1, 1)
		}, history.PromiseLifecycle, "running cannot become dropped"},
		"submitted again while live": {func(tr *trail) {
			tr.add(domain.EventSubmit, "a", 1, 0)
			tr.add(domain.EventEnqueue, "a", 1, 0)
			tr.add(domain.EventSubmit, "a", 1, 0).Submission = 2
		}, history.PromiseLifecycle, "submitted again while its task is queued"},
		"submitted again after its end": {func(tr *trail) {
			tr.run("a", 1)
			tr.add(domain.EventSubmit, "a", 1, 0).Submission = 2
		}, history.PromiseLifecycle, "submitted again while its task is completed"},
		"submission left out": {func(tr *trail) {
			tr.add(domain.EventSubmit, "a", 1, 0)
			tr.add(domain.EventReject, "a", 0, 0)
			tr.add(domain.EventSubmit, "a", 1, 0).Submission = 3
		}, history.PromiseLifecycle, "names submission 3 after 1"},
		"first submission left out": {func(tr *trail) {
			tr.add(domain.EventSubmit, "a", 1, 0).Submission = 2
		}, history.PromiseLifecycle, "names submission 2, and is the first"},
		"another submission's event": {func(tr *trail) {
			tr.add(domain.EventSubmit, "a", 1, 0)
			tr.add(domain.EventStart, "a", 1, 1).Submission = 2
		}, history.PromiseLifecycle, "names submission 2, the newest is 1"},
		"a job twice": {func(tr *trail) {
			tr.run("a", 1)
			tr.add(domain.EventSubmit, "b", 1, 0).JobID = 1
		}, history.PromiseLifecycle, "job 1 had already ended as completed"},
		"a live job twice": {func(tr *trail) {
			tr.add(domain.EventSubmit, "a", 1, 0)
			tr.add(domain.EventSubmit, "b", 1, 0).JobID = 1
		}, history.PromiseLifecycle, "job 1 was submitted before"},
		"another task's job": {func(tr *trail) {
			tr.add(domain.EventSubmit, "a", 1, 0)
			tr.add(domain.EventEnqueue, "b", 1, 0).JobID = 1
		}, history.PromiseLifecycle, "its job 1 is of task a"},
		"refused and never submitted": {func(tr *trail) {
			tr.add(domain.EventRefused, "a", 0, 1)
		}, history.PromiseLifecycle, "never submitted"},
		"never submitted": {func(tr *trail) {
			tr.add(domain.EventStart, "a", 1, 1)
		}, history.PromiseLifecycle, "never submitted"},
		"status and kind differ": {func(tr *trail) {
			tr.run("a", 1)
			tr.events[2].Status = domain.StatusFailed
		}, history.PromiseLifecycle, "says that the task is failed"},
		"two live attempts": {func(tr *trail) {
			tr.add(domain.EventSubmit, "a", 1, 0)
			tr.add(domain.EventStart, "a", 1, 1)
			tr.add(domain.EventStart, "a", 1, 2)
		}, history.PromiseAttempt, "attempt 2 starts while attempt 1 is live"},
		"attempt left out": {func(tr *trail) {
			tr.add(domain.EventSubmit, "a", 1, 0)
			tr.add(domain.EventStart, "a", 1, 2)
		}, history.PromiseAttempt, "attempt 2 starts after 0 attempts"},
		"late settle accepted": {func(tr *trail) {
			tr.add(domain.EventSubmit, "a", 1, 0)
			tr.add(domain.EventStart, "a", 1, 1)
			tr.add(domain.EventRetry, "a", 1, 1)
			tr.add(domain.EventStart, "a", 1, 2)
			tr.add(domain.EventComplete, "a", 1, 1)
		}, history.PromiseAttempt, "ends attempt 1, the live one is 2"},
		"completed after lost": {func(tr *trail) {
			tr.add(domain.EventSubmit, "a", 1, 0)
			tr.add(domain.EventStart, "a", 1, 1)
			tr.add(domain.EventLost, "a", 1, 1)
			tr.add(domain.EventComplete, "a", 0, 1)
		}, history.PromiseAttempt, "attempt 1 is not live"},
		"live result refused": {func(tr *trail) {
			tr.add(domain.EventSubmit, "a", 1, 0)
			tr.add(domain.EventStart, "a", 1, 1)
			tr.add(domain.EventRefused, "a", 0, 1)
		}, history.PromiseAttempt, "refused while it was the live one"},
		"gives back more": {func(tr *trail) {
			tr.run("a", 2)
			tr.events[2].Units = 3
		}, history.PromiseUnits, "gives 3 units back, the attempt took 2"},
		"gives back without attempt": {func(tr *trail) {
			tr.run("x", 5)
			tr.add(domain.EventSubmit, "a", 2, 0)
			tr.add(domain.EventEnqueue, "a", 2, 0)
			tr.add(domain.EventExpire, "a", 2, 0)
		}, history.PromiseUnits, "adding up the trail gives -2"},
		"takes nothing": {func(tr *trail) {
			tr.add(domain.EventSubmit, "a", 1, 0)
			tr.add(domain.EventStart, "a", 0, 1)
		}, history.PromiseUnits, "takes 0 units"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := &trail{}
			test.plant(tr)
			_, found := replay(t, tr, 10)
			requireViolation(t, found, test.promise, test.says)
		})
	}
}

func requireViolation(t *testing.T, found *history.Findings, promise history.Promise, says string) {
	t.Helper()
	require.Positive(t, found.By[promise], "%v", found.Kept)
	require.Contains(t, fmt.Sprint(found.Kept), says)
}

func TestLedgerComparesCountersAtTheirEvent(t *testing.T) {
	t.Parallel()
	tr := &trail{}
	tr.add(domain.EventSubmit, "a", 6, 0)
	tr.add(domain.EventStart, "a", 6, 1)
	tr.add(domain.EventSubmit, "b", 6, 0)
	tr.add(domain.EventEnqueue, "b", 6, 0)
	right := history.Counters{EventSeq: 4, ActiveUnits: 6, Running: 1, Queued: 1}
	tests := map[string]struct {
		drift func(*history.Counters)
		says  string // empty: right
	}{
		"right":        {func(*history.Counters) {}, ""},
		"active units": {func(c *history.Counters) { c.ActiveUnits-- }, "active_units is 5"},
		"running":      {func(c *history.Counters) { c.Running++ }, "running is 2"},
		"queued":       {func(c *history.Counters) { c.Queued = 0 }, "queued + waiting is 0"},
		"no waiting":   {func(c *history.Counters) { c.Queued, c.Waiting = 2, -1 }, "queued is 2"},
		"trail short":  {func(c *history.Counters) { c.EventSeq = 5 }, "counted 5 events, its trail ends at 4"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := right
			test.drift(&c)
			found := &history.Findings{Keep: 10}
			l := history.NewLedger(domain.Source(pool), history.Start{Limit: 10}, found, nil)
			l.Expect(c)
			for i := range tr.events {
				l.Apply(&tr.events[i])
			}
			l.Close()
			if test.says == "" {
				require.Empty(t, found.Kept)
				return
			}
			requireViolation(t, found, history.PromiseCounters, test.says)
		})
	}
}

func TestLedgerMeasuresIdlenessWithAQueue(t *testing.T) {
	t.Parallel()
	tr := &trail{}
	tr.add(domain.EventSubmit, "a", 6, 0)
	tr.add(domain.EventStart, "a", 6, 1)
	tr.add(domain.EventSubmit, "b", 6, 0)
	tr.add(domain.EventEnqueue, "b", 6, 0)
	tr.add(domain.EventRetry, "a", 6, 1) // 5 ms: nothing runs, b could
	tr.add(domain.EventPoolChange, "", 0, 0).Detail = []byte(`{"state":"disabled","from":{"state":"active"}}`)
	tr.add(domain.EventPoolChange, "", 0, 0).Detail = []byte(`{"state":"active","from":{"state":"disabled"}}`)
	tr.add(domain.EventCancel, "b", 6, 0)
	tr.add(domain.EventDrop, "b", 0, 0) // 9 ms: only a is left, in its backoff
	tr.add(domain.EventCancel, "a", 6, 1)
	tr.add(domain.EventEnqueue, "a", 6, 1) // 11 ms
	tr.add(domain.EventStart, "a", 6, 2)
	tr.events[8].Reason.Code = domain.ReasonCancelled
	l, found := replay(t, tr, 10)
	require.Empty(t, found.Kept)
	require.Equal(t, 2*time.Millisecond, l.LongestIdle) // from 7 to 9 ms
}

func TestUsageMeasuresTimeWithAQueue(t *testing.T) {
	t.Parallel()
	var u history.Usage
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	u.Observe(at(0), 10, 5, 0)
	u.Observe(at(10), 10, 10, 1) // 10 s: 5 units, no queue
	u.Observe(at(40), 10, 8, 1)  // 30 s: full, with a queue
	u.Observe(at(50), 10, 2, 0)  // 10 s: 8 units, with a queue
	u.Observe(at(60), 10, 0, 0)  // 10 s: 2 units
	require.Equal(t, time.Minute, u.Span)
	require.Equal(t, 40*time.Second, u.QueuedFor)
	require.InDelta(t, 0.75, u.HighShare(), 1e-9)
	require.InDelta(t, (50.0+300+80+20)/60, u.MeanUnits(), 1e-9)
	require.Equal(t, domain.Units(10), u.PeakUnitsQueued)
}

func TestUsageCountsABurstInOneInstantAsPeak(t *testing.T) {
	t.Parallel()
	var u history.Usage
	u.Observe(time.Unix(1, 0), 10, 9, 2)
	u.Observe(time.Unix(1, 0), 10, 1, 0)
	require.Equal(t, domain.Units(9), u.PeakUnits)
	require.Zero(t, u.QueuedFor)
	require.InDelta(t, 1, u.HighShare(), 0)
}
