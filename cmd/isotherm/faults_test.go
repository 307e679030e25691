//go:build unix

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/internal/duptest"
	"github.com/isotherm-backup/isotherm/internal/faultproxy"
)

// volumesInFaults is how many volumes the archive of TestBadNetwork has at least.
const volumesInFaults = 200

// latency is that of a cloud on the same continent, and longer than what a volume
// of 1 MiB takes on this machine: so time-outs count for what they are.
const latency = 250 * time.Millisecond

// A faultRig is an archive of many small volumes in S3, behind a bad network.
type faultRig struct {
	*host
	cloud   *s3Cloud
	source  string // what the archive is of
	volumes int
}

func newFaultRig(t *testing.T) *faultRig {
	t.Helper()
	r := &faultRig{host: &host{dir: t.TempDir()}, cloud: newS3Cloud(t, "1")}
	r.source = filepath.Join(r.dir, "source")
	if err := writeNoise(r.source, 146, 1400<<10); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(r.dir, "archive")
	duplicity := duptest.New(t)
	duplicity.Options = []string{"--no-encryption", "--no-compression", "--volsize", "1"}
	duplicity.Backup("full", r.source, "file://"+archive, time.Time{})
	volumes, err := filepath.Glob(filepath.Join(archive, "duplicity-full.*.vol*"))
	if r.volumes = len(volumes); err != nil || r.volumes < volumesInFaults {
		t.Fatalf("duplicity made %d volumes, want at least %d: %v", r.volumes, volumesInFaults, err)
	}
	r.environ = append(r.cloud.environ(), "HOME="+r.dir)
	policy := fmt.Sprintf(`version: 1
archive: test
stores:
  s3: {url: "s3://hot/backup", endpoint: "%s", path_style: true, region: %s, env_prefix: S3_, prices: aws/us-east-1,
       connect_timeout: 1s, read_timeout: 1s, retry: {first: 100ms, max: 1s, deadline: %s}}
tiers:
  hot: {stores: [s3]}
routes:
  - {tier: hot}
`, r.cloud.proxy.URL(), r.cloud.server.Region, outageDeadline)
	if err := os.WriteFile(filepath.Join(r.dir, "isotherm.yaml"), []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	r.must(t, "import", archive)
	if err := os.RemoveAll(archive); err != nil {
		t.Fatal(err)
	}
	return r
}

// outageDeadline is the deadline of the stores: long enough for slow machines.
const outageDeadline = 10 * time.Second

// writeNoise makes files that do not compress.
func writeNoise(dir string, files, size int) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	random := rand.NewChaCha8([32]byte{1})
	data := make([]byte, size)
	for i := range files {
		_, _ = random.Read(data) // never fails
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("file-%03d", i)), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// dest is where a restore goes.
func (r *faultRig) dest(name string) string { return filepath.Join(r.dir, "restored-"+name) }

// restore restores everything under faults, and returns how long it took.
func (r *faultRig) restore(t *testing.T, name string, f faultproxy.Faults) time.Duration {
	t.Helper()
	r.cloud.proxy.Set(f)
	start := time.Now()
	r.must(t, "restore", "--yes", r.dest(name))
	took := time.Since(start)
	r.cloud.proxy.Set(faultproxy.Faults{})
	r.wantRestored(t, name)
	return took
}

// wantRestored compares what was restored with the source, and removes it.
func (r *faultRig) wantRestored(t *testing.T, name string) {
	t.Helper()
	if diff := duptest.Diff(duptest.Listing(t, r.source), duptest.Listing(t, r.dest(name))); diff != "" {
		t.Errorf("restored is not what was backed up: %s", diff)
	}
	if err := os.RemoveAll(r.dest(name)); err != nil {
		t.Fatal(err)
	}
}

// interrupted runs a restore, and switches the store off when a part of the
// volumes has been asked for; then waits until the loss has been noticed.
func (r *faultRig) interrupted(t *testing.T, name string) <-chan result {
	t.Helper()
	p := r.cloud.proxy
	p.Set(faultproxy.Faults{Latency: latency / 5})
	before := p.Counts()
	done := make(chan result, 1)
	go func() { // ends with the restore, for which the caller waits
		_, talk, code := r.run(t, "restore", "--yes", r.dest(name))
		done <- result{talk, code}
	}()
	r.poll(t, done, func() bool { return p.Counts().Requests-before.Requests > r.volumes/3 })
	p.Set(faultproxy.Faults{Down: true})
	r.poll(t, done, func() bool { return p.Counts().Refused-before.Refused > 12 })
	return done
}

// result is what a restore says, and its exit code.
type result struct {
	talk string
	code int
}

// poll waits until a condition holds, which must be while the restore runs.
func (r *faultRig) poll(t *testing.T, done <-chan result, ready func() bool) {
	t.Helper()
	for !ready() {
		select {
		case got := <-done:
			t.Fatalf("the restore ended too early, with %d\n%s", got.code, got.talk)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestBadNetwork restores 200 volumes of duplicity from S3 through a network that
// is as bad as the parts of the test say. The parts follow one another, since the
// first one is about time.
func TestBadNetwork(t *testing.T) {
	t.Parallel()
	r := newFaultRig(t)
	t.Run("TimeOuts", r.testTimeOuts)
	t.Run("Storm", r.testStorm)
	t.Run("WrongBytes", r.testWrongBytes)
	t.Run("Outage", r.testOutage)
	t.Run("Dead", r.testDead)
}

// testTimeOuts: when one request in twenty gets no answer, a restore takes at most
// half as long again. What else the machine does can only make it look slower, so
// the best of three rounds counts.
func (r *faultRig) testTimeOuts(t *testing.T) {
	const bound, rounds = 1.5, 3
	silent := faultproxy.Faults{Latency: latency, Shares: faultproxy.Shares{faultproxy.Silent: 0.05}}
	best := 0.0
	for round := 1; round <= rounds && (best == 0 || best > bound); round++ {
		clean := r.restore(t, "clean", faultproxy.Faults{Latency: latency})
		before := r.cloud.proxy.Counts().Of[faultproxy.Silent]
		bad := r.restore(t, "timeouts", silent)
		n := r.cloud.proxy.Counts().Of[faultproxy.Silent] - before
		ratio := bad.Seconds() / clean.Seconds()
		t.Logf("%d volumes: %v clean, %v with %d requests timing out: %.2f times as long", r.volumes, clean, bad, n, ratio)
		if n < r.volumes/50 {
			t.Errorf("%d requests timed out, want about %d", n, r.volumes/20)
		}
		if best == 0 || ratio < best {
			best = ratio
		}
	}
	if best > bound {
		t.Errorf("the restore took %.2f times its clean time, want at most %.1f", best, bound)
	}
}

// testStorm: whatever happens to the transfers of volumes, every file is right.
func (r *faultRig) testStorm(t *testing.T) {
	shares := make(faultproxy.Shares)
	for _, kind := range []faultproxy.Kind{
		faultproxy.Silent, faultproxy.Lost, faultproxy.Busy, faultproxy.ResetDown, faultproxy.CutDown, faultproxy.StallDown, faultproxy.DripDown,
	} {
		shares[kind] = 0.03
	}
	before := r.cloud.proxy.Counts()
	r.restore(t, "storm", faultproxy.Faults{Shares: shares, Only: aboutVolume})
	after := r.cloud.proxy.Counts()
	for kind := range shares {
		if after.Of[kind] == before.Of[kind] {
			t.Errorf("%v has not happened", kind)
		}
	}
}

func aboutVolume(r *http.Request) bool { return strings.Contains(r.URL.Path, ".difftar") }

// testWrongBytes: a volume that was changed on its way is read once more. Each is
// changed once at most, for what arrives damaged twice counts as damaged.
func (r *faultRig) testWrongBytes(t *testing.T) {
	var seen sync.Map
	f := faultproxy.Faults{Shares: faultproxy.Shares{faultproxy.WrongDown: 0.05}, Only: func(r *http.Request) bool {
		_, again := seen.LoadOrStore(r.URL.Path, true)
		return aboutVolume(r) && !again
	}}
	before := r.cloud.proxy.Counts()
	r.restore(t, "wrong", f)
	if r.cloud.proxy.Counts().Of[faultproxy.WrongDown] == before.Of[faultproxy.WrongDown] {
		t.Error("no byte was changed")
	}
}

// testOutage: a store that is switched off in the middle of a restore and on again
// before the deadline does not end it.
func (r *faultRig) testOutage(t *testing.T) {
	done := r.interrupted(t, "outage")
	r.cloud.proxy.Set(faultproxy.Faults{})
	if got := <-done; got.code != exitDone {
		t.Fatalf("restore exits with %d\n%s", got.code, got.talk)
	}
	r.wantRestored(t, "outage")
}

// testDead: a store that stays off fails the restore by its deadline, with words
// that say so and what to do; later the same command carries on where it was.
func (r *faultRig) testDead(t *testing.T) {
	got := <-r.interrupted(t, "dead")
	if got.code != exitFailed {
		t.Errorf("restore exits with %d, want %d", got.code, exitFailed)
	}
	for _, words := range []string{
		`(?m)^isotherm: .*store s3: .*temporary failure`,
		`(?m)^isotherm: .*(given up after \d+ attempts in|failed for) [1-9]\d*s`,
		`(?m)^isotherm: hint: this may pass: run the same command again`,
	} {
		if !regexp.MustCompile(words).MatchString(got.talk) {
			t.Errorf("restore does not say %s:\n%s", words, got.talk)
		}
	}
	if _, err := os.Stat(filepath.Join(r.dest("dead"), "file-145")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the last file is there, although its volumes never came: %v", err)
	}
	before := r.cloud.proxy.Counts()
	r.restore(t, "dead", faultproxy.Faults{})
	if n := r.cloud.proxy.Counts().Requests - before.Requests; n >= r.volumes {
		t.Errorf("the restore that carries on made %d requests: it read all %d volumes again", n, r.volumes)
	}
}
