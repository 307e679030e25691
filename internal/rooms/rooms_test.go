// Package rooms checks that imports go one way between the project's rooms.
package rooms

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/isotherm-backup/isotherm"

// allowed says what each room may import of ours, by the longest prefix that
// names it. A room may always import what lies below itself.
var allowed = map[string][]string{
	"cmd":               {"engine", "tiering", "backends", "policy", "internal"},
	"policy":            {"internal/dupname"},
	"policy/price":      {},
	"backends":          {},
	"tiering":           {"policy", "backends", "internal/dupname"},
	"tiering/thaw":      {"tiering", "policy", "backends", "internal/dupname"},
	"tiering/doctor":    {"tiering", "policy", "backends", "internal/dupname"},
	"tiering/transfer":  {"tiering", "policy", "backends", "internal/dupname"},
	"engine":            {"tiering", "policy", "backends", "internal/dupname"},
	"engine/index":      {},
	"engine/librsync":   {},
	"engine/pgp":        {},
	"engine/manifest":   {"engine/index"},
	"engine/sigtar":     {"engine/index", "engine/tarhdr"},
	"engine/difftar":    {"engine/index", "engine/tarhdr"},
	"engine/chain":      {"internal/dupname"},
	"engine/selection":  {"engine/index"},
	"engine/walk":       {"engine/index", "engine/selection"},
	"engine/fsattr":     {},
	"engine/pathindex":  {"engine/index", "engine/catalog", "engine/fsattr"},
	"engine/writerlock": {"backends"},
	"engine/catalog":    {"engine/index", "engine/sigtar"},
	"engine/need":       {"engine/index", "engine/catalog", "engine/pathindex", "engine/fsattr", "engine/manifest"},
	"internal/dupname":  {},
}

// TestImports fails on an arrow that is not allowed. Tests may import what they
// compare with, so only the packages themselves are looked at.
func TestImports(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", module+"/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var pkg struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&pkg); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		from := strings.TrimPrefix(pkg.ImportPath, module+"/")
		room := roomOf(from)
		for _, imported := range pkg.Imports {
			to, ours := strings.CutPrefix(imported, module+"/")
			if !ours || room == "" {
				continue
			}
			seen++
			if !within(room, to) && !anyWithin(allowed[room], to) {
				t.Errorf("%s imports %s: %s may import only %v", from, to, room, allowed[room])
			}
		}
	}
	if seen == 0 {
		t.Fatal("go list named no import between our own packages")
	}
}

// roomOf returns the longest key of allowed that holds the package.
func roomOf(pkg string) string {
	room := ""
	for key := range allowed {
		if within(key, pkg) && len(key) > len(room) {
			room = key
		}
	}
	return room
}

func within(room, pkg string) bool { return pkg == room || strings.HasPrefix(pkg, room+"/") }

func anyWithin(rooms []string, pkg string) bool {
	for _, r := range rooms {
		if within(r, pkg) {
			return true
		}
	}
	return false
}
