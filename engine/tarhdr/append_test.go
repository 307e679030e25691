package tarhdr

import (
	"archive/tar"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/isotherm-backup/isotherm/engine/index"
)

// header is what both Append and Python write.
type header struct {
	Name []byte
	Size int64
	index.Entry
	Target, Uname, Gname []byte // those of the entry; JSON holds no raw bytes
}

// bytes are what Append writes.
func (h header) bytes() []byte {
	e := h.Entry
	e.Target, e.Uname, e.Gname = string(h.Target), string(h.Uname), string(h.Gname)
	return Append(nil, h.Name, &e, h.Size)
}

// pythonHeaders reads headers as JSON Lines and prints each as hexadecimal digits,
// made in the way of duplicity's ROPath.get_tarinfo and tarinfo2tarblock.
const pythonHeaders = `
import base64, json, os, sys, tarfile
raw = lambda s: base64.b64decode(s or "").decode("utf-8", "surrogateescape")
types = [tarfile.REGTYPE, tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE]
for line in sys.stdin:
    h = json.loads(line)
    ti = tarfile.TarInfo()
    ti.name, ti.mode = raw(h["Name"]), 0
    if h["Type"]:
        ti.type, ti.mode, ti.uid, ti.gid = types[h["Type"]], h["Mode"], h["UID"], h["GID"]
        ti.size, ti.mtime = h["Size"], max(0, h["ModTime"])
        ti.uname, ti.gname, ti.linkname = raw(h["Uname"]), raw(h["Gname"]), raw(h["Target"])
        ti.devmajor, ti.devminor = h["Major"], h["Minor"]
    print(ti.tobuf(tarfile.PAX_FORMAT, "utf-8", "replace").hex())
`

func someText(longest int) *rapid.Generator[[]byte] {
	plain := rapid.SliceOfN(rapid.ByteRange('0', 'z'), 0, longest)
	runes := rapid.Map(rapid.StringOfN(rapid.RuneFrom([]rune("a/bcäß√😀\n= ")), 0, longest, -1), func(s string) []byte { return []byte(s) })
	raw := rapid.SliceOfN(rapid.ByteRange(1, 255), 0, longest)
	return rapid.OneOf(plain, plain, runes, raw)
}

// number is below a limit, and often next to another number that counts.
func number(edge, limit int64) *rapid.Generator[int64] {
	return rapid.OneOf(rapid.Int64Range(0, edge-1), rapid.Int64Range(edge-1, edge), rapid.Int64Range(0, limit))
}

var someHeader = rapid.Custom(func(t *rapid.T) header {
	h := header{Entry: index.Entry{
		Type:    index.Type(rapid.IntRange(0, int(index.BlockDevice)).Draw(t, "type")),
		Mode:    rapid.Uint32Range(0, 0o7777).Draw(t, "mode"),
		UID:     int(number(1<<21, 1<<31-1).Draw(t, "uid")),
		GID:     int(number(1<<21, 1<<31-1).Draw(t, "gid")),
		ModTime: number(1<<33, 1<<50).Draw(t, "mtime") - rapid.Int64Range(0, 1).Draw(t, "before"),
	}}
	h.Name = append([]byte("n"), someText(300).Draw(t, "name")...)
	h.Uname, h.Gname = someText(40).Draw(t, "uname"), someText(40).Draw(t, "gname")
	switch h.Type {
	case index.Regular:
		h.Size = number(1<<33, 1<<60).Draw(t, "size")
	case index.Symlink:
		h.Target, h.Mode = someText(300).Draw(t, "target"), 0o777
	case index.CharDevice, index.BlockDevice:
		h.Major, h.Minor = rapid.Int64Range(0, 1<<21-1).Draw(t, "major"), rapid.Int64Range(0, 1<<21-1).Draw(t, "minor")
	}
	return h
})

// TestAppendAgainstPython compares with Python's own tarfile.
func TestAppendAgainstPython(t *testing.T) {
	t.Parallel()
	var headers []header
	rapid.Check(t, func(rt *rapid.T) {
		headers = append(headers, rapid.SliceOfN(someHeader, 20, 20).Draw(rt, "headers")...)
	})
	for _, length := range []int{98, 99, 100, 101, 4000} {
		e := index.Entry{Type: index.Directory}
		headers = append(headers,
			header{Name: bytes.Repeat([]byte{'n'}, length), Entry: e},
			header{Name: append(bytes.Repeat([]byte{'n'}, length-2), "ä"...), Entry: e},
			header{Name: append(bytes.Repeat([]byte{'n'}, length-1), '/'), Entry: e})
	}
	for length := 80; length < 120; length++ { // where a record's length gets a digit more
		headers = append(headers, header{Name: []byte("\xff" + strings.Repeat("n", length)), Entry: index.Entry{Type: index.Regular}})
	}
	var lines bytes.Buffer
	for _, h := range headers {
		if err := json.NewEncoder(&lines).Encode(h); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "python3", "-c", pythonHeaders)
	cmd.Stdin = &lines
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("python3: %v", err)
	}
	written := strings.Fields(string(out))
	if len(written) != len(headers) || len(headers) < 2000 {
		t.Fatalf("%d headers, Python wrote %d", len(headers), len(written))
	}
	for i, h := range headers {
		want, err := hex.DecodeString(written[i])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(h.bytes())); diff != "" {
			t.Fatalf("%+v (-Python +Append):\n%s", h, diff)
		}
	}
}

// What dst holds stays, and what its memory held before does not count.
func TestAppendKeeps(t *testing.T) {
	t.Parallel()
	e := index.Entry{Type: index.Directory}
	dst := append(make([]byte, 0, 4096), "before"...)
	copy(dst[6:4096], bytes.Repeat([]byte{0xee}, 4090)) // what the buffer held before
	for _, name := range []string{"name", strings.Repeat("näme\xff", 100)} {
		got := Append(dst, name, &e, 0)
		if want := "before" + string(Append(nil, []byte(name), &e, 0)); string(got) != want {
			t.Errorf("%.20q: behind other bytes it is another header", name)
		}
	}
}

// Devices whose numbers are too large for the header. Python cannot write them,
// but read.
func TestAppendLargeDevice(t *testing.T) {
	t.Parallel()
	want := []member{{Name: "d", Entry: index.Entry{Type: index.CharDevice, Major: 1<<32 - 1, Minor: 1 << 21}}}
	text := Append(nil, "d", &want[0].Entry, 0)
	got, err := readAll(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	cmd := exec.CommandContext(t.Context(), "python3", "-c", "import sys, tarfile; t = tarfile.open(fileobj=sys.stdin.buffer, mode='r|').next(); print(t.devmajor, t.devminor)")
	cmd.Stdin = bytes.NewReader(text)
	out, err := cmd.Output()
	if err != nil || string(out) != "4294967295 2097152\n" {
		t.Errorf("Python reads %q, %v", out, err)
	}
}

func TestPadAndTrailer(t *testing.T) {
	t.Parallel()
	for size, want := range map[int64]int{0: 0, 1: 511, 511: 1, 512: 0, 513: 511, 1<<40 + 100: 412} {
		if got := Pad([]byte("x"), size); len(got) != 1+want || !bytes.Equal(got[1:], make([]byte, want)) {
			t.Errorf("Pad(%d) is %d bytes, want %d zeros", size, len(got)-1, want)
		}
	}
	// As Python's TarFile.close does.
	for written, want := range map[int64]int{0: 10240, 512: 9728, 9216: 1024, 9728: 10752, 10240: 10240, 11 << 40: 6144} {
		got := Trailer(written)
		if len(got) != want || !bytes.Equal(got, make([]byte, want)) {
			t.Errorf("Trailer(%d) is %d bytes, want %d zeros", written, len(got), want)
		}
	}
	text := Append(nil, "a", &index.Entry{Type: index.Fifo}, 0)
	text = append(text, Trailer(int64(len(text)))...)
	r := tar.NewReader(bytes.NewReader(text))
	if h, err := r.Next(); err != nil || h.Name != "a" {
		t.Errorf("archive/tar reads %v, %v", h, err)
	}
}

func FuzzAppend(f *testing.F) {
	f.Add([]byte("snapshot/a"), []byte("target"), []byte("user"), uint8(3), uint32(0o644), uint32(0), int64(0), int64(0))
	f.Add([]byte("snapshot/ä\xff\n"), []byte("\x80="), []byte("größer"), uint8(1), uint32(0o644), uint32(1<<31), int64(1<<40), int64(1<<35))
	f.Add(bytes.Repeat([]byte("n"), 101), []byte(""), bytes.Repeat([]byte("u"), 33), uint8(6), uint32(0o7777), uint32(1<<21), int64(1<<33), int64(1<<33))
	f.Fuzz(func(t *testing.T, name, target, owner []byte, kind uint8, mode, id uint32, mtime, size int64) {
		// What a path, a link and a name of an owner cannot have, and the reader refuses.
		for _, s := range [][]byte{name, target, owner} {
			if bytes.IndexByte(s, 0) >= 0 {
				return
			}
		}
		name = append([]byte("n"), bytes.TrimRight(name, "/")...)
		e := index.Entry{Type: index.Type(kind%6 + 1), Mode: mode & 0o7777, UID: int(id >> 1), GID: int(id >> 1), Uname: string(owner), Gname: string(owner), ModTime: max(0, mtime)}
		want := member{Name: string(name), Entry: e}
		switch e.Type {
		case index.Directory:
			want.Name += "/"
		case index.Symlink:
			want.Mode, want.Target = 0o777, string(target)
		case index.CharDevice, index.BlockDevice:
			want.Major, want.Minor = max(0, mtime), max(0, size)
		}
		if e.Type != index.Regular || size < 0 || size > 1<<60 {
			size = 0
		}
		text := Append(nil, name, &want.Entry, size)
		if len(text)%blockSize != 0 {
			t.Fatalf("header of %d bytes", len(text))
		}
		r := NewReader(bytes.NewReader(append(text, Trailer(int64(len(text)))...)))
		var got member
		read, err := r.Next(&got.Entry)
		if err != nil {
			t.Fatal(err)
		}
		got.Name = string(read)
		if diff := cmp.Diff(want, got); diff != "" || r.Size() != size {
			t.Fatalf("size %d, want %d; (-want +got):\n%s", r.Size(), size, diff)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	for _, name := range []string{"plain", "tägliche", strings.Repeat("long/", 30)} {
		b.Run(fmt.Sprintf("%.9s", name), func(b *testing.B) {
			e := index.Entry{Type: index.Regular, Mode: 0o644, UID: 1000, GID: 1000, Uname: "user", Gname: "group", ModTime: 1704067200}
			dst := make([]byte, 0, 4096)
			b.ReportAllocs()
			for b.Loop() {
				dst = Append(dst[:0], name, &e, 6000)
			}
		})
	}
}
