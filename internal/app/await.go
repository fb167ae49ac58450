package app

import (
	"context"
	"time"
)

// Between two looks that found nothing a waiter rests for a moment, longer each
// time, so that a thousand waiters on a busy pool cost a bounded number of reads.
const (
	restFirst = 2 * time.Millisecond
	restMost  = 250 * time.Millisecond
)

// await calls look until it is done, wait is over, the process stops or ctx ends;
// between looks it sleeps until signal fires. The caller registers for the signal
// before, so that nothing falls between a look and the sleep.
func await(ctx context.Context, wait time.Duration, signal, stop <-chan struct{}, look func(context.Context) (done bool, err error)) error {
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	for rest := restFirst; ; rest = min(2*rest, restMost) {
		done, err := look(ctx)
		if done || err != nil || wait <= 0 {
			return err
		}
		select {
		case <-signal:
		case <-deadline.C:
			return nil
		case <-stop:
			return nil
		case <-ctx.Done():
			return nil // nobody is there to be told
		}
		pause := time.NewTimer(rest)
		select {
		case <-pause.C:
		case <-deadline.C:
			pause.Stop()
			_, err := look(ctx)
			return err
		case <-ctx.Done():
			pause.Stop()
			return nil
		}
	}
}
