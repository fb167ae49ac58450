package faults

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/faults/clients"
	"github.com/parkinglot/parkinglot/internal/history"
	"github.com/parkinglot/parkinglot/internal/store"
)

// trail is a history in slices.
type trail struct {
	events   []domain.Event
	messages []domain.Message
}

func (tr *trail) Pools(context.Context) ([]history.Pool, error) { return nil, nil }

func (tr *trail) Tasks(context.Context, domain.PoolID, func(*domain.Task)) error { return nil }

func (tr *trail) Others(context.Context) ([]domain.Source, error) { return nil, nil }

func (tr *trail) Origin(context.Context, domain.Source) (store.Origin, error) {
	return store.Origin{}, nil
}

func (tr *trail) Events(history.EventQuery) history.Stream[domain.Event] {
	return &once[domain.Event]{tr.events}
}

func (tr *trail) Messages(domain.PoolID) history.Stream[domain.Message] {
	return &once[domain.Message]{tr.messages}
}

type once[T any] struct{ all []T }

func (o *once[T]) Next(context.Context) ([]T, error) {
	all := o.all
	o.all = nil
	return all, nil
}

// TestAcceptedFindsPlantedViolations: task a was accepted after one try without an answer, b was refused.
func TestAcceptedFindsPlantedViolations(t *testing.T) {
	t.Parallel()
	const pool = domain.PoolID("p")
	event := func(task domain.TaskID, kind domain.EventKind) domain.Event {
		return domain.Event{Source: domain.Source(pool), PoolID: pool, TaskID: task, Kind: kind}
	}
	type world struct {
		trail

		log    []clients.Entry
		behind bool // the pool's newest turn
	}
	tests := map[string]struct {
		plant func(*world)
		what  What
	}{
		"nothing":           {func(*world) {}, ""},
		"never ended":       {func(w *world) { w.events = w.events[:2]; w.messages = nil }, Unended},
		"never could end":   {func(w *world) { w.events = w.events[:2]; w.messages = nil; w.behind = true }, Stuck},
		"not there":         {func(w *world) { w.events = w.events[3:]; w.messages = nil }, Lost},
		"behind, not there": {func(w *world) { w.events = w.events[3:]; w.messages = nil; w.behind = true }, Lost},
		"only rejected": {func(w *world) {
			w.events = append(w.events[3:], event("a", domain.EventSubmit), event("a", domain.EventReject))
		}, Lost},
		"ended twice":      {func(w *world) { w.events = append(w.events, event("a", domain.EventFail)) }, Twice},
		"no message":       {func(w *world) { w.messages = nil }, Mail},
		"two messages":     {func(w *world) { w.messages = append(w.messages, w.messages[0]) }, Mail},
		"nobody's message": {func(w *world) { w.messages[0].TaskID = "c" }, Lost},
		"nobody's task":    {func(w *world) { w.events = append(w.events, event("c", domain.EventSubmit)) }, Lost},
		"refused and run":  {func(w *world) { w.events[4].Kind = domain.EventComplete }, Answers},
		"another answer": {func(w *world) {
			w.log = append(w.log, clients.Entry{Do: clients.Again, Answer: true, Pool: pool, Task: "a", Code: 202, Job: 9, Status: "running"})
		}, Answers},
		"accepted, then refused": {func(w *world) {
			w.log = append(w.log, clients.Entry{Do: clients.Again, Answer: true, Pool: pool, Task: "a", Code: 409, Why: "queue_full"})
		}, Answers},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{
				trail: trail{
					events: []domain.Event{
						event("a", domain.EventSubmit), event("a", domain.EventStart), event("a", domain.EventComplete),
						event("b", domain.EventSubmit), event("b", domain.EventReject),
					},
					messages: []domain.Message{{PoolID: pool, TaskID: "a", Mailbox: domain.MailboxKey{Tenant: "acme"}}},
				},
				log: []clients.Entry{
					{Do: clients.Submit, Pool: pool, Task: "a", Tenant: "acme"},
					{Do: clients.Submit, Pool: pool, Task: "a", Tenant: "acme", Answer: true, Why: "connection reset"},
					{Do: clients.Submit, Pool: pool, Task: "a", Tenant: "acme"},
					{Do: clients.Submit, Pool: pool, Task: "a", Tenant: "acme", Answer: true, Code: 202, Job: 1, Status: "running"},
					{Do: clients.Submit, Pool: pool, Task: "b"},
					{Do: clients.Submit, Pool: pool, Task: "b", Answer: true, Code: 409, Why: "queue_full"},
				},
			}
			test.plant(w)
			path := filepath.Join(t.TempDir(), "clients.jsonl")
			file, err := os.Create(path)
			require.NoError(t, err)
			lines := json.NewEncoder(file)
			for _, e := range w.log {
				require.NoError(t, lines.Encode(e))
			}
			require.NoError(t, file.Close())

			r := &Result{behind: map[domain.PoolID]bool{pool: w.behind}}
			require.NoError(t, r.accepted(t.Context(), path, []clients.Pool{{ID: pool}}, &w.trail))
			if test.what == "" {
				require.Empty(t, r.Violations)
				require.Equal(t, Promised{Requests: 3, Unanswered: 1, Tasks: 2, Accepted: 1, Refused: 1, Repeated: 1, Messages: 1}, r.Promised)
				return
			}
			found := map[What]bool{}
			for _, v := range r.Violations {
				found[v.What] = true
			}
			require.True(t, found[test.what], "%v", r.Violations)
		})
	}
}
