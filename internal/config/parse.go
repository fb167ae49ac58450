package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MaxBytes is the largest file that is read.
const MaxBytes = 4 << 20

// maxDepth bounds nesting; the file's own shape needs six.
const maxDepth = 32

// parser turns text into a tree of map[string]any, []any, strings, numbers,
// booleans and nil. It is a koanf.Parser.
type parser struct {
	yaml bool
}

// parserFor picks the format by the file's name: .yaml and .yml, else JSON.
func parserFor(name string) parser {
	ext := strings.ToLower(filepath.Ext(name))
	return parser{yaml: ext == ".yaml" || ext == ".yml"}
}

// Unmarshal implements koanf.Parser.
func (p parser) Unmarshal(data []byte) (map[string]any, error) {
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("is larger than %d bytes", MaxBytes)
	}
	parse := parseJSON
	if p.yaml {
		parse = parseYAML
	}
	value, err := parse(data)
	if err != nil {
		return nil, err
	}
	tree, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("must hold an object, not %s", kindOf(value))
	}
	return tree, nil
}

// Marshal implements koanf.Parser.
func (parser) Marshal(tree map[string]any) ([]byte, error) {
	text, err := json.MarshalIndent(tree, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	return text, nil
}

// parseJSON is encoding/json with two differences: numbers keep their digits, and
// a key that is there twice is an error (the last one would win silently).
func parseJSON(data []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	value, err := jsonValue(dec, "", 0)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("is not JSON: %w (near line %d)", err, lineAt(data, dec.InputOffset()))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("is not JSON: there is more after the object (line %d)", lineAt(data, dec.InputOffset()))
	}
	return value, nil
}

var errDeep = fmt.Errorf("nested deeper than %d", maxDepth)

func jsonValue(dec *json.Decoder, path string, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errDeep
	}
	token, err := dec.Token()
	if err != nil {
		return nil, err //nolint:wrapcheck // wrapped once, by parseJSON
	}
	switch token {
	case json.Delim('{'):
		return jsonObject(dec, path, depth)
	case json.Delim('['):
		return jsonList(dec, path, depth)
	}
	return token, nil
}

func jsonObject(dec *json.Decoder, path string, depth int) (any, error) {
	object := map[string]any{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, err //nolint:wrapcheck // wrapped once, by parseJSON
		}
		key, ok := token.(string)
		if !ok {
			return nil, fmt.Errorf("key %v is no string", token)
		}
		at := join(path, key)
		if _, twice := object[key]; twice {
			return nil, fmt.Errorf("%s is there twice", at)
		}
		if object[key], err = jsonValue(dec, at, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := dec.Token()
	return object, err //nolint:wrapcheck // wrapped once, by parseJSON
}

func jsonList(dec *json.Decoder, path string, depth int) (any, error) {
	list := []any{}
	for dec.More() {
		value, err := jsonValue(dec, fmt.Sprintf("%s[%d]", path, len(list)), depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	_, err := dec.Token()
	return list, err //nolint:wrapcheck // wrapped once, by parseJSON
}

func lineAt(data []byte, offset int64) int {
	return 1 + bytes.Count(data[:min(int(offset), len(data))], []byte("\n"))
}

func parseYAML(data []byte) (any, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var value any
	if err := dec.Decode(&value); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("is not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	var more any
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("holds more than one YAML document")
	}
	return plainTree(value, 0)
}

// plainTree gives every object string keys, as JSON has them.
func plainTree(value any, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errDeep
	}
	var err error
	switch v := value.(type) {
	case map[string]any:
		for key, item := range v {
			if v[key], err = plainTree(item, depth+1); err != nil {
				return nil, err
			}
		}
		return v, nil
	case map[any]any:
		object := make(map[string]any, len(v))
		for key, item := range v {
			if object[fmt.Sprint(key)], err = plainTree(item, depth+1); err != nil {
				return nil, err
			}
		}
		return object, nil
	case []any:
		for i, item := range v {
			if v[i], err = plainTree(item, depth+1); err != nil {
				return nil, err
			}
		}
		return v, nil
	}
	return value, nil
}
