//go:build unix

package open_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/open"
	"github.com/isotherm-backup/isotherm/internal/bench"
	"github.com/isotherm-backup/isotherm/internal/servers"
)

// transferHelper names the environment that makes TestTransferHelper move files, in
// a process of its own that can be measured.
const transferHelper = "ISOTHERM_TEST_TRANSFER"

// TestTransferHelper is no test: it is what BenchmarkTransfer runs as a process.
func TestTransferHelper(t *testing.T) {
	way := os.Getenv(transferHelper)
	if way == "" {
		return
	}
	if err := helpTransfer(t.Context(), way, os.Getenv(transferHelper+"_DIR")); err != nil {
		t.Fatal(err)
	}
}

// helpTransfer moves all files up from a folder to a store, or down.
func helpTransfer(ctx context.Context, way, dir string) error {
	options := make(map[string]string)
	for kv := range strings.FieldsSeq(os.Getenv(transferHelper + "_OPTIONS")) {
		key, value, _ := strings.Cut(kv, "=")
		options[key] = value
	}
	s, err := open.Store(ctx, open.Config{URL: os.Getenv(transferHelper + "_URL"), Options: options, Env: os.LookupEnv})
	if err != nil {
		return err
	}
	parallel, err := strconv.Atoi(os.Getenv(transferHelper + "_PARALLEL"))
	if err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(parallel)
	if way == "up" {
		files, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, f := range files {
			g.Go(func() error { return up(ctx, s, filepath.Join(dir, f.Name())) })
		}
	} else {
		for info, err := range s.List(ctx, "") {
			if err != nil {
				return err
			}
			g.Go(func() error { return down(ctx, s, info.Name, filepath.Join(dir, info.Name)) })
		}
	}
	return errors.Join(g.Wait(), s.Close())
}

// up sends a file as a stream, which is what tiers hand to a store.
func up(ctx context.Context, s backends.Store, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	_, err = s.Put(ctx, filepath.Base(path), struct{ io.Reader }{f}, backends.PutOptions{Size: info.Size()})
	return err
}

func down(ctx context.Context, s backends.Store, name, path string) error {
	body, err := s.Get(ctx, name, 0, -1)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return errors.Join(err, body.Close())
	}
	_, err = io.Copy(f, body)
	return errors.Join(err, body.Close(), f.Close())
}

// BenchmarkTransfer moves 2 GB in volumes of 50 MB to the real servers and back,
// beside rclone with the same number of transfers, both as processes:
//
//	go test -run '^$' -bench Transfer -benchtime 1x ./backends/open
//
// It prints times, CPU seconds and memory of both, and reports their ratios. rclone
// is $RCLONE, or is installed by go install.
func BenchmarkTransfer(b *testing.B) {
	const files, size = 40, 50_000_000
	rclone := findRclone(b)
	dir := b.TempDir()
	volumes := filepath.Join(dir, "volumes")
	if err := os.Mkdir(volumes, 0o700); err != nil {
		b.Fatal(err)
	}
	for i := range files {
		writeRandom(b, filepath.Join(volumes, fmt.Sprintf("duplicity-full.20240101T000000Z.vol%d.difftar.gpg", i+1)), size)
	}
	swift := servers.Swift(b)
	archive := servers.S3Archive(b, servers.S3Options{})
	for name, e := range map[string]struct {
		environ []string
		url     func(who string) string
		options string
		remote  func(who string) string
	}{
		"s3": {
			environ: []string{"AWS_ACCESS_KEY_ID=" + archive.AccessKey, "AWS_SECRET_ACCESS_KEY=" + archive.SecretKey},
			url:     func(who string) string { return "s3://" + who },
			options: "endpoint=" + archive.Endpoint + " path_style=true",
			remote: func(who string) string {
				return fmt.Sprintf(":s3,provider=Other,env_auth=true,endpoint='%s',region=%s,force_path_style=true:%s", archive.Endpoint, archive.Region, who)
			},
		},
		"swift": {
			environ: []string{"SWIFT_AUTHURL=" + swift.V1.AuthURL, "SWIFT_USERNAME=" + swift.V1.User, "SWIFT_PASSWORD=" + swift.V1.Key},
			url:     func(who string) string { return "swift://" + who },
			remote: func(who string) string {
				return fmt.Sprintf(":swift,auth='%s',user='%s',key=%s:%s", swift.V1.AuthURL, swift.V1.User, swift.V1.Key, who)
			},
		},
	} {
		for _, parallel := range []int{4, 16} {
			b.Run(fmt.Sprintf("%s/%d", name, parallel), func(b *testing.B) {
				for b.Loop() {
					t := transfer{b: b, volumes: volumes, parallel: parallel, environ: e.environ, rclone: rclone, swift: name == "swift"}
					ours, theirs := t.place(swift, archive, "ours"), t.place(swift, archive, "rclone")
					up := t.compare("up", t.helper("up", e.url(ours), e.options, volumes), t.copy(volumes, e.remote(theirs)))
					back, again := filepath.Join(b.TempDir(), "ours"), filepath.Join(b.TempDir(), "rclone")
					if err := os.MkdirAll(back, 0o700); err != nil {
						b.Fatal(err)
					}
					down := t.compare("down", t.helper("down", e.url(ours), e.options, back), t.copy(e.remote(theirs), again))
					b.ReportMetric(up, "up/rclone")
					b.ReportMetric(down, "down/rclone")
				}
			})
		}
	}
}

// transfer is one comparison.
type transfer struct {
	b        *testing.B
	volumes  string
	parallel int
	environ  []string
	rclone   string
	swift    bool
}

// place makes a bucket or container, and returns its name.
func (t *transfer) place(swift *servers.SwiftServer, archive *servers.S3Server, who string) string {
	t.b.Helper()
	if t.swift {
		return swift.NewContainer(t.b, swift.V1, swift.HotPolicy).Name
	}
	name := fmt.Sprintf("%s-%d", who, t.parallel)
	remote := fmt.Sprintf(":s3,provider=Other,env_auth=true,endpoint='%s',region=%s,force_path_style=true:%s", archive.Endpoint, archive.Region, name)
	cmd := exec.CommandContext(t.b.Context(), t.rclone, "mkdir", remote)
	cmd.Env = append(os.Environ(), t.environ...)
	if _, err := bench.Run(cmd); err != nil {
		t.b.Fatal(err)
	}
	return name
}

func (t *transfer) helper(way, url, options, dir string) *exec.Cmd {
	cmd := exec.CommandContext(t.b.Context(), os.Args[0], "-test.run=^TestTransferHelper$")
	cmd.Env = append(append(os.Environ(), t.environ...),
		transferHelper+"="+way, transferHelper+"_URL="+url, transferHelper+"_OPTIONS="+options,
		transferHelper+"_DIR="+dir, transferHelper+"_PARALLEL="+strconv.Itoa(t.parallel))
	return cmd
}

func (t *transfer) copy(from, to string) *exec.Cmd {
	cmd := exec.CommandContext(t.b.Context(), t.rclone, "copy", "--config", os.DevNull, "--transfers", strconv.Itoa(t.parallel), from, to)
	cmd.Env = append(os.Environ(), t.environ...)
	return cmd
}

// compare runs both, prints what they took, and returns the ratio of their times.
func (t *transfer) compare(way string, ours, theirs *exec.Cmd) float64 {
	t.b.Helper()
	us, err := bench.Run(ours)
	if err != nil {
		t.b.Fatal(err)
	}
	them, err := bench.Run(theirs)
	if err != nil {
		t.b.Fatal(err)
	}
	ratio := us.Wall.Seconds() / them.Wall.Seconds()
	t.b.Logf("%-4s  isotherm %v    rclone %v    ratio %.2f", way, us, them, ratio)
	return ratio
}

// findRclone returns the program.
func findRclone(b *testing.B) string {
	b.Helper()
	if path := os.Getenv("RCLONE"); path != "" {
		return path
	}
	dir := b.TempDir()
	cmd := exec.CommandContext(b.Context(), "go", "install", "github.com/rclone/rclone@latest")
	cmd.Env = append(os.Environ(), "GOBIN="+dir)
	if _, err := bench.Run(cmd); err != nil {
		b.Fatalf("install rclone: %v", err)
	}
	return filepath.Join(dir, "rclone")
}

func writeRandom(b *testing.B, path string, size int64) {
	b.Helper()
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	_, err = io.CopyN(f, rand.Reader, size)
	if err := errors.Join(err, f.Close()); err != nil {
		b.Fatal(err)
	}
}
