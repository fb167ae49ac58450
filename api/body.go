package api

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

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
	if kind := ctx.Header("Content-Type"); !isJSON(kind) {
		return nil, domain.Errorf(domain.CodeUnsupported, "The content type %q is not taken: send %s.", kind, mediaJSON)
	}
	// Writers that know no deadline (tests) have nobody slow behind them.
	_ = ctx.SetReadDeadline(time.Now().Add(bodyTimeout))
	defer func() { _ = ctx.SetReadDeadline(time.Time{}) }()

	reader := ctx.BodyReader()
	if reader == nil {
		reader = strings.NewReader("")
	}
	raw, err := io.ReadAll(io.LimitReader(reader, limit+1))
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

// isJSON accepts application/json and kinds made of it. No content type at all is
// taken as JSON.
func isJSON(contentType string) bool {
	if contentType == "" {
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
