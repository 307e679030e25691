package s3

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"pgregory.net/rapid"

	"github.com/isotherm-backup/isotherm/backends"
)

func TestParseRestore(t *testing.T) {
	t.Parallel()
	christmas := time.Date(2012, 12, 21, 0, 0, 0, 0, time.UTC)
	for header, want := range map[string]struct {
		thaw  thaw
		until time.Time
	}{
		``:                       {noThaw, time.Time{}},
		`ongoing-request="true"`: {ongoing, time.Time{}},
		`ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"`: {done, christmas},
		`ongoing-request='false', expiry-date='Fri, 21 Dec 2012 00:00:00 GMT'`: {done, christmas},
		`expiry-date="Fri, 21 Dec 2012 00:00:00 GMT", ongoing-request="false"`: {done, christmas},
		`ongoing-request="false",expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"`:  {done, christmas},
		`ongoing-request="false"`:                     {done, time.Time{}}, // for good
		`ongoing-request="false", expiry-date="soon"`: {done, time.Time{}},
		`ongoing-request="maybe"`:                     {noThaw, time.Time{}},
		`ongoing-request="true`:                       {ongoing, time.Time{}},
		`ongoing-request=true`:                        {noThaw, time.Time{}},
	} {
		if thaw, until := parseRestore(header); thaw != want.thaw || !until.Equal(want.until) {
			t.Errorf("parseRestore(%s) = %v, %v; want %v, %v", header, thaw, until, want.thaw, want.until)
		}
	}
}

func TestParseRestoreAnyDate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(0, 1<<34).Draw(t, "seconds"), 0).UTC()
		header := fmt.Sprintf(`ongoing-request="false", expiry-date="%s"`, at.Format("Mon, 02 Jan 2006 15:04:05 GMT"))
		if thaw, until := parseRestore(header); thaw != done || !until.Equal(at) {
			t.Fatalf("parseRestore(%s) = %v, %v", header, thaw, until)
		}
	})
}

func FuzzParseRestore(f *testing.F) {
	f.Add(`ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"`)
	f.Add(`ongoing-request='true'`)
	f.Fuzz(func(t *testing.T, header string) {
		if thaw, until := parseRestore(header); thaw != done && !until.IsZero() {
			t.Errorf("parseRestore(%q) = %v until %v", header, thaw, until)
		}
	})
}

// TestState: readability is a matter of class, thaw and time together.
func TestState(t *testing.T) {
	t.Parallel()
	p, err := providerOf("aws", "")
	if err != nil {
		t.Fatal(err)
	}
	s := &Store{provider: p}
	if s.meanings, err = p.meanings(place{}); err != nil {
		t.Fatal(err)
	}
	until := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	date := until.Format("Mon, 02 Jan 2006 15:04:05 GMT")
	readable := fmt.Sprintf(`ongoing-request="false", expiry-date="%s"`, date)
	for _, tt := range []struct {
		class         backends.Class
		restore, sunk string
		want          backends.State
		at            time.Time
	}{
		{"STANDARD", "", "", backends.Ready, time.Time{}},
		{"GLACIER_IR", "", "", backends.Ready, time.Time{}},
		{"GLACIER", "", "", backends.Frozen, time.Time{}},
		{"GLACIER", `ongoing-request="true"`, "", backends.Thawing, time.Time{}},
		{"DEEP_ARCHIVE", readable, "", backends.Thawed, until},
		{"DEEP_ARCHIVE", `ongoing-request="false"`, "", backends.Ready, time.Time{}},
		{"INTELLIGENT_TIERING", "", "", backends.Ready, time.Time{}},
		{"INTELLIGENT_TIERING", "", "ARCHIVE_ACCESS", backends.Frozen, time.Time{}},
		{"INTELLIGENT_TIERING", `ongoing-request="true"`, "DEEP_ARCHIVE_ACCESS", backends.Thawing, time.Time{}},
		{"TEPID", "", "", backends.StateUnknown, time.Time{}},
		{"TEPID", readable, "", backends.Thawed, until},
	} {
		i := s.info("file", object{class: tt.class, restore: tt.restore, sunk: tt.sunk})
		if i.State != tt.want || !i.At.Equal(tt.at) {
			t.Errorf("%s, %s, %s is %v at %v, want %v at %v", tt.class, tt.restore, tt.sunk, i.State, i.At, tt.want, tt.at)
		}
	}
}

func TestDigest(t *testing.T) {
	t.Parallel()
	ours, md5 := strings.Repeat("0f", 32), strings.Repeat("ab", 16)
	etag, parts, crc := `"`+md5+`"`, `"`+md5+`-2"`, "AAAAAAAAAAE="
	for _, tt := range []struct {
		what string
		o    object
		want backends.Digest
	}{
		{"ours", object{meta: map[string]string{metaSHA256: ours}, whole: true, answer: answer{etag: &etag, crc64: &crc}}, backends.Digest{Algorithm: "sha256", Sum: ours}},
		{"no sum", object{meta: map[string]string{metaSHA256: "x"}, answer: answer{etag: &etag}}, backends.Digest{Algorithm: "md5", Sum: md5}},
		{"the service's", object{whole: true, answer: answer{etag: &etag, crc64: &crc}}, backends.Digest{Algorithm: "crc64nvme", Sum: "0000000000000001"}},
		{"of parts", object{answer: answer{etag: &parts, crc64: &crc}}, backends.Digest{}},
		{"with a key of KMS", object{answer: answer{etag: &etag, sse: types.ServerSideEncryptionAwsKms}}, backends.Digest{}},
		{"encrypted by S3", object{answer: answer{etag: &etag, sse: types.ServerSideEncryptionAes256}}, backends.Digest{Algorithm: "md5", Sum: md5}},
		{"nothing", object{}, backends.Digest{}},
	} {
		if got := tt.o.digest(); got != tt.want {
			t.Errorf("%s: digest is %+v, want %+v", tt.what, got, tt.want)
		}
	}
}

func TestPartSize(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for _, tt := range []struct{ size, wanted, most, want int64 }{
		{1, 64 * mib, 10_000, 64 * mib},
		{640_000 * mib, 64 * mib, 10_000, 64 * mib},
		{640_000*mib + 1, 64 * mib, 10_000, 65 * mib},
		{50 << 40, 64 * mib, 10_000, 5243 * mib}, // 50 TiB / 10,000 = 5242.88 MiB
		{100_000 * mib, 64 * mib, 1000, 100 * mib},
	} {
		got := partSize(tt.size, tt.wanted, tt.most)
		if got != tt.want || (tt.size+got-1)/got > tt.most {
			t.Errorf("partSize(%d, %d, %d) = %d, want %d", tt.size, tt.wanted, tt.most, got, tt.want)
		}
	}
}

func TestRangeOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		offset, length int64
		want           string
	}{
		{0, -1, ""},
		{5, -1, "bytes=5-"},
		{0, 1, "bytes=0-0"},
		{5, 10, "bytes=5-14"},
		{1 << 40, 1 << 62, "bytes=1099511627776-4611687117939015679"},
		{5, 1<<63 - 1, "bytes=5-"},
	} {
		if got := text(rangeOf(tt.offset, tt.length)); got != tt.want {
			t.Errorf("rangeOf(%d, %d) = %q, want %q", tt.offset, tt.length, got, tt.want)
		}
	}
}
