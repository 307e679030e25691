package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/internal/dupname"
	"github.com/isotherm-backup/isotherm/tiering"
)

// A Source is a place to import from.
type Source struct {
	Name  string // for errors and the ledger
	Store backends.Store
}

// A File is one file of the sources.
type File struct {
	Name string
	Size int64    // bytes as stored
	To   []string // stores that lack it

	parsed dupname.Name
	from   []origin // where it can be read, best first
	whole  bool     // To is every store that it goes to
}

// origin is a copy of a file in one of the sources.
type origin struct {
	source int
	info   backends.Info
}

// ImportPlan says what an import would do.
type ImportPlan struct {
	// Send are the files to be copied, in the order in which they travel:
	// manifests and signatures, then volumes, the newest chain first.
	Send  []File
	Bytes int64 // of Send
	// Present is how many files lie on the tiers already.
	Present int
	// Foreign are names that are not duplicity's under the policy's prefixes,
	// and why each was left out.
	Foreign map[string]string
	// Frozen are files that cannot be read at any source before they have been
	// thawed there.
	Frozen []*backends.FrozenError
	// Unplaced are files for which the routes have no place now, and why.
	Unplaced map[string]error
}

// A ConflictError says that a manifest or signature on the tiers is not the one of
// the source. duplicity never changes either once it is written, so this is
// another archive, or one of the two is damaged.
type ConflictError struct {
	Name   string
	Source string // its name
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s in %s is not the file of that name on the tiers: it is of another archive, or one of the two is damaged", e.Name, e.Source)
}

// PlanImport finds out by listing alone what is to be imported. A source that
// cannot be listed is an error, and so is one that holds another archive than
// the tiers: a *ConflictError.
func PlanImport(ctx context.Context, tiers *tiering.Tiers, sources []Source, opts ImportOptions) (*ImportPlan, error) {
	run := newImporter(tiers, sources, opts)
	return run.plan(ctx)
}

func (im *importer) plan(ctx context.Context) (*ImportPlan, error) {
	files, err := im.list(ctx)
	if err != nil {
		return nil, err
	}
	inv, err := im.tiers.InventoryWith(ctx, tiering.InventoryOptions{Digests: true})
	if err != nil {
		return nil, err
	}
	degraded := make(map[string]bool)
	for _, r := range im.tiers.Degraded() {
		degraded[r.Name] = !r.Deleted()
	}
	if err := im.onePrefix(files); err != nil {
		return nil, err
	}
	p := &ImportPlan{Foreign: make(map[string]string), Unplaced: make(map[string]error)}
	for _, f := range files {
		if why := im.foreign(&f); why != "" {
			p.Foreign[f.Name] = why
			continue
		}
		if conflicts(inv, &f) {
			return nil, &ConflictError{f.Name, im.names[f.from[0].source]}
		}
		want, err := im.tiers.Placement(inv, f.Name, f.Size)
		if err != nil {
			p.Unplaced[f.Name] = err
			continue
		}
		f.To = lacking(inv, &f, want, degraded[f.Name])
		f.whole = len(f.To) == len(want)
		switch frozen := im.frozen(&f); {
		case len(f.To) == 0:
			p.Present++
		case frozen != nil:
			p.Frozen = append(p.Frozen, frozen)
		default:
			p.Send = append(p.Send, f)
			p.Bytes += f.Size
		}
	}
	travelOrder(p.Send)
	return p, nil
}

// list joins the listings of all sources. A file that several of them have is
// one file.
func (im *importer) list(ctx context.Context) ([]File, error) {
	var files []File
	at := make(map[string]int)
	for i, s := range im.sources {
		for info, err := range s.List(ctx, "") {
			if err != nil {
				return nil, fmt.Errorf("list source: %w", err)
			}
			n, ok := at[info.Name]
			if !ok {
				n = len(files)
				at[info.Name] = n
				files = append(files, File{Name: info.Name, Size: info.Size})
			}
			f := &files[n]
			f.from = append(f.from, origin{i, info})
			if info.Readable() && !f.from[0].info.Readable() {
				last := len(f.from) - 1
				f.from[0], f.from[last] = f.from[last], f.from[0]
			}
			f.Size = f.from[0].info.Size
		}
	}
	return files, nil
}

// onePrefix refuses several archives in one place: without prefixes in the
// policy they could not be told apart any more.
func (im *importer) onePrefix(files []File) error {
	if im.tiers.Policy().Prefixes != (dupname.Prefixes{}) {
		return nil
	}
	first := make(map[dupname.Kind]string)
	for _, f := range files {
		n, ok := dupname.Guess(f.Name)
		if !ok || n.Kind == dupname.Other || strings.Contains(f.Name, "/") || strings.HasPrefix(f.Name, ownPrefix) {
			continue
		}
		if before, ok := first[n.Kind]; ok && before != n.Prefix {
			return fmt.Errorf("the %s files have several prefixes, such as %q and %q: name those of the archive to import under `prefixes` in the policy", n.Kind, before, n.Prefix)
		}
		first[n.Kind] = n.Prefix
	}
	return nil
}

// foreign returns why a file is left out, or "".
func (im *importer) foreign(f *File) string {
	if strings.Contains(f.Name, "/") {
		return "it lies in a folder of its own: import that folder"
	}
	parse := dupname.Guess // a policy without prefixes takes any
	if prefixes := im.tiers.Policy().Prefixes; prefixes != (dupname.Prefixes{}) {
		parse = prefixes.Parse
	}
	parsed, ok := parse(f.Name)
	f.parsed = parsed
	if ok {
		return ""
	}
	if strings.HasPrefix(f.Name, ownPrefix) {
		return "it is isotherm's own"
	}
	if im.opts.AllFiles {
		return ""
	}
	if guess, ok := dupname.Guess(f.Name); ok {
		return fmt.Sprintf("its prefix %q is not in the policy's prefixes", guess.Prefix)
	}
	return "it is no file of duplicity's"
}

// ownPrefix begins the names of isotherm's own files.
const ownPrefix = "isotherm-"

// lacking returns the stores of want that do not have the file with its size
// and, where both sides keep one of the same kind, its checksum. A store that
// cannot be listed lacks it, unless a record says so already: that is left to
// repair.
func lacking(inv *tiering.Inventory, f *File, want []string, degraded bool) []string {
	there, ok := inv.Find(f.Name)
	if !ok {
		return want
	}
	var to []string
	for i, store := range inv.Stores {
		if !slices.Contains(want, store) {
			continue
		}
		c := there.In(i)
		if c == nil && degraded {
			continue
		}
		if c == nil || c.Size != f.Size || differ(inv.Digest(c), f.from[0].info.Digest) {
			to = append(to, store)
		}
	}
	return to
}

// conflicts reports whether no copy on the tiers of a manifest, signature or index
// can be the source's file. A volume may differ: an interrupted backup writes its last
// one anew.
func conflicts(inv *tiering.Inventory, f *File) bool {
	if k := f.parsed.Kind; k != dupname.Manifest && k != dupname.Signature && !f.parsed.Index || f.parsed.Companion != "" || f.parsed.Partial {
		return false
	}
	there, ok := inv.Find(f.Name)
	return ok && !slices.ContainsFunc(there.Copies, func(c tiering.Copy) bool {
		return c.Size == f.Size && !differ(inv.Digest(there.In(int(c.Store))), f.from[0].info.Digest)
	})
}

func differ(a, b backends.Digest) bool {
	return !a.IsZero() && a.Algorithm == b.Algorithm && a.Sum != b.Sum
}

// frozen returns the error of a file that is frozen in all sources, or nil.
func (im *importer) frozen(f *File) *backends.FrozenError {
	info := f.from[0].info
	if info.State != backends.Frozen && info.State != backends.Thawing {
		return nil
	}
	return &backends.FrozenError{
		Name: f.Name, Store: im.names[f.from[0].source], Class: info.Class, State: info.State, ReadyAt: info.At,
	}
}

var errNoSource = errors.New("no source to import from")
