package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/parkinglot/parkinglot/internal/fleet"
)

// trial is a run with defences left out, and what must come of it.
type trial struct {
	name  string
	what  string
	tags  []string // of the build; each swaps one small file
	setup []string // SQL; see Options.Setup
	kinds []Kind
	ttl   time.Duration
	long  int
	// caught must match a violation; nil: there must be none.
	caught *regexp.Regexp
	// never must match no violation: what the remaining defences keep from happening.
	never *regexp.Regexp
	// still: a pool may stand still. What is left refuses what is wrong, but does not see to it that
	// anything is done: what is Stuck is told and not held against it, all else is.
	still bool
	// held must have been the outcome of turns: what held instead of what was left out.
	held string
}

// unkeyed makes every key of the tables a plain index: defences of the schema that stand behind the
// one in question are set aside.
func unkeyed(tables string) string {
	return fmt.Sprintf(`DO $$ DECLARE i record; BEGIN
		FOR i IN
			SELECT x.indexrelid::regclass AS index, x.indrelid::regclass AS of, c.conname, pg_get_indexdef(x.indexrelid) AS definition
			FROM pg_index AS x JOIN pg_class AS t ON t.oid = x.indrelid
			LEFT JOIN pg_constraint AS c ON c.conindid = x.indexrelid AND c.contype IN ('p', 'u')
			WHERE t.relnamespace = current_schema()::regnamespace AND t.relkind = 'r' AND x.indisunique AND t.relname ~ '^pl_(%s)$'
		LOOP
			IF i.conname IS NULL THEN
				EXECUTE format('DROP INDEX %%s', i.index);
			ELSE
				EXECUTE format('ALTER TABLE %%s DROP CONSTRAINT %%I', i.of, i.conname);
			END IF;
			EXECUTE replace(i.definition, 'CREATE UNIQUE INDEX', 'CREATE INDEX');
		END LOOP;
	END $$`, tables)
}

const noGuard = `CREATE OR REPLACE FUNCTION pl_expect(got bigint, want bigint, what text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN END $$`

var (
	ranTwice = regexp.MustCompile(`was executed twice|starts while attempt \d+ is live`)
	// together is what comes of two turns from one state: the sums of one of them are forgotten.
	together = regexp.MustCompile(`(?m)^ *(sequence|counters|capacity|units): `)
)

// settledEarly is a result that was taken while the executor of the attempt it ended was still at work, by
// more than clocks and a busy machine explain.
var settledEarly = regexp.MustCompile(`it was settled ([0-9.]+s|[1-9][0-9]{2,}[0-9.]*ms) before its executor left`)

// trials are the mutations, each behind its control: the same setting with the defence in place.
func trials() []trial {
	cuts := []Kind{Cut, Unplug, FreezeLong}
	away := []Kind{CrashPostgres, Cut, Kill}
	collide := []Kind{HoldTurn, Freeze}
	turns := []string{unkeyed("pool_turns")}
	numbers := []string{unkeyed("pool_turns|audit_events_[0-9]+")}
	nothing := []string{unkeyed("pool_turns|audit_events_[0-9]+|tenants|mailbox_messages|queued_jobs|running_jobs"), noGuard}
	return []trial{
		{name: "lock/control", what: "no keys over what turns write, no guard: the lock alone holds", setup: nothing, kinds: collide},
		{
			name: "lock/keyed", what: "no lock: the key over turns refuses the second turn from a state", tags: []string{"mutate_lock"},
			kinds: collide, held: "guard",
		},
		{
			// A turn that records nothing has no number but that of the turn. So two turns may have the same
			// one, and whatever follows the one that has counted less is refused.
			name: "lock/numbered", what: "no lock and no key over turns: the numbers of events and jobs are unique", tags: []string{"mutate_lock"},
			setup: turns, kinds: collide, held: "guard", still: true,
		},
		{
			name: "lock", what: "no lock and no keys over turns and events", tags: []string{"mutate_lock"}, setup: numbers,
			kinds: collide, caught: together, never: ranTwice,
		},
		{
			name: "guard", what: "no lock, no keys over what turns write, and guards that do not raise", tags: []string{"mutate_lock"}, setup: nothing,
			kinds: collide, caught: ranTwice,
		},
		{name: "fence/control", what: "nothing left out", kinds: cuts, ttl: time.Second, long: 2},
		{
			name: "fence", what: "a result counts for whichever attempt runs", tags: []string{"mutate_fence"},
			kinds: cuts, ttl: time.Second, long: 2, caught: settledEarly,
		},
		{name: "outbox/control", what: "nothing left out", kinds: away},
		{
			name: "outbox", what: "messages leave the outbox before they are stored", tags: []string{"mutate_outbox"},
			kinds: away, caught: regexp.MustCompile(`its mailbox has no message`),
		},
	}
}

// RunMutations does the trial called only ("all": every one), and
// prints what came of each. The error names those that went otherwise than they must.
func RunMutations(ctx context.Context, o Options, only string, out io.Writer) error {
	binaries := map[string]string{}
	var wrong []error
	for _, t := range trials() {
		if only != "all" && t.name != only {
			continue
		}
		tags := strings.Join(t.tags, ",")
		if binaries[tags] == "" {
			dir := filepath.Join(o.Dir, "build-"+tags)
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return fmt.Errorf("make a folder: %w", err)
			}
			binary, err := fleet.Build(ctx, dir, t.tags...)
			if err != nil {
				return err
			}
			binaries[tags] = binary
		}
		if err := t.run(ctx, o, binaries[tags], out); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", t.name, err))
		}
	}
	return errors.Join(wrong...)
}

// run does the trial. What must be caught gets three schedules to show in: two processes have to meet.
func (t *trial) run(ctx context.Context, o Options, binary string, out io.Writer) error {
	const schedules = 3
	for n := 1; ; n++ {
		err := t.once(ctx, o, binary, out)
		if err == nil || t.caught == nil || n == schedules || ctx.Err() != nil {
			return err
		}
		o.Seed++
	}
}

// once is one run. Its length and pace are the trial's own: what is left out must show within a minute.
func (t *trial) once(ctx context.Context, o Options, binary string, out io.Writer) error {
	o.Dir = filepath.Join(o.Dir, fmt.Sprintf("%s-%d", strings.ReplaceAll(t.name, "/", "-"), o.Seed))
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	o.Binary, o.Setup, o.Only = binary, t.setup, t.kinds
	o.Duration, o.Every, o.TTL, o.Patience = 40*time.Second, 1500*time.Millisecond, 3*time.Second, 20*time.Second
	o.Workers, o.Lessees, o.Rate, o.Long = 2, 0, 25, 20
	if t.ttl > 0 {
		o.TTL = t.ttl
	}
	if t.long > 0 {
		o.Long, o.Rate = t.long, 8
	}
	o.Log("%s: %s", t.name, t.what)
	r, err := Run(ctx, o)
	if err != nil {
		return err
	}
	said := r.words()
	if err := os.WriteFile(filepath.Join(o.Dir, "result.txt"), []byte(said), ownersOnly); err != nil {
		return fmt.Errorf("keep the result: %w", err)
	}
	verdict, err := t.judge(r, said)
	_, printErr := fmt.Fprintf(out, "%-15s %s: %s\n", t.name, t.what, verdict)
	return errors.Join(err, printErr)
}

// judge says what came of the trial, and whether it is what must.
func (t *trial) judge(r *Result, said string) (string, error) {
	counts := r.counts()
	count := fmt.Sprintf("%d violations %v; turns %v", r.Broken(), counts, r.Turns)
	broken := r.Broken()
	if t.still {
		broken -= counts[string(Stuck)]
	}
	switch {
	case t.caught == nil && broken > 0:
		return "VIOLATED, " + count, fmt.Errorf("nothing may be violated:\n%s", said)
	case t.held != "" && r.Turns[t.held] == 0:
		return "NOTHING HELD, " + count, fmt.Errorf("no turn ended with outcome %s: nothing was tried", t.held)
	case t.caught == nil && r.Broken() > 0:
		return "holds and stands still, " + count, nil
	case t.caught == nil:
		return "holds, " + count, nil
	case t.never != nil && t.never.MatchString(said):
		return "TOO MUCH, " + count, fmt.Errorf("%s must not happen: %s", t.never, t.never.FindString(said))
	case !t.caught.MatchString(said):
		return "NOT CAUGHT, " + count, fmt.Errorf("no violation says %s:\n%s", t.caught, said)
	}
	for line := range strings.Lines(said) {
		if t.caught.MatchString(line) {
			return fmt.Sprintf("caught, %s, such as\n                %s", count, strings.TrimSpace(line)), nil
		}
	}
	return "caught, " + count, nil
}

// counts is how often each promise was broken.
func (r *Result) counts() map[string]int {
	all := map[string]int{}
	for _, v := range r.Violations {
		all[string(v.What)]++
	}
	for promise, n := range r.History.ByPromise {
		all[string(promise)] += n
	}
	return all
}
