//go:build unix

package writerlock

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sys/unix"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/open"
	"github.com/isotherm-backup/isotherm/internal/servers"
)

// childVariable makes this test's binary a writer: it holds a contender as JSON.
const childVariable = "WRITERLOCK_TEST_CHILD"

// A contender is a process that takes the lock again and again.
type contender struct {
	URL    string
	Class  backends.Class
	Region string
	Env    map[string]string
	// Work is a file that only the one writer has locked.
	Work   string
	Rounds int
	// Hang makes it hold the lock until it is killed.
	Hang bool
}

func (c contender) open(ctx context.Context) (backends.Store, error) {
	return open.Store(ctx, open.Config{URL: c.URL, Class: c.Class, Region: c.Region, Env: func(name string) (string, bool) {
		v, ok := c.Env[name]
		return v, ok
	}})
}

// options are those of all contenders: the dead are found out by their process, so
// that nothing depends on how fast the machine is.
func (c contender) options() Options {
	return Options{Command: "contender", StaleAfter: time.Hour, BeatEvery: 400 * time.Millisecond, Wait: 10 * time.Minute}
}

// work takes the lock Rounds times, and says so on out.
func (c contender) work(ctx context.Context, s backends.Store, out io.Writer) error {
	for range c.Rounds {
		held, l, err := Acquire(ctx, []Named{{Name: "hot", Store: s}}, c.options())
		if err != nil {
			return err
		}
		err = c.alone(held, l, out)
		if err := errors.Join(err, l.Release(ctx)); err != nil {
			return err
		}
	}
	return nil
}

// alone fails when another writer is at work.
func (c contender) alone(ctx context.Context, l *Lock, out io.Writer) (err error) {
	f, err := os.OpenFile(c.Work, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("there are two writers: %w", err)
	}
	fmt.Fprintln(out, "holds")
	if c.Hang {
		<-ctx.Done()
	}
	if err := (backends.RealClock{}).Sleep(ctx, rand.N(20*time.Millisecond)); err != nil {
		return err
	}
	return l.Check(ctx)
}

// child is the process of a contender.
func child() int {
	var c contender
	err := json.Unmarshal([]byte(os.Getenv(childVariable)), &c)
	if err == nil {
		var s backends.Store
		if s, err = c.open(context.Background()); err == nil {
			err = errors.Join(c.work(context.Background(), s, os.Stdout), s.Close())
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// start starts the process of a contender.
func (c contender) start(t *testing.T) (*exec.Cmd, *bufio.Reader, *strings.Builder) {
	t.Helper()
	config, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+string(config))
	var talk strings.Builder
	cmd.Stderr = &talk
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewReader(out), &talk
}

// places are the stores of all kinds that locks lie in.
func places(t *testing.T) map[string]contender {
	t.Helper()
	work := func() string { return filepath.Join(t.TempDir(), "work") }
	archive := servers.S3Archive(t, servers.S3Options{})
	bucket := "locks"
	client := s3.New(s3.Options{
		BaseEndpoint: &archive.Endpoint, Region: archive.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(archive.AccessKey, archive.SecretKey, ""),
	})
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(bucket)}); err != nil {
		t.Fatal(err)
	}
	swift := servers.Swift(t)
	container := swift.NewContainer(t, swift.V1, swift.HotPolicy)
	return map[string]contender{
		"file":    {URL: "file://" + t.TempDir(), Work: work()},
		"coldsim": {URL: "coldsim://" + t.TempDir() + "?speedup=100000", Work: work()},
		"s3": {
			URL: "s3://" + bucket + "?path_style=true&provider=aws&endpoint=" + archive.Endpoint, Region: archive.Region, Work: work(),
			Env: map[string]string{"AWS_ACCESS_KEY_ID": archive.AccessKey, "AWS_SECRET_ACCESS_KEY": archive.SecretKey},
		},
		"swift": {
			URL: "swift://" + container.Name, Work: work(),
			Env: map[string]string{"SWIFT_AUTHURL": swift.V1.AuthURL, "SWIFT_USERNAME": swift.V1.User, "SWIFT_PASSWORD": swift.V1.Key},
		},
	}
}

// TestContention lets many processes, each with one writer, and many goroutines of
// one process contend for the lock; and kills writers at work.
func TestContention(t *testing.T) {
	t.Parallel()
	for name, c := range places(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// A put that must be new takes a second at Swift.
			c.Rounds = map[string]int{"swift": 1}[name]
			if c.Rounds == 0 {
				c.Rounds = 4
			}
			t.Run("goroutines", func(t *testing.T) { contendGoroutines(t, c) })
			t.Run("processes", func(t *testing.T) { contendProcesses(t, c) })
			t.Run("killed", func(t *testing.T) { contendKilled(t, c) })
		})
	}
}

func contendGoroutines(t *testing.T, c contender) {
	var wg sync.WaitGroup
	for range 6 {
		s, err := c.open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if err := errors.Join(c.work(t.Context(), s, io.Discard), s.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func contendProcesses(t *testing.T, c contender) {
	for range 4 {
		cmd, out, talk := c.start(t)
		defer func() {
			lines, err := io.ReadAll(out)
			if err := errors.Join(err, cmd.Wait()); err != nil || strings.Count(string(lines), "holds") != c.Rounds {
				t.Errorf("contender: %v, said %q\n%s", err, lines, talk)
			}
		}()
	}
}

// contendKilled kills a writer at work, while others wait for it.
func contendKilled(t *testing.T, c contender) {
	hanging := c
	hanging.Hang = true
	for range 2 {
		cmd, out, talk := hanging.start(t)
		if line, err := out.ReadString('\n'); err != nil || line != "holds\n" {
			t.Fatalf("contender said %q: %v\n%s", line, err, talk)
		}
		s, err := c.open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		opts := c.options()
		opts.Wait = 0
		_, _, err = Acquire(t.Context(), []Named{{Name: "hot", Store: s}}, opts)
		held, ok := errors.AsType[*HeldError](err)
		if !ok || held.Holder.PID != cmd.Process.Pid {
			t.Fatalf("while process %d has the lock, Acquire: %v", cmd.Process.Pid, err)
		}
		done := make(chan error)
		go func() { // ends with the next receive
			waiting := c
			waiting.Rounds = 1
			done <- waiting.work(t.Context(), s, io.Discard)
		}()
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Errorf("after the kill: %v", err)
		}
		if err := cmd.Wait(); err == nil {
			t.Error("the contender ended before it was killed")
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
