package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/domain"
)

// readers are the open streams.
type readers struct {
	each     []*reader
	received atomic.Int64
	cuts     atomic.Int64
	end      context.CancelFunc
	running  sync.WaitGroup
}

// reader follows one mailbox, and comes back with its last id.
type reader struct {
	load *load
	all  *readers
	user string

	mu     sync.Mutex
	cancel context.CancelFunc // of the connection
	lastID string
	got    []arrival
}

// arrival is a message as its reader had it.
type arrival struct {
	task   domain.TaskID
	posted time.Time // by the message
	at     time.Time // by this process
}

// open opens all streams and returns when each has been answered.
func (l *load) open(ctx context.Context) (*readers, error) {
	ctx, end := context.WithCancel(ctx)
	all := &readers{end: end}
	var opening errgroup.Group
	const atOnce = 64
	opening.SetLimit(atOnce)
	for i := range l.options.streams {
		r := &reader{load: l, all: all, user: user(i)}
		all.each = append(all.each, r)
		opening.Go(func() error {
			events, err := r.connect(ctx)
			if err != nil {
				return err
			}
			all.running.Go(func() { r.follow(ctx, events) })
			return nil
		})
	}
	if err := opening.Wait(); err != nil {
		all.close()
		return nil, fmt.Errorf("open the streams: %w", err)
	}
	return all, nil
}

func (r *reader) connect(ctx context.Context) (*client.EventReader, error) {
	ctx, cancel := context.WithCancel(ctx)
	r.mu.Lock()
	r.cancel = cancel
	params := &client.FollowMailboxParams{LastEventID: r.lastID}
	r.mu.Unlock()
	events, err := client.Events(r.load.streams.FollowMailbox(ctx, tenant, r.user, params)) //nolint:bodyclose // the reader closes it
	if err != nil {
		cancel()
	}
	return events, err
}

func (r *reader) follow(ctx context.Context, events *client.EventReader) {
	for ctx.Err() == nil {
		r.read(events)
		for ctx.Err() == nil {
			var err error
			if events, err = r.connect(ctx); err == nil {
				break
			}
			const lull = 50 * time.Millisecond
			time.Sleep(lull)
		}
	}
}

// read reads until the connection is cut.
func (r *reader) read(events *client.EventReader) {
	defer func() { _ = events.Close() }() // its end is the reader's own doing
	for {
		event, err := events.Next()
		if err != nil {
			return
		}
		at := time.Now()
		var m client.Message
		if err := json.Unmarshal(event.Data, &m); err != nil {
			panic(err) // no server sends that
		}
		r.mu.Lock()
		r.lastID = event.ID
		r.got = append(r.got, arrival{task: domain.TaskID(m.TaskID), posted: m.CreatedAt, at: at})
		r.mu.Unlock()
		r.all.received.Add(1)
	}
}

// cut ends the connection of one stream; it comes back.
func (all *readers) cut(i int) {
	r := all.each[i]
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cancel()
	all.cuts.Add(1)
}

// wait waits until as much has arrived as was made, and a moment longer for what
// should not.
func (all *readers) wait(ctx context.Context, made map[domain.TaskID]outcome, _ options) {
	const patience, moment = 30 * time.Second, time.Second
	deadline := time.Now().Add(patience)
	for all.received.Load() < int64(len(made)) && time.Now().Before(deadline) && ctx.Err() == nil {
		time.Sleep(moment / 20)
	}
	time.Sleep(moment)
}

func (all *readers) close() {
	all.end()
	all.running.Wait()
}
