package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/postgres/dbsqlc"
)

const (
	peersFor     = time.Second      // how long an answer to "is anybody else there" holds
	hintsANotify = 16               // a payload is at most 8,000 bytes, a pool id 200
	listenCheck  = 15 * time.Second // a connection that says nothing is asked
	pretendEvery = 500 * time.Millisecond
)

// envelope is the payload of one notification.
type envelope struct {
	From  string       `json:"from"`
	Hints []store.Wake `json:"hints,omitempty"` // none: hello, somebody is there
}

// peers knows whether other processes use this schema.
type peers struct {
	token string // who we are in an envelope

	mu      sync.Mutex
	own     map[string]bool // worker ids of this process
	others  bool
	askedAt time.Time
}

func (p *peers) mine(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.own[id] = true
}

// heard notes that somebody else is there.
func (p *peers) heard() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.others, p.askedAt = true, time.Now()
}

// cached returns the last answer, and the ids to ask with when it is too old.
func (p *peers) cached() (others, fresh bool, own []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	own = make([]string, 0, len(p.own))
	for id := range p.own {
		own = append(own, id)
	}
	return p.others, time.Since(p.askedAt) < peersFor, own
}

func (p *peers) learned(others bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.others, p.askedAt = others, time.Now()
}

// Wake implements store.Waker.
func (s *Store) Wake(ctx context.Context, hints []store.Wake) error {
	if len(hints) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	others, fresh, own := s.peers.cached()
	if !fresh {
		var err error
		if others, err = dbsqlc.New(s.pool).OtherWorkers(ctx, own); err != nil {
			return classify("look for other processes", err)
		}
		s.peers.learned(others)
	}
	if !others {
		return nil
	}
	return s.notify(ctx, s.pool, hints)
}

// notify sends hints, or hello when there are none.
func (s *Store) notify(ctx context.Context, db dbsqlc.DBTX, hints []store.Wake) error {
	for first := true; first || len(hints) > 0; first = false {
		n := min(len(hints), hintsANotify)
		payload, err := json.Marshal(envelope{From: s.peers.token, Hints: hints[:n]})
		if err != nil {
			return fmt.Errorf("encode a hint: %w", err)
		}
		hints = hints[n:]
		if err := dbsqlc.New(db).Notify(ctx, dbsqlc.NotifyParams{Channel: s.channel(), Payload: string(payload)}); err != nil {
			return classify("notify", err)
		}
	}
	return nil
}

// channel is the schema's own: notifications are database-wide. Channel names have
// at most 63 bytes, so it carries a hash of the schema rather than its name.
func (s *Store) channel() string { return fmt.Sprintf("pl_wake_%016x", uint64(s.lockKey("wake", ""))) }

// Listen implements store.Waker. Without a session of its own it only waits: hints of
// others are then seen at the safety poll.
func (s *Store) Listen(ctx context.Context, hear func(store.Wake)) error {
	if s.listener == nil {
		s.log.WarnContext(ctx, "other processes are heard at the safety poll only: LISTEN needs a connection past the pooler, set database.direct_url")
		s.pretend(ctx, hear)
		return nil
	}
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 100*time.Millisecond, 5*time.Second
	for {
		err := s.listen(ctx, func(w store.Wake) {
			wait.Reset()
			hear(w)
		})
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end that was asked for
		}
		pause := wait.NextBackOff()
		s.log.WarnContext(ctx, "the connection for hints is lost; connecting again", "in", pause, "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// pretend stands in for Listen without a session, until ctx ends. The safety poll sees
// turns of others, but not that they asked a task to stop.
func (s *Store) pretend(ctx context.Context, hear func(store.Wake)) {
	ticker := time.NewTicker(pretendEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			hear(store.Wake{Stop: true})
		}
	}
}

// listen serves one connection until it is lost or ctx ends.
func (s *Store) listen(ctx context.Context, hear func(store.Wake)) error {
	config := s.listener.Copy()
	// Nothing runs on the server that could be asked to stop: waiting ends at once.
	config.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.DeadlineContextWatcherHandler{Conn: conn.Conn()}
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return classify("connect for hints", err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing) // lost or no longer wanted
	}()
	starting, cancel := context.WithTimeout(ctx, callTimeout)
	_, err = conn.Exec(starting, "LISTEN "+pgx.Identifier{s.channel()}.Sanitize())
	cancel()
	if err != nil {
		return classify("listen", err)
	}
	hear(store.Wake{})
	for {
		waiting, cancel := context.WithTimeout(ctx, listenCheck)
		n, err := conn.WaitForNotification(waiting)
		quiet := waiting.Err() != nil
		cancel()
		switch {
		case err == nil:
			s.deliver(ctx, n.Payload, hear)
		case ctx.Err() != nil:
			return ctx.Err()
		case quiet && !conn.IsClosed():
			asking, cancel := context.WithTimeout(ctx, callTimeout)
			err = conn.Ping(asking)
			cancel()
			if err != nil {
				return classify("listen", err)
			}
		default:
			return classify("listen", err)
		}
	}
}

func (s *Store) deliver(ctx context.Context, payload string, hear func(store.Wake)) {
	var e envelope
	if err := json.Unmarshal([]byte(payload), &e); err != nil {
		s.log.WarnContext(ctx, "a notification that is not ours", "channel", s.channel(), "error", err)
		return
	}
	if e.From == s.peers.token {
		return
	}
	s.peers.heard()
	for _, hint := range e.Hints {
		hear(hint)
	}
}
