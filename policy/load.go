package policy

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"

	"gopkg.in/yaml.v3"
)

// maxPolicy bounds the file that is read: a policy is written by hand.
const maxPolicy = 1 << 20

// Load reads the policy at path, with the environment that env looks names up
// in. What is wrong with the policy is an *Error, which holds all of it.
func Load(path string, env func(string) (string, bool)) (*Policy, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	if info.Size() > maxPolicy {
		return nil, fmt.Errorf("read policy: %s is larger than %s", path, FormatSize(maxPolicy))
	}
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	return Parse(src, path, env)
}

// Parse reads a policy from src. The path is named in findings, and its folder
// is where relative paths start. What is wrong is an *Error.
func Parse(src []byte, path string, env func(string) (string, bool)) (*Policy, error) {
	name := path
	if name == "" {
		name = "policy"
	}
	d := newDecoder(name, references{env: env, dir: filepath.Dir(path)})
	p := &Policy{Path: path}
	root := d.document(src)
	if root == nil {
		return nil, &Error{d.findings}
	}
	d.value("", root, reflect.ValueOf(p).Elem(), field{})
	p.written = d.written
	c := checker{decoder: d, policy: p, root: root}
	c.check()

	sortFindings(d.findings)
	for _, f := range d.findings {
		if !f.Warning {
			return nil, &Error{d.findings}
		}
	}
	p.Warnings = d.findings
	return p, nil
}

// A checker finds what is wrong with a policy beyond single values, and fills
// in the defaults.
type checker struct {
	*decoder
	policy *Policy
	root   *yaml.Node
}

func (c *checker) check() {
	c.checkArchive()
	c.checkStores()
	c.checkTiers()
	c.placeBatchLists()
	c.checkRoutes()
	c.checkThaw()
	c.checkBackup()
	c.checkEncryption()
}

// node is the nearest node to a path that the file has: its own, or that of
// what holds it.
func (c *checker) node(path string) *yaml.Node {
	if n := c.nodes[path]; n != nil {
		return n
	}
	return c.root
}

// wrong notes a finding at the value at path.
func (c *checker) wrong(path, fix, format string, args ...any) {
	c.fail(c.node(path), fix, format, args...)
}

// wrongKey notes a finding at the key of the value at path.
func (c *checker) wrongKey(path, fix, format string, args ...any) {
	n := c.keys[path]
	if n == nil {
		n = c.node(path)
	}
	c.fail(n, fix, format, args...)
}

// warn notes a warning at the value at path.
func (c *checker) warn(path, fix, format string, args ...any) {
	c.wrong(path, fix, format, args...)
	c.findings[len(c.findings)-1].Warning = true
}

// warnKey notes a warning at the key of the value at path.
func (c *checker) warnKey(path, fix, format string, args ...any) {
	c.wrongKey(path, fix, format, args...)
	c.findings[len(c.findings)-1].Warning = true
}

// hasKey reports whether the file has the key at path, with any value.
func (c *checker) hasKey(path string) bool { return c.keys[path] != nil }

// given reports whether the file has a value at path that could be read.
func (c *checker) given(path string) bool { return c.nodes[path] != nil }

// emptyList reports whether the value at path is a list without elements.
func (c *checker) emptyList(path string) bool {
	n := c.nodes[path]
	return n != nil && n.Kind == yaml.SequenceNode && len(n.Content) == 0
}
