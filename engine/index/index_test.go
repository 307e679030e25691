package index

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// paths draws paths whose components have bytes around '/', the ones that trap.
func paths() *rapid.Generator[string] {
	component := rapid.StringMatching(`[ab.\-0\x01\x80]{1,3}`)
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(component, 0, 4).Draw(t, "components"), "/")
	})
}

func split(path string) []string {
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

// TestCompare holds Compare against the order of tuples of byte strings, which
// is how duplicity orders paths (archive format, section 6).
func TestCompare(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := paths().Draw(t, "a"), paths().Draw(t, "b")
		want := slices.CompareFunc(split(a), split(b), cmp.Compare[string])
		if got := Compare(a, b); cmp.Compare(got, 0) != want {
			t.Fatalf("Compare(%q, %q) = %d, want the sign of %d", a, b, got, want)
		}
	})
}

// TestOrder is the example of the archive format's section 6.
func TestOrder(t *testing.T) {
	t.Parallel()
	want := []string{"", "a", "a/b", "a/b-c", "a-b", "a.b", "a0", "aa"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, Compare)
	if !slices.Equal(got, want) {
		t.Errorf("sorted: %q, want %q", got, want)
	}
}

func TestContains(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		dir, path := paths().Draw(t, "dir"), paths().Draw(t, "path")
		d, p := split(dir), split(path)
		want := len(p) >= len(d) && slices.Equal(p[:len(d)], d)
		if got := Contains(dir, path); got != want {
			t.Fatalf("Contains(%q, %q) = %v, want %v", dir, path, got, want)
		}
	})
}

func TestLossyPath(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"":                        "",
		"plain/größe":             "plain/größe",
		"odd/bad\x80dir":          "odd/bad?dir",
		"two\xff\xfe":             "two??",
		"cut\xc3":                 "cut?",
		"a real \uFFFD character": "a real \uFFFD character",
	} {
		if got := LossyPath(path); got != want {
			t.Errorf("LossyPath(%q) = %q, want %q", path, got, want)
		}
	}
}
