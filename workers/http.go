package workers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// HTTPConfig configures HTTP.
type HTTPConfig struct {
	URL     string            // absolute, http or https
	Method  string            // empty: POST
	Headers map[string]string // sent with every request; may replace Content-Type and Accept
	MaxBody int               // bytes of a response that are read; 0: DefaultMaxResult
	Client  *http.Client      // nil: one with many connections a host, which does not follow redirects
}

// Headers that HTTP sets, besides Idempotency-Key (pool, job and attempt),
// Content-Type and Accept.
const (
	HeaderPool    = "Parkinglot-Pool"
	HeaderTask    = "Parkinglot-Task"
	HeaderTenant  = "Parkinglot-Tenant" // percent-encoded
	HeaderAttempt = "Parkinglot-Attempt"
)

// HTTP returns an executor that sends the task's payload to a configured URL and
// takes the response body as the result; a body that is not JSON becomes a JSON
// string, an empty one no result.
//
// A 2xx status completes. 5xx, 408, 425 and 429, timeouts of the connection and
// broken connections fail retryably. Everything else fails permanently: another
// 4xx, a redirect (following it would send the payload where nobody configured),
// a response over MaxBody. An attempt that ends early closes the connection; what
// the server does then is its own affair, so a task's physical work can outlive
// its attempt here.
func HTTP(config HTTPConfig) Executor {
	e := &httpExecutor{config: config}
	if e.config.Method == "" {
		e.config.Method = http.MethodPost
	}
	if e.config.MaxBody <= 0 {
		e.config.MaxBody = DefaultMaxResult
	}
	if e.config.Client == nil {
		e.config.Client = newClient()
	}
	return e
}

// Validate returns what is wrong with the configuration; nil: nothing.
func (c HTTPConfig) Validate() error {
	var faults []error
	u, err := url.Parse(c.URL)
	switch {
	case c.URL == "":
		faults = append(faults, errors.New("url is missing"))
	case err != nil:
		faults = append(faults, fmt.Errorf("url: %w", err))
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		faults = append(faults, fmt.Errorf("url %q must be absolute and begin with http:// or https://", c.URL))
	}
	if _, err := http.NewRequest(c.Method, "http://localhost", nil); err != nil { //nolint:noctx // only checks the method
		faults = append(faults, fmt.Errorf("method %q is not an HTTP method", c.Method))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		if strings.ContainsAny(name, " \t\r\n:\x00") || name == "" {
			faults = append(faults, fmt.Errorf("header name %q is not valid", name))
		}
		if strings.ContainsAny(c.Headers[name], "\r\n\x00") {
			faults = append(faults, fmt.Errorf("header %q has a line break in its value", name))
		}
	}
	return errors.Join(faults...)
}

// newClient returns a client of its own for one executor. It has no timeout: the
// attempt has one.
func newClient() *http.Client {
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 256,
		IdleConnTimeout:     90 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second,
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type httpExecutor struct{ config HTTPConfig }

// Execute implements Executor.
func (e *httpExecutor) Execute(ctx context.Context, task Task) (json.RawMessage, error) {
	request, err := e.request(ctx, task)
	if err != nil {
		return nil, Permanent(fmt.Errorf("the request cannot be made, check the executor's configuration: %w", err))
	}
	response, err := e.config.Client.Do(request)
	if err != nil {
		if attempt, ok := errors.AsType[*url.Error](err); ok {
			err = attempt.Err // without the URL, which is not the tenant's business
		}
		return nil, fmt.Errorf("no answer: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, int64(e.config.MaxBody)+1))
	if err != nil {
		return nil, fmt.Errorf("the answer %s broke off: %w", response.Status, err)
	}
	if err := refusal(response, body); err != nil {
		return nil, err
	}
	if len(body) > e.config.MaxBody {
		return nil, tooLarge("the response", e.config.MaxBody)
	}
	return asResult(body)
}

func (e *httpExecutor) request(ctx context.Context, task Task) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, e.config.Method, e.config.URL, bytes.NewReader(task.Payload))
	if err != nil {
		return nil, err
	}
	attempt := strconv.Itoa(task.Attempt)
	header := request.Header
	header.Set("Content-Type", "application/json")
	header.Set("Accept", "application/json, */*;q=0.5")
	for name, value := range e.config.Headers {
		if http.CanonicalHeaderKey(name) == "Host" {
			request.Host = value
			continue
		}
		header.Set(name, value)
	}
	header.Set("Idempotency-Key", task.PoolID+"/"+strconv.FormatInt(task.JobID, 10)+"/"+attempt)
	header.Set(HeaderPool, task.PoolID)
	header.Set(HeaderTask, task.TaskID)
	header.Set(HeaderTenant, url.PathEscape(task.Tenant))
	header.Set(HeaderAttempt, attempt)
	return request, nil
}

// refusal returns how a response fails the attempt; nil: it does not.
func refusal(response *http.Response, body []byte) error {
	status := response.StatusCode
	if status >= 200 && status < 300 {
		return nil
	}
	const shown = 300
	err := fmt.Errorf("the server answered %s", response.Status)
	if location := response.Header.Get("Location"); status < 400 && location != "" {
		err = fmt.Errorf("%w (to %q; redirects are not followed)", err, location)
	} else if text := bytes.TrimSpace(body[:min(len(body), shown)]); len(text) > 0 {
		err = fmt.Errorf("%w: %s", err, text)
	}
	switch {
	case status >= 500, status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests:
		return err
	}
	return Permanent(err)
}

// asResult returns a response body as JSON.
func asResult(body []byte) (json.RawMessage, error) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return nil, nil
	}
	if json.Valid(body) && utf8.Valid(body) {
		return body, nil
	}
	text, err := json.Marshal(strings.ToValidUTF8(string(body), "\uFFFD"))
	if err != nil {
		return nil, Permanent(fmt.Errorf("the response is no text: %w", err))
	}
	return text, nil
}
