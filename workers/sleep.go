package workers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Sleep returns an executor for trials. Its payload is
// {"durationMs": n, "fail"?: "message"}, n from 0 to a year; it sleeps so long,
// then completes with {"sleptMs": n} or fails, retryably, with the message.
// Another payload fails permanently.
func Sleep() Executor { return ExecutorFunc(sleep) }

const maxSleep = 365 * 24 * time.Hour

func sleep(ctx context.Context, task Task) (json.RawMessage, error) {
	var payload struct {
		DurationMS *int64 `json:"durationMs"`
		Fail       string `json:"fail"`
	}
	decoder := json.NewDecoder(bytes.NewReader(task.Payload))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&payload)
	switch {
	case errors.Is(err, io.EOF):
		err = errors.New("there is none")
	case err == nil && payload.DurationMS == nil:
		err = errors.New("durationMs is missing")
	case err == nil && (*payload.DurationMS < 0 || *payload.DurationMS > maxSleep.Milliseconds()):
		err = fmt.Errorf("durationMs must be from 0 to %d", maxSleep.Milliseconds())
	}
	if err != nil {
		return nil, Permanent(fmt.Errorf(`sleep needs the payload {"durationMs": n, "fail"?: "message"}: %w`, err))
	}
	timer := time.NewTimer(time.Duration(*payload.DurationMS) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-timer.C:
	}
	if payload.Fail != "" {
		return nil, errors.New(payload.Fail)
	}
	return fmt.Appendf(nil, `{"sleptMs":%d}`, *payload.DurationMS), nil
}
