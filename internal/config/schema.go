package config

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// Schema returns the JSON Schema (draft 2020-12) of the file, indented. It says
// everything about a file that can be said without looking at two fields at once.
func Schema() ([]byte, error) {
	schema := objectSchema(reflect.ValueOf(builtIn()).Elem())
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["title"] = "Parking Lot configuration"
	text, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write schema: %w", err)
	}
	return append(text, '\n'), nil
}

// objectSchema describes a struct; its non-zero scalars are the defaults.
func objectSchema(v reflect.Value) map[string]any {
	properties, required := map[string]any{}, []string{}
	for _, f := range fieldsOf(v.Type()) {
		property := fieldSchema(f, v.FieldByIndex(f.index))
		property["description"] = f.doc
		properties[f.key] = property
		if f.required {
			required = append(required, f.key)
		}
	}
	schema := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		schema["required"] = required
	}
	if v.Type() == executorType {
		schema["allOf"] = []any{needs("http", "url"), needs("command", "argv")}
	}
	return schema
}

// needs says that an executor of that type must have the field.
func needs(kind, key string) map[string]any {
	return map[string]any{
		"if":   map[string]any{"properties": map[string]any{"type": map[string]any{"const": kind}}},
		"then": map[string]any{"required": []string{key}},
	}
}

func fieldSchema(f field, v reflect.Value) map[string]any {
	switch f.typ.Kind() {
	case reflect.Struct:
		return objectSchema(v)
	case reflect.Slice:
		schema := map[string]any{"type": "array", "items": elementSchema(f.typ.Elem())}
		if f.required {
			schema["minItems"] = 1
		}
		return schema
	case reflect.Map:
		schema := map[string]any{"type": "object", "additionalProperties": elementSchema(f.typ.Elem())}
		if names := formatSchema(f.format); len(names) > 0 {
			schema["propertyNames"] = names
		}
		return schema
	case reflect.Int64:
		return integerSchema(f, v.Int())
	default:
		schema := formatSchema(f.format)
		schema["type"] = "string"
		if len(f.enum) > 0 {
			schema["enum"] = f.enum
		}
		if v.String() != "" {
			schema["default"] = v.String()
		}
		return schema
	}
}

func integerSchema(f field, value int64) map[string]any {
	schema := map[string]any{"type": "integer"}
	if f.bounded {
		schema["minimum"], schema["maximum"] = f.min, f.max
	}
	if value != 0 {
		schema["default"] = value
	}
	return schema
}

func elementSchema(t reflect.Type) map[string]any {
	if t.Kind() == reflect.Struct {
		return objectSchema(reflect.New(t).Elem())
	}
	return map[string]any{"type": "string"}
}

func formatSchema(format string) map[string]any {
	switch format {
	case "id":
		return map[string]any{"pattern": idPattern}
	case "identifier":
		return map[string]any{"pattern": identifierPattern}
	case "name":
		return map[string]any{"minLength": 1, "maxLength": maxName}
	}
	return map[string]any{}
}
