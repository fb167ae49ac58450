package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Bounds on a JSON body that have nothing to do with what it says.
const (
	maxDepth  = 200 // levels of arrays and objects; keeps canonicalising linear
	maxFaults = 100 // faults listed in one answer
)

// checkJSON reports whether raw is one JSON value in UTF-8. The error is CodeMalformed
// and says where parsing stopped.
func checkJSON(raw []byte) *domain.Error {
	if len(bytes.TrimSpace(raw)) == 0 {
		return domain.Errorf(domain.CodeMalformed, "The body is empty: send a JSON object.")
	}
	if !utf8.Valid(raw) {
		return domain.Errorf(domain.CodeMalformed, "The body is not UTF-8, which JSON has to be.")
	}
	if json.Valid(raw) {
		return nil
	}
	var whole json.RawMessage // says what is wrong, for more than finding out that something is
	err := json.Unmarshal(raw, &whole)
	if err == nil {
		return nil
	}
	malformed := domain.Errorf(domain.CodeMalformed, "The body is not JSON: %v.", err)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		malformed.Message = fmt.Sprintf("The body is not JSON: %v, at byte %d.", err, syntax.Offset)
	}
	return malformed
}

// canonicalise returns raw, which must be valid JSON, with the keys of every object
// sorted by code point, without white space, strings escaped only where JSON demands
// it, and numbers as they were sent. Keys that occur twice stay, in the order sent.
// Two bodies with the same canonical form mean the same task.
//
// It also returns the faults that make a body unfit to be stored: NUL characters,
// in any spelling, and nesting past maxDepth. With faults the canonical form is
// incomplete.
func canonicalise(raw []byte, location string) ([]byte, []domain.Fault) {
	w := walker{scanner: scanner{in: raw}, out: make([]byte, 0, len(raw)), place: location}
	w.value(0)
	return w.out, w.faults
}

// digest is the SHA-256 of the canonical form. It costs no memory.
func digest(raw []byte, location string) ([sha256.Size]byte, []domain.Fault) {
	w, _ := walkers.Get().(*walker)
	defer w.giveBack()
	w.scanner, w.place = scanner{in: raw}, location
	w.value(0)
	return sha256.Sum256(w.out), w.faults
}

// walkers are kept with their memory, unless they grew large.
//
//nolint:gochecknoglobals // nobody sees what is in it
var walkers = sync.Pool{New: func() any { return new(walker) }}

const keepWalker = 16 << 10 // bytes of a walker's out

func (w *walker) giveBack() {
	if cap(w.out) <= keepWalker {
		clear(w.path[:cap(w.path)]) // they hold parts of the body
		clear(w.members[:cap(w.members)])
		*w = walker{out: w.out[:0], path: w.path[:0], members: w.members[:0], sorted: w.sorted[:0]}
		walkers.Put(w)
	}
}

// scanner walks over valid JSON; on anything else it stops early but never panics.
type scanner struct {
	in  []byte
	pos int
}

// peek returns the next byte that is not white space, 0 at the end.
func (s *scanner) peek() byte {
	for s.pos < len(s.in) {
		switch c := s.in[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// take steps over c if it is next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.pos++
	return true
}

// text returns the raw string that is next, with its quotes.
func (s *scanner) text() []byte {
	start := s.pos
	for s.pos++; s.pos < len(s.in); s.pos++ {
		switch s.in[s.pos] {
		case '\\':
			s.pos++
		case '"':
			s.pos++
			return s.in[start:s.pos]
		}
	}
	s.pos = len(s.in)
	return s.in[start:]
}

// scalar returns the raw number or literal that is next.
func (s *scanner) scalar() []byte {
	start := s.pos
scan:
	for ; s.pos < len(s.in); s.pos++ {
		switch s.in[s.pos] {
		case ',', ']', '}', ' ', '\t', '\r', '\n', ':':
			break scan
		}
	}
	if s.pos == start && s.pos < len(s.in) {
		s.pos++
	}
	return s.in[start:s.pos]
}

// skip returns the raw value that is next.
func (s *scanner) skip() []byte {
	open := 0
	s.peek()
	start := s.pos
	for {
		switch s.peek() {
		case 0:
			return s.in[start:s.pos]
		case '{', '[':
			open++
			s.pos++
		case '}', ']':
			open--
			s.pos++
		case ',', ':':
			s.pos++
		case '"':
			s.text()
		default:
			s.scalar()
		}
		if open <= 0 {
			return s.in[start:s.pos]
		}
	}
}

// unquote returns the string that raw, with its quotes, spells. Lone surrogates
// become U+FFFD.
func unquote(raw []byte) string {
	if len(raw) >= 2 && bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return ""
	}
	return text
}

// characters returns what raw, with its quotes, spells, as a part of raw where that does.
// It is never nil.
func characters(raw []byte) []byte {
	if len(raw) >= 2 && bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	return append([]byte{}, unquote(raw)...)
}

// walker writes the canonical form and keeps track of where it is.
type walker struct {
	scanner

	out    []byte
	place  string // of the whole
	path   []step // from there to the value that is next
	faults []domain.Fault

	members []member // of the objects around that value, the innermost last
	sorted  []byte   // members on their way to their places
}

// step leads to a value: the key of a member, or the index of an element.
type step struct {
	key   []byte // as text; nil: an element
	index int
}

type member struct {
	key      []byte // as text
	from, to int    // in walker.out
}

func (w *walker) faultf(format string, args ...any) {
	if len(w.faults) >= maxFaults {
		return
	}
	location := []byte(w.place)
	for _, s := range w.path {
		if s.key == nil {
			location = append(strconv.AppendInt(append(location, '['), int64(s.index), 10), ']')
			continue
		}
		location = append(append(location, '.'), s.key...)
	}
	w.faults = append(w.faults, domain.Fault{Location: string(location), Message: fmt.Sprintf(format, args...)})
}

func (w *walker) value(depth int) {
	switch w.peek() {
	case '{', '[':
		if depth >= maxDepth {
			w.faultf("is nested deeper than %d levels", maxDepth)
			w.skip()
			return
		}
		if w.in[w.pos] == '{' {
			w.object(depth + 1)
		} else {
			w.array(depth + 1)
		}
	case '"':
		w.quote(w.text())
	default:
		w.out = append(w.out, w.scalar()...)
	}
}

func (w *walker) array(depth int) {
	w.pos++
	w.out = append(w.out, '[')
	for i := 0; w.peek() != 0 && !w.take(']'); i++ {
		if i > 0 {
			w.take(',')
			w.out = append(w.out, ',')
		}
		w.path = append(w.path, step{index: i})
		w.value(depth)
		w.path = w.path[:len(w.path)-1]
	}
	w.out = append(w.out, ']')
}

func (w *walker) object(depth int) {
	w.pos++
	w.out = append(w.out, '{')
	start, first := len(w.out), len(w.members)
	for w.peek() == '"' {
		raw := w.text()
		m := member{key: characters(raw), from: len(w.out)}
		w.path = append(w.path, step{key: m.key})
		w.quote(raw)
		w.take(':')
		w.out = append(w.out, ':')
		w.value(depth)
		w.path = w.path[:len(w.path)-1]
		m.to = len(w.out)
		w.members = append(w.members, m)
		w.take(',')
	}
	if !w.take('}') && w.pos < len(w.in) {
		w.pos = len(w.in)
	}
	w.sort(start, w.members[first:])
	w.members = w.members[:first]
	w.out = append(w.out, '}')
}

// sort rewrites the members that were appended since start in the order of their
// keys, with commas between them.
func (w *walker) sort(start int, members []member) {
	slices.SortStableFunc(members, func(a, b member) int { return bytes.Compare(a.key, b.key) })
	w.sorted = w.sorted[:0]
	for i, m := range members {
		if i > 0 {
			w.sorted = append(w.sorted, ',')
		}
		w.sorted = append(w.sorted, w.out[m.from:m.to]...)
	}
	w.out = append(w.out[:start], w.sorted...)
}

// quote appends a string in its shortest escaping.
func (w *walker) quote(raw []byte) {
	if bytes.IndexByte(raw, '\\') < 0 {
		w.out = append(w.out, raw...)
		return
	}
	text := unquote(raw)
	if strings.ContainsRune(text, 0) {
		w.faultf(`contains a NUL character (\u0000), which cannot be stored`)
	}
	w.out = append(w.out, '"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			w.out = append(w.out, '\\', c)
		case c < ' ':
			w.out = fmt.Appendf(w.out, `\u%04x`, c)
		default:
			w.out = append(w.out, c)
		}
	}
	w.out = append(w.out, '"')
}
