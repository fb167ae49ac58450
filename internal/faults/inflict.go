package faults

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Episode is a fault that has happened.
type Episode struct {
	Fault

	Began, Ended time.Time
	PID          int    // of the process that was killed
	Note         string // what was seen of it; empty: nothing beside the fact
	Err          error  // it could not be done
}

// inflict does one fault and mends it, and returns when it is mended.
func (w *world) inflict(ctx context.Context, f Fault) Episode {
	e := Episode{Fault: f, Began: time.Now()}
	ctx, cancel := context.WithTimeout(ctx, f.For+startTimeout+stopTimeout)
	defer cancel()
	e.Note, e.Err = w.apply(ctx, f, &e.PID)
	e.Ended = time.Now()
	return e
}

func (w *world) apply(ctx context.Context, f Fault, killed *int) (note string, err error) {
	switch f.Kind {
	case CrashPostgres:
		return "", w.postgres.Crash(ctx, f.For)
	case Terminate:
		return w.terminate(ctx)
	}
	m := w.member(f.Target)
	m.breaking.Lock()
	defer m.breaking.Unlock()
	if err := m.ready(ctx); err != nil {
		return "", err
	}
	pause := func() { time.Sleep(f.For) }
	switch f.Kind {
	case Kill:
		*killed = m.current().PID()
		m.end(syscall.SIGKILL, f.For)
		return "", m.ready(ctx)
	case Drain:
		m.end(syscall.SIGTERM, f.For)
		return "", m.ready(ctx)
	case Freeze, FreezeLong:
		process := m.current()
		if err := freeze(process); err != nil {
			return "", err
		}
		pause()
		return "", process.Signal(syscall.SIGCONT)
	case FreezeInTurn:
		process := m.current()
		return w.inTurn(ctx, m, func() error { return freeze(process) }, pause, func() error { return process.Signal(syscall.SIGCONT) })
	case HoldTurn:
		mended := make(chan struct{})
		end := sync.OnceFunc(func() { close(mended) })
		defer end()
		return w.holdTurn(ctx, m, mended, pause, end)
	case Drop:
		m.proxy.Drop()
	case Cut:
		m.proxy.Cut()
		pause()
		m.proxy.Mend()
	case Unplug:
		m.proxy.Freeze()
		pause()
		m.proxy.Thaw()
	case LinkDown:
		return w.linkDown(m, pause)
	case DiskFull:
		if err := w.disk.fill(); err != nil {
			return "", err
		}
		pause()
		return "", w.disk.free()
	}
	return "", nil
}

// turnPatience is how long a fault waits for the next turn of a process.
const turnPatience = 5 * time.Second

// noTurn is the note of a fault that waited in vain.
const noTurn = "no turn came"

// inTurn does something to the process between two round trips of a turn. The answer to the
// first is passed on once it is done.
func (w *world) inTurn(ctx context.Context, m *member, do func() error, pause func(), undo func() error) (string, error) {
	done := make(chan error, 1)
	m.proxy.HoldTurn(func() { done <- do() })
	select {
	case err := <-done:
		if err != nil {
			return "", err
		}
	case <-time.After(turnPatience):
		m.proxy.HoldTurn(nil)
		select {
		case err := <-done: // at the last moment
			if err != nil {
				return "", err
			}
		default:
			return noTurn, nil
		}
	}
	note := w.locks(ctx)
	pause()
	return note, undo()
}

// holdTurn keeps the answer to a turn's first round trip from the process.
func (w *world) holdTurn(ctx context.Context, m *member, mended chan struct{}, pause, end func()) (string, error) {
	held := make(chan struct{})
	m.proxy.HoldTurn(func() {
		close(held)
		<-mended
	})
	select {
	case <-held:
	case <-time.After(turnPatience):
		m.proxy.HoldTurn(nil)
		return noTurn, nil
	}
	note := w.locks(ctx)
	pause()
	end()
	return note, nil
}

// lockNote is the note of a fault that hit a turn which held a pool's lock.
const lockNote = "with a pool's lock"

// locks says whether a transaction that stands idle holds an advisory lock now.
func (w *world) locks(ctx context.Context) string {
	var n int
	err := w.ask(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT count(DISTINCT l.pid) FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
			WHERE l.locktype = 'advisory' AND l.granted AND a.state = 'idle in transaction'`).Scan(&n)
	})
	switch {
	case err != nil:
		return "nobody could tell whether with a pool's lock: " + err.Error()
	case n == 0:
		return "without a pool's lock"
	}
	return lockNote
}

func (w *world) terminate(ctx context.Context) (string, error) {
	var n int
	err := w.ask(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT count(*) FROM (
			SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity AS a
			WHERE a.backend_type = 'client backend' AND a.pid <> pg_backend_pid() AND random() < 0.5 OFFSET 0) AS t`).Scan(&n)
	})
	return fmt.Sprintf("%d backends", n), err
}

// ask asks Postgres, past every proxy.
func (w *world) ask(ctx context.Context, f func(context.Context, *pgx.Conn) error) error {
	const patience = 20 * time.Second // it may be starting
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, w.postgres.URL)
		if err == nil {
			err = f(ctx, conn)
			_ = conn.Close(ctx) // asked already
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

func (w *world) linkDown(m *member, pause func()) (string, error) {
	if w.link == nil {
		m.proxy.Freeze()
		pause()
		m.proxy.Thaw()
		return "by the proxy", nil
	}
	if err := w.link.set(false); err != nil {
		return "", err
	}
	pause()
	return "", w.link.set(true)
}
