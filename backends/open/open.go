// Package open is the table from URL scheme to store.
package open

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/isotherm-backup/isotherm/backends"
)

// Config says which store to open, as a policy describes it.
type Config struct {
	Name   string         // of the store in the policy, for errors; may be ""
	URL    string         // scheme://place?option=value
	Class  backends.Class // "" for the store's own default
	Region string
	Cloud  string // entry of clouds.yaml
	// Options are settings by their key, beside those in the URL's query; a key
	// stands in one of the two.
	Options map[string]string
	// Env returns the value of an environment variable, where credentials may
	// stand; nil for none.
	Env func(name string) (string, bool)
}

// scheme is a row of the table.
type scheme struct {
	open func(ctx context.Context, p place) (backends.Store, error)
	// options are the keys of Config.Options and of the URL's query.
	options []string
	// missing says why this version has no such store, when open is nil.
	missing string
}

// schemes is the table.
func schemes() map[string]scheme {
	return map[string]scheme{
		"file":    {open: openFile},
		"coldsim": {open: openColdsim, options: []string{"expedited", "rate", "seed", "speedup"}},
		"s3":      {open: openS3, options: s3Options()},
		"swift":   {open: openSwift, options: swiftOptions()},
		"pca":     {open: openPCA, options: swiftOptions()},
		"glacier": {missing: "is the Glacier service of 2012, with vaults: it is closed to new customers and not supported; " +
			"use an s3:// store with class GLACIER or DEEP_ARCHIVE"},
	}
}

// Options returns the keys that a store of a scheme takes, sorted; the second
// result is false for a scheme that is not known.
func Options(name string) ([]string, bool) {
	s, ok := schemes()[name]
	return slices.Clone(s.options), ok
}

// Store opens a store. It may touch nothing until its first call: that a place
// exists is not known from its being opened.
//
// A scheme that is not known or not built in is ErrUnsupported.
func Store(ctx context.Context, c Config) (backends.Store, error) {
	s, err := store(ctx, c)
	if err != nil && c.Name != "" {
		return nil, fmt.Errorf("open store %s: %w", c.Name, err)
	}
	return s, err
}

func store(ctx context.Context, c Config) (backends.Store, error) {
	u, err := parse(c.URL)
	if err != nil {
		return nil, err
	}
	table := schemes()
	row, ok := table[u.Scheme]
	switch {
	case !ok:
		known := slices.Sorted(maps.Keys(table))
		return nil, fmt.Errorf("URL of the store: scheme %q is none of %s: %w", u.Scheme, strings.Join(known, ", "), backends.ErrUnsupported)
	case row.open == nil:
		return nil, fmt.Errorf("URL %s: %s:// %s: %w", show(u), u.Scheme, row.missing, backends.ErrUnsupported)
	}
	p := place{Config: c, url: u}
	if p.options, err = options(u, c.Options, row.options); err != nil {
		return nil, fmt.Errorf("URL %s: %w", show(u), err)
	}
	return row.open(ctx, p)
}

// place is a Config, taken apart.
type place struct {
	Config
	url     *url.URL
	options map[string]string
}

// show returns what of a URL may stand in an error: its query might hold a
// secret by mistake.
func show(u *url.URL) string { return u.Scheme + "://" + u.Host + u.Path + u.Opaque }

// parse reads a URL. Its errors do not repeat what might be a secret.
func parse(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return nil, fmt.Errorf("URL of the store: %w (write %%25 for %%, %%3F for ?, %%23 for # in a path)", err)
	}
	switch {
	case u.Scheme == "":
		return nil, errors.New("URL of the store has no scheme: write file:///path for a directory")
	case u.User != nil || strings.Contains(u.Opaque, "@"):
		return nil, errors.New("URL of the store holds credentials: they do not belong into a policy")
	case u.Fragment != "" || strings.HasSuffix(raw, "#"):
		return nil, fmt.Errorf("URL %s contains #: write %%23", show(u))
	}
	return u, nil
}

// options joins the query and the settings of a policy. Every key must be known
// and stand once.
func options(u *url.URL, settings map[string]string, known []string) (map[string]string, error) {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	all := maps.Clone(settings)
	if all == nil {
		all = make(map[string]string)
	}
	for key, values := range query {
		if _, ok := all[key]; ok || len(values) > 1 {
			return nil, fmt.Errorf("option %q stands twice", key)
		}
		all[key] = values[0]
	}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if slices.Contains(known, key) {
			continue
		}
		if len(known) == 0 {
			return nil, fmt.Errorf("option %q: %s:// takes none", key, u.Scheme)
		}
		return nil, fmt.Errorf("option %q is none of %s", key, strings.Join(known, ", "))
	}
	return all, nil
}

// dir returns the directory of a URL whose place is one.
func (p place) dir() (string, error) {
	u := p.url
	path := u.Path
	if u.Host != "" || u.Opaque != "" || !strings.HasPrefix(path, "/") {
		relative := u.Host + path + u.Opaque
		fix := "/path/to/" + relative
		if abs, err := filepath.Abs(relative); err == nil {
			fix = abs
		}
		fixed := url.URL{Scheme: u.Scheme, Path: fix, RawQuery: u.RawQuery}
		return "", fmt.Errorf("URL %s: the path is relative; write %s", show(u), fixed.String())
	}
	return filepath.FromSlash(path), nil
}
