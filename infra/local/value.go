package local

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A value is what a template holds at one place: nil, bool, string, number, []any, map[string]any, or a call of an
// intrinsic function.

// number is a number as written, so that an account id keeps its zeros and 2012-10-17 stays text.
type number string

// call is an intrinsic function with its argument, which may hold further calls.
type call struct {
	name string // Ref, GetAtt, Sub, ...
	arg  any
}

// longNames are the intrinsic functions in their long form. The short form is a YAML tag: !Sub for Fn::Sub.
var longNames = map[string]string{
	"Ref": "Ref", "Condition": "Condition", "Fn::GetAtt": "GetAtt", "Fn::Sub": "Sub", "Fn::If": "If",
	"Fn::Equals": "Equals", "Fn::Not": "Not", "Fn::And": "And", "Fn::Or": "Or",
}

// parseYAML reads a template into a value. Duplicate keys, aliases, unknown tags and a second document are refused.
func parseYAML(text []byte) (map[string]any, error) {
	dec := yaml.NewDecoder(strings.NewReader(string(text)))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		return nil, err
	}
	if dec.Decode(new(yaml.Node)) == nil {
		return nil, fmt.Errorf("more than one document")
	}
	v, err := fromNode(doc.Content[0], "")
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("not a mapping")
	}
	return m, nil
}

func fromNode(n *yaml.Node, path string) (any, error) {
	if short, ok := strings.CutPrefix(n.Tag, "!"); ok && !strings.HasPrefix(short, "!") {
		if longNames[short] == "" && longNames["Fn::"+short] == "" {
			return nil, fmt.Errorf("%s: !%s is not known here", path, short)
		}
		plain := *n
		plain.Tag = ""
		arg, err := fromNode(&plain, path)
		if err != nil {
			return nil, err
		}
		return newCall(short, arg, path)
	}
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i < len(n.Content); i += 2 {
			key := n.Content[i].Value
			if _, twice := m[key]; twice {
				return nil, fmt.Errorf("%s: %s is given twice", path, key)
			}
			v, err := fromNode(n.Content[i+1], join(path, key))
			if err != nil {
				return nil, err
			}
			m[key] = v
		}
		if len(m) == 1 {
			for key, arg := range m {
				if name, ok := longNames[key]; ok && key != "Condition" {
					return newCall(name, arg, path)
				}
				if strings.HasPrefix(key, "Fn::") {
					return nil, fmt.Errorf("%s: %s is not known here", path, key)
				}
			}
		}
		return m, nil
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for i, c := range n.Content {
			v, err := fromNode(c, fmt.Sprintf("%s[%d]", path, i))
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case yaml.ScalarNode:
		switch n.ShortTag() {
		case "!!null":
			return nil, nil
		case "!!bool":
			return strconv.ParseBool(strings.ToLower(n.Value))
		case "!!int", "!!float":
			return number(n.Value), nil
		}
		return n.Value, nil
	}
	return nil, fmt.Errorf("%s: line %d: aliases are not taken", path, n.Line)
}

// newCall brings the two forms of GetAtt, "A.B" and [A, B], into the second.
func newCall(name string, arg any, path string) (any, error) {
	if name == "GetAtt" {
		switch a := arg.(type) {
		case string:
			id, attr, ok := strings.Cut(a, ".")
			if !ok {
				return nil, fmt.Errorf("%s: !GetAtt %s has no attribute", path, a)
			}
			arg = []any{id, attr}
		case []any:
			if len(a) != 2 {
				return nil, fmt.Errorf("%s: !GetAtt wants a resource and an attribute", path)
			}
		}
	}
	return call{name, arg}, nil
}

// at makes an error of a place in the template and what is wrong there.
func at(path, format string, args ...any) error {
	return fmt.Errorf("%s: %w", path, fmt.Errorf(format, args...))
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// dropped is what !Ref AWS::NoValue stands for: the property or list entry is not there.
type dropped struct{}

// scope answers what a template's names stand for.
type scope struct {
	ref        func(name string) (any, bool)
	attribute  func(id, attr string) (string, bool)
	conditions map[string]any
}

// resolve replaces every call below v. Both branches of an !If are resolved, so that a dangling reference is found
// whatever the parameters are.
func (s *scope) resolve(v any, path string) (any, error) {
	switch v := v.(type) {
	case call:
		return s.call(v, path)
	case []any:
		out := make([]any, 0, len(v))
		for i, e := range v {
			r, err := s.resolve(e, fmt.Sprintf("%s[%d]", path, i))
			if err != nil {
				return nil, err
			}
			if r != any(dropped{}) {
				out = append(out, r)
			}
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			r, err := s.resolve(v[key], join(path, key))
			if err != nil {
				return nil, err
			}
			if _, gone := r.(dropped); !gone {
				out[key] = r
			}
		}
		return out, nil
	}
	return v, nil
}

func (s *scope) call(c call, path string) (any, error) {
	switch c.name {
	case "Ref":
		name, _ := c.arg.(string)
		if name == "AWS::NoValue" {
			return dropped{}, nil
		}
		if v, ok := s.ref(name); ok {
			return v, nil
		}
		return nil, fmt.Errorf("%s: !Ref %s: there is no such parameter or resource", path, name)
	case "GetAtt":
		a, _ := c.arg.([]any)
		id, _ := a[0].(string)
		attr, _ := a[1].(string)
		if v, ok := s.attribute(id, attr); ok {
			return v, nil
		}
		return nil, fmt.Errorf("%s: !GetAtt %s.%s: there is no such resource or attribute", path, id, attr)
	case "Sub":
		text, ok := c.arg.(string)
		if !ok {
			return nil, fmt.Errorf("%s: !Sub takes text only here", path)
		}
		return s.substitute(text, path)
	case "Condition":
		name, _ := c.arg.(string)
		return s.condition(name, path)
	}
	args, ok := c.arg.([]any)
	if !ok {
		return nil, fmt.Errorf("%s: !%s wants a list", path, c.name)
	}
	if c.name == "If" {
		if len(args) != 3 {
			return nil, fmt.Errorf("%s: !If wants a condition and two values", path)
		}
		name, _ := args[0].(string)
		holds, err := s.condition(name, path)
		if err != nil {
			return nil, err
		}
		yes, err := s.resolve(args[1], path)
		if err != nil {
			return nil, err
		}
		no, err := s.resolve(args[2], path)
		if err != nil {
			return nil, err
		}
		if holds {
			return yes, nil
		}
		return no, nil
	}
	return s.logic(c.name, args, path)
}

// logic evaluates Equals, Not, And and Or.
func (s *scope) logic(name string, args []any, path string) (any, error) {
	v, err := s.resolve(args, path)
	if err != nil {
		return nil, err
	}
	args = v.([]any)
	if name == "Equals" {
		if len(args) != 2 {
			return nil, fmt.Errorf("%s: !Equals wants two values", path)
		}
		return fmt.Sprint(args[0]) == fmt.Sprint(args[1]), nil
	}
	if len(args) == 0 || name == "Not" && len(args) != 1 {
		return nil, fmt.Errorf("%s: !%s has the wrong number of conditions", path, name)
	}
	holds := name == "And"
	for _, a := range args {
		b, ok := a.(bool)
		if !ok {
			return nil, fmt.Errorf("%s: !%s wants conditions", path, name)
		}
		switch name {
		case "Not":
			holds = !b
		case "And":
			holds = holds && b
		case "Or":
			holds = holds || b
		}
	}
	return holds, nil
}

func (s *scope) condition(name, path string) (bool, error) {
	c, ok := s.conditions[name]
	if !ok {
		return false, fmt.Errorf("%s: there is no condition %q", path, name)
	}
	v, err := s.resolve(c, "Conditions."+name)
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok {
		return false, at("Conditions."+name, "is not a condition")
	}
	return b, nil
}

// substitute replaces ${Name} and ${Resource.Attribute}; ${!Name} stays as ${Name}.
func (s *scope) substitute(text, path string) (string, error) {
	var out strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "${")
		out.WriteString(before)
		if !ok {
			return out.String(), nil
		}
		name, after, ok := strings.Cut(rest, "}")
		if !ok {
			return "", fmt.Errorf("%s: !Sub: ${ without }", path)
		}
		text = after
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			out.WriteString("${" + literal + "}")
			continue
		}
		if id, attr, dotted := strings.Cut(name, "."); dotted {
			v, ok := s.attribute(id, attr)
			if !ok {
				return "", fmt.Errorf("%s: !Sub ${%s}: there is no such resource or attribute", path, name)
			}
			out.WriteString(v)
			continue
		}
		v, ok := s.ref(name)
		if !ok {
			return "", fmt.Errorf("%s: !Sub ${%s}: there is no such parameter or resource", path, name)
		}
		fmt.Fprint(&out, v)
	}
}
