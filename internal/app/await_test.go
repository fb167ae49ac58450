package app

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAwait(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		wait    time.Duration
		readyAt time.Duration // since the start; -1: never
		signals time.Duration // between signals; 0: none
		stopAt  time.Duration // 0: never
		err     error
		took    time.Duration
		most    int // looks
	}{
		"done at once":            {wait: time.Minute, readyAt: 0, took: 0, most: 1},
		"no wait":                 {wait: 0, readyAt: -1, took: 0, most: 1},
		"an error is told":        {wait: time.Minute, readyAt: -1, err: errors.New("no such task"), took: 0, most: 1},
		"time is over":            {wait: time.Minute, readyAt: -1, took: time.Minute, most: 2},
		"signal":                  {wait: time.Minute, readyAt: time.Second, signals: time.Second, took: time.Second + restFirst, most: 2},
		"a storm costs few looks": {wait: 10 * time.Second, readyAt: -1, signals: time.Millisecond, took: 10 * time.Second, most: 60},
		"the process stops":       {wait: time.Minute, readyAt: -1, stopAt: time.Second, took: time.Second, most: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				stop := make(chan struct{})
				if test.stopAt > 0 {
					time.AfterFunc(test.stopAt, func() { close(stop) })
				}
				signal := make(chan struct{}, 1)
				if test.signals > 0 {
					go func() {
						for {
							select {
							case <-ctx.Done():
								return
							case <-time.After(test.signals):
							}
							select {
							case signal <- struct{}{}:
							default:
							}
						}
					}()
				}
				looks := 0
				err := await(ctx, test.wait, signal, stop, func(context.Context) (bool, error) {
					looks++
					return test.readyAt >= 0 && time.Since(start) >= test.readyAt, test.err
				})
				require.ErrorIs(t, err, test.err)
				require.Equal(t, test.took, time.Since(start))
				require.LessOrEqual(t, looks, test.most)
			})
		})
	}
}
