package walk_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/sigtar"
	"github.com/isotherm-backup/isotherm/engine/walk"
	"github.com/isotherm-backup/isotherm/internal/duptest"
)

// TestDuplicity compares walks with what duplicity records of the same trees:
// the same paths in the same order, described in the same words.
func TestDuplicity(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	plantForest(t, root)
	for i := range 5 {
		dir := fmt.Sprintf("%s/random-%d", root, i)
		do(t, os.Mkdir(dir, 0o755))
		plantAll(t, dir, nodes(4).Example(i))
	}
	grow(t, root, "single")
	do(t, os.Symlink("single", root+"/link"))
	s := duptest.New(t)
	s.Options = []string{"--no-encryption"}
	for _, source := range []string{root, root + "/single", root + "/link/"} {
		got := walkAll(t, open(t, source), walk.Options{})
		var entries []index.Entry
		for _, e := range got {
			entries = append(entries, e.Entry)
		}
		if diff := cmp.Diff(recorded(t, s, source), entries); diff != "" {
			t.Errorf("%s (-duplicity +walk):\n%s", source, diff)
		}
	}
}

// recorded returns what duplicity records of a source.
func recorded(t *testing.T, s *duptest.Sandbox, source string) []index.Entry {
	t.Helper()
	target := t.TempDir()
	s.Backup("full", source, "file://"+target, time.Unix(1_750_000_000, 0))
	files, err := filepath.Glob(target + "/*.sigtar.gz")
	if err != nil || len(files) != 1 {
		t.Fatalf("signatures: %q, %v", files, err)
	}
	f, err := os.Open(files[0])
	do(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	do(t, err)
	var all []index.Entry
	for r := sigtar.NewReader(z); ; {
		e, err := r.Next()
		if err == io.EOF {
			return all
		}
		do(t, err)
		all = append(all, *e)
	}
}
