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
	payload, err := readSleep(task.Payload)
	if err != nil {
		return nil, Permanent(fmt.Errorf(`sleep needs the payload {"durationMs": n, "fail"?: "message"}: %w`, err))
	}
	if *payload.DurationMS > 0 { // a timer of nothing still lets others go first
		timer := time.NewTimer(time.Duration(*payload.DurationMS) * time.Millisecond)
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if payload.Fail != "" {
		return nil, errors.New(payload.Fail)
	}
	return fmt.Appendf(nil, `{"sleptMs":%d}`, *payload.DurationMS), nil
}

type sleepPayload struct {
	DurationMS *int64 `json:"durationMs"`
	Fail       string `json:"fail"`
}

// readSleep reads a payload. What measures the program sends nothing but a duration, by
// the thousand a second; reading that by reflection would cost more than the sleep.
func readSleep(raw []byte) (payload sleepPayload, err error) {
	if ms, ok := plainSleep(raw); ok {
		payload.DurationMS = &ms
	} else {
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.DisallowUnknownFields()
		err = decoder.Decode(&payload)
	}
	switch {
	case errors.Is(err, io.EOF):
		err = errors.New("there is none")
	case err == nil && payload.DurationMS == nil:
		err = errors.New("durationMs is missing")
	case err == nil && (*payload.DurationMS < 0 || *payload.DurationMS > maxSleep.Milliseconds()):
		err = fmt.Errorf("durationMs must be from 0 to %d", maxSleep.Milliseconds())
	}
	return payload, err
}

// plainSleep reads {"durationMs":n} where it is spelled just so.
func plainSleep(raw []byte) (ms int64, ok bool) {
	const before, after, most = `{"durationMs":`, `}`, 15 // digits
	digits, ok := bytes.CutPrefix(raw, []byte(before))
	if !ok {
		return 0, false
	}
	digits, ok = bytes.CutSuffix(digits, []byte(after))
	if !ok || len(digits) == 0 || len(digits) > most || digits[0] == '0' && len(digits) > 1 {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		ms = 10*ms + int64(c-'0')
	}
	return ms, true
}
