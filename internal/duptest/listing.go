//go:build unix

package duptest

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// An Entry is what the fixtures' listings say of one path.
type Entry struct {
	Path         string // raw bytes; "" is the root
	Type         string // file, dir, symlink, fifo, chr, blk, socket
	UID, GID     int
	Mode         uint32 // permission bits with setuid, setgid and sticky; 0 for symlinks
	ModTime      int64  // seconds; 0 for symlinks
	Size         int64  // of files
	SHA256       string // of files, hexadecimal
	Target       string // of symlinks
	Major, Minor uint32 // of devices
}

// Fixture returns the folder of a fixture, such as "plain-gz".
func Fixture(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
	}
	path := filepath.Join(dir, "testdata", "duplicity", filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// ReadListing reads a listing of the fixtures, such as
// plain-gz/expected/20240101T000000Z.json.
func ReadListing(t testing.TB, file string) []Entry {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := parseListing(text)
	if err != nil {
		t.Fatalf("listing %s: %v", file, err)
	}
	return entries
}

func parseListing(text []byte) ([]Entry, error) {
	var lines []struct {
		Path   []byte `json:"path_b64"`
		Type   string
		UID    int
		GID    int
		Mode   string
		Mtime  int64
		Size   int64
		SHA256 string
		Target []byte `json:"target_b64"`
		Rdev   [2]uint32
	}
	if err := json.Unmarshal(text, &lines); err != nil {
		return nil, err
	}
	entries := make([]Entry, 0, len(lines))
	for _, l := range lines {
		e := Entry{
			Path: string(l.Path), Type: l.Type, UID: l.UID, GID: l.GID, ModTime: l.Mtime,
			Size: l.Size, SHA256: l.SHA256, Target: string(l.Target), Major: l.Rdev[0], Minor: l.Rdev[1],
		}
		if e.Path == "." {
			e.Path = ""
		}
		mode, err := strconv.ParseUint(cmp.Or(l.Mode, "0"), 8, 32)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", e.Path, err)
		}
		e.Mode = uint32(mode)
		entries = append(entries, e)
	}
	return entries, nil
}

// MarshalJSON writes the entry as the fixtures have it.
func (e Entry) MarshalJSON() ([]byte, error) {
	path := cmp.Or(e.Path, ".")
	m := map[string]any{"path": path, "path_b64": base64.StdEncoding.EncodeToString([]byte(path)), "type": e.Type, "uid": e.UID, "gid": e.GID}
	if e.Type == "symlink" {
		m["target"], m["target_b64"] = e.Target, base64.StdEncoding.EncodeToString([]byte(e.Target))
	} else {
		m["mode"], m["mtime"] = fmt.Sprintf("%04o", e.Mode), e.ModTime
	}
	switch e.Type {
	case "file":
		m["size"], m["sha256"] = e.Size, e.SHA256
	case "chr", "blk":
		m["rdev"] = []uint32{e.Major, e.Minor}
	}
	return json.Marshal(m)
}

// Listing lists the tree below dir, dir itself as "", in the order of an archive.
func Listing(t testing.TB, dir string) []Entry {
	t.Helper()
	entries, err := list(nil, dir, "")
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func list(entries []Entry, dir, path string) ([]Entry, error) {
	full := dir + "/" + path // not filepath.Join: names are raw bytes
	if path == "" {
		full = dir
	}
	e, err := stat(full)
	if err != nil {
		return nil, err
	}
	e.Path = path
	entries = append(entries, e)
	if e.Type != "dir" {
		return entries, nil
	}
	children, err := os.ReadDir(full) // sorted by name, as bytes
	if err != nil {
		return nil, err
	}
	for _, c := range children {
		child := c.Name()
		if path != "" {
			child = path + "/" + child
		}
		if entries, err = list(entries, dir, child); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

func stat(full string) (Entry, error) {
	info, err := os.Lstat(full)
	if err != nil {
		return Entry{}, err
	}
	sys := info.Sys().(*syscall.Stat_t)
	e := Entry{UID: int(sys.Uid), GID: int(sys.Gid), Mode: uint32(sys.Mode) & 0o7777, ModTime: info.ModTime().Unix()}
	switch uint32(sys.Mode) & syscall.S_IFMT {
	case syscall.S_IFREG:
		e.Type, e.Size = "file", info.Size()
		e.SHA256, err = sum(full)
	case syscall.S_IFDIR:
		e.Type = "dir"
	case syscall.S_IFLNK:
		e.Type, e.Mode, e.ModTime = "symlink", 0, 0
		e.Target, err = os.Readlink(full)
	case syscall.S_IFIFO:
		e.Type = "fifo"
	case syscall.S_IFCHR:
		e.Type = "chr"
	case syscall.S_IFBLK:
		e.Type = "blk"
	default:
		e.Type = "socket"
	}
	if e.Type == "chr" || e.Type == "blk" {
		e.Major, e.Minor = unix.Major(uint64(sys.Rdev)), unix.Minor(uint64(sys.Rdev))
	}
	return e, err
}

func sum(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Diff says how two listings differ; "" when they do not. Owners count only for
// root, as nobody else can restore them.
func Diff(want, got []Entry) string {
	if os.Geteuid() == 0 {
		return gocmp.Diff(want, got)
	}
	return gocmp.Diff(unowned(want), unowned(got))
}

func unowned(entries []Entry) []Entry {
	all := make([]Entry, 0, len(entries))
	for _, e := range entries {
		e.UID, e.GID = 0, 0
		all = append(all, e)
	}
	return all
}
