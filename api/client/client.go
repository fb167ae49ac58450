package client //nolint:revive // client.gen.go has the package comment

// The package is a typed Go client of Parking Lot's HTTP API. client.gen.go, which
// has the package comment, is generated from api/openapi.yaml; this file adds what a document
// cannot say: an error type for problems, and the address of a mailbox. A
// ClientWithResponses is safe for concurrent use. It does not retry by itself:
// submitting the same task again is safe, so callers may.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Error is what the server refused, and why.
type Error struct {
	Problem ProblemDetails
	// RetryAfter is the server's advice; 0: none.
	RetryAfter time.Duration
}

// Error implements error: the sentence, and every fault with its location.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s)", e.Problem.Detail, e.Problem.Code)
	for _, f := range e.Problem.Errors {
		fmt.Fprintf(&b, "\n  %s: %s", f.Location, f.Message)
	}
	return b.String()
}

// Check returns the *Error of an answer that is none of 2xx, nil otherwise. An
// answer that is no problem, from a proxy say, gets the code "http".
func Check(res *http.Response, body []byte) error {
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return nil
	}
	e := &Error{}
	if json.Unmarshal(body, &e.Problem) != nil || e.Problem.Code == "" {
		e.Problem = ProblemDetails{
			Code: "http", Status: int64(res.StatusCode), Title: res.Status,
			Detail: fmt.Sprintf("The server answered %s without saying why.", res.Status),
		}
	}
	e.Problem.Status = int64(res.StatusCode)
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return e
}

// NotFound reports that the server answered that there is no such thing, or, one that is
// older than this client, no such operation.
func NotFound(err error) bool {
	var refused *Error
	return errors.As(err, &refused) && refused.Problem.Status == http.StatusNotFound
}

// UserMailbox is the key of a user's mailbox; with a session, of that session's
// alone. Give it to ReadMailbox, FollowMailbox or AcknowledgeMailbox together with Address.
func UserMailbox(userID, sessionID string) string {
	key := escape(userID)
	if key == "_" {
		key = "%5F"
	}
	if sessionID != "" {
		key += ":" + escape(sessionID)
	}
	return key
}

// escape percent-encodes a part of a mailbox key, colons included.
func escape(part string) string {
	return strings.ReplaceAll(url.PathEscape(part), ":", "%3A")
}

// TenantMailbox is the key of everything a tenant's mailbox holds.
const TenantMailbox = "_"

// Address puts a mailbox key into the request as it is: its parts are already
// percent-encoded, which generated code would do once more.
func Address(tenant, key string) RequestEditorFn {
	return func(_ context.Context, req *http.Request) error {
		var base, tail string
		ok := false
		for _, tail = range []string{"", "/events", "/ack"} {
			if base, ok = strings.CutSuffix(req.URL.EscapedPath(), "/mailbox/"+url.PathEscape(tenant)+"/"+url.PathEscape(key)+tail); ok {
				break
			}
		}
		if !ok {
			return fmt.Errorf("the request is not for mailbox %q of tenant %q", key, tenant)
		}
		raw := base + "/mailbox/" + url.PathEscape(tenant) + "/" + key + tail
		path, err := url.PathUnescape(raw)
		if err != nil {
			return fmt.Errorf("mailbox key %q: %w", key, err)
		}
		req.URL.Path, req.URL.RawPath = path, raw
		return nil
	}
}

// Read reads the answer of a Client's method: the decoded body, or the error, an
// *Error when the server refused. It closes the body.
func Read[T any](res *http.Response, err error) (T, error) {
	var value T
	if err != nil {
		return value, err
	}
	defer func() { _ = res.Body.Close() }() // all of it was read, or the error below says why not
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return value, fmt.Errorf("read the answer of %s: %w", res.Request.URL, err)
	}
	if err := Check(res, body); err != nil {
		return value, err
	}
	if err := json.Unmarshal(body, &value); err != nil {
		return value, fmt.Errorf("the answer of %s is not what was expected: %w", res.Request.URL, err)
	}
	return value, nil
}
