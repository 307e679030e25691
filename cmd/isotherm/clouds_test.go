//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/isotherm-backup/isotherm/internal/duptest"
	"github.com/isotherm-backup/isotherm/internal/faultproxy"
	"github.com/isotherm-backup/isotherm/internal/servers"
)

// An s3Cloud is an S3 service with archive classes, of two buckets, behind a
// network that can be switched off.
type s3Cloud struct {
	server *servers.S3Server
	proxy  *faultproxy.Proxy
}

// newS3Cloud starts it; its clock makes speedup seconds of one.
func newS3Cloud(t *testing.T, speedup string) *s3Cloud {
	t.Helper()
	c := &s3Cloud{server: servers.S3Archive(t, servers.S3Options{Flags: []string{"-speedup", speedup}})}
	c.proxy = faultproxy.New(t, c.server.Endpoint, 1)
	client := c.client()
	for _, bucket := range []string{"hot", "deep"} {
		if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// client speaks to the server itself.
func (c *s3Cloud) client() *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: &c.server.Endpoint, Region: c.server.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(c.server.AccessKey, c.server.SecretKey, ""),
		HTTPClient:  &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	})
}

// stores are the lines of a policy, for stores s3-hot and s3-deep.
func (c *s3Cloud) stores() string {
	store := fmt.Sprintf(`endpoint: "%s", path_style: true, region: %s, rehearsal: true, env_prefix: S3_, prices: aws/us-east-1, `+
		`connect_timeout: 2s, read_timeout: 20s, retry: {first: 100ms, deadline: 20s}`, c.proxy.URL(), c.server.Region)
	return fmt.Sprintf("  s3-hot:  {url: \"s3://hot/backup\", %[1]s}\n  s3-deep: {url: \"s3://deep/backup\", class: DEEP_ARCHIVE, %[1]s}\n", store)
}

func (c *s3Cloud) environ() []string {
	return []string{"S3_AWS_ACCESS_KEY_ID=" + c.server.AccessKey, "S3_AWS_SECRET_ACCESS_KEY=" + c.server.SecretKey}
}

// count counts the volumes in a bucket.
func (c *s3Cloud) count(t *testing.T, bucket string) int {
	t.Helper()
	list, err := c.client().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, o := range list.Contents {
		if strings.Contains(aws.ToString(o.Key), ".difftar.") {
			n++
		}
	}
	return n
}

// restores counts the thaw requests that began a thaw, by the server's own books.
func (c *s3Cloud) restores(t *testing.T) int64 {
	t.Helper()
	resp, err := http.Get(c.server.Endpoint + "/_s3archive/ledger")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var lines []struct {
		Kind   string `json:"kind"`
		Status int    `json:"status"`
		Count  int64  `json:"count"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&lines); err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	for _, l := range lines {
		if l.Kind == "RESTORE" && l.Status == http.StatusAccepted {
			n += l.Count
		}
	}
	return n
}

// A swiftCloud is a container of each kind in a real Swift, reached by Keystone.
type swiftCloud struct {
	server    *servers.SwiftServer
	hot, cold *servers.Container
}

func newSwiftCloud(t *testing.T) *swiftCloud {
	t.Helper()
	s := servers.Swift(t)
	c := &swiftCloud{server: s, hot: s.NewContainer(t, s.V3, s.HotPolicy), cold: s.NewContainer(t, s.V3, s.PCAPolicy)}
	c.cold.SetTimes(servers.Times{UnsealDelay: 2 * time.Second})
	return c
}

func (c *swiftCloud) stores() string {
	return fmt.Sprintf("  swift-hot: {url: \"swift://%s/backup\", prices: ovh-swift}\n  swift-pca: {url: \"pca://%s/backup\", prices: ovh-swift}\n",
		c.hot.Name, c.cold.Name)
}

func (c *swiftCloud) environ() []string {
	l := c.server.V3
	return []string{
		"OS_AUTH_URL=" + l.AuthURL, "OS_USERNAME=" + l.User, "OS_PASSWORD=" + l.Password, "OS_PROJECT_NAME=" + l.Project,
		"OS_USER_DOMAIN_NAME=" + l.Domain, "OS_PROJECT_DOMAIN_NAME=" + l.Domain, "OS_REGION_NAME=" + l.Region, "OS_IDENTITY_API_VERSION=3",
	}
}

// cloudHost is a machine whose policy has these stores; tiers are its lines on
// tiers.
func cloudHost(t *testing.T, stores, tiers string, environ ...string) *host {
	t.Helper()
	h := &host{dir: t.TempDir(), secrets: servers.Secrets()}
	h.environ = append([]string{"PASSPHRASE=isotherm", "HOME=" + h.dir}, environ...)
	text := "version: 1\narchive: test\nstores:\n" + stores + "tiers:\n" + tiers +
		"routes:\n  - {kinds: [manifest, signature], tier: hot}\n  - {kinds: [volume], tier: cold}\n" +
		"encryption: " + symmetric + "\n"
	if err := os.WriteFile(filepath.Join(h.dir, "isotherm.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return h
}

// wantRestored compares a folder with what duplicity restored at the archive's last
// time.
func wantRestored(t *testing.T, fixture, dir string) {
	t.Helper()
	expected, err := filepath.Glob(filepath.Join(duptest.Fixture(t, fixture), "expected", "*.json"))
	if err != nil || len(expected) == 0 {
		t.Fatalf("no expected listings: %v", err)
	}
	want := duptest.ReadListing(t, expected[len(expected)-1])
	if diff := duptest.Diff(want, duptest.Listing(t, dir)); diff != "" {
		t.Error(diff)
	}
}

// started runs the program as a process of its own.
func (h *host) started(t *testing.T, args ...string) (cmd *exec.Cmd, talk *bytes.Buffer) {
	t.Helper()
	args = append([]string{"--policy", filepath.Join(h.dir, "isotherm.yaml"), "--state", filepath.Join(h.dir, "state")}, args...)
	cmd = exec.CommandContext(t.Context(), "isotherm", args...)
	cmd.Env = append(h.environ, "PATH="+os.Getenv("PATH"))
	talk = new(bytes.Buffer)
	cmd.Stderr = talk
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, talk
}

// killOnce kills the process as soon as a condition holds, which must be before it
// ends by itself.
func killOnce(t *testing.T, cmd *exec.Cmd, talk *bytes.Buffer, ready func() bool) {
	t.Helper()
	deadline := time.Now().Add(3 * time.Minute)
	for !ready() {
		if time.Now().After(deadline) {
			t.Errorf("the moment to kill it never came")
			break
		}
		time.Sleep(20 * time.Millisecond) // between two looks at another process
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatalf("it ended before it was killed:\n%s", talk.String())
	}
}

// TestMainJobOnS3: import, plan, thaw and restore with hot and archived objects in
// S3, each killed in its middle and carried on; the restore by another machine,
// which has only the policy and the passphrase. No volume is thawed twice.
func TestMainJobOnS3(t *testing.T) {
	t.Parallel()
	c := newS3Cloud(t, "2000")
	h := cloudHost(t, c.stores(), "  hot: {stores: [s3-hot]}\n  cold: {stores: [s3-deep]}\n", c.environ()...)
	archive := filepath.Join(duptest.Fixture(t, "gpg-sym"), "archive")

	cmd, talk := h.started(t, "import", "--parallel", "1", "--limit-rate", "200KiB/s", archive)
	killOnce(t, cmd, talk, func() bool { return c.count(t, "deep") > 0 })
	rest := 3 - c.count(t, "deep")
	if rest == 0 {
		t.Fatal("every volume is there: the kill came too late to show anything")
	}
	if out := h.must(t, "import", archive); !strings.HasPrefix(out, "copied "+count(rest, "file", "files")+" ") {
		t.Errorf("the import after the kill says %q, want that %d files are copied", out, rest)
	}
	if out := h.must(t, "import", archive); !strings.Contains(out, "copied 0 files") {
		t.Errorf("a further import says %q, want that nothing is copied", out)
	}

	out := h.must(t, "plan", "--json")
	if !strings.Contains(out, `"bulk"`) || c.restores(t) != 0 {
		t.Errorf("plan asked for %d thaws, and says\n%s", c.restores(t), out)
	}

	restored := filepath.Join(h.dir, "restored")
	cmd, talk = h.started(t, "restore", "--yes", "--speed", "standard", restored)
	killOnce(t, cmd, talk, func() bool { return c.restores(t) > 0 })
	other := &host{dir: h.dir, environ: h.environ, secrets: h.secrets}
	if err := os.Rename(filepath.Join(h.dir, "state"), filepath.Join(h.dir, "lost")); err != nil {
		t.Fatal(err)
	}
	if stdout, stderr, code := other.run(t, "--log-level", "debug", "restore", "--yes", "--speed", "standard", restored); code != exitDone {
		t.Fatalf("restore on another machine exits with %d\n%s%s", code, stdout, stderr)
	}
	wantRestored(t, "gpg-sym", restored)
	if n := c.restores(t); n != 3 {
		t.Errorf("%d thaws were begun, want 3", n)
	}
	wantNoSecrets(t, h)
	c.wantNoSecrets(t)
}

// TestMainJobOnSwift: the same on a Swift of version 3 identity, and containers that
// seal.
func TestMainJobOnSwift(t *testing.T) {
	t.Parallel()
	c := newSwiftCloud(t)
	h := cloudHost(t, c.stores(), "  hot: {stores: [swift-hot]}\n  cold: {stores: [swift-pca]}\n", c.environ()...)
	archive := filepath.Join(duptest.Fixture(t, "gpg-sym"), "archive")
	h.must(t, "import", archive)
	if out, _, code := h.run(t, "check", "--yes"); code != exitDone || !strings.Contains(out, "fine     swift-pca: was written") {
		t.Errorf("check exits with %d\n%s", code, out)
	}
	if out, _, code := h.run(t, "plan"); code != exitDegraded { // prices of PCA are not all known
		t.Errorf("plan exits with %d\n%s", code, out)
	}
	if n := len(c.cold.Unseals("")); n != 0 {
		t.Fatalf("%d files are being unsealed, and nothing asked for it", n)
	}
	restored := filepath.Join(h.dir, "restored")
	stdout, stderr, code := h.run(t, "restore", "--yes", "--detach", restored)
	if code != exitWaiting || !strings.Contains(stdout+stderr, "isotherm") {
		t.Fatalf("restore --detach exits with %d, want %d\n%s%s", code, exitWaiting, stdout, stderr)
	}
	h.must(t, "thaw", "wait")
	h.must(t, "restore", "--yes", restored)
	wantRestored(t, "gpg-sym", restored)
	if n := len(c.cold.Unseals("")); n != 3 {
		t.Errorf("%d files were unsealed, want 3", n)
	}
	wantNoSecrets(t, h)
}

// TestMainJobWithOneProvider: a mirror of two providers, of which one goes off in
// the middle of the import and stays away. What it misses is repaired once it is
// back.
func TestMainJobWithOneProvider(t *testing.T) {
	t.Parallel()
	one, two := newS3Cloud(t, "2000"), newSwiftCloud(t)
	h := cloudHost(t, one.stores()+two.stores(),
		"  hot:  {mode: mirror, stores: [s3-hot, swift-hot], on_failure: continue}\n"+
			"  cold: {mode: mirror, stores: [s3-deep, swift-pca], on_failure: continue}\n",
		append(one.environ(), two.environ()...)...)
	archive := filepath.Join(duptest.Fixture(t, "gpg-sym"), "archive")
	done := make(chan int, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { // ends with the import, which done tells
		var out, talk bytes.Buffer
		args := []string{
			"--policy", filepath.Join(h.dir, "isotherm.yaml"), "--state", filepath.Join(h.dir, "state"),
			"import", "--parallel", "1", "--limit-rate", "300KiB/s", archive,
		}
		done <- run(ctx, args, strings.NewReader(""), &out, &talk, h.environ)
	}()
	for one.count(t, "deep") == 0 {
		select {
		case code := <-done:
			t.Fatalf("import ended with %d before a volume was there", code)
		case <-time.After(20 * time.Millisecond):
		}
	}
	one.proxy.Set(faultproxy.Faults{Down: true})
	if code := <-done; code != exitDegraded {
		t.Fatalf("import with one provider exits with %d, want %d", code, exitDegraded)
	}
	restored := filepath.Join(h.dir, "restored")
	if stdout, stderr, code := h.run(t, "restore", "--yes", restored); code != exitDone && code != exitDegraded {
		t.Fatalf("restore with one provider exits with %d\n%s%s", code, stdout, stderr)
	}
	wantRestored(t, "gpg-sym", restored)

	one.proxy.Set(faultproxy.Faults{})
	h.must(t, "repair")
	if n := one.count(t, "deep"); n != 3 {
		t.Errorf("after the repair %d volumes are with the provider that was away, want 3", n)
	}
	wantNoSecrets(t, h)
}

// wantNoSecrets looks for secrets in all that a machine keeps.
func wantNoSecrets(t *testing.T, h *host) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(h.dir, "state"))
	if err != nil && !errors.Is(err, os.ErrNotExist) || len(entries) == 0 {
		t.Fatalf("no state to look at: %v", err)
	}
	state := &host{dir: filepath.Join(h.dir, "state")}
	for _, s := range h.secrets {
		state.search(t, s)
	}
}

// wantNoSecrets looks for secrets in the files of our own that lie in the hot
// bucket: the records of thaw jobs.
func (c *s3Cloud) wantNoSecrets(t *testing.T) {
	t.Helper()
	bucket := "hot"
	list, err := c.client().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: aws.String("backup/isotherm-")})
	if err != nil || len(list.Contents) == 0 {
		t.Fatalf("no job lies in the hot bucket: %v", err)
	}
	for _, o := range list.Contents {
		got, err := c.client().GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: o.Key})
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(got.Body)
		if err := errors.Join(err, got.Body.Close()); err != nil {
			t.Fatal(err)
		}
		for _, s := range servers.Secrets() {
			if bytes.Contains(text, []byte(s)) {
				t.Errorf("%s holds the secret %q", *o.Key, s)
			}
		}
	}
}

// TestCheckOnS3: the doctor finds a lifecycle rule that would freeze manifests, and
// what the credentials may not do.
func TestCheckOnS3(t *testing.T) {
	t.Parallel()
	c := newS3Cloud(t, "1")
	h := cloudHost(t, c.stores(), "  hot: {stores: [s3-hot]}\n  cold: {stores: [s3-deep]}\n", c.environ()...)
	out := h.must(t, "check", "--yes")
	for _, store := range []string{"s3-hot", "s3-deep"} {
		if !strings.Contains(out, "fine     "+store+": was written") {
			t.Errorf("check does not say that %s works:\n%s", store, out)
		}
	}
	hot := "hot"
	_, err := c.client().PutBucketLifecycleConfiguration(t.Context(), &s3.PutBucketLifecycleConfigurationInput{
		Bucket: &hot, LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{{
			ID: aws.String("save-money"), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: aws.String("")},
			Transitions: []types.Transition{{Days: aws.Int32(30), StorageClass: types.TransitionStorageClassDeepArchive}},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	out, _, code := h.run(t, "check")
	if code != exitFailed || !strings.Contains(out, `problem  s3-hot: its lifecycle rule "save-money" freezes files such as `) {
		t.Errorf("check with a rule that freezes manifests exits with %d\n%s", code, out)
	}
	h.environ = append(h.environ, "S3_AWS_SECRET_ACCESS_KEY=wrong")
	out, talk, code := h.run(t, "check")
	if code != exitFailed || !strings.Contains(out, "check the credentials") || strings.Contains(out+talk, "wrong\"") {
		t.Errorf("check with wrong credentials exits with %d\n%s%s", code, out, talk)
	}
}

// TestRestoreByJobOnS3: more volumes than batch_above are thawed by one job of S3
// Batch Operations, whose list lies in the hot bucket.
func TestRestoreByJobOnS3(t *testing.T) {
	t.Parallel()
	c := newS3Cloud(t, "2000")
	jobs := fmt.Sprintf(`provider: aws, batch_above: 2, batch_role: "arn:aws:iam::123456789012:role/thaw", account: "123456789012", `+
		`control_endpoint: "%s", endpoint:`, c.server.Endpoint)
	stores := strings.Replace(c.stores(), `class: DEEP_ARCHIVE, endpoint:`, `class: DEEP_ARCHIVE, `+jobs, 1)
	h := cloudHost(t, stores, "  hot: {stores: [s3-hot]}\n  cold: {stores: [s3-deep]}\n", c.environ()...)
	h.must(t, "import", filepath.Join(duptest.Fixture(t, "gpg-sym"), "archive"))
	restored := filepath.Join(h.dir, "restored")
	h.must(t, "restore", "--yes", "--speed", "standard", restored)
	wantRestored(t, "gpg-sym", restored)
	list, err := c.client().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("hot"), Prefix: aws.String("backup/isotherm-batch/")})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Contents) < 2 {
		t.Errorf("the job's list and report are %d objects in the hot bucket, want 2 or more", len(list.Contents))
	}
	if n := c.restores(t); n != 3 {
		t.Errorf("%d thaws were begun, want 3", n)
	}
}
