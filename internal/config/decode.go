package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// decoder copies a tree of parsed JSON or YAML into the types of this package.
// It never stops at a fault: it notes it and goes on, leaving the field as it
// was. Its struct types hold strings, int64s, maps, slices and structs only.
type decoder struct {
	faults []domain.Fault
	seen   map[string]bool // paths that the tree set
	// preset gives a new element of a list its values before it is decoded.
	preset func(element reflect.Value)
}

func (d *decoder) faultf(path string, value any, format string, args ...any) {
	d.faults = append(d.faults, domain.Fault{Location: path, Message: fmt.Sprintf(format, args...), Value: value})
}

func (d *decoder) structure(path string, in any, out reflect.Value) {
	tree, ok := in.(map[string]any)
	if !ok {
		d.faultf(path, nil, "must be an object, not %s", kindOf(in))
		return
	}
	fields := fieldsOf(out.Type())
	for _, key := range slices.Sorted(maps.Keys(tree)) {
		if !slices.ContainsFunc(fields, func(f field) bool { return f.key == key }) {
			d.faultf(join(path, key), nil, "unknown field%s", suggest(key, fields))
		}
	}
	for _, f := range fields {
		value, there := tree[f.key]
		switch {
		case there:
			d.seen[join(path, f.key)] = true
			d.value(join(path, f.key), value, out.FieldByIndex(f.index), f)
		case f.required:
			d.faultf(join(path, f.key), nil, "is missing")
		}
	}
}

func (d *decoder) value(path string, in any, out reflect.Value, f field) {
	switch out.Kind() {
	case reflect.Struct:
		d.structure(path, in, out)
	case reflect.String:
		if s, ok := d.text(path, in, f); ok {
			out.SetString(s)
		}
	case reflect.Int64:
		if n, ok := d.integer(path, in, f); ok {
			out.SetInt(n)
		}
	case reflect.Slice:
		d.list(path, in, out)
	case reflect.Map:
		d.table(path, in, out, f)
	default:
		panic("config: no decoder for " + out.Type().String()) // a mistake in the types above, found by any test
	}
}

func (d *decoder) list(path string, in any, out reflect.Value) {
	items, ok := in.([]any)
	if !ok {
		d.faultf(path, nil, "must be a list, not %s", kindOf(in))
		return
	}
	list := reflect.MakeSlice(out.Type(), len(items), len(items))
	for i, item := range items {
		d.preset(list.Index(i))
		d.value(fmt.Sprintf("%s[%d]", path, i), item, list.Index(i), field{})
	}
	out.Set(list)
}

// table decodes an object with free keys. The field's format is that of the keys.
func (d *decoder) table(path string, in any, out reflect.Value, f field) {
	tree, ok := in.(map[string]any)
	if !ok {
		d.faultf(path, nil, "must be an object, not %s", kindOf(in))
		return
	}
	table := reflect.MakeMapWithSize(out.Type(), len(tree))
	for _, key := range slices.Sorted(maps.Keys(tree)) {
		at := join(path, key)
		if message := checkFormat(f.format, key); message != "" {
			d.faultf(at, nil, "its name %s", message)
		}
		value := reflect.New(out.Type().Elem()).Elem()
		d.value(at, tree[key], value, field{})
		table.SetMapIndex(reflect.ValueOf(key), value)
	}
	out.Set(table)
}

func (d *decoder) text(path string, in any, f field) (string, bool) {
	s, ok := in.(string)
	if !ok {
		d.faultf(path, nil, "must be a string, not %s", kindOf(in))
		return "", false
	}
	if strings.ContainsRune(s, 0) {
		d.faultf(path, nil, "must not contain NUL characters")
		return "", false
	}
	if len(f.enum) > 0 && !slices.Contains(f.enum, s) {
		d.faultf(path, s, "must be one of %s, not %q", strings.Join(f.enum, ", "), s)
		return "", false
	}
	if message := checkFormat(f.format, s); message != "" {
		d.faultf(path, s, "%s", message)
		return "", false
	}
	return s, true
}

func (d *decoder) integer(path string, in any, f field) (int64, bool) {
	n, ok := toInteger(in)
	if !ok {
		d.faultf(path, nil, "must be an integer, not %s", kindOf(in))
		return 0, false
	}
	switch {
	case f.bounded && n < f.min:
		d.faultf(path, n, "must be at least %d, not %d", f.min, n)
	case f.bounded && n > f.max:
		d.faultf(path, n, "must be at most %d, not %d", f.max, n)
	default:
		return n, true
	}
	return 0, false
}

// maxExact is the largest magnitude up to which every float64 that looks like an
// integer is that integer.
const maxExact = 1 << 53

// toInteger accepts what JSON Schema calls an integer: 3, 3.0 and 3e2.
func toInteger(in any) (int64, bool) {
	switch v := in.(type) {
	case int:
		return int64(v), true
	case int64:
		return v, true
	case uint64:
		return int64(min(v, math.MaxInt64)), true
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, true
		}
		x, err := v.Float64()
		return fromFloat(x), err == nil && x == math.Trunc(x)
	case float64:
		return fromFloat(v), v == math.Trunc(v) && !math.IsInf(v, 0)
	}
	return 0, false
}

func fromFloat(x float64) int64 {
	switch {
	case x > maxExact:
		return math.MaxInt64
	case x < -maxExact:
		return math.MinInt64
	}
	return int64(x)
}

// kindOf names a parsed value for a message.
func kindOf(in any) string {
	switch v := in.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case string:
		return "the string " + strconv.Quote(shorten(v))
	case json.Number:
		return "the number " + shorten(v.String())
	case int, int64, uint64, float64:
		return fmt.Sprintf("the number %v", v)
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	}
	return fmt.Sprintf("%v", in)
}

func shorten(s string) string {
	const most = 40
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return s
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
