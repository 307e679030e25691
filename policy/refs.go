package policy

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxReferenced bounds the files that ${file:PATH} reads: they hold a secret or
// a name.
const maxReferenced = 64 << 10

// references replaces ${env:NAME} and ${file:PATH} in values.
type references struct {
	env func(string) (string, bool)
	dir string // what relative paths start from
}

// expand returns s with its references replaced. What they stand for is not
// looked at again.
func (r references) expand(s string) (string, error) {
	if !strings.Contains(s, "${") {
		return s, nil
	}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "${")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		ref, rest, closed := strings.Cut(after, "}")
		if !closed {
			return "", &valueError{"${ has no closing }", "write ${env:NAME} or ${file:PATH}"}
		}
		value, err := r.value(ref)
		if err != nil {
			return "", err
		}
		b.WriteString(value)
		s = rest
	}
}

// value returns what one reference stands for.
func (r references) value(ref string) (string, error) {
	source, name, ok := strings.Cut(ref, ":")
	if !ok || name == "" {
		return "", &valueError{fmt.Sprintf("${%s} is no reference", ref), "write ${env:NAME} or ${file:PATH}"}
	}
	switch source {
	case "env":
		if r.env != nil {
			if v, ok := r.env(name); ok {
				return v, nil
			}
		}
		return "", &valueError{fmt.Sprintf("the environment variable %s is not set", name), fmt.Sprintf("set it before running isotherm: export %s=...", name)}
	case "file":
		return r.file(name)
	}
	return "", &valueError{fmt.Sprintf("${%s} is no reference", ref), "write ${env:NAME} or ${file:PATH}"}
}

// file returns the text of a file without the line end that editors put last.
func (r references) file(name string) (string, error) {
	path := r.path(name)
	text, err := readSmall(path)
	if err != nil {
		return "", &valueError{fmt.Sprintf("${file:%s} cannot be read: %v", name, rootCause(err)), "create " + path + ", or name another file"}
	}
	text = strings.TrimSuffix(text, "\n")
	return strings.TrimSuffix(text, "\r"), nil
}

// path returns a path of the policy as one that can be opened.
func (r references) path(name string) string {
	name = filepath.FromSlash(name)
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(r.dir, name)
}

func readSmall(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() { // opening a fifo would wait for ever
		return "", errors.New("it is no regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxReferenced+1))
	if err == nil && len(b) > maxReferenced {
		err = fmt.Errorf("it is larger than %s", FormatSize(maxReferenced))
	}
	return string(b), err
}

// rootCause is err without the operation and path, which the caller names.
func rootCause(err error) error {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return pe.Err
	}
	return err
}
