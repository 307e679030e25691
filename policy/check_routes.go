package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/isotherm-backup/isotherm/internal/dupname"
)

func (c *checker) checkRoutes() {
	p := c.policy
	if len(p.Routes) == 0 && c.given("routes") {
		c.wrong("routes", "add one, as in {tier: NAME}", "there are no routes")
	}
	for i := range p.Routes {
		c.checkRoute(i, &p.Routes[i])
	}
	written := len(p.Routes)
	c.implyRoute()
	for i := range p.Routes {
		p.Routes[i].words = p.Routes[i].conditions()
	}
	// What follows from all parts together can only be told when each is right.
	if !c.hasErrors() {
		c.checkCoverage(p.Routes[:written])
		c.checkReach(p.Routes[:written])
		c.checkUse()
	}
}

func (c *checker) hasErrors() bool {
	return slices.ContainsFunc(c.findings, func(f Finding) bool { return !f.Warning })
}

// checkUse warns of stores and tiers that nothing is sent to.
func (c *checker) checkUse() {
	p := c.policy
	used, striped, routed := make(map[string]bool), make(map[string]bool), make(map[string]bool)
	for _, t := range p.Tiers {
		for _, name := range t.Stores {
			used[name] = true
			striped[name] = striped[name] || t.Mode == Stripe
		}
	}
	for _, s := range p.Stores {
		path := join("stores", s.Name)
		if !used[s.Name] {
			c.warnKey(path, "add it to a tier, or remove it", "store %s is in no tier: nothing is written to it", s.Name)
		} else if s.Weight > 1 && !striped[s.Name] {
			c.warnKey(join(path, "weight"), "remove it", "store %s is in no stripe: its weight has no effect", s.Name)
		}
	}
	for _, r := range p.Routes {
		for _, t := range r.Tiers {
			routed[t] = true
		}
	}
	for _, t := range p.Tiers {
		if !routed[t.Name] {
			c.warnKey(join("tiers", t.Name), "add a route to it, or remove it", "no route sends anything to tier %s", t.Name)
		}
	}
}

func routePath(i int) string { return fmt.Sprintf("routes[%d]", i) }

// checkRoute checks one route by itself.
func (c *checker) checkRoute(i int, r *Route) {
	path := routePath(i)
	r.Line = c.node(path).Line
	c.checkRouteTiers(path, r)
	kinds := join(path, "kinds")
	if c.emptyList(kinds) {
		c.wrong(kinds, "name one or more, or remove the key", "route %d is for no kinds", i+1)
	}
	for j, k := range r.Kinds {
		if slices.Contains(r.Kinds[:j], k) {
			c.wrongElement(kinds, j, "remove one of the two", "route %d names %s twice", i+1, k)
		}
	}
	if r.Glob != "" && !doublestar.ValidatePattern(r.Glob) {
		c.wrong(join(path, "glob"), `close brackets and braces, as in "*.{gpg,gz}"`, "route %d: %q is no pattern", i+1, r.Glob)
	}
	if r.SmallerThan > 0 && r.LargerThan >= r.SmallerThan {
		c.wrong(join(path, "smaller_than"), "make smaller_than larger than larger_than", "route %d can never match: no file is %s", i+1, r.sizeWords())
	}
	if r.YoungerThan > 0 && r.OlderThan >= r.YoungerThan {
		c.wrong(join(path, "younger_than"), "make younger_than longer than older_than", "route %d can never match: no set's age is %s", i+1, r.ageWords())
	}
	c.checkHotKinds(i, r)
}

func (c *checker) checkRouteTiers(path string, r *Route) {
	at := join(path, "tiers")
	switch {
	case !c.hasKey(at) && !c.hasKey(join(path, "tier")):
		c.wrong(path, "add tier: NAME", "route in line %d has no tier", r.Line)
	case c.emptyList(at):
		c.wrong(at, "name one or more tiers", "route in line %d has no tier", r.Line)
	}
	for i, name := range r.Tiers {
		node := fmt.Sprintf("%s[%d]", at, i)
		if c.given(join(path, "tier")) {
			node = join(path, "tier")
		}
		if _, ok := c.policy.Tier(name); !ok {
			c.wrong(node, didYouMean(name, c.tierNames()), "there is no tier %q", name)
		}
		if slices.Contains(r.Tiers[:i], name) {
			c.wrong(node, "remove one of the two", "tier %s stands twice", name)
		}
	}
}

// checkHotKinds finds manifests and signatures that reach cold tiers only.
func (c *checker) checkHotKinds(i int, r *Route) {
	if len(r.Tiers) == 0 || slices.ContainsFunc(r.Tiers, c.policy.readable) {
		return
	}
	for j, k := range r.Kinds {
		if k == dupname.Manifest || k == dupname.Signature {
			c.wrongElement(join(routePath(i), "kinds"), j, "add a readable tier, as in tiers: ["+oneReadable(c.policy)+", "+strings.Join(r.Tiers, ", ")+"]",
				"route %d sends each %s to %s only, where it cannot be read without a thaw; every backup, listing and plan reads it", i+1, k, tierWords(r.Tiers))
		}
	}
}

// tierWords names tiers, as in "tier cold" or "tiers a and b".
func tierWords(tiers []string) string {
	if len(tiers) == 1 {
		return "tier " + tiers[0]
	}
	return "tiers " + oneAndAll(tiers)
}

// oneReadable names a tier that can be read, as an example.
func oneReadable(p *Policy) string {
	for _, t := range p.Tiers {
		if p.readable(t.Name) {
			return t.Name
		}
	}
	return "HOT"
}

// implyRoute adds the route of last resort: what is none of duplicity's files
// goes where the manifests are, and stays readable.
func (c *checker) implyRoute() {
	p := c.policy
	tiers := p.manifestTiers()
	if len(tiers) == 0 {
		return // then manifests reach no readable tier, which is found wrong
	}
	implied := Route{Kinds: []dupname.Kind{dupname.Other}, Tiers: tiers, Implied: true}
	last := &p.Routes[len(p.Routes)-1] // there is one: that for manifests
	if slices.Equal(last.Kinds, implied.Kinds) && slices.Equal(last.Tiers, tiers) && last.allNames() && last.allSizesAndAges() {
		return // written out, as Effective does
	}
	p.Routes = append(p.Routes, implied)
}

// manifestTiers returns the tiers of the first route that takes manifests
// whatever their names, or else of the first that takes some: those whose
// stores are all hot, or else those that can be read.
func (p *Policy) manifestTiers() []string {
	for _, anyName := range []bool{true, false} {
		for i := range p.Routes {
			r := &p.Routes[i]
			takes := len(r.Kinds) == 0 || slices.Contains(r.Kinds, dupname.Manifest)
			if !takes || anyName && !p.takesAllNames(r, dupname.Manifest) {
				continue
			}
			if tiers := p.hottest(r.Tiers); len(tiers) > 0 {
				return tiers
			}
		}
	}
	return nil
}

// hottest returns those of the tiers whose stores are all hot, or else those
// that can be read.
func (p *Policy) hottest(tiers []string) []string {
	var hot, readable []string
	for _, name := range tiers {
		t, ok := p.Tier(name)
		if !ok || !p.readable(name) {
			continue
		}
		readable = append(readable, name)
		if !slices.ContainsFunc(t.Stores, p.isCold) {
			hot = append(hot, name)
		}
	}
	if len(hot) > 0 {
		return hot
	}
	return readable
}

// A cell stands for all files of a kind between two neighbouring limits of size
// and age: each route takes either all or none of them, names apart.
type cell struct {
	kind  dupname.Kind
	size  int64
	age   time.Duration
	dated bool
}

// cells returns one cell for each combination that the routes tell apart.
func cells(routes []Route, kinds ...dupname.Kind) []cell {
	sizes, ages := []int64{0}, []time.Duration{0}
	for _, r := range routes {
		for _, s := range []int64{r.LargerThan, r.SmallerThan} {
			if !slices.Contains(sizes, s) {
				sizes = append(sizes, s)
			}
		}
		for _, a := range []time.Duration{r.OlderThan, r.YoungerThan} {
			if !slices.Contains(ages, a) {
				ages = append(ages, a)
			}
		}
	}
	slices.Sort(sizes)
	slices.Sort(ages)
	var all []cell
	for _, k := range kinds {
		for _, s := range sizes {
			if k == dupname.Other { // its age is known for statistics only
				all = append(all, cell{k, s, 0, false})
			}
			for _, a := range ages {
				all = append(all, cell{k, s, a, true})
			}
		}
	}
	return all
}

// takes reports whether r takes a cell's files, names apart.
func (p *Policy) takes(r *Route, x cell) bool {
	return (len(r.Kinds) == 0 || slices.Contains(r.Kinds, x.kind)) && r.takesSize(x.size) && r.takesAge(x.age, x.dated) && !p.freezes(r, x.kind)
}

func (r *Route) allNames() bool {
	return r.Prefix == "" && (r.Glob == "" || r.Glob == "*" || r.Glob == "**")
}

func (r *Route) allSizesAndAges() bool {
	return r.SmallerThan == 0 && r.LargerThan == 0 && r.YoungerThan == 0 && r.OlderThan == 0
}

// prefixOf returns what the names of a kind begin with; false when that is not
// known.
func (p *Policy) prefixOf(k dupname.Kind) (string, bool) {
	f := p.Prefixes
	switch {
	case f == (dupname.Prefixes{}):
		return "", false
	case k == dupname.Volume:
		return f.All + f.Volume, true
	case k == dupname.Manifest:
		return f.All + f.Manifest, true
	case k == dupname.Signature:
		return f.All + f.Signature, true
	}
	return "", false
}

// takesAllNames reports whether r's conditions on the name are met by all files
// of a kind, as far as that can be told.
func (p *Policy) takesAllNames(r *Route, k dupname.Kind) bool {
	if r.allNames() {
		return true
	}
	prefix, known := p.prefixOf(k)
	return known && r.Glob == "" && strings.HasPrefix(prefix, r.Prefix)
}

// mayTakeNames reports whether r's conditions on the name may be met by files
// of a kind.
func (p *Policy) mayTakeNames(r *Route, k dupname.Kind) bool {
	prefix, known := p.prefixOf(k)
	return !known || strings.HasPrefix(prefix, r.Prefix) || strings.HasPrefix(r.Prefix, prefix)
}

// checkCoverage finds manifests, signatures and volumes that no route takes.
func (c *checker) checkCoverage(routes []Route) {
	p := c.policy
	for _, kind := range []dupname.Kind{dupname.Manifest, dupname.Signature, dupname.Volume} {
		for _, x := range cells(routes, kind) {
			covered := slices.ContainsFunc(routes, func(r Route) bool { return p.takes(&r, x) && p.takesAllNames(&r, kind) })
			if covered {
				continue
			}
			c.uncovered(routes, x)
			break // the rest of the kind would say the same
		}
	}
}

// uncovered notes that the files of a cell match no route.
func (c *checker) uncovered(routes []Route, x cell) {
	p := c.policy
	text := "a " + x.kind.String() + cellWords(routes, x) + " matches no route"
	fix := fmt.Sprintf("add a last route: {kinds: [%s], tier: %s}", x.kind, oneReadable(p))
	if !slices.ContainsFunc(p.Tiers, func(t Tier) bool { return p.readable(t.Name) }) {
		fix = fmt.Sprintf("add a tier whose store can be read without a thaw, and a first route to it: {kinds: [%s], tier: HOT}", x.kind)
	}
	for i := range routes {
		r := &routes[i]
		switch {
		case p.takes(r, x):
			text += fmt.Sprintf(", unless its name fits route %d", i+1)
		case p.freezes(r, x.kind) && r.takesSize(x.size) && r.takesAge(x.age, true):
			text += fmt.Sprintf("; route %d names no kinds and freezes files, so it takes volumes only", i+1)
		}
	}
	c.wrongKey("routes", fix, "%s", text)
}

// cellWords describes a cell's sizes and ages, as far as routes depend on them.
func cellWords(routes []Route, x cell) string {
	var words string
	if slices.ContainsFunc(routes, func(r Route) bool { return !r.takesSize(x.size) }) {
		words += " of " + FormatSize(x.size)
	}
	if slices.ContainsFunc(routes, func(r Route) bool { return !r.takesAge(x.age, true) }) {
		if x.age == 0 {
			words += " of a new set"
		} else {
			words += " of a set aged " + FormatDuration(x.age)
		}
	}
	return words
}

// checkReach finds routes that earlier ones leave nothing to.
func (c *checker) checkReach(routes []Route) {
	p := c.policy
	for j := range routes {
		r := &routes[j]
		if j == len(p.Routes)-1 {
			continue // the implied route, written out
		}
		var before []string
		reached := false
		for _, x := range cells(routes, dupname.Other, dupname.Manifest, dupname.Signature, dupname.Volume) {
			if !p.takes(r, x) || !p.mayTakeNames(r, x.kind) {
				continue
			}
			i := slices.IndexFunc(routes[:j], func(e Route) bool { return p.takes(&e, x) && p.holdsNames(&e, r, x.kind) })
			if i < 0 {
				reached = true
				break
			}
			if word := fmt.Sprint(i + 1); !slices.Contains(before, word) {
				before = append(before, word)
			}
		}
		switch {
		case reached:
		case len(before) == 0:
			c.wrong(routePath(j), "change its conditions, or remove it", "route %d can never match: %s", j+1, c.hopeless(r))
		default:
			verb := "route %s takes"
			if len(before) > 1 {
				verb = "routes %s take"
			}
			c.wrong(routePath(j), "move it up, or remove it", "route %d is never reached: "+verb+" all of its files", j+1, oneAndAll(before))
		}
	}
}

// hopeless says why a route takes nothing, whatever stands before it.
func (c *checker) hopeless(r *Route) string {
	if _, known := c.policy.prefixOf(dupname.Volume); known && r.Prefix != "" {
		return fmt.Sprintf("with the policy's prefixes, no name begins with %q", r.Prefix)
	}
	return "no file meets its conditions"
}

// holdsNames reports whether the conditions of e on the name are met by all
// files of a kind that meet those of r.
func (p *Policy) holdsNames(e, r *Route, k dupname.Kind) bool {
	if p.takesAllNames(e, k) {
		return true
	}
	return strings.HasPrefix(r.Prefix, e.Prefix) && (e.Glob == "" || e.Glob == r.Glob)
}
