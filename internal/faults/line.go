package faults

import (
	"context"
	"fmt"
	"time"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/faults/linear"
	"github.com/parkinglot/parkinglot/internal/history"
)

// lineShape is the pool of the linearizability check.
var lineShape = linear.Pool{Units: 3, Depth: 5}

// Rounds is what became of the linearizability check.
type Rounds struct {
	Right   int `json:"right"`
	Unclear int `json:"unclear"`
	Wrong   int `json:"wrong"`

	seen []*linear.Round
	cut  []string // rounds that did not end
}

// line observes rounds on a pool of its own, one after the other, while all else goes on.
type line struct {
	cancel context.CancelFunc
	done   chan Rounds
}

// between is the pause between two rounds: they are a probe, not the load.
const between = 300 * time.Millisecond

func startLine(ctx context.Context, w *world, o Options) *line {
	stop, cancel := context.WithCancel(ctx)
	l := &line{cancel: cancel, done: make(chan Rounds, 1)}
	apis := make([]*client.Client, 0, len(w.servers))
	for _, url := range w.addresses() {
		api, err := client.NewClient(url)
		if err != nil {
			panic(err) // the URLs are our own
		}
		apis = append(apis, api)
	}
	begin := time.Now()
	go func() {
		var rounds Rounds
		for n := uint64(0); stop.Err() == nil; n++ {
			// The last one is seen to its end, when all is mended.
			limited, cancel := context.WithDeadline(ctx, begin.Add(o.Duration+2*o.Patience))
			round, err := linear.Observe(limited, linear.Burst{
				Pool: poolLine, Name: fmt.Sprintf("line-%d", n), Clients: 4, Each: 3, Units: lineShape.Units, APIs: apis, Seed: o.Seed + n,
			})
			cancel()
			if err != nil {
				rounds.cut = append(rounds.cut, err.Error())
				break
			}
			rounds.seen = append(rounds.seen, round)
			select {
			case <-time.After(between):
			case <-stop.Done():
			}
		}
		l.done <- rounds
	}()
	return l
}

func (l *line) stop() Rounds {
	l.cancel()
	return <-l.done
}

// judgeRounds looks for an order that explains each round.
func (r *Result) judgeRounds(records []history.Record) {
	const enough = 10 * time.Second
	r.addAll(r.in(poolLine, Drained), r.Rounds.cut)
	for _, round := range r.Rounds.seen {
		verdict, text := round.Check(lineShape, records, enough)
		switch verdict {
		case linear.Right:
			r.Rounds.Right++
		case linear.Unclear:
			r.Rounds.Unclear++
		case linear.Wrong:
			r.Rounds.Wrong++
			r.addf(Linear, "round of task %s: %s", round.Tasks[0].ID, text)
		}
	}
}
