package policy

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Effective returns the policy as YAML with all defaults written out. Secrets
// are redacted: what came from a reference is that reference again, so the
// result of a loaded policy loads.
func (p *Policy) Effective() ([]byte, error) {
	root, err := encoder{written: p.written, defaults: true}.policy(p)
	if err != nil {
		return nil, err
	}
	return writeYAML(root)
}

func writeYAML(root *yaml.Node) ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(root), enc.Close()); err != nil {
		return nil, fmt.Errorf("write policy: %w", err)
	}
	return b.Bytes(), nil
}

// An encoder is the reverse of a decoder.
type encoder struct {
	written  map[string]string // texts of secrets, by path
	defaults bool              // write what is false, too
}

func (e encoder) policy(p *Policy) (*yaml.Node, error) {
	return e.node("", reflect.ValueOf(p).Elem(), field{})
}

// node writes a value.
func (e encoder) node(path string, v reflect.Value, f field) (*yaml.Node, error) {
	switch t := v.Type(); {
	case t.Kind() == reflect.Struct && !isText(t):
		return e.structure(path, v)
	case t.Kind() == reflect.Slice && isNamed(t.Elem()):
		return e.named(path, v)
	case t.Kind() == reflect.Slice:
		list := &yaml.Node{Kind: yaml.SequenceNode}
		for i := range v.Len() {
			n, err := e.node(fmt.Sprintf("%s[%d]", path, i), v.Index(i), field{})
			if err != nil {
				return nil, err
			}
			list.Content = append(list.Content, n)
		}
		if t.Elem().Kind() != reflect.Struct {
			list.Style = yaml.FlowStyle
		}
		return list, nil
	}
	return e.scalar(path, v, f)
}

func (e encoder) structure(path string, v reflect.Value) (*yaml.Node, error) {
	m := &yaml.Node{Kind: yaml.MappingNode}
	for i := range v.NumField() {
		f := fieldOf(v.Type().Field(i))
		switch {
		case f.inline:
			appendOptions(m, v.Field(i).Interface().(map[string]string))
			continue
		case f.key == "":
			continue
		}
		if fv := v.Field(i); e.isGiven(fv) {
			n, err := e.node(join(path, f.key), fv, f)
			if err != nil {
				return nil, err
			}
			m.Content = append(m.Content, text(f.key), n)
		}
	}
	if r, ok := v.Interface().(Route); ok && r.Implied {
		m.HeadComment = "added by default"
	}
	return m, nil
}

// isGiven reports whether a value says something.
func (e encoder) isGiven(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Bool:
		return e.defaults || v.Bool()
	case reflect.Slice:
		return v.Len() > 0
	case reflect.Struct:
		for i := range v.NumField() {
			if fieldOf(v.Type().Field(i)).key != "" && e.isGiven(v.Field(i)) {
				return true
			}
		}
		return false
	}
	return !v.IsZero()
}

// appendOptions writes settings; those of one group stand together, since
// their keys are sorted.
func appendOptions(m *yaml.Node, options map[string]string) {
	var group *yaml.Node
	name := ""
	for _, key := range slices.Sorted(maps.Keys(options)) {
		before, after, grouped := strings.Cut(key, ".")
		if !grouped {
			m.Content = append(m.Content, text(key), text(options[key]))
			continue
		}
		if group == nil || name != before {
			group, name = &yaml.Node{Kind: yaml.MappingNode}, before
			m.Content = append(m.Content, text(before), group)
		}
		group.Content = append(group.Content, text(after), text(options[key]))
	}
}

func (e encoder) named(path string, v reflect.Value) (*yaml.Node, error) {
	m := &yaml.Node{Kind: yaml.MappingNode}
	for i := range v.Len() {
		name := v.Index(i).FieldByName("Name").String()
		n, err := e.node(join(path, name), v.Index(i), field{})
		if err != nil {
			return nil, err
		}
		m.Content = append(m.Content, text(name), n)
	}
	return m, nil
}

func (e encoder) scalar(path string, v reflect.Value, f field) (*yaml.Node, error) {
	switch x := v.Interface().(type) {
	case Secret:
		if written, ok := e.written[path]; ok {
			return text(written), nil
		}
		return text(redacted), nil
	case time.Duration:
		return text(FormatDuration(x)), nil
	case int64:
		if f.unit == "bandwidth" {
			return text(FormatBandwidth(x)), nil
		}
		return text(FormatSize(x)), nil
	case encoding.TextMarshaler:
		b, err := x.MarshalText()
		return text(string(b)), err
	case int, bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: fmt.Sprint(x)}, nil
	}
	return text(v.String()), nil
}

// text is a scalar, quoted where YAML would take it for something else.
func text(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }
