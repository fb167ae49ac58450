package config

import (
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// field is one field of a struct type, as its tags describe it.
type field struct {
	key      string
	doc      string
	index    []int
	typ      reflect.Type
	required bool
	bounded  bool // min and max count
	min, max int64
	enum     []string
	format   string
}

// fieldsOf returns the fields of a struct type in order, those of embedded
// structs as its own.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		sf := t.Field(i)
		if sf.Anonymous {
			for _, f := range fieldsOf(sf.Type) {
				f.index = append([]int{i}, f.index...)
				fields = append(fields, f)
			}
			continue
		}
		if !sf.IsExported() {
			continue
		}
		f := field{
			key: sf.Tag.Get("key"), doc: sf.Tag.Get("doc"), index: []int{i}, typ: sf.Type,
			required: sf.Tag.Get("required") == "true", format: sf.Tag.Get("format"),
		}
		if enum := sf.Tag.Get("enum"); enum != "" {
			f.enum = strings.Split(enum, "|")
		}
		f.min, f.max = bound(sf.Tag, "min", math.MinInt64), bound(sf.Tag, "max", math.MaxInt64)
		f.bounded = sf.Tag.Get("min") != "" || sf.Tag.Get("max") != ""
		fields = append(fields, f)
	}
	return fields
}

func bound(tag reflect.StructTag, name string, otherwise int64) int64 {
	if n, err := strconv.ParseInt(tag.Get(name), 10, 64); err == nil {
		return n
	}
	return otherwise
}

// Field is one field of the file, for documentation.
type Field struct {
	Path string // "pools[].tenants.*.weight"
	Doc  string
	Env  string // its environment variable; empty: none
	// Integer: the value is a number.
	Integer bool
}

// Fields lists every field of the file in order, objects and lists included.
func Fields() []Field {
	return appendFields(nil, "", reflect.TypeFor[Config](), true)
}

func appendFields(list []Field, path string, t reflect.Type, env bool) []Field {
	for _, f := range fieldsOf(t) {
		at := join(path, f.key)
		entry := Field{Path: at, Doc: f.doc, Integer: f.typ.Kind() == reflect.Int64}
		if env && at != "$schema" && (f.typ.Kind() == reflect.String || f.typ.Kind() == reflect.Int64) {
			entry.Env = envName(at)
		}
		list = append(list, entry)
		switch f.typ.Kind() {
		case reflect.Struct:
			list = appendFields(list, at, f.typ, env)
		case reflect.Slice:
			if f.typ.Elem().Kind() == reflect.Struct {
				list = appendFields(list, at+"[]", f.typ.Elem(), false)
			}
		case reflect.Map:
			if f.typ.Elem().Kind() == reflect.Struct {
				list = appendFields(list, at+".*", f.typ.Elem(), false)
			}
		default: // a scalar has nothing below it
		}
	}
	return list
}

const envPrefix = "PARKINGLOT_"

// envName returns the variable of a field outside of lists and maps:
// "limits.heartbeat_ms" is PARKINGLOT_LIMITS_HEARTBEAT_MS.
func envName(path string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

const maxName = 200

const idPattern = `^[A-Za-z0-9._:-]{1,200}$`

// checkFormat returns what is wrong with s, or nothing.
func checkFormat(format, s string) string {
	switch format {
	case "id":
		if s == "" || len(s) > maxName || strings.ContainsFunc(s, notID) {
			return "must be 1–200 of A–Z a–z 0–9 . _ : -"
		}
	case "identifier":
		if !identifier.MatchString(s) {
			return "must be a plain SQL identifier: 1–63 of a–z 0–9 _, no digit first"
		}
	case "name":
		if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) || s == "" || utf8.RuneCountInString(s) > maxName {
			return "must be 1–200 characters without control characters"
		}
	}
	return ""
}

const identifierPattern = `^[a-z_][a-z0-9_]{0,62}$`

var identifier = regexp.MustCompile(identifierPattern)

func notID(r rune) bool {
	letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	return !letter && !strings.ContainsRune("._:-", r)
}

// suggest returns ": did you mean …?" when a field's name is close to key.
func suggest(key string, fields []field) string {
	if len(key) > maxName {
		return ""
	}
	const near = 2
	best, distance := "", near+1
	for _, f := range fields {
		if simple(f.key) == simple(key) {
			return "; did you mean " + f.key + "?"
		}
		if n := editDistance(key, f.key); n < distance {
			best, distance = f.key, n
		}
	}
	if best == "" || distance >= len(best) {
		return ""
	}
	return "; did you mean " + best + "?"
}

// simple makes maxUnits, max-units and max_units the same.
func simple(key string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(key))
}

// editDistance is Levenshtein's, by the two-row algorithm of Wagner and Fischer.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		previous := slices.Clone(row)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(previous[j+1]+1, row[j]+1, previous[j]+cost)
		}
	}
	return row[len(b)]
}
