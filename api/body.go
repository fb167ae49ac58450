package api

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/parkinglot/parkinglot/internal/domain"
)

const (
	bodyTimeout = 30 * time.Second // to send a body
	drainBytes  = 8 << 20          // read past the limit, so that the sender gets to see the answer
)

// readBody reads a body of at most limit bytes that has to be JSON. Huma's own
// reading is not used: it leaves a read deadline behind, which ends the request's
// context while a handler waits, and lends a buffer that is used again afterwards.
func readBody(ctx huma.Context, limit int64) ([]byte, *domain.Error) {
	r, w := humago.Unwrap(ctx)
	return bodyOf(w, r, limit)
}

// bodyOf is readBody for those that do without Huma.
func bodyOf(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, *domain.Error) {
	if kind := r.Header.Get("Content-Type"); !isJSON(kind) {
		return nil, domain.Errorf(domain.CodeUnsupported, "The content type %q is not taken: send %s.", kind, mediaJSON)
	}
	// Writers that know no deadline (tests) have nobody slow behind them.
	_ = huma.SetReadDeadline(w, time.Now().Add(bodyTimeout))
	defer func() { _ = huma.SetReadDeadline(w, time.Time{}) }()

	var reader io.Reader = strings.NewReader("")
	if r.Body != nil {
		reader = r.Body
	}
	raw, err := readAll(io.LimitReader(reader, limit+1), r.ContentLength)
	if int64(len(raw)) > limit {
		_, _ = io.CopyN(io.Discard, reader, drainBytes)
		return nil, domain.Errorf(domain.CodeTooLarge, "The body has more than the %d bytes that are taken here.", limit)
	}
	if err != nil {
		if network, ok := errors.AsType[net.Error](err); ok && network.Timeout() {
			return nil, domain.Errorf(codeRequestTimeout, "The body did not arrive within %s.", bodyTimeout)
		}
		return nil, domain.Errorf(domain.CodeMalformed, "The body ended early: %v.", err)
	}
	if malformed := checkJSON(raw); malformed != nil {
		return nil, malformed
	}
	return raw, nil
}

// readAll is io.ReadAll for a length that was announced, -1: none was. What comes is not
// believed to be as long as that before it is there.
func readAll(from io.Reader, announced int64) ([]byte, error) {
	const believed = 64 << 10
	if announced < 0 || announced > believed {
		return io.ReadAll(from) //nolint:wrapcheck // worded by the caller
	}
	raw := make([]byte, 0, announced+1) // the end is found in what is left over
	for {
		n, err := from.Read(raw[len(raw):cap(raw)])
		raw = raw[:len(raw)+n]
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return raw, err //nolint:wrapcheck // worded by the caller
		}
		if len(raw) == cap(raw) {
			raw = append(raw, 0)[:len(raw)]
		}
	}
}

// isJSON accepts application/json and kinds made of it. No content type at all is
// taken as JSON.
func isJSON(contentType string) bool {
	if contentType == "" || contentType == mediaJSON {
		return true
	}
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	charset := params["charset"]
	return (kind == mediaJSON || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")) &&
		(charset == "" || strings.EqualFold(charset, "utf-8"))
}

// small reads and decodes a body without a payload. It returns what Huma is to
// collect from a resolver.
func small(ctx huma.Context, d *decoder, fields ...field) []error {
	raw, err := readBody(ctx, maxSmallBody)
	if err != nil {
		return []error{err}
	}
	_, d.faults = canonicalise(raw, "body")
	d.object("body", raw, fields...)
	return d.errors()
}

// documentBody says in the document what the body of an operation is. It is called
// after registration, so that Huma does not read the body itself.
func documentBody[T any](api huma.API, op huma.Operation, example string) {
	item := api.OpenAPI().Paths[op.Path]
	for _, registered := range []*huma.Operation{item.Post, item.Patch, item.Put} {
		if registered == nil || registered.OperationID != op.OperationID {
			continue
		}
		registered.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			mediaJSON: {
				Schema:  api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[T](), true, ""),
				Example: json.RawMessage(example),
			},
		}}
	}
}
