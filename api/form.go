package api

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// form is the shape of a body: what Huma made of a Go type, in a registry of its own
// because the document's schemas are opened for answers. It is not changed after
// newForm.
type form struct {
	registry huma.Registry
	schema   *huma.Schema
	limit    int64 // bytes
}

const formKey = "form"

func newForm[B any](limit int64) *form {
	f := &form{registry: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer), limit: limit}
	f.schema = f.registry.Schema(reflect.TypeFor[B](), true, "")
	return f
}

// registerForm adds an operation whose body is a B, read by an input that embeds
// formBody[B].
func registerForm[B, I, O any](
	s *server, op huma.Operation, limit int64, example string, handle func(context.Context, *I) (*O, error),
) {
	op.Metadata = map[string]any{formKey: newForm[B](limit)}
	register(s, op, parked(s, handle))
	documentBody[B](s.api, op, example)
}

// formBody reads the body of an operation of registerForm and lists every fault of
// its shape.
type formBody[B any] struct {
	sent B
}

// Resolve implements huma.Resolver.
func (b *formBody[B]) Resolve(ctx huma.Context) []error {
	f, ok := ctx.Operation().Metadata[formKey].(*form)
	if !ok {
		return []error{domain.Errorf(domain.CodeInternal, "operation %s has no form", ctx.Operation().OperationID)}
	}
	raw, refused := readBody(ctx, f.limit)
	if refused != nil {
		return []error{refused}
	}
	faults := f.decode(raw, &b.sent)
	if len(faults) == 0 {
		return nil
	}
	return []error{invalid(faults)}
}

// requiredProperty is how Huma words a property that is not there.
var requiredProperty = regexp.MustCompile(`^expected required property (\S+) to be present$`) //nolint:gochecknoglobals // a constant

// decode checks raw, which is valid JSON, against the form and reads it into into.
// Members that are null count as absent.
func (f *form) decode(raw []byte, into any) []domain.Fault {
	_, faults := canonicalise(raw, "body")
	faults = append(faults, twice(raw)...)
	var tree any
	if err := json.Unmarshal(raw, &tree); err != nil {
		return append(faults, domain.Fault{Location: "body", Message: "cannot be read: " + err.Error()})
	}
	tree = withoutNulls(tree)
	var found huma.ValidateResult
	huma.Validate(f.registry, f.schema, huma.NewPathBuffer([]byte("body"), len("body")), huma.ModeWriteToServer, tree, &found)
	for _, err := range found.Errors {
		detail, ok := err.(*huma.ErrorDetail) //nolint:errorlint // Huma wraps none
		if !ok {
			faults = append(faults, domain.Fault{Location: "body", Message: err.Error()})
			continue
		}
		faults = append(faults, worded(detail))
	}
	if len(faults) > 0 {
		return faults
	}
	// Through the tree, so that 1e3 and 1.0 are the whole numbers they are.
	normal, err := json.Marshal(tree)
	if err == nil {
		err = json.Unmarshal(normal, into)
	}
	if err != nil {
		return []domain.Fault{{Location: "body", Message: "cannot be read: " + err.Error()}}
	}
	return nil
}

// worded tells Huma's finding the way the rest of the edge does.
func worded(detail *huma.ErrorDetail) domain.Fault {
	fault := domain.Fault{Location: detail.Location, Message: detail.Message}
	switch detail.Value.(type) {
	case string, float64, int64, bool:
		if len(fmt.Sprint(detail.Value)) <= 100 {
			fault.Value = detail.Value
		}
	}
	if m := requiredProperty.FindStringSubmatch(detail.Message); m != nil {
		return domain.Fault{Location: detail.Location + "." + m[1], Message: "is required"}
	}
	switch {
	case detail.Message == "unexpected property":
		fault.Message = "is not a field of this object"
	case strings.HasPrefix(detail.Message, "expected "):
		fault.Message = "has to be " + strings.TrimPrefix(strings.TrimPrefix(detail.Message, "expected "), "value to be ")
	}
	return fault
}

// withoutNulls drops members that are null, and makes whole numbers int64 where they
// are exact.
func withoutNulls(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			if member == nil {
				delete(v, name)
				continue
			}
			v[name] = withoutNulls(member)
		}
	case []any:
		for i := range v {
			v[i] = withoutNulls(v[i])
		}
	case float64:
		const exact = 1 << 53
		if v == math.Trunc(v) && math.Abs(v) < exact {
			return int64(v)
		}
	}
	return value
}

// twice finds members that occur more than once, which JSON readers disagree about.
func twice(raw []byte) []domain.Fault {
	var faults []domain.Fault
	s := scanner{in: raw}
	var walk func(at string, depth int)
	walk = func(at string, depth int) {
		if depth > maxDepth {
			s.skip()
			return
		}
		switch s.peek() {
		case '{':
			s.take('{')
			seen := map[string]bool{}
			for s.peek() == '"' {
				name := unquote(s.text())
				s.take(':')
				if seen[name] && len(faults) < maxFaults {
					faults = append(faults, domain.Fault{Location: at + "." + name, Message: "occurs more than once"})
				}
				seen[name] = true
				walk(at+"."+name, depth+1)
				s.take(',')
			}
			s.take('}')
		case '[':
			s.take('[')
			for i := 0; s.peek() != 0 && s.peek() != ']'; i++ {
				walk(fmt.Sprintf("%s[%d]", at, i), depth+1)
				s.take(',')
			}
			s.take(']')
		default:
			s.skip()
		}
	}
	walk("body", 0)
	return faults
}

// micros is a time as it is kept: UTC, to the microsecond.
func micros(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC().Truncate(time.Microsecond)
	return &u
}
