package history_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/history"
	"github.com/parkinglot/parkinglot/internal/store"
)

// shelf is a Source that holds everything in slices.
type shelf struct {
	pools    []history.Pool
	events   []domain.Event
	tasks    []domain.Task
	messages []domain.Message
	origin   store.Origin
	late     int // the reading of messages that is the first to find any
	reads    int
	// meanwhile is called once rows were read, as a server goes on working.
	meanwhile func(*shelf)
}

func (s *shelf) Pools(context.Context) ([]history.Pool, error) { return s.pools, nil }

func (s *shelf) Others(context.Context) ([]domain.Source, error) {
	var others []domain.Source
	for i := range s.events {
		if source := s.events[i].Source; source != domain.Source(pool) && !slices.Contains(others, source) {
			others = append(others, source)
		}
	}
	return others, nil
}

func (s *shelf) Origin(context.Context, domain.Source) (store.Origin, error) { return s.origin, nil }

func (s *shelf) Events(query history.EventQuery) history.Stream[domain.Event] {
	next := 0
	return stream[domain.Event](func() []domain.Event {
		var page []domain.Event
		for ; next < len(s.events) && len(page) < 3; next++ {
			e := s.events[next]
			if e.Source == query.Source && (query.Kind == "" || e.Kind == query.Kind) && !e.At.Before(query.From) {
				page = append(page, e)
			}
		}
		return page
	})
}

func (s *shelf) Tasks(_ context.Context, id domain.PoolID, each func(*domain.Task)) error {
	for i := range s.tasks {
		if s.tasks[i].PoolID == id {
			each(&s.tasks[i])
		}
	}
	if s.meanwhile != nil {
		s.meanwhile(s)
	}
	return nil
}

func (s *shelf) Messages(domain.PoolID) history.Stream[domain.Message] {
	next := 0
	return stream[domain.Message](func() []domain.Message {
		s.reads++
		if s.reads < s.late {
			return nil
		}
		page := s.messages[next:]
		next = len(s.messages)
		return page
	})
}

// stream is a Stream of pages.
type stream[T any] func() []T

func (f stream[T]) Next(context.Context) ([]T, error) { return f(), nil }

// settled is a shelf with two completed tasks, one of them with a mailbox, and a
// parked one.
func settled() *shelf {
	tr := &trail{}
	tr.run("a", 6)
	tr.run("b", 6)
	tr.add(domain.EventSubmit, "c", 6, 0)
	tr.add(domain.EventStart, "c", 6, 1)
	tr.add(domain.EventSubmit, "d", 5, 0)
	tr.add(domain.EventEnqueue, "d", 5, 0)
	box := &domain.MailboxKey{Tenant: "acme"}
	task := func(id domain.TaskID, units domain.Units, status domain.Status, attempt int) domain.Task {
		return domain.Task{PoolID: pool, JobID: tr.job("", id), TaskID: id, Submission: 1, Units: units, Status: status, Attempt: attempt, Mailbox: box}
	}
	s := &shelf{
		pools: []history.Pool{{ID: pool, MaxUnits: 10, MaxOvertakes: 16, Counters: history.Counters{
			EventSeq: int64(len(tr.events)), ActiveUnits: 6, Running: 1, Queued: 1,
		}}},
		events: tr.events,
		tasks: []domain.Task{
			task("d", 5, domain.StatusQueued, 0), task("c", 6, domain.StatusRunning, 1),
			task("b", 6, domain.StatusCompleted, 1), task("a", 6, domain.StatusCompleted, 1),
		},
	}
	s.tasks[2].Mailbox = nil
	s.messages = []domain.Message{{
		Source: domain.Source(pool), Seq: 1, Mailbox: *box, PoolID: pool, TaskID: "a", JobID: 1, Submission: 1, Status: domain.StatusCompleted,
	}}
	return s
}

func check(t *testing.T, s *shelf, options history.Options) history.Report {
	t.Helper()
	options.Keep = 100
	report, err := history.Check(t.Context(), s, options)
	require.NoError(t, err)
	return report
}

func TestCheckAcceptsWhatIsRight(t *testing.T) {
	t.Parallel()
	report := check(t, settled(), history.Options{})
	require.Empty(t, report.First)
	require.EqualValues(t, 10, report.Events)
	require.EqualValues(t, 4, report.Tasks)
	require.EqualValues(t, 1, report.Messages)
}

func TestCheckFindsPlantedViolations(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		plant   func(*shelf)
		promise history.Promise
		says    string
	}{
		"missing message":   {func(s *shelf) { s.messages = nil }, history.PromiseMailbox, "its mailbox has no message"},
		"duplicate message": {func(s *shelf) { s.messages = append(s.messages, s.messages[0]) }, history.PromiseMailbox, "2 messages for one outcome"},
		"early message": {func(s *shelf) {
			s.messages = append(s.messages, s.messages[0])
			s.messages[1].TaskID, s.messages[1].JobID = "c", 3
		}, history.PromiseMailbox, "the task is running"},
		"message without key": {func(s *shelf) {
			s.messages = append(s.messages, s.messages[0])
			s.messages[1].TaskID, s.messages[1].JobID = "b", 2
		}, history.PromiseMailbox, "without a mailbox key"},
		"message without task": {func(s *shelf) {
			s.messages = append(s.messages, s.messages[0])
			s.messages[1].TaskID, s.messages[1].JobID = "nobody", 9
		}, history.PromiseMailbox, "without events"},
		"message tells another outcome": {func(s *shelf) {
			s.messages[0].Status = domain.StatusFailed
		}, history.PromiseMailbox, "the message says failed"},
		"row differs":        {func(s *shelf) { s.tasks[1].Status = domain.StatusQueued }, history.PromiseRows, "the row is queued, its trail ends with running"},
		"row's attempt":      {func(s *shelf) { s.tasks[1].Attempt = 2 }, history.PromiseRows, "the row has 2 attempts"},
		"row's units":        {func(s *shelf) { s.tasks[3].Units = 7 }, history.PromiseRows, "the row has 7 units"},
		"row's reason":       {func(s *shelf) { s.tasks[3].Reason.Code = domain.ReasonForced }, history.PromiseRows, `reason "forced"`},
		"row's end":          {func(s *shelf) { now := time.Now(); s.tasks[3].FinishedAt = &now }, history.PromiseRows, "the row ended at"},
		"row w/o event":      {func(s *shelf) { s.tasks[3].TaskID, s.tasks[3].JobID = "nobody", 9 }, history.PromiseRows, "there is a row and no event"},
		"row of another":     {func(s *shelf) { s.tasks[3].TaskID = "nobody" }, history.PromiseRows, "the row is of task nobody"},
		"row is missing":     {func(s *shelf) { s.tasks = s.tasks[:3] }, history.PromiseRows, "its row is missing, its trail ends with completed"},
		"live row missing":   {func(s *shelf) { s.tasks = s.tasks[1:] }, history.PromiseRows, "its row is missing, its trail ends with queued"},
		"message of another": {func(s *shelf) { s.messages[0].TaskID = "nobody" }, history.PromiseMailbox, "the message of its job is of task nobody"},
		"too often passed":   {func(s *shelf) { s.tasks[0].Overtaken = 17 }, history.PromiseOvertakes, "overtaken 17 times"},
		"counter drifted":    {func(s *shelf) { s.pools[0].Counters.ActiveUnits = 7 }, history.PromiseCounters, "active_units is 7"},
		"trail cut off":      {func(s *shelf) { s.events = s.events[:9] }, history.PromiseCounters, "its trail ends at 9"},
		"facility gap": {func(s *shelf) {
			s.events = append(s.events, domain.Event{Source: "garage", Seq: 2, Kind: "parking.entry"})
		}, history.PromiseSequence, "events 1 to 1 are missing"},
	}
	for name, test := range tests {
		for _, spill := range []int{0, 1} { // all in memory, and every record on disk
			t.Run(fmt.Sprint(name, " ", spill), func(t *testing.T) {
				t.Parallel()
				s := settled()
				test.plant(s)
				report := check(t, s, history.Options{Spill: spill})
				requireViolation(t, &history.Findings{Kept: report.First, By: report.ByPromise}, test.promise, test.says)
			})
		}
	}
}

func TestCheckIsFairToAServerThatGoesOn(t *testing.T) {
	t.Parallel()
	s := settled()
	s.tasks[1].Status = domain.StatusCompleted // read after the trail had been followed
	s.tasks = append(s.tasks, domain.Task{PoolID: pool, JobID: 5, TaskID: "e", Submission: 1, Units: 1, Status: domain.StatusQueued})
	s.messages = append(s.messages, s.messages[0])
	s.messages[1].TaskID, s.messages[1].JobID = "c", 3
	s.meanwhile = func(s *shelf) {
		tr := &trail{events: s.events}
		tr.add(domain.EventComplete, "c", 6, 1)
		tr.add(domain.EventSubmit, "e", 1, 0)
		tr.add(domain.EventEnqueue, "e", 1, 0)
		s.events = tr.events
	}
	require.Empty(t, check(t, s, history.Options{}).First)

	s = settled()
	s.tasks[1].Status = domain.StatusCompleted // and nothing happened since
	s.meanwhile = func(*shelf) {}
	require.Equal(t, 1, check(t, s, history.Options{}).ByPromise[history.PromiseRows])
}

func TestCheckWaitsForMessagesOnTheirWay(t *testing.T) {
	t.Parallel()
	s := settled()
	s.late = 3
	report, err := history.Check(t.Context(), s, history.Options{Keep: 10, MailGrace: 10 * time.Second})
	require.NoError(t, err)
	require.Empty(t, report.First)
	require.EqualValues(t, 1, report.Messages)
	require.Equal(t, 4, s.reads, "and once more to find no more")
}

func TestCheckNamesAnUnknownPool(t *testing.T) {
	t.Parallel()
	_, err := history.Check(t.Context(), settled(), history.Options{Pools: []domain.PoolID{"nope"}})
	require.Equal(t, domain.CodeUnknownPool, domain.CodeOf(err))
}

func TestCheckFollowsLimitsThatWereChanged(t *testing.T) {
	t.Parallel()
	s := settled()
	tr := &trail{events: s.events}
	tr.add(domain.EventPoolChange, "", 0, 0).Detail = []byte(`{"maxUnits":6,"maxOvertakes":4,"from":{"maxUnits":10,"maxOvertakes":20}}`)
	s.events = tr.events
	s.tasks[0].Overtaken = 17
	s.pools[0].MaxUnits, s.pools[0].MaxOvertakes, s.pools[0].Counters.EventSeq = 6, 4, int64(len(s.events))
	require.Empty(t, check(t, s, history.Options{}).First)
}

func TestCheckCountsWhoWasPassed(t *testing.T) {
	t.Parallel()
	s := settled()
	tr := &trail{events: s.events}
	for _, id := range []domain.TaskID{"x", "y", "z"} { // all pass d
		tr.run(id, 1)
		s.tasks = append(s.tasks, domain.Task{PoolID: pool, JobID: tr.job("", id), TaskID: id, Submission: 1, Units: 1, Status: domain.StatusCompleted, Attempt: 1})
	}
	s.tasks[len(s.tasks)-1].Priority = domain.PriorityHigh // of another class
	s.events = tr.events
	s.pools[0].Counters.EventSeq = int64(len(s.events))
	report := check(t, s, history.Options{})
	require.Empty(t, report.First)
	require.EqualValues(t, 2, report.Pools[0].PassedBy)
}

// cut is settled without its first seven events, as retention leaves it: a has gone with its
// row, b is over but still has one, and c is running and not yet in the checkpoint.
func cut() *shelf {
	s := settled()
	s.origin = store.Origin{
		Audit: at(7), Tasks: at(4), Unread: at(4),
		Checkpoint: &domain.Counters{At: at(6), EventSeq: 6, JobSeq: 2},
	}
	s.events, s.tasks, s.messages = s.events[6:], s.tasks[:3], nil
	return s
}

// cutAlive is settled from where a ran: it ends and everything else begins after the checkpoint.
func cutAlive() *shelf {
	s := settled()
	s.origin = store.Origin{
		Audit: at(3), Checkpoint: &domain.Counters{At: at(2), EventSeq: 2, JobSeq: 1, ActiveUnits: 6, Running: 1},
	}
	s.events = s.events[2:]
	return s
}

func TestCheckStartsFromACheckpoint(t *testing.T) {
	t.Parallel()
	report := check(t, cut(), history.Options{})
	require.Empty(t, report.First)
	require.EqualValues(t, 4, report.Events)
	require.EqualValues(t, 2, report.Tasks)
	require.Equal(t, &history.Since{Seq: 6, At: at(6)}, report.Pools[0].Since)

	report = check(t, cutAlive(), history.Options{})
	require.Empty(t, report.First)
	require.Equal(t, int64(1), report.Pools[0].Since.Running)
	require.Equal(t, domain.Units(6), report.Pools[0].Usage.PeakUnits)
}

func TestCheckFindsPlantedViolationsAfterACheckpoint(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		from    func() *shelf
		plant   func(*shelf)
		promise history.Promise
		says    string
	}{
		"the first event":       {cut, func(s *shelf) { s.events = s.events[1:] }, history.PromiseSequence, "events 7 to 7 are missing"},
		"over capacity":         {cutAlive, func(s *shelf) { s.origin.Checkpoint.ActiveUnits = 16 }, history.PromiseCapacity, "16 in use"},
		"more ran than then":    {cutAlive, func(s *shelf) { s.origin.Checkpoint.Running = 0 }, history.PromiseCounters, "more ran at the checkpoint than the 0 tasks with 6 units"},
		"other units than then": {cutAlive, func(s *shelf) { s.origin.Checkpoint.ActiveUnits = 4 }, history.PromiseCounters, "more ran at the checkpoint than the 1 tasks with 4 units"},
		"started from nowhere": {cutAlive, func(s *shelf) {
			s.events[0].Kind = domain.EventStart
		}, history.PromiseCounters, "more were queued at the checkpoint than the 0"},
		"a job from after it": {cutAlive, func(s *shelf) { s.origin.Checkpoint.JobSeq = 0 }, history.PromiseLifecycle, "complete: the task was never submitted"},
		"ended and no event": {cut, func(s *shelf) {
			s.tasks[2].FinishedAt = new(at(8))
		}, history.PromiseRows, "after the checkpoint, and no event says so"},
		"runs and no event": {cut, func(s *shelf) { s.tasks[2].Status = domain.StatusRunning }, history.PromiseRows, "leaves 0 running with 0 units and 0 queued; the rows have 1 with 6, and 0"},
		"row missing too soon": {cutAlive, func(s *shelf) {
			s.tasks, s.origin.Tasks = s.tasks[:3], at(3)
		}, history.PromiseRows, "its row is missing"},
		"message missing too soon": {cutAlive, func(s *shelf) {
			s.messages, s.origin.Unread = nil, at(3)
		}, history.PromiseMailbox, "its mailbox has no message"},
		"message missing, nobody read": {cutAlive, func(s *shelf) {
			s.messages, s.origin.Acknowledged = nil, at(9)
		}, history.PromiseMailbox, "1 outcomes from this one on have no message; 0 messages were deleted"},
		"message and no event": {cut, func(s *shelf) {
			s.messages = []domain.Message{{Source: "llm", Seq: 1, PoolID: pool, TaskID: "b", JobID: 2, Status: domain.StatusFailed, CreatedAt: at(8)}}
		}, history.PromiseMailbox, "without events"},
		"id again too soon": {cutAlive, func(s *shelf) {
			s.events[4].TaskID, s.tasks[1].TaskID = "a", "a"
			s.events[5].TaskID = "a"
		}, history.PromiseLifecycle, "submitted again while its task is completed"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := test.from()
			test.plant(s)
			report := check(t, s, history.Options{Spill: 1})
			requireViolation(t, &history.Findings{Kept: report.First, By: report.ByPromise}, test.promise, test.says)
		})
	}
}

// TestCheckExcusesWhatRetentionDeleted: of what has ended before a horizon nothing is missed.
func TestCheckExcusesWhatRetentionDeleted(t *testing.T) {
	t.Parallel()
	for name, plant := range map[string]func(*shelf){
		"a row":             func(s *shelf) { s.tasks, s.origin.Tasks = s.tasks[:3], at(4) },
		"an unread message": func(s *shelf) { s.messages, s.origin.Unread = nil, at(4) },
		"a read message":    func(s *shelf) { s.messages, s.origin.Acknowledged, s.origin.AcknowledgedDeleted = nil, at(4), 1 },
		"an id that came again": func(s *shelf) {
			s.events[6].TaskID, s.events[7].TaskID, s.tasks[1].TaskID, s.tasks = "a", "a", "a", s.tasks[:3]
			s.origin.Tasks = at(4)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := settled()
			plant(s)
			require.Empty(t, check(t, s, history.Options{}).First)
		})
	}
}

// TestCheckBeginsAnewWhenADayGoes: retention deletes a day while the trail is read.
func TestCheckBeginsAnewWhenADayGoes(t *testing.T) {
	t.Parallel()
	s := settled()
	s.meanwhile = func(s *shelf) {
		s.meanwhile = nil
		*s = *cut()
	}
	report := check(t, s, history.Options{})
	require.Empty(t, report.First)
	require.EqualValues(t, 4, report.Events)
	require.NotNil(t, report.Pools[0].Since)
}

// TestCheckLeavesOutRecordsFromBeforeTheCheckpoint: the trail that would know them is gone.
func TestCheckLeavesOutRecordsFromBeforeTheCheckpoint(t *testing.T) {
	t.Parallel()
	var log logOf
	log.run("a", 1, 6, 1.5, 3)
	log.run("b", 1, 6, 5.5, 5.9)
	log.add("enter", "c", 1, 6, 8.5)
	report := check(t, cutAlive(), history.Options{Records: log})
	require.Empty(t, report.First)
	require.Equal(t, 2, report.Executions[0].Runs, "b and c")
	report = check(t, settled(), history.Options{Records: log})
	require.Empty(t, report.First)
	require.Equal(t, 3, report.Executions[0].Runs)
}
