package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/plan"
	"github.com/parkinglot/parkinglot/workers"
)

// measureSteady measures lifecycles with a queue of constant length: whenever a
// task ends, a submitter brings another one, which goes to the end of the queue.
func measureSteady(ctx context.Context, b *bench, c *Case) (m Metrics, err error) {
	schema, done, err := b.home(ctx, c)
	if err != nil {
		return nil, err
	}
	s := &steady{tokens: make(chan struct{}, c.Slots+max(c.Submitters, c.Tasks)), ending: make(chan struct{})}
	l, err := b.local(ctx, c, schema, s.run)
	if err != nil {
		return nil, err
	}
	m, err = s.measure(ctx, b, c, l)
	if err = errors.Join(err, l.close(), done()); err != nil {
		return nil, err
	}
	return m, nil
}

type steady struct {
	runs   atomic.Int64
	ending chan struct{} // closed when no more tasks are wanted
	tokens chan struct{} // each lets one task be submitted
}

// run is the executor.
func (s *steady) run(context.Context, workers.Task) (json.RawMessage, error) {
	s.runs.Add(1)
	s.bring(1)
	return nil, nil
}

// bring asks for n more tasks. Nobody takes tokens once the end has begun, so an
// executor must not wait to hand one over then.
func (s *steady) bring(n int) {
	for range n {
		select {
		case s.tokens <- struct{}{}:
		case <-s.ending:
			return
		}
	}
}

func (s *steady) ended() bool {
	select {
	case <-s.ending:
		return true
	default:
		return false
	}
}

func (s *steady) measure(ctx context.Context, b *bench, c *Case, l *localRun) (Metrics, error) {
	before, err := l.totals(ctx)
	if err != nil {
		return nil, err
	}
	submitting, stop := context.WithCancel(ctx)
	defer stop()
	refused := make(chan error, c.Submitters)
	var submitters sync.WaitGroup
	var next atomic.Int64
	for range c.Submitters {
		submitters.Go(func() {
			for {
				select {
				case <-s.tokens:
				case <-submitting.Done():
					return
				}
				if err := l.submit(ctx, c, int(next.Add(1))); err != nil && !s.ended() {
					refused <- err
					return
				}
			}
		})
	}
	state := domain.PoolActive
	if _, err := l.Service.ChangePool(ctx, poolID(0), plan.PoolChange{State: &state, Actor: "bench"}); err != nil {
		return nil, fmt.Errorf("enable the pool: %w", err)
	}
	s.bring(max(c.Queued+c.Slots-int(before.Queued), 0)) // as long as it was made, with all units in use
	m, err := s.meter(ctx, b, c, refused)
	close(s.ending)
	stop()
	submitters.Wait() // a pool that is disabled would refuse what they are about to submit
	if wound := l.wind(ctx); err == nil {
		err = wound
	}
	if err != nil {
		return nil, err
	}
	after, err := l.totals(ctx)
	if err != nil {
		return nil, err
	}
	if outcomes, runs := after.MessageSeq-before.MessageSeq, s.runs.Load(); outcomes != runs {
		return nil, fmt.Errorf("%d outcomes of %d runs", outcomes, runs)
	}
	if low := int64(c.Queued) - 10*int64(c.Slots); after.Queued < low {
		return nil, fmt.Errorf("only %d tasks are queued at the end: the queue did not keep its length", after.Queued)
	}
	return m, nil
}

// meter waits for the lifecycles, after a few that are not measured.
func (s *steady) meter(ctx context.Context, b *bench, c *Case, refused <-chan error) (Metrics, error) {
	until := func(runs int64) error {
		return eventually(ctx, time.Millisecond, func() (bool, error) {
			select {
			case err := <-refused:
				return false, fmt.Errorf("submit: %w", err)
			default:
				return s.runs.Load() >= runs, nil
			}
		})
	}
	if err := until(int64(warmUp + c.Slots)); err != nil {
		return nil, err
	}
	from, err := b.meter.read(ctx)
	if err != nil {
		return nil, err
	}
	begun := s.runs.Load()
	if err := until(begun + int64(c.Tasks)); err != nil {
		return nil, err
	}
	to, err := b.meter.read(ctx)
	if err != nil {
		return nil, err
	}
	return costs(from, to, int(s.runs.Load()-begun)), nil
}
