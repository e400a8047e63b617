package api

import (
	"encoding/json"
	"reflect"
	"strings"
)

// schemas makes JSON Schemas of the views: of their types, and where a member may be anything, of the value that it has in
// the sample. They are strict: a member that is not told of is not valid.
type schemas struct {
	named dict // by the names of the types
	types map[string]reflect.Type
}

func newSchemas() *schemas { return &schemas{named: dict{}, types: map[string]reflect.Type{}} }

var marshaler = reflect.TypeFor[json.Marshaler]()

// of is the schema of values like the one given; nil stands for anything.
func (s *schemas) of(sample any) dict { return s.ofValue(reflect.ValueOf(sample)) }

func (s *schemas) ofValue(v reflect.Value) dict {
	if !v.IsValid() {
		return dict{}
	}
	t := v.Type()
	switch {
	case t == reflect.TypeFor[json.RawMessage]():
		return dict{}
	case t.Implements(marshaler) && t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface:
		return marshalled(v)
	}
	switch t.Kind() {
	case reflect.Interface:
		return s.ofValue(v.Elem())
	case reflect.Pointer:
		to := v.Elem()
		if v.IsNil() {
			to = reflect.Zero(t.Elem())
		}
		return orNullSchema(s.ofValue(to))
	case reflect.Bool:
		return dict{"type": "boolean"}
	case reflect.String:
		return dict{"type": "string"}
	case reflect.Float32, reflect.Float64:
		return dict{"type": "number"}
	case reflect.Slice, reflect.Array:
		item := reflect.Zero(t.Elem())
		if v.Len() > 0 {
			item = v.Index(0)
		}
		return dict{"type": "array", "items": s.ofValue(item)}
	case reflect.Map:
		return dict{"type": "object", "additionalProperties": s.ofValue(reflect.Zero(t.Elem()))}
	case reflect.Struct:
		return s.ofStruct(v)
	}
	return dict{"type": "integer"}
}

// marshalled is the schema of a type that writes itself: numbers and texts do so here.
func marshalled(v reflect.Value) dict {
	text, err := json.Marshal(v.Interface())
	switch {
	case err != nil || len(text) == 0:
		return dict{}
	case text[0] == '"':
		return dict{"type": "string"}
	case text[0] == '-' || '0' <= text[0] && text[0] <= '9':
		return dict{"type": "number"}
	}
	return dict{}
}

func orNullSchema(schema dict) dict {
	if kind, ok := schema["type"].(string); ok {
		schema["type"] = []string{kind, "null"}
		return schema
	}
	if len(schema) == 0 {
		return schema
	}
	return dict{"anyOf": []dict{schema, {"type": "null"}}}
}

// ofStruct names the schema of a type that has a name, once for all; one with members that may be anything differs from
// sample to sample and stands where it is used.
func (s *schemas) ofStruct(v reflect.Value) dict {
	t := v.Type()
	if t.Name() == "" || strings.Contains(t.Name(), "[") || hasAny(t) {
		return s.members(v)
	}
	name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
	if other := s.types[name]; other != nil && other != t { // of another package
		name += "2"
	}
	s.types[name] = t
	ref := dict{"$ref": "#/components/schemas/" + name}
	if _, known := s.named[name]; !known {
		s.named[name] = dict{} // for what it holds of its own kind
		s.named[name] = s.members(v)
	}
	return ref
}

func hasAny(t reflect.Type) bool {
	for i := range t.NumField() {
		if t.Field(i).Type.Kind() == reflect.Interface {
			return true
		}
	}
	return false
}

func (s *schemas) members(v reflect.Value) dict {
	members, required := dict{}, []string{}
	s.collect(v, members, &required)
	return dict{"type": "object", "properties": members, "required": required, "additionalProperties": false}
}

func (s *schemas) collect(v reflect.Value, members dict, required *[]string) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous && name == "":
			inner := v.Field(i)
			if inner.Kind() == reflect.Pointer {
				inner = reflect.Zero(inner.Type().Elem())
			}
			s.collect(inner, members, required)
			continue
		case !field.IsExported() || name == "-":
			continue
		case name == "":
			name = field.Name
		}
		schema := s.ofValue(v.Field(i))
		if field.Type.Kind() == reflect.Interface {
			schema = orNullSchema(schema)
		}
		members[name] = schema
		if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") {
			*required = append(*required, name)
		}
	}
}
