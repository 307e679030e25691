package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/isotherm-backup/isotherm/internal/dupname"
)

// OwnPrefix begins the names of Isotherm's own files in the stores, that of an
// index after Prefixes.All. They go where the defaults send what is none of
// duplicity's files, whatever the written routes say: they must always be readable.
const OwnPrefix = "isotherm-"

// Decision says where a file goes, and why.
type Decision struct {
	Route *Route   // in Policy.Routes
	Index int      // of Route in Policy.Routes
	Tiers []string // the route's; a copy of the file goes to each
	Kind  dupname.Kind
	Why   string // the route's conditions, in words
}

// Route decides which tiers take the file name of size bytes at the time at. A
// negative size is not known: then conditions on the size are not met.
//
// A loaded policy has a route for every file. Should the size that matters not
// be known, the file goes where nothing freezes.
func (p *Policy) Route(name string, size int64, at time.Time) Decision {
	f := p.factsOf(name, size, at)
	last := len(p.Routes) - 1
	for i := range p.Routes {
		if r := &p.Routes[i]; i == last || p.refuses(r, f) == accepted {
			return Decision{Route: r, Index: i, Tiers: r.Tiers, Kind: f.kind, Why: r.why(f)}
		}
	}
	return Decision{Index: -1, Kind: f.kind}
}

// Explanation is a Decision with the reasons of the routes before it.
type Explanation struct {
	Decision
	Earlier []Refusal
}

// Refusal says why a route does not take a file.
type Refusal struct {
	Route *Route
	Index int // in Policy.Routes
	Why   string
}

// Explain is Route, and says why each earlier route does not take the file.
func (p *Policy) Explain(name string, size int64, at time.Time) Explanation {
	e := Explanation{Decision: p.Route(name, size, at)}
	f := p.factsOf(name, size, at)
	for i := range e.Index {
		r := &p.Routes[i]
		e.Earlier = append(e.Earlier, Refusal{r, i, p.refuses(r, f).text(r, f)})
	}
	return e
}

// facts are what routes look at in a file.
type facts struct {
	name  string
	kind  dupname.Kind
	size  int64         // negative when not known
	age   time.Duration // of the set that the name tells
	dated bool          // the name tells a set
	own   bool
}

func (p *Policy) factsOf(name string, size int64, at time.Time) facts {
	f := facts{name: name, size: size}
	if n, ok := p.parse(name); ok {
		// An index is as good as a manifest, whatever routes there are.
		f.kind, f.dated, f.age, f.own = n.Kind, true, at.Sub(n.End), n.Index
	} else {
		// The same text may be somebody's --file-prefix.
		f.own = strings.HasPrefix(name, OwnPrefix)
	}
	return f
}

// parse reads a name with the policy's prefixes, or with any when it has none.
func (p *Policy) parse(name string) (dupname.Name, bool) {
	if p.Prefixes == (dupname.Prefixes{}) {
		return dupname.Guess(name)
	}
	return p.Prefixes.Parse(name)
}

// refusal is the reason why a route does not take a file.
type refusal uint8

const (
	accepted refusal = iota
	refusedOwn
	refusedKind
	refusedPrefix
	refusedGlob
	refusedSize
	refusedAge
	refusedCold
)

// refuses returns the first condition of r that the file does not meet.
func (p *Policy) refuses(r *Route, f facts) refusal {
	switch {
	case f.own:
		return refusedOwn
	case len(r.Kinds) > 0 && !slices.Contains(r.Kinds, f.kind):
		return refusedKind
	case !strings.HasPrefix(f.name, r.Prefix):
		return refusedPrefix
	case r.Glob != "" && !matchGlob(r.Glob, f.name):
		return refusedGlob
	case !r.takesSize(f.size):
		return refusedSize
	case !r.takesAge(f.age, f.dated):
		return refusedAge
	case p.freezes(r, f.kind):
		return refusedCold
	}
	return accepted
}

// matchGlob reports whether a pattern, which was checked, matches a name.
func matchGlob(glob, name string) bool {
	ok, err := doublestar.Match(glob, name)
	return ok && err == nil
}

func (r *Route) takesSize(size int64) bool {
	if r.SmallerThan == 0 && r.LargerThan == 0 {
		return true
	}
	return size >= r.LargerThan && size >= 0 && (r.SmallerThan == 0 || size < r.SmallerThan)
}

func (r *Route) takesAge(age time.Duration, dated bool) bool {
	if r.YoungerThan == 0 && r.OlderThan == 0 {
		return true
	}
	return dated && (r.OlderThan == 0 || age >= r.OlderThan) && (r.YoungerThan == 0 || age < r.YoungerThan)
}

// freezes reports whether r would freeze, without naming kinds, what must stay
// readable. Manifests and signatures need one copy that can be read; a file
// that is none of duplicity's may be anything, and no copy of it is frozen
// unless the route describes its name.
func (p *Policy) freezes(r *Route, kind dupname.Kind) bool {
	if len(r.Kinds) > 0 {
		return false
	}
	switch kind {
	case dupname.Manifest, dupname.Signature:
		return !slices.ContainsFunc(r.Tiers, p.readable)
	case dupname.Other:
		return r.Prefix == "" && r.Glob == "" && slices.ContainsFunc(r.Tiers, func(t string) bool { return !p.readable(t) })
	}
	return false
}

// readable reports whether each file in a tier can be read without a thaw: from
// one of a mirror's stores, from all of a stripe's.
func (p *Policy) readable(tier string) bool {
	t, ok := p.Tier(tier)
	if !ok {
		return true // found wrong elsewhere
	}
	cold := 0
	for _, name := range t.Stores {
		if p.isCold(name) {
			cold++
		}
	}
	if t.Mode == Stripe {
		return cold == 0
	}
	return cold < max(1, len(t.Stores))
}

// isCold reports whether the store of that name is cold.
func (p *Policy) isCold(store string) bool {
	s, ok := p.Store(store)
	return ok && Cold(*s)
}

// text says a reason in words.
func (x refusal) text(r *Route, f facts) string {
	switch x {
	case refusedOwn:
		return "it is Isotherm's own file, which only the last route takes"
	case refusedKind:
		return fmt.Sprintf("it is for kinds %s, and the file is of kind %s", kindWords(r.Kinds), f.kind)
	case refusedPrefix:
		return fmt.Sprintf("the name does not begin with %q", r.Prefix)
	case refusedGlob:
		return fmt.Sprintf("the name does not match %q", r.Glob)
	case refusedSize:
		if f.size < 0 {
			return "the size is not known"
		}
		return fmt.Sprintf("the size, %s, is not %s", FormatSize(f.size), r.sizeWords())
	case refusedAge:
		if !f.dated {
			return "the name tells no age"
		}
		return fmt.Sprintf("the age, %s, is not %s", roughAge(f.age), r.ageWords())
	case refusedCold:
		return fmt.Sprintf("it names no kinds, and would freeze a file of kind %s", f.kind)
	}
	return ""
}

// why says which conditions the file has met.
func (r *Route) why(f facts) string {
	switch {
	case f.own:
		return "Isotherm's own files go where nothing freezes"
	case r.Implied && f.kind != dupname.Other:
		return "no route takes the file, and here nothing freezes"
	case r.Implied:
		return "none of duplicity's files, and no route names it: it goes where the manifests are readable"
	case r.words != "":
		return r.words
	}
	return r.conditions()
}

// conditions are those of the route, in words.
func (r *Route) conditions() string {
	var words []string
	if len(r.Kinds) > 0 {
		words = append(words, "kind is "+kindWords(r.Kinds))
	}
	if r.Prefix != "" {
		words = append(words, fmt.Sprintf("name begins with %q", r.Prefix))
	}
	if r.Glob != "" {
		words = append(words, fmt.Sprintf("name matches %q", r.Glob))
	}
	if w := r.sizeWords(); w != "" {
		words = append(words, "size is "+w)
	}
	if w := r.ageWords(); w != "" {
		words = append(words, "age is "+w)
	}
	if len(words) == 0 {
		return "takes every file that is left"
	}
	return strings.Join(words, ", ")
}

func kindWords(kinds []dupname.Kind) string {
	words := make([]string, len(kinds))
	for i, k := range kinds {
		words[i] = k.String()
	}
	return oneOf(words)
}

func (r *Route) sizeWords() string {
	var words []string
	if r.LargerThan > 0 {
		words = append(words, FormatSize(r.LargerThan)+" or more")
	}
	if r.SmallerThan > 0 {
		words = append(words, "less than "+FormatSize(r.SmallerThan))
	}
	return strings.Join(words, " and ")
}

func (r *Route) ageWords() string {
	var words []string
	if r.OlderThan > 0 {
		words = append(words, FormatDuration(r.OlderThan)+" or more")
	}
	if r.YoungerThan > 0 {
		words = append(words, "less than "+FormatDuration(r.YoungerThan))
	}
	return strings.Join(words, " and ")
}

// roughAge writes an age in its larger units.
func roughAge(age time.Duration) string {
	switch {
	case age < 0:
		return "which lies in the future"
	case age >= 2*day:
		return FormatDuration(age.Truncate(day))
	case age >= time.Hour:
		return FormatDuration(age.Truncate(time.Hour))
	}
	return FormatDuration(age.Truncate(time.Second))
}
