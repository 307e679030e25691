package difftar

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/isotherm-backup/isotherm/engine/index"
	"github.com/isotherm-backup/isotherm/engine/tarhdr"
)

// rewrite writes members again.
func rewrite(members []member) []byte {
	var b []byte
	for _, m := range members {
		b = append(Append(b, &m.Member), m.Data...)
		b = tarhdr.Pad(b, m.Size)
	}
	return b
}

// TestAppendFixtures writes what real duplicity wrote, byte for byte.
func TestAppendFixtures(t *testing.T) {
	t.Parallel()
	compared, parts, actions := 0, 0, make(map[Action]int)
	for name, text := range volumes(t) {
		members, err := readAll(bytes.NewReader(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(members) > 0 && members[0].GNU {
			continue // of a Python that wrote GNU format
		}
		for _, m := range members {
			actions[m.Action]++
			parts += min(m.Part, 1)
		}
		compared++
		if got := rewrite(members); !bytes.Equal(got, text) {
			t.Errorf("%s: %d bytes written, %d read; they differ after %d", name, len(got), len(text), common(got, text))
		}
	}
	if compared < 20 || parts == 0 || len(actions) != 3 {
		t.Errorf("compared only %d volumes, with %d parts and %v", compared, parts, actions)
	}
}

// common is the length of what is equal at the beginning.
func common(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

func TestAppendNames(t *testing.T) {
	t.Parallel()
	regular, directory := index.Entry{Type: index.Regular}, index.Entry{Type: index.Directory}
	at := func(e index.Entry, path string) index.Entry { e.Path = path; return e }
	tests := []struct {
		want   string
		member Member
	}{
		{"snapshot/./", Member{Entry: directory, Action: Snapshot}},
		{"snapshot/a/b/", Member{Entry: at(directory, "a/b"), Action: Snapshot}},
		{"snapshot/a", Member{Entry: at(regular, "a"), Action: Snapshot}},
		{"diff/a", Member{Entry: at(regular, "a"), Action: Diff}},
		{"deleted/a", Member{Entry: at(directory, "a"), Action: Deleted}},
		{"deleted/a", Member{Entry: index.Entry{Path: "a"}, Action: Deleted}},
		{"multivol_snapshot/a/1", Member{Entry: at(regular, "a"), Action: Snapshot, Part: 1}},
		{"multivol_diff/a/12/345", Member{Entry: at(regular, "a/12"), Action: Diff, Part: 345}},
		// The source is a single file: path.py, ROPath.get_tarinfo calls it ".", and
		// diffdir.py, DeltaTarBlockIter.process cuts that off but of parts.
		{"snapshot/", Member{Entry: regular, Action: Snapshot}},
		{"diff/", Member{Entry: regular, Action: Diff}},
		{"multivol_snapshot/./2", Member{Entry: regular, Action: Snapshot, Part: 2}},
	}
	for _, tt := range tests {
		header := Append(nil, &tt.member)
		if got := string(bytes.TrimRight(header[:100], "\x00")); got != tt.want {
			t.Errorf("%s: named %q, want %q", &tt.member, got, tt.want)
		}
		got, err := readAll(bytes.NewReader(header))
		if err != nil || len(got) != 1 || got[0].Path != tt.member.Path || got[0].Part != tt.member.Part || got[0].Action != tt.member.Action {
			t.Errorf("%s: read as %+v, %v", &tt.member, got, err)
		}
	}
}

// Whatever is written is read back.
func TestAppendRoundTrip(t *testing.T) {
	t.Parallel()
	component := rapid.Map(rapid.SliceOfN(rapid.ByteRange(1, 255), 1, 150), func(b []byte) string {
		return "n" + string(bytes.ReplaceAll(b, []byte("/"), []byte("\xff"))) + "e"
	})
	rapid.Check(t, func(rt *rapid.T) {
		m := member{Member: Member{Action: rapid.SampledFrom([]Action{Snapshot, Diff, Deleted}).Draw(rt, "action")}}
		m.Path = component.Draw(rt, "parent") + "/" + component.Draw(rt, "name")
		if m.Action != Deleted {
			m.Type = index.Regular
			m.Part = rapid.IntRange(0, 3).Draw(rt, "part")
			m.Mode = rapid.Uint32Range(0, 0o7777).Draw(rt, "mode")
			m.Data = rapid.StringN(0, 600, 600).Draw(rt, "data")
			m.Size = int64(len(m.Data))
		}
		if m.Action == Snapshot && m.Part == 0 && m.Size == 0 {
			m.Type = index.Directory
		}
		want := []member{m, m}
		got, err := readAll(bytes.NewReader(rewrite(want)))
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	var members []Member
	for i := range 1000 {
		e := index.Entry{
			Path: fmt.Sprintf("projects/%04d/source/file-%06d.go", i/50, i), Type: index.Regular,
			Mode: 0o644, UID: 1000, GID: 1000, Uname: "user", Gname: "group", ModTime: 1704067200,
		}
		members = append(members, Member{Entry: e, Action: Snapshot, Size: 6000})
	}
	dst := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		for i := range members {
			dst = Append(dst[:0], &members[i])
		}
	}
	b.ReportMetric(float64(len(members)*b.N)/b.Elapsed().Seconds(), "members/s")
}
