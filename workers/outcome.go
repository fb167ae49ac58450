package workers

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// The causes that end an executor's context; see context.Cause.
var (
	// ErrTimeout: the attempt ran past its own timeout. It becomes expired, finally.
	ErrTimeout = errors.New("the attempt ran past its timeout")
	// ErrCancelled: somebody cancelled the task. It becomes failed, finally.
	ErrCancelled = errors.New("the task was cancelled")
	// ErrHandBack: the process stops and gives the attempt back; another process may
	// run it again.
	ErrHandBack = errors.New("the process gives the attempt back")
	// ErrLost: the process has lost its hold on the task, which may already be running
	// elsewhere. Stop at once: nothing holds units for this work any more.
	ErrLost = errors.New("the process has lost its hold on the task")
)

// Verdict is how the run of one attempt ended.
type Verdict string

// The verdicts.
const (
	Completed Verdict = "completed"
	Failed    Verdict = "failed"
	TimedOut  Verdict = "timed_out"
	Cancelled Verdict = "cancelled"
	HandBack  Verdict = "hand_back"
	Lost      Verdict = "lost"
)

// The codes of an Outcome that did not complete.
const (
	CodeFailed         = "executor_failed"
	CodePanicked       = "executor_panicked"
	CodeUnknown        = "executor_unknown" // nobody registered the executor here
	CodeTimeout        = "timeout"
	CodeCancelled      = "cancelled"
	CodeHandBack       = "hand_back"
	CodeLost           = "worker_lost"
	CodeResultTooLarge = "result_too_large"
	CodeResultInvalid  = "result_invalid"
)

// Outcome is what Run says about one attempt.
type Outcome struct {
	Verdict   Verdict
	Result    json.RawMessage // of a completed attempt; nil: none
	Code      string          // of one that did not complete
	Message   string          // the same for people: valid UTF-8 without NUL, at most MaxMessage bytes
	Retryable bool            // failed, and another attempt may do better
	Leaked    bool            // the executor had not returned when the outcome was decided
}

// MaxMessage bounds Outcome.Message, in bytes.
const MaxMessage = 2000

// failure is an error that knows how it fails an attempt.
type failure struct {
	err       error
	code      string
	retryable bool
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// Permanent makes of err a failure that must not be retried. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &failure{err: err, code: CodeFailed}
}

// failed makes the outcome of an executor's error.
func failed(err error) *Outcome {
	out := &Outcome{Verdict: Failed, Code: CodeFailed, Message: clean(err.Error()), Retryable: true}
	if f, ok := errors.AsType[*failure](err); ok {
		out.Code, out.Retryable = f.code, f.retryable
	}
	return out
}

func panicked(message string) *Outcome {
	return &Outcome{Verdict: Failed, Code: CodePanicked, Message: clean(message)}
}

func tooLarge(what string, limit int) *failure {
	return &failure{code: CodeResultTooLarge, err: fmt.Errorf("%s is larger than %d bytes", what, limit)}
}

// clean makes text that every backend stores: valid UTF-8, no NUL, bounded.
func clean(text string) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
	if len(text) <= MaxMessage {
		return text
	}
	cut := MaxMessage - len("…")
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

// checkResult returns a result as it is kept, or the outcome that refuses it.
func checkResult(result json.RawMessage, limit int) (json.RawMessage, *failure) {
	switch {
	case len(result) == 0:
		return nil, nil
	case len(result) > limit:
		return nil, tooLarge("the result", limit)
	case !json.Valid(result) || !utf8.Valid(result):
		return nil, &failure{code: CodeResultInvalid, err: errors.New("the result is not valid JSON in UTF-8")}
	case hasNUL(result):
		return nil, &failure{code: CodeResultInvalid, err: errors.New(`the result has a NUL character (\u0000), which no backend stores`)}
	}
	return result, nil
}

// hasNUL reports whether a string of the valid JSON document holds U+0000, which
// can only be there as an escape.
func hasNUL(document []byte) bool {
	for i := 0; i < len(document); i++ {
		if document[i] != '\\' {
			continue
		}
		if i+6 <= len(document) && string(document[i:i+6]) == `\u0000` {
			return true
		}
		i++ // what is escaped cannot begin an escape
	}
	return false
}
