// Package examples checks that every example policy is right.
package examples

import (
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/isotherm-backup/isotherm/policy"
)

func TestPolicies(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no example found: %v", err)
	}
	dir := t.TempDir()
	key, err := os.ReadFile(filepath.Join("..", "testdata", "duplicity", "keys", "secret.asc"))
	if err == nil {
		err = os.CopyFS(dir, fstest.MapFS{"keys/backup.asc": {Data: key, Mode: 0o600}})
	}
	if err != nil {
		t.Fatal(err)
	}
	environ := map[string]string{"REHEARSAL": dir, "PASSPHRASE": "not a secret", "HOME": dir}
	env := func(name string) (string, bool) { v, ok := environ[name]; return v, ok }
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			p, err := policy.Load(file, env)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range p.Warnings {
				t.Error(w)
			}
		})
	}
}
