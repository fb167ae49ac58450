package workers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/parkinglot/parkinglot/workers"
)

// An executor of a program's own: it counts the letters of a text.
func Example() {
	count := func(_ context.Context, task workers.Task) (json.RawMessage, error) {
		var payload struct {
			Text string `json:"text"`
		}
		if err := json.Unmarshal(task.Payload, &payload); err != nil {
			return nil, workers.Permanent(fmt.Errorf("the payload is not for me: %w", err)) // trying again would not help
		}
		if payload.Text == "" {
			return nil, errors.New("nothing to count yet") // another attempt may do better
		}
		return json.Marshal(map[string]int{"letters": len(payload.Text)})
	}

	registry := workers.NewRegistry()
	if err := registry.Register("count", workers.ExecutorFunc(count)); err != nil {
		fmt.Println(err)
		return
	}

	// What every runtime does with a task that names the executor "count".
	executor, _ := registry.Lookup("texts", "count")
	for _, payload := range []string{`{"text": "parking"}`, `{}`, `[]`} {
		out := workers.Run(context.Background(), executor, workers.Task{Payload: json.RawMessage(payload)}, workers.Limits{})
		fmt.Println(out.Verdict, string(out.Result), out.Retryable)
	}
	// Output:
	// completed {"letters":7} false
	// failed  true
	// failed  false
}

// A long task looks at its context: it ends at the timeout, when somebody cancels
// the task, and when the process stops.
func ExampleExecutor_context() {
	work := workers.ExecutorFunc(func(ctx context.Context, _ workers.Task) (json.RawMessage, error) {
		for step := 0; ; step++ {
			select {
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			default: // one more step of the work
			}
		}
	})
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(workers.ErrCancelled)
	out := workers.Run(ctx, work, workers.Task{}, workers.Limits{})
	fmt.Println(out.Verdict, "–", out.Message)
	// Output: cancelled – cancelled while running
}

// Different pools may offer different executors under the same name.
func ExampleRegistry_RegisterFor() {
	registry := workers.NewRegistry()
	for _, err := range []error{
		registry.Register("default", workers.Sleep()),
		registry.RegisterFor("llm", "default", workers.HTTP(workers.HTTPConfig{URL: "http://127.0.0.1:8000/v1/completions"})),
		registry.RegisterFor("solver", "default", workers.Command(workers.CommandConfig{Argv: []string{"/usr/bin/solve", "--json"}})),
	} {
		if err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(registry.Names("solver"))
	// Output: [default]
}
