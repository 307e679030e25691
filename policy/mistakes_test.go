package policy

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMistakes shows what people read for each policy in testdata/mistakes:
// every finding at once, in the golden file beside it.
func TestMistakes(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob(filepath.Join("testdata", "mistakes", "*.yaml"))
	if err != nil || len(paths) < 8 {
		t.Fatalf("found %v, %v", paths, err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Parse(src, path, nil)
			pe, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("error %v, want an *Error", err)
			}
			var b strings.Builder
			for _, f := range pe.Findings {
				if f.Fix == "" {
					t.Errorf("%v has no fix", f)
				}
				f.File = filepath.Base(f.File)
				b.WriteString(strings.ReplaceAll(f.String(), string(os.PathSeparator), "/") + "\n")
			}
			if strings.Contains(b.String(), "hunter2") {
				t.Error("the findings show a secret")
			}
			checkGenerated(t, strings.TrimSuffix(path, ".yaml")+".txt", []byte(b.String()))
		})
	}
}
