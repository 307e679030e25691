package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/isotherm-backup/isotherm/internal/dupname"
)

// FromMultibackend turns duplicity's multibackend configuration into a policy
// with the same routing; query is that of the multi: URL (multibackend spec
// sections 1 and 2).
//
// Values of env never reach the policy: what Isotherm reads from a variable is
// named as one, and comments name the others. Two things differ from duplicity
// where stores are cold: manifests and signatures whose prefix belongs to cold
// stores only go by the later routes, and what is none of duplicity's files is
// frozen only where a prefix says so.
//
// The errors say what to change; several are joined.
func FromMultibackend(config []byte, query url.Values, archive string) ([]byte, error) {
	q, err := parseMultiQuery(query)
	if err != nil {
		return nil, err
	}
	var entries []multiEntry
	if err := json.Unmarshal(config, &entries); err != nil {
		return nil, fmt.Errorf("read multibackend configuration: %w; it is a JSON array of objects, each with a url", err)
	}
	if len(entries) == 0 {
		return nil, errors.New("the multibackend configuration has no stores")
	}
	m := &multi{query: q, archive: archiveNameFrom(archive)}
	if err := m.addStores(entries); err != nil {
		return nil, err
	}
	if q.mode == Stripe {
		err = m.stripe()
	} else {
		err = m.mirror()
	}
	if err != nil {
		return nil, err
	}
	src, err := m.write()
	if err != nil {
		return nil, err
	}
	// What was written loads once its variables are set.
	anything := func(string) (string, bool) { return "x", true }
	if _, err := Parse(src, "the policy made of the multibackend configuration", anything); err != nil {
		return nil, err
	}
	return src, nil
}

// multiQuery is the query of a multi: URL.
type multiQuery struct {
	mode      Mode
	onFailure OnFailure
	subpath   string
}

// parseMultiQuery takes what duplicity takes, and nothing else.
func parseMultiQuery(query url.Values) (multiQuery, error) {
	q := multiQuery{mode: Stripe, onFailure: Continue}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(query)) {
		values := query[name]
		if len(values) != 1 || values[0] == "" {
			errs = append(errs, fmt.Errorf("the query of multi: needs one value for %s", name))
			continue
		}
		v := values[0]
		switch {
		case name == "mode" && (v == string(Mirror) || v == string(Stripe)):
			q.mode = Mode(v)
		case name == "mode":
			errs = append(errs, fmt.Errorf("mode=%s: it is mirror or stripe", v))
		case name == "onfail" && (v == string(Abort) || v == string(Continue)):
			q.onFailure = OnFailure(v)
		case name == "onfail":
			errs = append(errs, fmt.Errorf("onfail=%s: it is continue or abort", v))
		case name == "subpath":
			q.subpath = v
		default:
			errs = append(errs, fmt.Errorf("the query of multi: has no %q; it has mode, onfail and subpath", name))
		}
	}
	return q, errors.Join(errs...)
}

// multiEntry is one store of duplicity's configuration.
type multiEntry struct {
	URL         string   `json:"url"`
	Description string   `json:"description"`
	Prefixes    []string `json:"prefixes"`
	Env         []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"env"`
}

// multi is the policy in the making.
type multi struct {
	query   multiQuery
	archive string
	stores  []multiStore
	tiers   []Tier
	routes  []Route
}

func (m *multi) addStores(entries []multiEntry) error {
	var errs []error
	for i, e := range entries {
		s, err := convertURL(e.URL + m.query.subpath)
		if err != nil {
			errs = append(errs, fmt.Errorf("store %d: %w", i+1, err))
			continue
		}
		s.Name = m.storeName(e.Description, s.URL)
		s.prefixes = e.Prefixes
		for _, v := range e.Env {
			s.addEnv(v.Name, differs(entries, v.Name))
		}
		m.stores = append(m.stores, s)
	}
	return errors.Join(errs...)
}

// storeName makes a name that no other store has.
func (m *multi) storeName(description, rawURL string) string {
	base := slug(strings.ToLower(description), "")
	if base == "" || len(base) > 40 {
		base, _, _ = strings.Cut(rawURL, ":")
	}
	name := base
	for n := 2; slices.ContainsFunc(m.stores, func(s multiStore) bool { return s.Name == name }); n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	return name
}

// stripe deals all files out over all stores.
func (m *multi) stripe() error {
	for _, s := range m.stores {
		if len(s.prefixes) > 0 {
			return fmt.Errorf("store %s has prefixes, which duplicity takes with mode=mirror only: add ?mode=mirror, or remove them", s.Name)
		}
	}
	hot, cold := split(m.stores)
	if len(cold) > 0 {
		return fmt.Errorf("a stripe over %s deals manifests and signatures to cold stores, where no backup or listing can read them. "+
			"Make a policy with `isotherm init` that has a tier of readable stores%s for kinds manifest and signature, "+
			"and a tier of the cold ones (%s) for volumes, then bring each store's files in with `isotherm import URL`",
			oneAndAll(append(slices.Clone(hot), cold...)), inBrackets(hot), oneAndAll(cold))
	}
	m.tiers = []Tier{{Name: "all", Mode: Stripe, Stores: hot}}
	m.routes = []Route{{Tiers: []string{"all"}}}
	return nil
}

func inBrackets(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return " (" + oneAndAll(words) + ")"
}

// mirror sends each name to all stores that have an affinity for it: those with
// a prefix that it begins with, or all stores when there is none.
func (m *multi) mirror() error {
	var prefixes []string
	for _, s := range m.stores {
		prefixes = append(prefixes, s.prefixes...)
	}
	// The longest first: a name that begins with it begins with its own
	// prefixes as well.
	slices.SortFunc(prefixes, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	prefixes = slices.Compact(prefixes)
	if !slices.Contains(prefixes, "") {
		prefixes = append(prefixes, "")
	}
	for _, prefix := range prefixes {
		m.routes = append(m.routes, Route{Prefix: prefix, Tiers: m.tiersFor(m.eligible(prefix))})
	}
	if last := m.routes[len(m.routes)-1]; slices.ContainsFunc(last.Tiers, m.isHot) {
		return nil
	}
	// Only names with some prefix reach a hot store: the others must as well.
	hot, cold := split(m.stores)
	if len(hot) == 0 {
		return allCold(cold)
	}
	m.routes = append(m.routes, Route{
		Kinds: []dupname.Kind{dupname.Manifest, dupname.Signature}, Tiers: []string{m.tierOf("hot", hot)},
	})
	return nil
}

// eligible returns the stores that take the names which begin with prefix, and
// with no longer one that is registered.
func (m *multi) eligible(prefix string) []multiStore {
	var stores []multiStore
	for _, s := range m.stores {
		if slices.ContainsFunc(s.prefixes, func(p string) bool { return strings.HasPrefix(prefix, p) }) {
			stores = append(stores, s)
		}
	}
	if len(stores) == 0 {
		return m.stores
	}
	return stores
}

// tiersFor returns a tier of the hot ones of the stores and one of the cold
// ones, apart, so that what must stay readable can go to the first only.
func (m *multi) tiersFor(stores []multiStore) []string {
	hot, cold := split(stores)
	var names []string
	if len(hot) > 0 {
		names = append(names, m.tierOf("hot", hot))
	}
	if len(cold) > 0 {
		names = append(names, m.tierOf("cold", cold))
	}
	return names
}

// split returns the names of the hot and of the cold stores.
func split(stores []multiStore) (hot, cold []string) {
	for _, s := range stores {
		if Cold(s.Store) {
			cold = append(cold, s.Name)
		} else {
			hot = append(hot, s.Name)
		}
	}
	return hot, cold
}

// tierOf returns the name of the mirror of these stores, which it makes if
// there is none yet. A tier of one store has the store's name.
func (m *multi) tierOf(base string, stores []string) string {
	switch len(stores) {
	case 1:
		base = stores[0]
	case len(m.stores):
		base = "all"
	}
	name := base
	for n := 2; ; n++ {
		i := slices.IndexFunc(m.tiers, func(t Tier) bool { return t.Name == name })
		if i < 0 {
			m.tiers = append(m.tiers, Tier{Name: name, Mode: Mirror, Stores: stores, OnFailure: m.query.onFailure})
			return name
		}
		if slices.Equal(m.tiers[i].Stores, stores) {
			return name
		}
		name = fmt.Sprintf("%s-%d", base, n)
	}
}

// isHot reports whether a tier is one of hot stores.
func (m *multi) isHot(tier string) bool {
	hot, _ := split(m.stores)
	return slices.ContainsFunc(m.tiers, func(t Tier) bool { return t.Name == tier && slices.Contains(hot, t.Stores[0]) })
}

// allCold says what to do when there are cold stores only.
func allCold(stores []string) error {
	return fmt.Errorf("manifests and signatures would reach cold stores only (%s), where no backup or listing can read them without a thaw. "+
		`Add a store that can be read, such as {"url": "swift://CONTAINER"}, to the multibackend configuration, run this again, `+
		"and bring the manifests and signatures there with `isotherm repair`", oneAndAll(stores))
}

// write makes the policy's text, with comments.
func (m *multi) write() ([]byte, error) {
	p := &Policy{Version: supported, Archive: m.archive, Tiers: m.tiers, Routes: m.routes}
	for _, s := range m.stores {
		p.Stores = append(p.Stores, s.Store)
	}
	m.addPassphrase(p)
	root, err := encoder{written: p.written}.policy(p)
	if err != nil {
		return nil, err
	}
	root.HeadComment = fmt.Sprintf("Made of duplicity's multibackend configuration, mode=%s&onfail=%s.\n`isotherm check` tells whether it is right.", m.query.mode, m.query.onFailure)
	if m.query.mode == Stripe && m.query.onFailure == Continue {
		root.HeadComment += "\nA stripe takes the next store when one fails: there is no on_failure for it."
	}
	for _, s := range m.stores {
		comment(root, s.comment(), "stores", s.Name)
	}
	comment(root, "First match wins. A prefix stands for duplicity's affinity; names without one\ngo to all stores. Manifests and signatures are never sent to cold stores only.", "routes")

	return writeYAML(root)
}

// addPassphrase names duplicity's own variable, if a store was given it.
func (m *multi) addPassphrase(p *Policy) {
	if slices.ContainsFunc(m.stores, func(s multiStore) bool { return s.passphrase }) {
		p.Encryption.Passphrase = redacted
		p.written = map[string]string{"encryption.passphrase": "${env:PASSPHRASE}"}
	}
}

// comment puts a comment above the key at the end of path.
func comment(root *yaml.Node, text string, path ...string) {
	n := root
	for depth, key := range path {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value != key {
				continue
			}
			if depth == len(path)-1 {
				n.Content[i].HeadComment = text
				return
			}
			n = n.Content[i+1]
			break
		}
	}
}
