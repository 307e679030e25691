package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// A listed is one path of a listing made by real duplicity's restore, as
// testdata/duplicity/README.md describes it.
type listed struct {
	PathB64   string `json:"path_b64"`
	Type      string `json:"type"`
	Mode      string `json:"mode"`
	ModTime   int64  `json:"mtime"`
	Size      int64  `json:"size"`
	SHA256    string `json:"sha256"`
	TargetB64 string `json:"target_b64"`
}

// compareTree compares the tree at dir with a listing of what duplicity
// restored: names, types, contents, link targets, modes and times. It returns
// the number of regular files and their bytes, and what differs.
func compareTree(dir string, listing []byte) (files int, bytes int64, differences []string, err error) {
	var want []listed
	if err := json.Unmarshal(listing, &want); err != nil {
		return 0, 0, nil, fmt.Errorf("read the listing: %w", err)
	}
	expected := map[string]bool{}
	for _, l := range want {
		rawPath, err := base64.StdEncoding.DecodeString(l.PathB64)
		if err != nil {
			return 0, 0, nil, fmt.Errorf("read the listing: %w", err)
		}
		path := filepath.Join(dir, string(rawPath))
		expected[path] = true
		if why := l.differs(path); why != nil {
			differences = append(differences, fmt.Sprintf("%q: %v", rawPath, why))
		}
		if l.Type == "file" {
			files++
			bytes += l.Size
		}
	}
	err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && !expected[path] {
			differences = append(differences, fmt.Sprintf("%q: is not in the backup", path))
		}
		return err
	})
	return files, bytes, differences, err
}

// differs says how the file at path is not what was listed.
func (l listed) differs(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if got := typeWord(info.Mode()); got != l.Type {
		return fmt.Errorf("is a %s, want %s", got, l.Type)
	}
	if l.Type == "symlink" {
		target, err := os.Readlink(path)
		if want := base64.StdEncoding.EncodeToString([]byte(target)); err == nil && want != l.TargetB64 {
			err = fmt.Errorf("points to %q", target)
		}
		return err
	}
	mode, err := strconv.ParseUint(l.Mode, 8, 32)
	if err != nil {
		return fmt.Errorf("read the listing: %w", err)
	}
	if got := unixMode(info.Mode()); got != mode {
		return fmt.Errorf("has mode %04o, want %04o", got, mode)
	}
	if got := info.ModTime().Unix(); got != l.ModTime {
		return fmt.Errorf("has time %d, want %d", got, l.ModTime)
	}
	if l.Type != "file" {
		return nil
	}
	return l.contentDiffers(path)
}

func (l listed) contentDiffers(path string) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return err
	}
	if sum := hex.EncodeToString(h.Sum(nil)); n != l.Size || sum != l.SHA256 {
		return fmt.Errorf("has %d bytes with SHA-256 %s, want %d with %s", n, sum, l.Size, l.SHA256)
	}
	return nil
}

func typeWord(m fs.FileMode) string {
	switch {
	case m.IsRegular():
		return "file"
	case m.IsDir():
		return "dir"
	case m&fs.ModeSymlink != 0:
		return "symlink"
	case m&fs.ModeNamedPipe != 0:
		return "fifo"
	}
	return "other"
}

// unixMode returns the permission bits with setuid, setgid and sticky as the
// kernel counts them.
func unixMode(m fs.FileMode) uint64 {
	bits := uint64(m.Perm())
	for flag, bit := range map[fs.FileMode]uint64{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if m&flag != 0 {
			bits |= bit
		}
	}
	return bits
}
