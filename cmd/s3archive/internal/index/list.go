package index

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	bolt "go.etcd.io/bbolt"
)

// Query is what a listing asks for.
type Query struct {
	Prefix, Delimiter string
	After             string // only keys and common prefixes behind this one
	Version           string // only versions of After behind this one, too; for Versions only
	Max               int    // keys and common prefixes in the page
}

// Entry is a line of a listing: a common prefix, or else a key with a version.
type Entry struct {
	Prefix  string
	Key     string
	Version Version
	Latest  bool // it is the key's current version
}

// name is the key or common prefix that an entry stands for.
func (e Entry) name() string { return e.Prefix + e.Key }

// Page is a part of a listing, in the byte order of the keys.
type Page struct {
	Entries   []Entry
	Truncated bool
}

// Last is the key or common prefix, and the version, after which the next page begins.
func (p Page) Last() (name, version string) {
	if len(p.Entries) == 0 {
		return "", ""
	}
	last := p.Entries[len(p.Entries)-1]
	return last.name(), last.Version.ID
}

// List lists the current versions that are not delete markers.
func (x *Index) List(bucket string, q Query) (Page, error) {
	return x.list(bucket, q, func(all []Version) []Version {
		if all[0].Marker {
			return nil
		}
		return all[:1]
	})
}

// Versions lists all versions and delete markers, newest first for each key.
func (x *Index) Versions(bucket string, q Query) (Page, error) {
	return x.list(bucket, q, func(all []Version) []Version { return all })
}

func (x *Index) list(bucket string, q Query, visible func([]Version) []Version) (page Page, err error) {
	err = x.db.View(func(tx *bolt.Tx) error {
		objects, err := objects(tx, bucket)
		if err != nil || q.Max == 0 {
			return err
		}
		l := lister{query: q, cursor: objects.Cursor(), visible: visible}
		if err := l.run(); err != nil {
			return err
		}
		page = l.page
		return nil
	})
	return page, err
}

// lister walks over the keys of a bucket and collects a page.
type lister struct {
	query   Query
	cursor  *bolt.Cursor
	visible func([]Version) []Version
	page    Page
}

// run stops when one entry more than the page holds has been found, for that is what says that there are more.
func (l *lister) run() error {
	key, value := l.cursor.Seek([]byte(max(l.query.Prefix, l.query.After)))
	for key != nil && bytes.HasPrefix(key, []byte(l.query.Prefix)) && !l.page.Truncated {
		var all []Version
		if err := json.Unmarshal(value, &all); err != nil {
			return fmt.Errorf("read %q from the index: %w", key, err)
		}
		var group string
		for _, e := range l.entries(string(key), all) {
			if len(l.page.Entries) == l.query.Max {
				l.page.Truncated = true
				break
			}
			l.page.Entries = append(l.page.Entries, e)
			group = e.Prefix
		}
		if group == "" {
			group = l.skipped(string(key))
		}
		key, value = l.next(group)
	}
	return nil
}

// next goes to the next key, or behind all keys of a common prefix if there is one.
func (l *lister) next(group string) (key, value []byte) {
	if group == "" {
		return l.cursor.Next()
	}
	behind := after(group)
	if behind == nil {
		return nil, nil
	}
	return l.cursor.Seek(behind)
}

// entries are the lines that a key makes.
func (l *lister) entries(key string, all []Version) []Entry {
	visible := l.visible(all)
	if len(visible) == 0 || key < l.query.After {
		return nil
	}
	if group := l.group(key); group != "" {
		if group == l.query.After {
			return nil
		}
		return []Entry{{Prefix: group}}
	}
	var list []Entry
	skip := key == l.query.After
	for _, v := range visible {
		if !skip {
			list = append(list, Entry{Key: key, Version: v, Latest: v.ID == all[0].ID})
		}
		if key == l.query.After && l.query.Version != "" && v.ID == l.query.Version {
			skip = false
		}
	}
	return list
}

// group is the common prefix that a key belongs to, or empty.
func (l *lister) group(key string) string {
	if l.query.Delimiter == "" {
		return ""
	}
	rest := key[len(l.query.Prefix):]
	i := strings.Index(rest, l.query.Delimiter)
	if i < 0 {
		return ""
	}
	return key[:len(l.query.Prefix)+i+len(l.query.Delimiter)]
}

// skipped is the common prefix of a key that is left out because an earlier page had it.
func (l *lister) skipped(key string) string {
	if group := l.group(key); group != "" && group == l.query.After {
		return group
	}
	return ""
}

// after is the first byte string behind all that begin with prefix, nil if there is none.
func after(prefix string) []byte {
	b := []byte(prefix)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] < 0xff {
			b[i]++
			return b[:i+1]
		}
	}
	return nil
}
