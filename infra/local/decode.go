package local

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
)

// decode stores a resolved value in the struct, slice, map or scalar that into points to. Field names are property
// names. A property without a field, or of another kind than its field, is a failure that names its path. As in
// CloudFormation a number may be written as text, and the other way round.
func decode(v any, into any, path string) error {
	return decodeInto(v, reflect.ValueOf(into).Elem(), path)
}

func decodeInto(v any, into reflect.Value, path string) error {
	switch into.Kind() {
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		return decodeInto(v, into.Elem(), path)
	case reflect.Interface:
		if v != nil {
			into.Set(reflect.ValueOf(v))
		}
		return nil
	case reflect.Struct:
		return decodeStruct(v, into, path)
	case reflect.Map:
		m, ok := v.(map[string]any)
		if !ok {
			return fmt.Errorf("%s: wants a mapping", path)
		}
		if into.IsNil() { // else Globals gave some entries already
			into.Set(reflect.MakeMap(into.Type()))
		}
		for key, e := range m {
			elem := reflect.New(into.Type().Elem()).Elem()
			if err := decodeInto(e, elem, join(path, key)); err != nil {
				return err
			}
			into.SetMapIndex(reflect.ValueOf(key), elem)
		}
		return nil
	case reflect.Slice:
		list, ok := v.([]any)
		if !ok {
			return fmt.Errorf("%s: wants a list", path)
		}
		into.Set(reflect.MakeSlice(into.Type(), len(list), len(list)))
		for i, e := range list {
			if err := decodeInto(e, into.Index(i), fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
		return nil
	}
	return decodeScalar(v, into, path)
}

func decodeStruct(v any, into reflect.Value, path string) error {
	m, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("%s: wants a mapping", path)
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		field, ok := property(into.Type(), key)
		if !ok {
			return fmt.Errorf("%s: is not known", join(path, key))
		}
		if err := decodeInto(m[key], into.FieldByIndex(field.Index), join(path, key)); err != nil {
			return err
		}
	}
	return nil
}

// property finds the field of a property: the one its template tag names, or else the one of the same name. Fields with
// the tag "-" are not properties.
func property(t reflect.Type, key string) (reflect.StructField, bool) {
	for field := range t.Fields() {
		tag := field.Tag.Get("template")
		if tag == key || tag == "" && field.Name == key && field.IsExported() {
			return field, true
		}
	}
	return reflect.StructField{}, false
}

func decodeScalar(v any, into reflect.Value, path string) error {
	var text string
	switch v := v.(type) {
	case string:
		text = v
	case number:
		text = string(v)
	case bool:
		text = strconv.FormatBool(v)
	default:
		return fmt.Errorf("%s: wants a plain value", path)
	}
	switch into.Kind() {
	case reflect.String:
		into.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%s: %q is neither true nor false", path, text)
		}
		into.SetBool(b)
	case reflect.Int, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, into.Type().Bits())
		if err != nil {
			return fmt.Errorf("%s: %q is not a whole number", path, text)
		}
		into.SetInt(n)
	default:
		return fmt.Errorf("%s: cannot be read into %s", path, into.Type())
	}
	return nil
}
