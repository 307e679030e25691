package tarhdr

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/isotherm-backup/isotherm/engine/index"
)

// member is one entry with its name and data.
type member struct {
	Name string
	index.Entry
	Data string
}

func readAll(r io.Reader) ([]member, error) {
	var all []member
	for t := NewReader(r); ; {
		var m member
		name, err := t.Next(&m.Entry)
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		m.Name = string(name)
		data, err := io.ReadAll(t)
		m.Data = string(data)
		all = append(all, m)
		if err != nil {
			return all, err
		}
	}
}

// stream writes members as archive/tar does, without the end of the archive.
func stream(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(bytes.Repeat([]byte{'x'}, int(h.Size))); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The oracle is archive/tar: what it writes of any header is read back.
func TestAgainstArchiveTar(t *testing.T) {
	t.Parallel()
	types := map[byte]index.Type{
		tar.TypeReg: index.Regular, tar.TypeDir: index.Directory, tar.TypeSymlink: index.Symlink,
		tar.TypeFifo: index.Fifo, tar.TypeChar: index.CharDevice, tar.TypeBlock: index.BlockDevice,
	}
	name := rapid.Map(rapid.SliceOfN(rapid.ByteRange(1, 255), 1, 200), func(b []byte) string {
		return "n" + string(bytes.Trim(b, "/")) + "e"
	})
	owner := rapid.StringOfN(rapid.RuneFrom([]rune("abcäß-")), 0, 40, -1)
	rapid.Check(t, func(rt *rapid.T) {
		h := tar.Header{
			Typeflag: rapid.SampledFrom([]byte("023456")).Draw(rt, "type"),
			Name:     name.Draw(rt, "name"),
			Mode:     rapid.Int64Range(0, 0o7777).Draw(rt, "mode"),
			Uid:      rapid.IntRange(0, min(1<<32-1, math.MaxInt)).Draw(rt, "uid"),
			Gid:      rapid.IntRange(0, min(1<<32-1, math.MaxInt)).Draw(rt, "gid"),
			Uname:    owner.Draw(rt, "uname"),
			Gname:    owner.Draw(rt, "gname"),
			ModTime:  time.Unix(rapid.Int64Range(0, 1<<40).Draw(rt, "mtime"), 0),
			Format:   rapid.SampledFrom([]tar.Format{tar.FormatPAX, tar.FormatGNU}).Draw(rt, "format"),
		}
		want := member{Name: h.Name, Entry: index.Entry{
			Type: types[h.Typeflag], Mode: uint32(h.Mode), UID: h.Uid, GID: h.Gid,
			Uname: h.Uname, Gname: h.Gname, ModTime: h.ModTime.Unix(), GNU: h.Format == tar.FormatGNU,
		}}
		switch h.Typeflag {
		case tar.TypeReg:
			h.Size = rapid.Int64Range(0, 2000).Draw(rt, "size")
			want.Data = strings.Repeat("x", int(h.Size))
		case tar.TypeDir:
			h.Name += "/"
			want.Name += "/"
		case tar.TypeSymlink:
			h.Linkname = name.Draw(rt, "target")
			want.Target = h.Linkname
		case tar.TypeChar, tar.TypeBlock:
			h.Devmajor = rapid.Int64Range(0, 1<<21-1).Draw(rt, "major")
			h.Devminor = rapid.Int64Range(0, 1<<21-1).Draw(rt, "minor")
			want.Major, want.Minor = h.Devmajor, h.Devminor
		}
		if h.Format == tar.FormatGNU && len(h.Uname) > 32 || len(h.Gname) > 32 {
			h.Uname, h.Gname, want.Uname, want.Gname = "", "", "", "" // cannot be held
		}
		second := tar.Header{Typeflag: tar.TypeReg, Name: "second", Size: 3, Mode: 0o600}
		got, err := readAll(bytes.NewReader(stream(t, h, second)))
		if err != nil {
			rt.Fatal(err)
		}
		wants := []member{want, {Name: "second", Data: "xxx", Entry: index.Entry{Type: index.Regular, Mode: 0o600}}}
		if diff := cmp.Diff(wants, got); diff != "" {
			rt.Fatalf("read (-want +got):\n%s", diff)
		}
	})
}

// An archive ends where its stream does, or at the first block of zeros (archive
// format, section 4.4). The rest is read, not looked at.
func TestEnd(t *testing.T) {
	t.Parallel()
	body := stream(t, tar.Header{Name: "a", Size: 700}, tar.Header{Name: "b"})
	zeros := strings.Repeat("\x00", blockSize)
	for _, end := range []string{"", zeros, zeros + zeros, zeros + "garbage", zeros + strings.Repeat("garbage", 1e5)} {
		rest := strings.NewReader(string(body) + end)
		got, err := readAll(rest)
		if err != nil || len(got) != 2 || rest.Len() != 0 {
			t.Errorf("with %d bytes after the members: read %d, %v, left %d", len(end), len(got), err, rest.Len())
		}
	}
	if got, err := readAll(strings.NewReader("")); err != nil || got != nil {
		t.Errorf("empty stream: %v, %v", got, err)
	}
}

// What a decoder says at the end of its stream is the end's error.
func TestEndError(t *testing.T) {
	t.Parallel()
	bad := errors.New("modified")
	body := stream(t, tar.Header{Name: "a"})
	for _, end := range []int{0, blockSize, 100_000} {
		r := io.MultiReader(bytes.NewReader(body), bytes.NewReader(make([]byte, end)), iotest.ErrReader(bad))
		if _, err := readAll(r); err != bad {
			t.Errorf("after %d zeros: %v, want %v", end, err, bad)
		}
	}
}

func TestTruncated(t *testing.T) {
	t.Parallel()
	for _, format := range []tar.Format{tar.FormatPAX, tar.FormatGNU} {
		body := stream(t, tar.Header{Name: "first", Size: 100},
			tar.Header{Name: strings.Repeat("long", 100), Size: 1000, Format: format})
		whole := map[int]int{0: 0, 1024: 1, len(body): 2}
		for n := range len(body) + 1 {
			got, err := readAll(bytes.NewReader(body[:n]))
			if members, ok := whole[n]; ok {
				if err != nil || len(got) != members {
					t.Errorf("%v: %d bytes: %d members, %v", format, n, len(got), err)
				}
			} else if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%v: %d of %d bytes: %v, want %v", format, n, len(body), err, io.ErrUnexpectedEOF)
			}
		}
	}
}

// edit changes a header and makes its checksum right again.
func edit(block []byte, at int, value string) []byte {
	b := bytes.Clone(block)
	copy(b[at:], value)
	copy(b[offSum:], "        ")
	copy(b[offSum:], fmt.Sprintf("%06o\x00 ", byteSum(b[:blockSize])))
	return b
}

func TestHeaderErrors(t *testing.T) {
	t.Parallel()
	plain := stream(t, tar.Header{Name: "name", Size: 5, Mode: 0o644})
	pax := func(records string) []byte {
		h := edit(edit(make([]byte, blockSize), offType, "x"), offSize, fmt.Sprintf("%011o", len(records)))
		body := append(h, records...)
		return append(append(body, make([]byte, -len(records)&511)...), plain...)
	}
	bad := map[string][]byte{
		"checksum":        append(append([]byte("other"), plain[5:150]...), plain[150:]...),
		"hard link":       edit(plain, offType, "1"),
		"global header":   edit(plain, offType, "g"),
		"unknown type":    edit(plain, offType, "Z"),
		"digit":           edit(plain, offMode, "0000689\x00"),
		"negative size":   edit(plain, offSize, strings.Repeat("\xff", 12)),
		"huge size":       edit(plain, offSize, "\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff"),
		"larger size":     edit(plain, offSize, "\x80\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00"),
		"huge owner":      edit(plain, offUID, "\x80\x00\x00\x01\x00\x00\x00\x00"),
		"negative owner":  edit(plain, offUID, "\xff\xff\xff\xff\xff\xff\xff\xfe"),
		"huge PAX":        edit(edit(plain, offType, "x"), offSize, "00040000001"),
		"PAX length":      pax("99 path=x\n"),
		"PAX no length":   pax("path=x\n"),
		"PAX no newline":  pax("9 path=xx"),
		"PAX no key":      pax("5 =x\n"),
		"PAX zero length": pax("0 path=x\n"),
		"PAX tiny length": pax("1 path=x\n"),
		"PAX number":      pax("9 size=x\n"),
		"PAX negative":    pax("11 size=-1\n"),
		"PAX time":        pax("12 mtime=NaN\n"),
		"PAX NUL":         pax("11 path=a\x00\n"),
		"zeros after PAX": pax("9 path=x\n")[:1024:1024],
		"PAX sparse":      pax("22 GNU.sparse.major=1\n"),
	}
	bad["zeros after PAX"] = append(bad["zeros after PAX"], make([]byte, blockSize)...)
	for name, text := range bad {
		if got, err := readAll(bytes.NewReader(text)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: read %v, %v, want %v", name, got, err, ErrFormat)
		}
	}
}

func TestHeaderLeniency(t *testing.T) {
	t.Parallel()
	plain := stream(t, tar.Header{Name: "name", Size: 5, Mode: 0o644, ModTime: time.Unix(7, 0)})
	pax := func(records string) []byte {
		h := edit(edit(make([]byte, blockSize), offType, "x"), offSize, fmt.Sprintf("%o ", len(records)))
		body := append(h, records...)
		return append(append(body, make([]byte, -len(records)&511)...), plain...)
	}
	want := func(change func(*member)) member {
		m := member{Name: "name", Data: "xxxxx", Entry: index.Entry{Type: index.Regular, Mode: 0o644, ModTime: 7}}
		change(&m)
		return m
	}
	tests := []struct {
		name string
		text []byte
		want member
	}{
		{"old type", edit(plain, offType, "\x00"), want(func(*member) {})},
		{"empty number", edit(plain, offMode, "\x00\x00\x00\x00\x00\x00\x00\x00"), want(func(m *member) { m.Mode = 0 })},
		{"spaces", edit(plain, offMode, "   644 \x00"), want(func(*member) {})},
		{"file type in mode", edit(plain, offMode, "0100644\x00"), want(func(*member) {})},
		{"negative time", edit(plain, offMtime, strings.Repeat("\xff", 12)), want(func(m *member) { m.ModTime = 0 })},
		{"prefix", edit(plain, offPrefix, "some/dir\x00"), want(func(m *member) { m.Name = "some/dir/name" })},
		{"no prefix in GNU format", edit(edit(plain, offPrefix, "12345\x00"), offMagic, magicGNU), want(func(m *member) { m.GNU = true })},
		{"no magic", edit(plain, offMagic, "\x00\x00\x00\x00\x00\x00\x00\x00"), want(func(*member) {})},
		{"name without NUL", edit(plain, 0, strings.Repeat("n", 100)), want(func(m *member) { m.Name = strings.Repeat("n", 100) })},
		{"PAX fraction", pax("16 mtime=9.9999\n"), want(func(m *member) { m.ModTime = 9 })},
		{"PAX negative time", pax("14 mtime=-9.5\n"), want(func(m *member) { m.ModTime = 0 })},
		{"PAX exponent", pax("13 mtime=2e9\n"), want(func(m *member) { m.ModTime = 2e9 })},
		{"PAX unknown and empty", pax("21 hdrcharset=BINARY\n7 SCHILY.x=1\n"[:21] + "8 path=\n"), want(func(*member) {})},
		{"PAX raw bytes", pax("21 hdrcharset=BINARY\n12 path=a\x80\n="[:21] + "11 path=a\x80\n"), want(func(m *member) { m.Name = "a\x80" })},
	}
	for _, tt := range tests {
		got, err := readAll(bytes.NewReader(tt.text))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		} else if diff := cmp.Diff([]member{tt.want}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestNextSkipsData(t *testing.T) {
	t.Parallel()
	text := stream(t, tar.Header{Name: "a", Size: 1 << 20}, tar.Header{Name: "b", Size: 5})
	r := NewReader(iotest.HalfReader(bytes.NewReader(text)))
	var e index.Entry
	for _, want := range []string{"a", "b"} {
		name, err := r.Next(&e)
		if err != nil || string(name) != want {
			t.Fatalf("Next = %q, %v, want %q", name, err, want)
		}
	}
	if _, err := r.Next(&e); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestPath(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"": "", ".": "", "./": "", "/": "", "a": "a", "a/": "a", "a/b/": "a/b", "...": "...", "a..": "a..", "\xff\n ": "\xff\n ",
	} {
		if got, err := Path([]byte(name)); err != nil || got != want {
			t.Errorf("Path(%q) = %q, %v, want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"..", "../a", "a/..", "a/../b", "/a", "a//b", "a//", "./a", "a/."} {
		if got, err := Path([]byte(name)); !errors.Is(err, ErrFormat) {
			t.Errorf("Path(%q) = %q, %v, want %v", name, got, err, ErrFormat)
		}
	}
}

func FuzzReader(f *testing.F) {
	for _, format := range []tar.Format{tar.FormatPAX, tar.FormatGNU, tar.FormatUSTAR} {
		f.Add(stream(f, tar.Header{Name: "dir/", Mode: 0o755, Format: format}, tar.Header{Name: "a", Size: 700, Uname: "root", Format: format}))
	}
	f.Add(stream(f, tar.Header{Name: strings.Repeat("a/", 100), Uid: 1 << 30, Format: tar.FormatPAX}))
	f.Add(stream(f, tar.Header{Name: strings.Repeat("a/", 100), Uid: 1 << 30, Format: tar.FormatGNU}))
	f.Fuzz(func(t *testing.T, text []byte) {
		members, err := readAll(bytes.NewReader(text))
		if err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("unexpected kind of error: %v", err)
		}
		for _, m := range members {
			if m.UID < 0 || m.GID < 0 || m.ModTime < 0 || m.Mode > 0o7777 {
				t.Fatalf("out of range: %+v", m)
			}
		}
	})
}

func BenchmarkHeaders(b *testing.B) {
	const n = 10_000
	var headers []tar.Header
	for i := range n {
		headers = append(headers, tar.Header{
			Name: fmt.Sprintf("signature/projects/%04d/source/file-%06d.go", i/50, i),
			Size: 132, Mode: 0o644, Uid: 1000, Gid: 1000, Uname: "user", Gname: "group", ModTime: time.Unix(1704067200, 0), Format: tar.FormatGNU,
		})
	}
	text := stream(b, headers...)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		r := NewReader(bytes.NewReader(text))
		var e index.Entry
		for {
			if _, err := r.Next(&e); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
