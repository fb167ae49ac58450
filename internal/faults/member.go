package faults

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/parkinglot/parkinglot/internal/fleet"
)

// member is a process that somebody starts again whenever it ends, as a service
// manager does.
type member struct {
	name    string
	command fleet.Command
	proxy   *fleet.Proxy // between it and Postgres; nil of a lessee, which has nothing to do with that
	url     string       // of a server

	breaking sync.Mutex // held while a fault is at work on it

	mu      sync.Mutex
	process *fleet.Process
	away    time.Duration // before the next start
	asked   bool          // its end was wanted
	ending  bool          // no next start
	strange []string      // ends that nobody asked for
	starts  int
	ended   chan struct{} // closed when keep has returned
}

func newMember(name string, command fleet.Command, proxy *fleet.Proxy) *member {
	return &member{name: name, command: command, proxy: proxy, ended: make(chan struct{})}
}

const (
	startTimeout = time.Minute
	stopTimeout  = time.Minute
	startAgain   = 300 * time.Millisecond // after an end that nobody asked for: Postgres may be away
)

// keep starts the process whenever there is none, until stop.
func (m *member) keep() {
	defer close(m.ended)
	for {
		m.mu.Lock()
		away, ending := m.away, m.ending
		m.away, m.asked = startAgain, false
		m.mu.Unlock()
		if ending {
			return
		}
		time.Sleep(away)
		process, err := fleet.Start(m.command)
		if err != nil {
			m.note("it could not be started: " + err.Error())
			continue
		}
		m.mu.Lock()
		m.process, m.starts = process, m.starts+1
		if m.ending {
			process.Kill()
		}
		m.mu.Unlock()
		m.watch(process)
	}
}

// watch returns when the process has ended.
func (m *member) watch(process *fleet.Process) {
	up := make(chan struct{})
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	go func() {
		defer cancel()
		if process.Ready(ctx) == nil {
			close(up)
		}
	}()
	<-process.Done()
	cancel()
	status, err := process.Wait(context.Background())
	m.mu.Lock()
	asked := m.asked || m.ending
	m.mu.Unlock()
	select {
	case <-up:
		if !asked {
			m.note(fmt.Sprintf("it ended by itself with %d (%v):\n%s", status, err, process.Tail()))
		}
	default: // it does not start without Postgres, and says so
		if status == panicked {
			m.note("it ended with a panic:\n" + process.Tail())
		}
	}
}

// panicked is the exit status of a Go program that did.
const panicked = 2

func (m *member) note(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.strange = append(m.strange, m.name+": "+what)
}

// current returns the process, nil before the first.
func (m *member) current() *fleet.Process {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.process
}

// end ends the process with the signal; the next one starts after away.
func (m *member) end(signal syscall.Signal, away time.Duration) {
	m.mu.Lock()
	process := m.process
	m.asked, m.away = true, away
	m.mu.Unlock()
	if signal == syscall.SIGKILL {
		process.Kill()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err := process.Stop(ctx)
	status, _ := process.Wait(context.Background()) // it has ended, by now
	// Postgres may be away meanwhile: then what runs cannot be settled, and it says so by its status.
	if ctx.Err() != nil || status == panicked {
		m.note(fmt.Sprintf("asked to stop: %v", err))
	}
}

// ready waits until there is a process that serves.
func (m *member) ready(ctx context.Context) error {
	for {
		if process := m.current(); process != nil && !over(process) {
			if err := process.Ready(ctx); err == nil || ctx.Err() != nil {
				return err
			}
		}
		select {
		case <-time.After(startAgain):
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", m.name, ctx.Err())
		}
	}
}

func over(process *fleet.Process) bool {
	select {
	case <-process.Done():
		return true
	default:
		return false
	}
}

// stop ends the member for good. The exit status of a process that was ready must be 0.
func (m *member) stop() {
	m.mu.Lock()
	m.ending = true
	process := m.process
	m.mu.Unlock()
	if process != nil {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := process.Stop(ctx); err != nil {
			m.note("asked to stop: " + err.Error())
		}
	}
	<-m.ended
}

// freeze stops every thread of the process, and returns when they stand still.
func freeze(process *fleet.Process) error {
	if err := process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	stat := filepath.Join("/proc", strconv.Itoa(process.PID()), "stat")
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		text, err := os.ReadFile(stat)
		if err != nil {
			return nil //nolint:nilerr // no /proc here: the signal is sent, and that is all there is
		}
		_, state, _ := strings.Cut(string(text), ") ")
		if strings.HasPrefix(state, "T") {
			return nil
		}
	}
	return nil
}
