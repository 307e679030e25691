package identity

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Dialect is the first part of the names of duplicity's variables.
type Dialect string

// The dialects of duplicity's backends swift: and pca:.
const (
	Swift Dialect = "SWIFT"
	PCA   Dialect = "PCA"
)

// Source says where to look for credentials. Only Dialect is required.
type Source struct {
	// Env returns the value of a variable; nil for none.
	Env     func(name string) (string, bool)
	Prefix  string // in front of the names of variables
	Cloud   string // entry of clouds.yaml; "" for none
	Dialect Dialect
	// Region and Endpoint ("public", "internal" or "admin") go before what the
	// credentials say of them.
	Region, Endpoint string
}

// Find returns the credentials of the first source that has any. The error is
// fs.ErrPermission when there are none.
func Find(s Source) (*Credentials, error) {
	c, err := s.find()
	if err != nil {
		return nil, fmt.Errorf("find credentials: %w", err)
	}
	c.login = make(chan *Session, 1)
	c.login <- nil
	if s.Region != "" {
		c.region = s.Region
	}
	if s.Endpoint != "" {
		if c.endpoint, err = endpointOf(s.Endpoint); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (s Source) find() (*Credentials, error) {
	d := string(s.Dialect)
	switch {
	case s.Cloud != "":
		return s.fromCloud(s.Cloud)
	case s.any(d+"_PREAUTHURL", d+"_USERNAME", d+"_USERID", d+"_PASSWORD", d+"_AUTHURL"):
		return s.fromDuplicity()
	case s.any("OS_CLOUD"):
		return s.fromCloud(s.get("OS_CLOUD"))
	case s.any("OS_AUTH_URL", "OS_STORAGE_URL"):
		return s.fromOpenStack()
	case s.any("ST_AUTH"):
		return s.fromST()
	}
	return nil, fmt.Errorf("name an entry of clouds.yaml (cloud), or set %s: %w",
		s.names(d+"_AUTHURL, "+d+"_USERNAME and "+d+"_PASSWORD, or OS_CLOUD, or OS_AUTH_URL and what belongs to it"), fs.ErrPermission)
}

// names puts the prefix before the names of variables in a text.
func (s Source) names(text string) string {
	words := strings.Split(text, " ")
	for i, w := range words {
		if strings.Contains(w, "_") {
			words[i] = s.Prefix + w
		}
	}
	return strings.Join(words, " ")
}

// get returns the first of the variables that is not empty, or "".
func (s Source) get(names ...string) string {
	if s.Env == nil {
		return ""
	}
	for _, name := range names {
		if value, ok := s.Env(s.Prefix + name); ok && value != "" {
			return value
		}
	}
	return ""
}

func (s Source) any(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return s.get(name) != "" })
}

// need fails when a variable is missing.
func (s Source) need(names ...string) error {
	var missing []string
	for _, name := range names {
		if s.get(name) == "" {
			missing = append(missing, s.Prefix+name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return errors.Join(fmt.Errorf("set %s too", strings.Join(missing, " and ")), fs.ErrPermission)
}
