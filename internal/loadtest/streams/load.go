package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parkinglot/parkinglot/api/client"
	"github.com/parkinglot/parkinglot/internal/domain"
)

const (
	poolID = "streams"
	tenant = "acme"
)

// load makes outcomes, and the streams that read them.
type load struct {
	options

	api *client.Client
	// streams has connections that are not kept: each stream is one.
	streams *client.Client
}

func newLoad(url string, o options) *load {
	const keep = 64
	connect := func(t *http.Transport) *client.Client {
		api, err := client.NewClient(url, client.WithHTTPClient(&http.Client{Transport: t}))
		if err != nil {
			panic(err) // no option fails
		}
		return api
	}
	return &load{
		options: o,
		api:     connect(&http.Transport{MaxIdleConnsPerHost: keep}),
		streams: connect(&http.Transport{DisableKeepAlives: true, ReadBufferSize: 4 << 10}),
	}
}

func user(i int) string { return fmt.Sprintf("u%05d", i) }

// warm has every statement prepared, so that what comes later is the streams' alone.
func (l *load) warm(ctx context.Context) error {
	const tasks = 200
	for i := range tasks {
		if err := l.submit(ctx, domain.TaskID(fmt.Sprint("warm-", i)), "nobody"); err != nil {
			return err
		}
	}
	const settle = time.Second
	time.Sleep(settle)
	_, err := client.Read[client.MailboxPage](l.api.ReadMailbox(ctx, tenant, "nobody", nil)) //nolint:bodyclose // Read closes it
	return err
}

func (l *load) submit(ctx context.Context, id domain.TaskID, userID string) error {
	_, err := client.Read[json.RawMessage](l.api.SubmitTask(ctx, poolID, client.TaskSubmission{ //nolint:bodyclose // Read closes it
		TaskID: string(id), ResourceCost: client.ResourceCost{Kind: "cpu", Units: 1}, Payload: json.RawMessage(`{"durationMs": 5}`),
		MailboxKey: &client.MailboxKey{Tenant: tenant, UserID: userID},
	}))
	return err
}

// outcome is where and when a message belongs.
type outcome struct{ stream int }

// outcomes submits tasks at the rate, spread over the mailboxes, while streams are cut
// now and then, and returns those that were accepted.
func (l *load) outcomes(ctx context.Context, all *readers) (map[domain.TaskID]outcome, error) {
	made := make(map[domain.TaskID]outcome)
	var mu sync.Mutex
	var failed atomic.Pointer[error]
	var work sync.WaitGroup
	begun := time.Now()
	total := int(l.span.Seconds() * float64(l.rate))
	ids := make(chan int, total)
	const submitters = 32
	for range submitters {
		work.Go(func() {
			for n := range ids {
				id, stream := domain.TaskID(fmt.Sprintf("t-%06d", n)), n%l.options.streams
				if err := l.submit(ctx, id, user(stream)); err != nil {
					failed.CompareAndSwap(nil, &err)
					continue
				}
				mu.Lock()
				made[id] = outcome{stream: stream}
				mu.Unlock()
			}
		})
	}
	cuts := 0
	for n := range total {
		due := begun.Add(time.Duration(n) * time.Second / time.Duration(l.rate))
		time.Sleep(time.Until(due))
		ids <- n
		if want := int(time.Since(begun).Seconds() * float64(l.reconnect)); cuts < want {
			cuts++
			all.cut(rand.IntN(l.options.streams))
		}
		if ctx.Err() != nil {
			break
		}
	}
	close(ids)
	work.Wait()
	if err := failed.Load(); err != nil {
		return nil, fmt.Errorf("submit: %w", *err)
	}
	return made, ctx.Err()
}
