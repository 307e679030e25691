package engine

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/isotherm-backup/isotherm/engine/librsync"
	"github.com/isotherm-backup/isotherm/engine/manifest"
	"github.com/isotherm-backup/isotherm/internal/duptest"
)

// A madeMember is a path in an archive that a test makes up, with names that no
// duplicity would write.
type madeMember struct {
	name   string // of the members, without the prefix
	typ    byte   // of package tar
	data   string
	target string
}

// makeArchive writes a full set of one volume.
func makeArchive(t *testing.T, members []madeMember) string {
	t.Helper()
	dir := t.TempDir()
	var volume, signatures bytes.Buffer
	vw, sw := gzip.NewWriter(&volume), gzip.NewWriter(&signatures)
	vt, st := tar.NewWriter(vw), tar.NewWriter(sw)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	add := func(w *tar.Writer, name string, m madeMember, data []byte) {
		check(w.WriteHeader(&tar.Header{
			Name: name, Typeflag: m.typ, Linkname: m.target, Size: int64(len(data)),
			Mode: 0o644, ModTime: time.Unix(1700000000, 0), Format: tar.FormatPAX,
		}))
		_, err := w.Write(data)
		check(err)
	}
	for _, m := range members {
		add(vt, "snapshot/"+m.name, m, []byte(m.data))
		if m.typ != tar.TypeReg {
			add(st, "snapshot/"+m.name, m, nil)
			continue
		}
		var sig bytes.Buffer
		check(librsync.Signature(&sig, strings.NewReader(m.data), librsync.BlockLength(int64(len(m.data)))))
		add(st, "signature/"+m.name, m, sig.Bytes())
	}
	check(vt.Flush())
	check(vw.Close())
	check(st.Close())
	check(sw.Close())
	sum := sha1.Sum(volume.Bytes())
	var text bytes.Buffer
	check(manifest.Write(&text, &manifest.Manifest{Volumes: []manifest.Volume{{
		Number: 1, End: manifest.Bound{Path: members[len(members)-1].name},
		Hashes: []manifest.Hash{{Algorithm: "SHA1", Sum: hex.EncodeToString(sum[:])}},
	}}}))
	for name, data := range map[string][]byte{
		"duplicity-full.20240101T000000Z.vol1.difftar.gz":      volume.Bytes(),
		"duplicity-full-signatures.20240101T000000Z.sigtar.gz": signatures.Bytes(),
		"duplicity-full.20240101T000000Z.manifest":             text.Bytes(),
	} {
		check(os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	return dir
}

var madeRoot = madeMember{name: "./", typ: tar.TypeDir}

// Nothing that an archive says leads out of the destination, or through a link.
func TestRestoreHostile(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	reg := func(name string) madeMember { return madeMember{name: name, typ: tar.TypeReg, data: "evil"} }
	link := func(name, target string) madeMember {
		return madeMember{name: name, typ: tar.TypeSymlink, target: target}
	}
	dir := func(name string) madeMember { return madeMember{name: name + "/", typ: tar.TypeDir} }
	for name, members := range map[string][]madeMember{
		"dotdot":             {madeRoot, reg("../evil")},
		"dotdot inside":      {madeRoot, dir("a"), reg("a/../../evil")},
		"absolute":           {madeRoot, reg(outside + "/evil")},
		"link out, file":     {madeRoot, link("out", outside), reg("out/evil")},
		"link out, empty":    {madeRoot, link("out", outside), {name: "out/evil", typ: tar.TypeReg}},
		"link out, dir":      {madeRoot, link("out", outside), dir("out/evil")},
		"link out, link":     {madeRoot, link("out", outside), link("out/evil", "x")},
		"link out, relative": {madeRoot, link("out", "../../../../../../../../.."+outside), reg("out/evil")},
		"link in":            {madeRoot, dir("in"), link("link", "in"), reg("link/evil")},
		"dir after link":     {madeRoot, link("out", outside), dir("out"), reg("out/evil")},
		"staging":            {madeRoot, reg(stagingName + "/journal")},
		"staging file":       {madeRoot, dir("a"), reg("a/" + stagingName + "-0")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent := t.TempDir()
			dest := filepath.Join(parent, "dest")
			rig, err := openRestoreRig(t.Context(), t.TempDir(), rigOptions{dirs: []string{makeArchive(t, members)}})
			if err == nil {
				var report *RestoreReport
				report, err = rig.restore(t.Context(), time.Time{}, dest, RestoreOptions{})
				if err == nil && report.FailedCount == 0 {
					// Refused or made harmless: an absolute name may be local.
					t.Logf("restored without complaint")
				}
			}
			for _, place := range []string{
				filepath.Join(parent, "evil"), filepath.Join(outside, "evil"), filepath.Join(dest, "in", "evil"),
			} {
				if _, err := os.Lstat(place); err == nil {
					t.Errorf("%s was written", place)
				}
			}
		})
	}
}

// A full disk ends the restore with an error that says so. What was restored
// stays, and with room again the same restore carries on.
func TestRestoreFullDisk(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("only root can mount a small file system: nothing was tested")
		return
	}
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	mount := func(flags uintptr, options string) {
		if err := unix.Mount("tmpfs", disk, "tmpfs", flags, options); err != nil {
			t.Fatal(err)
		}
	}
	mount(0, "size=9m")
	t.Cleanup(func() {
		if err := unix.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	rig := fixtureRig(t, "plain-gz")
	dest := filepath.Join(disk, "dest")
	opts := RestoreOptions{Parallel: 1, interval: time.Millisecond}
	_, err := rig.restore(t.Context(), stampOf(t, plainLast), dest, opts)
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), dest) {
		t.Fatalf("error %v, want ENOSPC that names the destination", err)
	}
	if _, err := ReadInterrupted(dest); err != nil {
		t.Error(err)
	}
	mount(unix.MS_REMOUNT, "size=100m")
	rig.mustRestore(t, stampOf(t, plainLast), dest, opts)
	checkTree(t, dest, plainLast)
}

// A user who is not root gets everything as his own, with modes and times, but
// without setuid bits, and is told once.
func TestRestoreUnprivileged(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("every other test runs without privileges already")
		return
	}
	dir, err := os.MkdirTemp("", "restore")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	archive := filepath.Join(dir, "archive")
	if err := os.CopyFS(archive, os.DirFS(fixture("plain-gz/archive"))); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "test")
	for _, err := range []error{
		os.Chmod(dir, 0o777), exec.Command("cp", os.Args[0], binary).Run(),
		exec.Command("chmod", "-R", "a+rX", archive).Run(), os.Chmod(binary, 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	const nobody = 65534
	dest := filepath.Join(dir, "dest")
	cmd := helperCommand(t.Context(), archive, dest, filepath.Join(dir, "state"), "", time.Hour)
	cmd.Path, cmd.Dir = binary, dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := plainListing(t, plainLast)
	got := make(map[string]string)
	for _, e := range duptest.Listing(t, dest) {
		got[e.Path] = strconv.FormatInt(e.ModTime, 10) + " " + strconv.FormatUint(uint64(e.Mode), 8) + " " + e.SHA256
		if e.UID != nobody || e.GID != nobody {
			t.Errorf("%q belongs to %d:%d", e.Path, e.UID, e.GID)
		}
	}
	for _, e := range want {
		if w := strconv.FormatInt(e.ModTime, 10) + " " + strconv.FormatUint(uint64(e.Mode&0o1777), 8) + " " + e.SHA256; got[e.Path] != w {
			t.Errorf("%q is %q, want %q", e.Path, got[e.Path], w)
		}
	}
}
