package backendtest

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"testing/iotest"

	"github.com/isotherm-backup/isotherm/backends"
)

// putTests are about writing.
func putTests() []check {
	return []check{
		{"Overwrite", testOverwrite},
		{"OverwriteUnderReaders", testOverwriteUnderReaders},
		{"OddReaders", testOddReaders},
		{"CancelledPut", testCancelledPut},
		{"FailingBody", testFailingBody},
		{"WrongSize", testWrongSize},
		{"Digests", testDigests},
		{"IfAbsent", testIfAbsent},
		{"IfAbsentRace", testIfAbsentRace},
		{"PutRace", testPutRace},
	}
}

func testOverwrite(p *place) {
	for i, size := range []int{1000, 10, 100000, 0, 1} {
		data := pattern(i, size)
		p.put("file", data)
		if info := p.stat("file"); info.Size != int64(size) {
			p.Errorf("after an overwrite with %d bytes Stat says %d", size, info.Size)
		}
		p.wantFile("file", data)
	}
	p.wantList("", "file")
}

// testOverwriteUnderReaders replaces a file while it is read: each reader gets one
// whole version.
func testOverwriteUnderReaders(p *place) {
	if p.terms.Cold {
		// What is put is frozen at once, so nobody reads.
		p.put("file", []byte("old"))
		p.thaw("file")
		p.put("file", []byte("new"))
		p.wantFrozen("file", backends.Frozen)
		return
	}
	const size, writes = 300_000, 20
	version := func(i int) []byte { return bytes.Repeat([]byte{byte('a' + i%26)}, size+i) }
	p.put("file", version(0))
	var wg sync.WaitGroup
	var done atomic.Bool
	for range 3 {
		wg.Go(func() {
			for !done.Load() {
				if err := readVersion(p, version); err != nil {
					p.Errorf("read while overwritten: %v", err)
					return
				}
			}
		})
	}
	for i := range writes {
		if _, err := p.store.Put(p.Context(), "file", bytes.NewReader(version(i)), backends.PutOptions{}); err != nil {
			p.Errorf("Put: %v", err)
		}
	}
	done.Store(true)
	wg.Wait()
	p.wantFile("file", version(writes-1))
}

func readVersion(p *place, version func(int) []byte) error {
	body, err := p.store.Get(p.Context(), "file", 0, -1)
	if err != nil {
		return err
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	if i := len(data) - len(version(0)); i < 0 || !bytes.Equal(data, version(i)) {
		return fmt.Errorf("%d bytes are no version that was put", len(data))
	}
	return nil
}

// testOddReaders puts bodies whose readers behave as io.Reader allows.
func testOddReaders(p *place) {
	data := pattern(5, 5000)
	for name, body := range map[string]io.Reader{
		"one-byte":   iotest.OneByteReader(bytes.NewReader(data)),
		"half":       iotest.HalfReader(bytes.NewReader(data)),
		"data-error": iotest.DataErrReader(bytes.NewReader(data)),
		"chunks":     io.MultiReader(bytes.NewReader(data[:1]), strings.NewReader(""), bytes.NewReader(data[1:])),
	} {
		if _, err := p.store.Put(p.Context(), name, body, backends.PutOptions{}); err != nil {
			p.Errorf("Put of a %s reader: %v", name, err)
			continue
		}
		p.wantFile(name, data)
	}
}

// refusedPut puts a body that must not be stored, over no file and over an older
// one.
func (p *place) refusedPut(what string, kind error, put func(name string) error) {
	p.Helper()
	old := []byte("what was there before")
	p.put("old", old)
	p.wantErr(what, put("new"), kind)
	p.wantAbsent("new")
	p.wantErr(what+" over an older file", put("old"), kind)
	p.wantFile("old", old)
	p.wantList("", "old")
}

func testCancelledPut(p *place) {
	for _, size := range []int{10, 100_000, 6 << 20} {
		p.refusedPut(fmt.Sprintf("Put cancelled after %d bytes", size), context.Canceled, func(name string) error {
			ctx, cancel := context.WithCancel(p.Context())
			defer cancel()
			body := io.MultiReader(bytes.NewReader(pattern(1, size)), call(cancel), bytes.NewReader(pattern(2, size)))
			_, err := p.store.Put(ctx, name, body, backends.PutOptions{})
			return err
		})
	}
}

// call is a reader of nothing, that calls a function when its turn comes.
type call func()

func (c call) Read([]byte) (int, error) {
	c()
	return 0, io.EOF
}

func testFailingBody(p *place) {
	broken := errors.New("body broke")
	for _, size := range []int{0, 10, 100_000, 6 << 20} {
		p.refusedPut(fmt.Sprintf("Put of a body that fails after %d bytes", size), broken, func(name string) error {
			body := io.MultiReader(bytes.NewReader(pattern(1, size)), iotest.ErrReader(broken))
			_, err := p.store.Put(p.Context(), name, body, backends.PutOptions{})
			return err
		})
	}
}

func testWrongSize(p *place) {
	for _, size := range []int64{1, 99, 101, 1 << 20} {
		p.refusedPut(fmt.Sprintf("Put of 100 bytes as %d", size), backends.ErrCorrupt, func(name string) error {
			_, err := p.store.Put(p.Context(), name, bytes.NewReader(pattern(1, 100)), backends.PutOptions{Size: size})
			return err
		})
	}
	if _, err := p.store.Put(p.Context(), "right", bytes.NewReader(pattern(1, 100)), backends.PutOptions{Size: 100}); err != nil {
		p.Errorf("Put of the announced size: %v", err)
	}
}

func testDigests(p *place) {
	data := pattern(1, 100_000)
	md5sum, sha1sum, sha256sum := md5.Sum(data), sha1.Sum(data), sha256.Sum256(data)
	for algorithm, sum := range map[string][]byte{"md5": md5sum[:], "sha1": sha1sum[:], "sha256": sha256sum[:]} {
		name := "right-" + algorithm
		put := func(data []byte) func(string) error {
			return func(name string) error {
				opts := backends.PutOptions{Digest: backends.Digest{Algorithm: algorithm, Sum: hex.EncodeToString(sum)}}
				_, err := p.store.Put(p.Context(), name, bytes.NewReader(data), opts)
				return err
			}
		}
		if err := put(data)(name); err != nil {
			p.Errorf("Put with the right %s: %v", algorithm, err)
		}
		p.wantFile(name, data)
		if err := p.store.Delete(p.Context(), name); err != nil {
			p.Fatal(err)
		}
		damaged := bytes.Clone(data)
		damaged[50_000] ^= 1
		p.refusedPut("Put with the wrong "+algorithm, backends.ErrCorrupt, put(damaged))
	}
	p.refusedPut("Put with an unknown checksum", backends.ErrUnsupported, func(name string) error {
		opts := backends.PutOptions{Digest: backends.Digest{Algorithm: "crc7", Sum: "00"}}
		_, err := p.store.Put(p.Context(), name, bytes.NewReader(data), opts)
		return err
	})
}

func testIfAbsent(p *place) {
	put := func(name, data string) error {
		_, err := p.store.Put(p.Context(), name, strings.NewReader(data), backends.PutOptions{IfAbsent: true})
		return err
	}
	if err := put("lock", "1"); err != nil {
		p.Fatalf("Put of an absent file: %v", err)
	}
	p.wantErr("Put IfAbsent over a file", put("lock", "2"), fs.ErrExist)
	p.wantFile("lock", []byte("1"))
	if err := p.store.Delete(p.Context(), "lock"); err != nil {
		p.Fatal(err)
	}
	if err := put("lock", "3"); err != nil {
		p.Errorf("Put of a file that was deleted: %v", err)
	}
	p.wantFile("lock", []byte("3"))
}

// testIfAbsentRace lets several put the same name: exactly one wins.
func testIfAbsentRace(p *place) {
	const contenders = 8
	for round := range 5 {
		name := fmt.Sprintf("lock-%d", round)
		var wins atomic.Int32
		var winner atomic.Pointer[string]
		var wg sync.WaitGroup
		for c := range contenders {
			wg.Go(func() {
				body := fmt.Sprintf("contender %d", c)
				_, err := p.store.Put(p.Context(), name, strings.NewReader(body), backends.PutOptions{IfAbsent: true})
				switch {
				case err == nil:
					wins.Add(1)
					winner.Store(&body)
				case !errors.Is(err, fs.ErrExist):
					p.Errorf("Put IfAbsent: %v, want nil or fs.ErrExist", err)
				}
			})
		}
		wg.Wait()
		if n := wins.Load(); n != 1 {
			p.Fatalf("%d of %d Puts IfAbsent succeeded, want 1", n, contenders)
		}
		p.wantFile(name, []byte(*winner.Load()))
	}
}

// testPutRace lets several replace one file: the last whole one stays.
func testPutRace(p *place) {
	version := func(i int) []byte { return bytes.Repeat([]byte{byte('a' + i)}, 10_000+i) }
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if _, err := p.store.Put(p.Context(), "file", bytes.NewReader(version(i)), backends.PutOptions{}); err != nil {
				p.Errorf("Put: %v", err)
			}
		})
	}
	wg.Wait()
	p.thaw("file")
	if err := readVersion(p, version); err != nil {
		p.Errorf("after concurrent Puts: %v", err)
	}
	p.wantList("", "file")
}
