package api

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// decoder reads typed values out of valid JSON and out of parameters, and keeps
// every fault with its location instead of stopping at the first.
type decoder struct {
	faults []domain.Fault
}

func (d *decoder) faultf(location string, value any, format string, args ...any) {
	if len(d.faults) < maxFaults {
		d.faults = append(d.faults, domain.Fault{
			Location: location, Message: fmt.Sprintf(format, args...), Value: value,
		})
	}
}

// errors returns the faults in the form that Huma collects from resolvers.
func (d *decoder) errors() []error {
	errs := make([]error, 0, len(d.faults))
	for _, f := range d.faults {
		errs = append(errs, &huma.ErrorDetail{Location: f.Location, Message: f.Message, Value: f.Value})
	}
	return errs
}

// echo returns what is worth repeating of a refused value.
func echo(raw []byte) any {
	const short = 100
	if len(raw) > short {
		return nil
	}
	return json.RawMessage(raw)
}

// field is how one member of an object is read, and whether it has to be there. Of
// decoder.members it has no read.
type field struct {
	name     string
	required bool
	read     func(location string, raw []byte)
}

// object reads the members of an object. Unknown members and members that occur
// twice are faults. A member that is null counts as absent. There are at most 64 fields.
func (d *decoder) object(location string, raw []byte, fields ...field) {
	d.members(location, raw, fields, func(i int, at string, value []byte) { fields[i].read(at, value) })
}

// members is object for a table of fields that outlives the call and has no functions:
// those would be made anew for each object. read is told which field a value is of.
func (d *decoder) members(location string, raw []byte, fields []field, read func(i int, at string, raw []byte)) {
	s := scanner{in: raw}
	if !s.take('{') {
		d.faultf(location, echo(raw), "has to be an object")
		return
	}
	var seen, present uint64 // bits in the order of fields
	for s.peek() == '"' {
		name := characters(s.text())
		s.take(':')
		value := s.skip()
		s.take(',')
		i := find(fields, name)
		if i < 0 {
			d.faultf(location+"."+string(name), nil, "is not a field of this object; its fields are %s", names(fields))
			continue
		}
		at, bit := location+"."+fields[i].name, uint64(1)<<i
		switch {
		case seen&bit != 0:
			d.faultf(at, nil, "occurs more than once")
		case string(value) != "null":
			present |= bit
			read(i, at, value)
		}
		seen |= bit
	}
	for i := range fields {
		if fields[i].required && present&(1<<i) == 0 {
			d.faultf(location+"."+fields[i].name, nil, "is required")
		}
	}
}

// find returns the index of the field of that name, -1: there is none.
func find(fields []field, name []byte) int {
	for i := range fields {
		if fields[i].name == string(name) {
			return i
		}
	}
	return -1
}

func names(fields []field) string {
	list := make([]string, len(fields))
	for i := range fields {
		list[i] = fields[i].name
	}
	return strings.Join(list, ", ")
}

// elements splits an array into its raw elements; ok is false when raw is no array.
func elements(raw []byte) (list [][]byte, ok bool) {
	s := scanner{in: raw}
	if !s.take('[') {
		return nil, false
	}
	for s.peek() != 0 && s.peek() != ']' {
		list = append(list, s.skip())
		s.take(',')
	}
	return list, true
}

// text reads a string of low to high characters.
func (d *decoder) text(location string, raw []byte, low, high int) string {
	if len(raw) == 0 || raw[0] != '"' {
		d.faultf(location, echo(raw), "has to be a string")
		return ""
	}
	text := unquote(raw)
	if n := utf8.RuneCountInString(text); n < low || n > high {
		d.faultf(location, echo(raw), "has to have %d to %d characters, not %d", low, high, n)
		return ""
	}
	return text
}

// name reads an id: 1 to 200 of A–Z a–z 0–9 and the marks.
func (d *decoder) name(location string, raw []byte, high int, marks string) string {
	faults := len(d.faults)
	text := d.text(location, raw, 1, high)
	if len(d.faults) == faults && !charset(text, marks) {
		d.faultf(location, echo(raw), "may only have the characters A–Z a–z 0–9 and %s", strings.Join(strings.Split(marks, ""), " "))
		return ""
	}
	return text
}

// charset reports whether text has only letters and digits of ASCII, and marks.
func charset(text, marks string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte(marks, c) >= 0:
		default:
			return false
		}
	}
	return true
}

// integer reads a whole number from low to high, however it is spelled.
func (d *decoder) integer(location string, raw []byte, low, high int64) int64 {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		var ok bool
		if n, ok = whole(raw); !ok {
			d.faultf(location, echo(raw), "has to be a whole number from %d to %d", low, high)
			return 0
		}
	}
	if n < low || n > high {
		d.faultf(location, echo(raw), "has to be from %d to %d", low, high)
		return 0
	}
	return n
}

// whole converts numbers such as 1.0 and 1e3.
func whole(raw []byte) (int64, bool) {
	const exact = 1 << 53
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > exact {
		return 0, false
	}
	return int64(f), true
}

// seconds reads a duration: a number of seconds above 0, at most high.
func (d *decoder) seconds(location string, raw []byte, high time.Duration) time.Duration {
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f <= 0 || f > high.Seconds() {
		d.faultf(location, echo(raw), "has to be a number of seconds above 0, at most %d", int64(high.Seconds()))
		return 0
	}
	// Below the resolution of what is stored it would be no limit at all.
	return max(time.Millisecond, time.Duration(f*float64(time.Second)).Truncate(time.Microsecond))
}

// boolean reads true or false.
func (d *decoder) boolean(location string, raw []byte) bool {
	switch string(raw) {
	case "true":
		return true
	case "false":
	default:
		d.faultf(location, echo(raw), "has to be true or false")
	}
	return false
}

// choice reads one of a few names.
func choice[T ~string](d *decoder, location string, raw []byte, options []T) T {
	if len(raw) > 0 && raw[0] == '"' {
		text := unquote(raw)
		for _, o := range options {
			if text == string(o) {
				return o
			}
		}
	}
	list := make([]string, len(options))
	for i, o := range options {
		list[i] = string(o)
	}
	d.faultf(location, echo(raw), "has to be one of %s", strings.Join(list, ", "))
	return ""
}

// instant reads a time, to the microsecond, in UTC.
func (d *decoder) instant(location string, raw []byte) *time.Time {
	if len(raw) > 0 && raw[0] == '"' {
		if t, ok := parseTime(unquote(raw)); ok {
			return &t
		}
	}
	d.faultf(location, echo(raw), "has to be a time as RFC 3339 has it, such as 2026-01-31T12:00:00Z")
	return nil
}

func parseTime(text string) (time.Time, bool) {
	// In a query string an unescaped "+" of an offset arrives as a space.
	t, err := time.Parse(time.RFC3339Nano, strings.ReplaceAll(text, " ", "+"))
	if err != nil {
		return time.Time{}, false
	}
	t = t.UTC().Truncate(time.Microsecond)
	if t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}, false
	}
	return t, true
}

// queryTime reads a time parameter; the empty text is the zero time.
func (d *decoder) queryTime(name, text string) time.Time {
	if text == "" {
		return time.Time{}
	}
	t, ok := parseTime(text)
	if !ok {
		d.faultf("query."+name, text, "has to be a time as RFC 3339 has it, such as 2026-01-31T12:00:00Z")
	}
	return t
}

// maxWait bounds how long one request may be held.
const maxWait = 5 * time.Minute

// wait reads how long to hold an answer: "30s", "1m30s" or a number of seconds.
func (d *decoder) wait(text string) time.Duration {
	if text == "" {
		return 0
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		text += "s"
	}
	wait, err := time.ParseDuration(text)
	if err != nil || wait < 0 || wait > maxWait {
		d.faultf("query.wait", text, "has to be a duration such as 30s, or a number of seconds, from 0 to %s", maxWait)
		return 0
	}
	return wait
}

// label splits "key:value" at the first colon; the empty text is no label.
func (d *decoder) label(text string) [2]string {
	if text == "" {
		return [2]string{}
	}
	key, value, ok := strings.Cut(text, ":")
	if !ok || key == "" {
		d.faultf("query.label", text, "has to be key:value")
	}
	return [2]string{key, value}
}
