package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/faults/clients"
)

// Options say what to run.
type Options struct {
	Dir      string // for everything the run leaves; a folder of its own
	Binary   string // of the program; see fleet.Build
	Seed     uint64
	Duration time.Duration // of the load and the faults
	Every    time.Duration // how far faults are apart, in the mean
	TTL      time.Duration // after which a silent process counts as dead
	Servers  int
	Workers  int
	Lessees  int
	Rate     float64 // submissions a second into each pool
	Self     string  // the harness's own program, which is also that of clients and lessees
	// Patience bounds every wait for what should end or be answered when all is mended.
	Patience time.Duration
	Only     []Kind   // kinds of faults; empty: all
	Long     int      // one task in so many is long
	Setup    []string // SQL that changes the fleet's schema before anything is loaded
	Log      func(format string, args ...any)
}

// The first arguments of the harness's program that make it another process of a run. The
// second one is a file that says what to do.
const (
	ClientsVerb = "clients"
	LesseeVerb  = "lessee"
)

// Run breaks a fleet and judges it. The error says that this could not be done;
// violations are in the result.
func Run(ctx context.Context, o Options) (*Result, error) {
	w, err := newWorld(ctx, o)
	if err != nil {
		return nil, err
	}
	defer w.close()
	r := &Result{Seed: o.Seed, Duration: o.Duration, Dir: o.Dir}
	plan := w.plan(o)
	load, err := startClients(ctx, o, plan)
	if err != nil {
		return nil, err
	}
	defer load.kill()
	line := startLine(ctx, w, o)

	schedule := Draw(o.Seed, o.Duration, o.Every, o.TTL, only(w.places(), o.Only))
	w.log("%d faults in %s, seed %d", len(schedule), o.Duration, o.Seed)
	r.Episodes = w.inflictAll(ctx, schedule, o.Duration)
	if err := errors.Join(ctx.Err(), w.heal()); err != nil {
		return nil, err
	}
	for i := range r.Episodes {
		if e := &r.Episodes[i]; e.Err != nil && (e.Kind == Kill || e.Kind == Drain) {
			r.addf(Exits, "%s: it did not come back: %v", e.Fault, e.Err)
		}
	}
	w.log("everything is mended; waiting for the clients and for the queues to run dry")
	r.Rounds = line.stop()
	if err := load.stop(ctx); err != nil {
		return nil, err
	}
	left := make([][]string, len(plan.Pools))
	for i, p := range plan.Pools {
		left[i] = w.runDry(ctx, p, o.Patience)
	}
	if r.behind, err = w.behind(ctx); err != nil {
		return nil, err
	}
	for i, p := range plan.Pools {
		r.addAll(r.in(p.ID, Drained), left[i])
	}
	r.Turns = w.turns(ctx)
	r.exits(w.stop())
	w.log("all stopped; judging")
	return r, r.judge(ctx, w, plan)
}

func only(places Places, kinds []Kind) Places {
	if len(kinds) == 0 {
		return places
	}
	some := Places{}
	for _, kind := range kinds {
		some[kind] = places[kind]
	}
	return some
}

// inflictAll does the faults of the schedule at their times, and returns when the last is mended
// and the duration is over.
func (w *world) inflictAll(ctx context.Context, schedule []Fault, duration time.Duration) []Episode {
	begin := time.Now()
	episodes := make([]Episode, len(schedule))
	var all sync.WaitGroup
	wait := func(at time.Duration) {
		select {
		case <-time.After(time.Until(begin.Add(at))):
		case <-ctx.Done():
		}
	}
	var postgres sync.Mutex
	for i, f := range schedule {
		wait(f.At)
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			if f.Target == "" {
				postgres.Lock()
				defer postgres.Unlock()
			}
			episodes[i] = w.inflict(ctx, f)
			switch e := &episodes[i]; {
			case e.Err != nil:
				w.log("%s: %v", f, e.Err)
			case e.Note != "":
				w.log("%s: %s", f, e.Note)
			default:
				w.log("%s", f)
			}
		})
	}
	wait(duration)
	all.Wait()
	return episodes
}

// plan is what the clients do.
func (w *world) plan(o Options) clients.Plan {
	p := clients.Plan{
		Clients: 4, Seed: o.Seed, Log: filepath.Join(o.Dir, "clients.jsonl"), Change: true,
		Long: o.Long, Longest: 3 * time.Second, GiveUp: o.Patience, Samples: 40,
	}
	add := func(id domain.PoolID, rate float64, servers ...string) {
		p.Pools = append(p.Pools, clients.Pool{ID: id, Servers: servers, MaxUnits: poolUnits, Rate: rate, Timeouts: id != poolWeb})
	}
	add(poolNative, o.Rate, w.addresses()...)
	add(poolFleet, o.Rate, w.addresses()...)
	if o.Lessees > 0 {
		add(poolWeb, o.Rate, w.addresses()...)
	}
	add(poolDisk, o.Rate/2, w.solo.url)
	add(poolRelay, o.Rate/2, w.solo.url)
	return p
}

// load is the clients' process.
type load struct {
	cmd  *exec.Cmd
	hold io.Closer
	done chan error
}

func startClients(ctx context.Context, o Options, plan clients.Plan) (*load, error) {
	raw, err := json.Marshal(plan)
	if err != nil {
		return nil, fmt.Errorf("make the clients' plan: %w", err)
	}
	path := filepath.Join(o.Dir, "clients.json")
	if err := os.WriteFile(path, raw, ownersOnly); err != nil {
		return nil, fmt.Errorf("write the clients' plan: %w", err)
	}
	l := &load{cmd: exec.CommandContext(ctx, o.Self, ClientsVerb, path), done: make(chan error, 1)}
	l.cmd.Stderr = os.Stderr
	if l.hold, err = l.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start the clients: %w", err)
	}
	if err := l.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the clients: %w", err)
	}
	go func() { l.done <- l.cmd.Wait() }()
	return l, nil
}

// stop lets the clients end what they have begun.
func (l *load) stop(ctx context.Context) error {
	_ = l.hold.Close() // the end of its standard input is what it waits for
	select {
	case err := <-l.done:
		if err != nil {
			return fmt.Errorf("the clients: %w", err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *load) kill() { _ = l.cmd.Process.Kill() } // it has ended, as a rule

// runDry waits until the pool has nothing left, and says what is when nothing
// ends any more.
func (w *world) runDry(ctx context.Context, p clients.Pool, patience time.Duration) []string {
	var left string
	least, since := int64(-1), time.Now()
	for n := 0; time.Since(since) < patience && ctx.Err() == nil; n++ {
		api, err := client.NewClient(p.Servers[n%len(p.Servers)])
		if err != nil {
			return []string{err.Error()}
		}
		asking, cancel := context.WithTimeout(ctx, 5*time.Second)
		pool, err := client.Read[client.Pool](api.GetPool(asking, string(p.ID))) //nolint:bodyclose // Read closes it
		cancel()
		if err != nil {
			left = err.Error()
		} else {
			now := pool.Queued + pool.Running + pool.Waiting
			if now == 0 {
				return nil
			}
			if left = fmt.Sprintf("%d queued, %d running, %d waiting", pool.Queued, pool.Running, pool.Waiting); now < least || least < 0 {
				least, since = now, time.Now()
			}
		}
		time.Sleep(200 * time.Millisecond)
	}
	return []string{fmt.Sprintf("pool %s: nothing has ended for %s: %s", p.ID, patience, left)}
}

// behind finds the pools with a newest turn that has counted fewer events than there are. Every turn
// that begins from there gives its events numbers that are taken, and is refused. It takes two
// turns of the same number, one of which has recorded nothing: nothing that the key over turns lets happen.
func (w *world) behind(ctx context.Context) (map[domain.PoolID]bool, error) {
	found := map[domain.PoolID]bool{}
	err := w.ask(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "SET search_path = "+schema); err != nil {
			return err
		}
		rows, err := conn.Query(ctx, `SELECT p.pool_id FROM pl_pools AS p
			WHERE (SELECT max(e.seq) FROM pl_audit_events AS e WHERE e.source = p.pool_id) > (
				SELECT min(t.event_seq) FROM pl_pool_turns AS t WHERE t.pool_id = p.pool_id
				AND t.turn_no = (SELECT max(n.turn_no) FROM pl_pool_turns AS n WHERE n.pool_id = p.pool_id))`)
		if err != nil {
			return err
		}
		pools, err := pgx.CollectRows(rows, pgx.RowTo[domain.PoolID])
		for _, pool := range pools {
			found[pool] = true
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for pools that stand still: %w", err)
	}
	return found, nil
}
