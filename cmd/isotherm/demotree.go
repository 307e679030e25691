package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// demoSource is the folder that the demo backs up.
const demoSource = "home"

// plantDemo makes the folder: pictures that do not compress, letters that do.
func plantDemo(dir string) error {
	for i := range 7 {
		if err := plantFile(filepath.Join(dir, "pictures", fmt.Sprintf("%d.raw", 2018+i)), noise(420_000, uint64(i))); err != nil {
			return err
		}
	}
	for i := range 60 {
		text := fmt.Appendf(nil, "letter %d\n", i)
		for len(text) < 2000+i*40 {
			text = append(text, "what one writes to a friend, again and again\n"...)
		}
		if err := plantFile(filepath.Join(dir, "letters", fmt.Sprintf("%02d.txt", i)), text); err != nil {
			return err
		}
	}
	return os.Symlink("letters/00.txt", filepath.Join(dir, "newest"))
}

// changeDemo changes the folder after its first backup.
func changeDemo(dir string) error {
	return errors.Join(
		os.Remove(filepath.Join(dir, "letters", "07.txt")),
		plantFile(filepath.Join(dir, "letters", "08.txt"), []byte("this one was written anew\n")),
		plantFile(filepath.Join(dir, "pictures", "2025.raw"), noise(300_000, 99)),
	)
}

func noise(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return data
}

func plantFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

// A listed is one path of a tree.
type listed struct {
	path   string // below the tree's root
	mode   fs.FileMode
	time   time.Time // of what is no link
	size   int64     // of a regular file
	sum    string    // SHA-256 of a regular file
	target string    // of a link
}

// listTree describes everything in a tree.
func listTree(dir string) ([]listed, error) {
	var all []listed
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		l, err := listPath(path, d)
		l.path, _ = filepath.Rel(dir, path) // it lies below
		all = append(all, l)
		return err
	})
	return all, err
}

func listPath(path string, d fs.DirEntry) (l listed, err error) {
	info, err := d.Info()
	if err != nil {
		return l, err
	}
	l.mode = info.Mode()
	switch {
	case l.mode&fs.ModeSymlink != 0:
		l.target, err = os.Readlink(path)
		return l, err
	case l.mode.IsRegular():
		l.size = info.Size()
		l.sum, err = sumFile(path)
	}
	l.time = info.ModTime()
	return l, err
}

func sumFile(path string) (_ string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// compareTree says what is not in a tree as it was listed: names, types, contents,
// targets of links, modes and times.
func compareTree(dir string, want []listed) (differences []string, err error) {
	got, err := listTree(dir)
	if err != nil {
		return nil, err
	}
	there := make(map[string]listed, len(got))
	for _, l := range got {
		there[l.path] = l
	}
	for _, w := range want {
		g, ok := there[w.path]
		delete(there, w.path)
		switch {
		case !ok:
			differences = append(differences, fmt.Sprintf("%q is missing", w.path))
		case !g.time.Equal(w.time):
			differences = append(differences, fmt.Sprintf("%q has time %v, want %v", w.path, g.time, w.time))
		default:
			if g.time = w.time; g != w {
				differences = append(differences, fmt.Sprintf("%q is %+v, want %+v", w.path, g, w))
			}
		}
	}
	for path := range there {
		differences = append(differences, fmt.Sprintf("%q is not in the backup", path))
	}
	return differences, nil
}
