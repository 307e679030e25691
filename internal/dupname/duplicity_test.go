package dupname

import (
	"bufio"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// duplicityScript lets real duplicity write names of every type and form, and
// read names from standard input. It prints one JSON array a line: the name,
// then null for a name that is none of duplicity's, or its facts.
const duplicityScript = `
import json, os, random, sys
import duplicity.dup_time as dup_time, duplicity.file_naming as naming
from duplicity import config
for key in ("file_prefix", "file_prefix_archive", "file_prefix_manifest", "file_prefix_signature"):
    setattr(config, key, b"")
config.time_separator = ":"

def show(name):
    try:
        r = naming.parse(os.fsencode(name))
    except (AssertionError, UnicodeDecodeError):
        r = None
    print(json.dumps([name, r and dict(type=r.type, manifest=bool(r.manifest), volume=r.volume_number or 0,
        start=r.start_time or 0, end=r.end_time or r.time, partial=bool(r.partial),
        encrypted=bool(r.encrypted), compressed=bool(r.compressed))]))

rnd = random.Random(1)
for form in ("long", "short", "old"):
    config.old_filenames, config.short_filenames = form == "old", form == "short"
    for i in range(300):
        dup_time.setprevtime(rnd.randrange(1, 4102444800))
        dup_time.setcurtime(rnd.randrange(1, 4102444800))
        kind = dict(encrypted=rnd.random() < .5, gzipped=rnd.random() < .5)
        for t in ("full", "inc"):
            show(naming.get(t, volume_number=rnd.randrange(1, 10**rnd.randrange(1, 9)), **kind).decode())
            show(naming.get(t, manifest=True, partial=rnd.random() < .3, encrypted=kind["encrypted"]).decode())
        for t in ("full-sig", "new-sig"):
            show(naming.get(t, partial=rnd.random() < .3, **kind).decode())
config.old_filenames = config.short_filenames = False
print("--")
for line in sys.stdin:
    show(line.rstrip("\n"))
`

// reading is what duplicity makes of a name.
type reading struct {
	Type                           string
	Manifest                       bool
	Volume                         int
	Start, End                     int64
	Partial, Encrypted, Compressed bool
}

// readingOf is n as duplicity would put it.
func readingOf(n Name) reading {
	r := reading{
		Manifest: n.Kind == Manifest, Volume: n.Volume, End: n.End.Unix(),
		Partial: n.Partial, Encrypted: n.Encrypted, Compressed: n.Compressed,
	}
	switch {
	case n.Kind == Signature && n.Type == Full:
		r.Type = "full-sig"
	case n.Kind == Signature:
		r.Type = "new-sig"
	case n.Type == Full:
		r.Type = "full"
	default:
		r.Type = "inc"
	}
	if n.Type == Incremental {
		r.Start = n.Start.Unix()
	}
	if n.Kind == Volume {
		r.Partial = false // duplicity does not look
	}
	return r
}

// TestAgainstDuplicity compares with duplicity's own file_naming.py: each name
// that it writes is read alike, and of names with one byte changed none is
// accepted that it would not accept, or reads otherwise.
func TestAgainstDuplicity(t *testing.T) {
	t.Parallel()
	var changed strings.Builder
	rnd := rand.New(rand.NewPCG(1, 2))
	const bytes = "0123456789abcmpstvzTZ.:-+_duplicity"
	seeds := []string{
		"duplicity-full.20240101T000000Z.vol1.difftar.gz", "duplicity-inc.20240101T000000Z.to.20240102T000000Z.manifest.part",
		"duplicity-new-signatures.2024-01-01T00:00:00Z.to.2024-01-02T00:00:00-04:30.sigtar.gpg", "duplicity-full.1704067200.manifest",
		"df.s6k2o0.1.dt.z", "df.s6k2o0.m.p", "di.s6k2o0.s6lxc0.1.dt", "di.s6k2o0.s6lxc0.m.g", "dns.s6k2o0.s6lxc0.st.g",
	}
	for range 20000 {
		name := []byte(seeds[rnd.IntN(len(seeds))])
		for range 1 + rnd.IntN(2) {
			i := rnd.IntN(len(name))
			switch b := bytes[rnd.IntN(len(bytes))]; rnd.IntN(3) {
			case 0:
				name[i] = b
			case 1:
				name = append(name[:i], name[i+1:]...)
			case 2:
				name = append(name[:i], append([]byte{b}, name[i:]...)...)
			}
		}
		changed.Write(append(name, '\n'))
	}

	cmd := exec.CommandContext(t.Context(), duplicityPython(t), "-c", duplicityScript)
	cmd.Env = append(os.Environ(), "TZ=America/St_Johns") // old names carry its odd zone
	cmd.Stdin = strings.NewReader(changed.String())
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("run duplicity's file_naming: %v", err)
	}

	written, accepted, both := true, 0, 0
	for lines := bufio.NewScanner(strings.NewReader(string(out))); lines.Scan(); {
		if lines.Text() == "--" {
			written = false
			continue
		}
		var name string
		var want *reading
		if err := json.Unmarshal(lines.Bytes(), &[]any{&name, &want}); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		n, ok := Parse(name)
		if written && (!ok || want == nil) {
			t.Errorf("duplicity wrote %q: accepted here %t, by itself %t", name, ok, want != nil)
			continue
		}
		if !ok {
			continue
		}
		accepted++
		if want == nil && refusedByBug(n, name) {
			continue
		}
		both++
		if want == nil || readingOf(n) != *want {
			t.Errorf("%q: read here as %+v, by duplicity as %+v", name, readingOf(n), want)
		}
	}
	if both < 6000 {
		t.Errorf("only %d of %d accepted names compared", both, accepted)
	}
}

// indexScript lets real duplicity read names: it prints how many it has taken for
// its own, and which.
const indexScript = `
import json, sys
import duplicity.file_naming as naming
from duplicity import config
taken = []
for prefix, kind, name in json.load(sys.stdin):
    config.file_prefix = prefix.encode()
    config.file_prefix_archive = config.file_prefix_manifest = config.file_prefix_signature = kind.encode()
    naming.prepare_regex(force=True)
    if naming.parse(name.encode()) is not None:
        taken.append(name)
print(json.dumps(taken))
`

// TestDuplicityPassesOverIndexes: whatever prefixes it was given, duplicity does not
// take an index for one of its own files.
func TestDuplicityPassesOverIndexes(t *testing.T) {
	t.Parallel()
	var names [][3]string
	for _, prefix := range []string{"", "x_", "a.b-", "isotherm-", "duplicity-", "d"} {
		for _, kind := range []string{"", "hot_", "isotherm-"} {
			for _, n := range []Name{
				{Index: true, Type: Full, End: jan1}, {Index: true, Type: Incremental, Start: jan1, End: jan2},
			} {
				for _, change := range []func(n *Name){
					func(*Name) {}, func(n *Name) { n.Compressed = true }, func(n *Name) { n.Encrypted = true }, func(n *Name) { n.Partial = true },
				} {
					n := n
					n.Prefix = prefix
					change(&n)
					names = append(names, [3]string{prefix, kind, n.String()})
				}
			}
		}
	}
	in, err := json.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), duplicityPython(t), "-c", indexScript)
	cmd.Stdin, cmd.Stderr = strings.NewReader(string(in)), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("run duplicity's file_naming: %v", err)
	}
	if got := strings.TrimSpace(string(out)); got != "[]" {
		t.Errorf("duplicity takes for its own: %s", got)
	}
}

// refusedByBug reports whether a name is right although the duplicity under
// test refuses it: statistics came with 3.0, and colons may be replaced only
// if it was told so.
func refusedByBug(n Name, name string) bool {
	return n.Stats || n.Form == Old && !strings.Contains(name, ":")
}

// duplicityPython returns the interpreter that runs the installed duplicity.
func duplicityPython(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("duplicity")
	if err != nil {
		t.Fatalf("this test compares with real duplicity: %v; install it, for example by: apt-get install duplicity", err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	line, err := bufio.NewReader(file).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(strings.TrimPrefix(line, "#!"))
}

// TestMillion keeps reading a listing of a million names a matter of moments.
func TestMillion(t *testing.T) {
	const name = "hot_duplicity-inc.20240101T000000Z.to.20240102T000000Z.vol12345.difftar.gpg"
	begin := time.Now()
	for range 1_000_000 {
		if _, ok := Guess(name); !ok {
			t.Fatal("refused")
		}
	}
	if d := time.Since(begin); d > 2*time.Second {
		t.Errorf("1,000,000 names took %v, want under 2 s", d)
	}
}
