package policy

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// supported is the version of the format that this package reads.
const supported = 1

var (
	archiveName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)
	entryName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)
)

func (c *checker) checkArchive() {
	// It names a directory of the local state.
	if a := c.policy.Archive; a != "" && !archiveName.MatchString(a) || a == "" && c.given("archive") {
		c.wrong("archive", "write letters, digits, dots, dashes and underscores, a letter or digit first", "archive %q is no name that can be used", a)
	}
}

func (c *checker) checkStores() {
	if len(c.policy.Stores) == 0 && c.given("stores") {
		c.wrong("stores", "add one, as in {hot: {url: \"file:///srv/backup\"}}", "there are no stores")
	}
	urls := make([]*url.URL, len(c.policy.Stores))
	for i := range c.policy.Stores {
		s := &c.policy.Stores[i]
		path := join("stores", s.Name)
		if !entryName.MatchString(s.Name) {
			c.wrongKey(path, "write letters, digits, dashes and underscores", "%q is no name for a store", s.Name)
		}
		s.Weight = max(s.Weight, 1)
		if c.given(join(path, "url")) {
			urls[i] = c.checkStore(path, s)
		}
		c.checkPrices(join(path, "prices"), s.Prices)
	}
	c.checkOverlap(urls)
	c.checkPrices("prices", c.policy.Prices)
}

// checkStore checks one store, and returns its URL if that is right.
func (c *checker) checkStore(path string, s *Store) *url.URL {
	at := join(path, "url")
	if s.URL == "" {
		c.wrong(at, "write a URL such as file:///srv/backup", "%s is empty", at)
		return nil
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		// The parser's error repeats the URL, which may hold a secret.
		c.wrong(at, "write %25 for %, and brackets around an IPv6 address only", "%s is no URL", at)
		return nil
	}
	if u.User != nil || secretQuery(u) != "" {
		what := "credentials"
		if key := secretQuery(u); key != "" {
			what = "a credential (" + key + ")"
		}
		c.wrong(at, credentialsFix(u.Scheme), "%s holds %s; they must never stand in a policy", at, what)
		return nil
	}
	kind, ok := schemeNamed(u.Scheme)
	if !ok {
		c.wrong(at, schemeFix(u), "%s: there is no store for %q", at, u.Scheme)
		return nil
	}
	c.checkClass(path, s, kind)
	c.checkOptions(path, s, kind, u)
	if !c.checkPlace(at, u, kind) {
		return nil
	}
	return u
}

// checkPlace checks that a URL names a place of its scheme.
func (c *checker) checkPlace(at string, u *url.URL, kind scheme) bool {
	switch {
	case u.Fragment != "" || u.Opaque != "":
		c.wrong(at, "write "+kind.example+", with %23 for #", "%s is no place", at)
	case kind.bucket && u.Host == "":
		c.wrong(at, "write "+kind.example, "%s names no bucket or container", at)
	case kind.bucket && u.Port() != "":
		c.wrong(at, "write "+kind.example+", and the address as endpoint", "%s holds the address of a service", at)
	case kind.bucket && u.RawQuery != "":
		c.wrong(at, "write settings as keys of the store", "%s has a query", at)
	case !kind.bucket && u.Host != "":
		c.wrong(at, "write three slashes: "+u.Scheme+":///"+u.Host+u.Path, "%s: the directory must be absolute", at)
	case !kind.bucket && strings.Trim(u.Path, "/") == "":
		c.wrong(at, "write "+kind.example, "%s names no directory", at)
	case slices.Contains(strings.Split(u.Path, "/"), ".."):
		c.wrong(at, "write the path without ..", "%s contains ..", at)
	default:
		return true
	}
	return false
}

func (c *checker) checkClass(path string, s *Store, kind scheme) {
	at := join(path, "class")
	switch {
	case s.Class == "":
		s.Class = kind.class
	case slices.Contains(kind.classes, s.Class):
	case kind.name == "file":
		c.wrong(at, "remove it, or write coldsim:// for a directory that simulates a class", "%s is %q: a directory has no storage classes", at, s.Class)
	case kind.name == "swift" && s.Class == "PCA":
		c.wrong(at, "write pca:// in the URL", "%s is PCA: such containers seal their files, which swift:// does not expect", at)
	case kind.open && (s.Options["endpoint"] != "" || kind.name == "swift"):
		// Another provider's class: kept as it is.
	default:
		c.wrong(at, didYouMean(s.Class, kind.classes), "%s: %s:// has no class %q", at, kind.name, s.Class)
	}
}

// checkOptions checks the settings of a store, in the URL's query too.
func (c *checker) checkOptions(path string, s *Store, kind scheme, u *url.URL) {
	if s.Region != "" && !kind.region {
		c.wrongKey(join(path, "region"), "remove it", "%s:// has no regions", kind.name)
	}
	if s.Cloud != "" && !kind.cloud {
		c.wrongKey(join(path, "cloud"), "remove it; credentials for s3:// come from AWS's configuration: see profile", "%s:// uses no clouds.yaml", kind.name)
	}
	words := []string{"url", "class", "region", "cloud", "weight", "prices"}
	for _, o := range kind.options {
		words = append(words, o.key)
	}
	for _, key := range slices.Sorted(maps.Keys(s.Options)) {
		at := join(path, key)
		o, ok := kind.option(key)
		if !ok {
			c.wrongKey(at, didYouMean(key, words), "unknown key %q in %s, which is %s://", key, path, kind.name)
			continue
		}
		if err := o.check(s.Options[key]); err != nil {
			c.failValue(c.node(at), at, err)
		}
	}
	query := u.Query()
	for _, key := range slices.Sorted(maps.Keys(query)) {
		at, values := join(path, "url"), query[key]
		o, ok := kind.option(key)
		switch {
		case !ok && !kind.bucket:
			c.wrong(at, "remove it", "%s has the unknown setting %q", at, key)
		case ok && (len(values) > 1 || s.Options[key] != ""):
			c.wrong(at, "keep one of the two", "%s: %s stands twice", at, key)
		case ok:
			if err := o.check(values[0]); err != nil {
				c.failValue(c.node(at), at+": "+key, err)
			}
		}
	}
}

// secretQuery returns the key of a URL's query that looks like a credential.
func secretQuery(u *url.URL) string {
	for key := range u.Query() {
		folded := strings.ToLower(key)
		for _, word := range []string{"password", "passwd", "secret", "token", "credential", "accesskey", "access_key", "access-key", "signature"} {
			if strings.Contains(folded, word) {
				return key
			}
		}
	}
	return ""
}

func credentialsFix(scheme string) string {
	if scheme == "swift" || scheme == "pca" {
		return "put them into clouds.yaml and name the entry as cloud, or into OS_* variables, and change the password that stood here"
	}
	return "put them into AWS's own configuration (aws configure) or variables, and change the password that stood here"
}

func schemeFix(u *url.URL) string {
	all := schemes()
	words := make([]string, len(all))
	for i, s := range all {
		words[i] = s.name
	}
	if u.Scheme == "" {
		return "begin with one of " + strings.Join(words, "://, ") + "://"
	}
	return didYouMean(u.Scheme, words)
}

// checkOverlap finds stores that would see each other's files.
func (c *checker) checkOverlap(urls []*url.URL) {
	stores := c.policy.Stores
	for j := range stores {
		for i := range j {
			if urls[i] == nil || urls[j] == nil {
				continue
			}
			a, b := placeOf(stores[i], urls[i]), placeOf(stores[j], urls[j])
			at := join(join("stores", stores[j].Name), "url")
			switch aInB, bInA := b.holds(a), a.holds(b); {
			case aInB && bInA:
				c.wrong(at, "give each store a prefix or directory of its own", "stores %s and %s are the same place", stores[i].Name, stores[j].Name)
			case bInA:
				c.wrong(at, "give each store a prefix or directory of its own", "store %s lies within store %s, which would list its files as its own", stores[j].Name, stores[i].Name)
			case aInB:
				c.wrong(at, "give each store a prefix or directory of its own", "store %s holds store %s, and would list its files as its own", stores[j].Name, stores[i].Name)
			}
		}
	}
}

func (c *checker) checkTiers() {
	if len(c.policy.Tiers) == 0 && c.given("tiers") {
		c.wrong("tiers", "add one, as in {hot: {stores: [NAME]}}", "there are no tiers")
	}
	for i := range c.policy.Tiers {
		t := &c.policy.Tiers[i]
		path := join("tiers", t.Name)
		if !entryName.MatchString(t.Name) {
			c.wrongKey(path, "write letters, digits, dashes and underscores", "%q is no name for a tier", t.Name)
		}
		if t.Mode == "" {
			t.Mode = Mirror
		}
		c.checkTierStores(path, t)
		if t.Mode == Stripe {
			c.checkStripe(path, t)
		} else if t.OnFailure == "" {
			t.OnFailure = Abort
		}
	}
}

// placeBatchLists puts the lists of files that jobs of S3 work off beside the
// manifests, in a hot store at the same service. Without such a store they stay
// where package backends/s3 puts them, in the store's own bucket.
func (c *checker) placeBatchLists() {
	for i := range c.policy.Stores {
		s := &c.policy.Stores[i]
		if s.Options["batch_role"] == "" || s.Options["batch_manifests"] != "" {
			continue
		}
		k := slices.IndexFunc(c.policy.Stores, func(hot Store) bool {
			return !Cold(hot) && strings.HasPrefix(hot.URL, "s3:") && hot.Options["endpoint"] == s.Options["endpoint"]
		})
		if k >= 0 {
			s.Options["batch_manifests"] = strings.TrimSuffix(c.policy.Stores[k].URL, "/") + "/" + OwnPrefix + "batch"
		}
	}
}

func (c *checker) checkTierStores(path string, t *Tier) {
	at := join(path, "stores")
	if c.emptyList(at) {
		c.wrong(at, "name one or more stores", "tier %s has no stores", t.Name)
	}
	for i, name := range t.Stores {
		if _, ok := c.policy.Store(name); !ok {
			c.wrongElement(at, i, didYouMean(name, c.storeNames()), "tier %s: there is no store %q", t.Name, name)
		}
		if slices.Contains(t.Stores[:i], name) {
			c.wrongElement(at, i, "remove one of the two", "tier %s has store %s twice", t.Name, name)
		}
	}
}

func (c *checker) checkStripe(path string, t *Tier) {
	if t.OnFailure != "" {
		c.wrongKey(join(path, "on_failure"), "remove it, or write mode: mirror", "tier %s is a stripe, which has each file once: on_failure is for mirrors", t.Name)
	}
	var hot, cold []string
	for _, name := range t.Stores {
		if s, ok := c.policy.Store(name); ok {
			if Cold(*s) {
				cold = append(cold, name)
			} else {
				hot = append(hot, name)
			}
		}
	}
	if len(hot) > 0 && len(cold) > 0 {
		c.wrong(join(path, "stores"), "make two tiers, one of each",
			"tier %s is a stripe whose stores differ: files in %s can be read at once, files in %s only after a thaw", t.Name, oneAndAll(hot), oneAndAll(cold))
	}
}

// wrongElement notes a finding at the i-th element of the list at path.
func (c *checker) wrongElement(path string, i int, fix, format string, args ...any) {
	if element := fmt.Sprintf("%s[%d]", path, i); c.given(element) {
		path = element
	}
	c.wrong(path, fix, format, args...)
}

func (c *checker) storeNames() []string {
	names := make([]string, len(c.policy.Stores))
	for i, s := range c.policy.Stores {
		names[i] = s.Name
	}
	return names
}

func (c *checker) tierNames() []string {
	names := make([]string, len(c.policy.Tiers))
	for i, t := range c.policy.Tiers {
		names[i] = t.Name
	}
	return names
}

// oneAndAll lists words as in "a, b and c".
func oneAndAll(words []string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return strings.Join(words, "")
}
