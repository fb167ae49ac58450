package host_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/parkinglot/parkinglot/workers"
	"github.com/parkinglot/parkinglot/workers/host"
)

// The configuration of a pool that lives in memory; its tasks may choose whatever
// executor the program registers.
const garage = `
pools:
  - pool_id: texts
    name: Two texts at a time
    max_units: 2
    queue_backend: memory
    mailbox_backend: memory
    runtime_adapter: native
`

// countLetters is the program's own executor.
func countLetters(_ context.Context, task workers.Task) (json.RawMessage, error) {
	var payload struct {
		Text string `json:"text"`
	}
	if err := json.Unmarshal(task.Payload, &payload); err != nil {
		return nil, workers.Permanent(fmt.Errorf("no text to count: %w", err))
	}
	return json.Marshal(map[string]int{"letters": len(payload.Text)})
}

// A program of your own, with an executor of your own: it serves the API, a client
// submits a task and goes away, and the outcome is in the client's mailbox.
func Example() {
	folder, err := os.MkdirTemp("", "texts")
	check(err)
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "scheduler-config.yaml")
	check(os.WriteFile(file, []byte(garage), 0o600))

	registry := workers.NewRegistry()
	check(registry.Register("count-letters", workers.ExecutorFunc(countLetters)))

	// In main, this is all there is: SIGTERM lets running tasks end, then Serve returns.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	ready, ended := make(chan host.Running, 1), make(chan error, 1)
	go func() {
		ended <- host.Serve(ctx, host.Options{
			ConfigFile: file,
			Registry:   registry,
			Listen:     "127.0.0.1:0",
			Log:        slog.New(slog.DiscardHandler),
			Ready:      func(running host.Running) { ready <- running },
		})
	}()

	select {
	case running := <-ready:
		client(running.URL)
	case err := <-ended:
		check(err)
	}
	stop()
	check(<-ended)
	fmt.Println("stopped")
	// Output:
	// running
	// completed {"letters":7}
	// stopped
}

// client is anybody who speaks HTTP.
func client(url string) {
	var task struct{ Status string }
	call(http.MethodPost, url+"/pools/texts/tasks", `{"taskId": "t-1", "executor": "count-letters",
		"resourceCost": {"kind": "cpu", "units": 1}, "mailboxKey": {"tenant": "acme", "userId": "ada"},
		"payload": {"text": "parking"}}`, &task)
	fmt.Println(task.Status)

	var mailbox struct {
		Messages []struct {
			Status  string
			Payload json.RawMessage
		}
	}
	call(http.MethodGet, url+"/mailbox/acme/ada?wait=10s", "", &mailbox)
	for _, m := range mailbox.Messages {
		fmt.Println(m.Status, string(m.Payload))
	}
}

func call(method, url, body string, answer any) {
	request, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
	check(err)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	check(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	check(err)
	if err := json.Unmarshal(text, answer); err != nil || response.StatusCode >= http.StatusBadRequest {
		panic(fmt.Sprintf("%s %s: %s: %s", method, url, response.Status, text))
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
