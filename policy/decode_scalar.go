package policy

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/isotherm-backup/isotherm/internal/dupname"
)

// text returns the text of a scalar with its references replaced.
func (d *decoder) text(path string, n *yaml.Node) (string, bool) {
	switch {
	case n.Kind != yaml.ScalarNode:
		d.fail(n, "write a single value", "%s is %s, not a single value", label(path), describe(n))
		return "", false
	case n.ShortTag() == "!!null":
		d.fail(n, "give it a value, or remove the key", "%s has no value", label(path))
		return "", false
	}
	s, err := d.refs.expand(n.Value)
	if err != nil {
		d.failValue(n, path, err)
		return "", false
	}
	return s, true
}

// scalar decodes a single value.
func (d *decoder) scalar(path string, n *yaml.Node, v reflect.Value, f field) {
	s, ok := d.text(path, n)
	if !ok {
		delete(d.nodes, path) // nothing more is said of it
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if len(f.enum) > 0 && !slices.Contains(f.enum, s) {
		fix := didYouMean(s, f.enum)
		if len(f.enum) == 1 {
			fix = "write " + f.enum[0]
		}
		d.fail(n, fix, "%s is %q", label(path), s)
		return
	}
	switch p := v.Addr().Interface().(type) {
	case *Secret:
		*p = Secret(s)
		d.written[path] = n.Value
		return
	case *time.Duration:
		measure(d, path, n, s, p, ParseDuration)
		return
	case *int64:
		parse := ParseSize
		if f.unit == "bandwidth" {
			parse = ParseBandwidth
		}
		measure(d, path, n, s, p, parse)
		return
	case *dupname.Kind:
		if err := p.UnmarshalText([]byte(s)); err != nil {
			d.fail(n, didYouMean(s, kindNames()), "%s: %q is no kind of file", label(path), s)
		}
		return
	case encoding.TextUnmarshaler:
		if err := p.UnmarshalText([]byte(s)); err != nil {
			d.failValue(n, path, err)
		}
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
	case reflect.Int:
		i, err := strconv.Atoi(s)
		if err != nil || i < f.minimum || i > 1_000_000 {
			d.fail(n, fmt.Sprintf("write a whole number of %d or more", f.minimum), "%s is %q", label(path), s)
			return
		}
		v.SetInt(int64(i))
	case reflect.Bool:
		b, err := strconv.ParseBool(s)
		if err != nil || len(s) < 4 { // ParseBool takes 1 and t as well
			d.fail(n, "write true or false", "%s is %q", label(path), s)
			return
		}
		v.SetBool(b)
	default:
		panic("policy: internal error: no way to read a " + v.Type().String())
	}
}

func kindNames() []string {
	return []string{dupname.Manifest.String(), dupname.Signature.String(), dupname.Volume.String(), dupname.Other.String()}
}

// measure reads a quantity, which must be above zero: zero is how a quantity
// that was not given is kept.
func measure[T ~int64](d *decoder, path string, n *yaml.Node, s string, to *T, parse func(string) (T, error)) {
	v, err := parse(s)
	switch {
	case err != nil && strings.HasPrefix(strings.TrimSpace(s), "-"):
		d.fail(n, "write a value above zero", "%s is %q, which is negative", label(path), s)
	case err != nil:
		d.failValue(n, path, err)
	case v == 0:
		d.fail(n, "write a value above zero, or remove the key", "%s is zero", label(path))
	default:
		*to = v
	}
}
