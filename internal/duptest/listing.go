//go:build unix

package duptest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Entry is one path of a listing, in the form that testdata/duplicity/README.md
// describes.
type Entry struct {
	Path      string `json:"-"` // exact bytes; "." is the root
	PathB64   string `json:"path_b64"`
	Type      string `json:"type"` // file, dir, symlink, fifo, chr, blk, socket
	UID       int    `json:"uid"`
	GID       int    `json:"gid"`
	Mode      string `json:"mode"`  // octal; "" for symlinks
	ModTime   int64  `json:"mtime"` // seconds; 0 for symlinks
	Size      int64  `json:"size"`
	SHA256    string `json:"sha256"`
	TargetB64 string `json:"target_b64"`
	Rdev      []int  `json:"rdev"`
}

// Expected reads a listing of testdata/duplicity.
func Expected(tb testing.TB, file string) []Entry {
	tb.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	var entries []Entry
	if err := json.Unmarshal(src, &entries); err != nil {
		tb.Fatalf("%s: %v", file, err)
	}
	for i := range entries {
		path, err := base64.StdEncoding.DecodeString(entries[i].PathB64)
		if err != nil {
			tb.Fatalf("%s: %v", file, err)
		}
		entries[i].Path = string(path)
	}
	return entries
}

// Listing lists a tree in the archive's order: names, types, owners, modes,
// times in whole seconds, contents, link targets, device numbers.
func Listing(tb testing.TB, dir string) []Entry {
	tb.Helper()
	var entries []Entry
	var add func(rel string)
	add = func(rel string) {
		e := entry(tb, filepath.Join(dir, rel), rel)
		entries = append(entries, e)
		if e.Type != "dir" {
			return
		}
		children, err := os.ReadDir(filepath.Join(dir, rel)) // sorted by name, by bytes
		if err != nil {
			tb.Fatal(err)
		}
		for _, child := range children {
			add(strings.TrimPrefix(rel+"/"+child.Name(), "/"))
		}
	}
	add("")
	return entries
}

func entry(tb testing.TB, full, rel string) Entry {
	tb.Helper()
	info, err := os.Lstat(full)
	if err != nil {
		tb.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	e := Entry{Path: rel, UID: int(st.Uid), GID: int(st.Gid)}
	if rel == "" {
		e.Path = "."
	}
	e.PathB64 = base64.StdEncoding.EncodeToString([]byte(e.Path))
	e.Type = typeName(uint32(st.Mode))
	if e.Type == "symlink" {
		target, err := os.Readlink(full)
		if err != nil {
			tb.Fatal(err)
		}
		e.TargetB64 = base64.StdEncoding.EncodeToString([]byte(target))
		return e
	}
	e.Mode = mode(uint32(st.Mode))
	e.ModTime = info.ModTime().Unix()
	switch e.Type {
	case "file":
		e.Size, e.SHA256 = content(tb, full)
	case "chr", "blk":
		e.Rdev = []int{int(unix.Major(uint64(st.Rdev))), int(unix.Minor(uint64(st.Rdev)))}
	}
	return e
}

func typeName(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "file"
	case unix.S_IFDIR:
		return "dir"
	case unix.S_IFLNK:
		return "symlink"
	case unix.S_IFIFO:
		return "fifo"
	case unix.S_IFCHR:
		return "chr"
	case unix.S_IFBLK:
		return "blk"
	}
	return "socket"
}

func mode(m uint32) string {
	const digits = "01234567"
	return string([]byte{digits[m>>9&7], digits[m>>6&7], digits[m>>3&7], digits[m&7]})
}

func content(tb testing.TB, path string) (int64, string) {
	tb.Helper()
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		tb.Fatal(err)
	}
	return n, hex.EncodeToString(h.Sum(nil))
}
