package glacier

import (
	"errors"
	"testing"
	"time"
)

const hour = time.Hour

// testRules have times of one length each, so that tests can name them.
func testRules() Rules {
	same := func(d time.Duration) Range { return Range{d, d} }
	return Rules{
		Expedited: same(time.Minute), Standard: same(4 * hour), Bulk: same(10 * hour), DeepStandard: same(12 * hour), DeepBulk: same(48 * hour),
		Day: 24 * hour, ArchiveAfter: 90 * 24 * hour, DeepArchiveAfter: 180 * 24 * hour, MinimumSize: 128 << 10,
	}
}

func days(n int32) *int32 { return &n }

// The example of the S3 user guide, "Restoring an archived object": restored on 15 October at 10:30.
var noon = time.Date(2012, 10, 15, 10, 30, 0, 0, time.UTC)

func TestRestoreAnswers(t *testing.T) {
	running := func(tier Tier, d int32) *Thaw {
		return &Thaw{Asked: noon, Ready: noon.Add(10 * hour), Expiry: noon.Add(100 * hour), Tier: tier, Days: d}
	}
	done := &Thaw{Asked: noon.Add(-10 * hour), Ready: noon.Add(-hour), Expiry: noon.Add(100 * hour), Tier: TierBulk, Days: 4}
	gone := &Thaw{Asked: noon.Add(-100 * hour), Ready: noon.Add(-90 * hour), Expiry: noon, Tier: TierBulk, Days: 2}
	sunk := noon.Add(-100 * 24 * hour)
	deep := noon.Add(-200 * 24 * hour)
	tests := []struct {
		name    string
		object  Object
		request Request
		change  func(*Rules)
		outcome Outcome
		code    string
		ready   time.Duration // from noon
	}{
		{name: "cold", object: Object{Class: Glacier}, request: Request{Days: days(1)}, outcome: Started, ready: 4 * hour},
		{name: "cold, bulk", object: Object{Class: DeepArchive}, request: Request{days(1), TierBulk}, outcome: Started, ready: 48 * hour},
		{name: "expired", object: Object{Class: Glacier, Thaw: gone}, request: Request{days(1), TierBulk}, outcome: Started, ready: 10 * hour},
		{name: "thawed", object: Object{Class: Glacier, Thaw: done}, request: Request{days(1), TierExpedited}, outcome: Extended, ready: -hour},
		{name: "thawing, same tier", object: Object{Class: Glacier, Thaw: running(TierBulk, 2)}, request: Request{days(2), TierBulk}, code: "RestoreAlreadyInProgress"},
		{name: "thawing, slower tier", object: Object{Class: Glacier, Thaw: running(TierStandard, 2)}, request: Request{days(2), TierBulk}, code: "RestoreAlreadyInProgress"},
		{name: "thawing, other days", object: Object{Class: Glacier, Thaw: running(TierBulk, 2)}, request: Request{days(3), TierExpedited}, code: "RestoreAlreadyInProgress"},
		{name: "thawing, faster tier", object: Object{Class: Glacier, Thaw: running(TierBulk, 2)}, request: Request{days(2), TierExpedited}, outcome: Hurried, ready: time.Minute},
		{name: "faster tier never makes it later", object: Object{Class: DeepArchive, Thaw: running(TierBulk, 2)}, request: Request{days(2), TierStandard}, outcome: Hurried, ready: 10 * hour},
		{name: "online", object: Object{Class: StandardIA}, request: Request{Days: days(1)}, code: "InvalidObjectState"},
		{name: "instant retrieval", object: Object{Class: GlacierIR}, request: Request{Days: days(1)}, code: "InvalidObjectState"},
		{name: "expedited from deep archive", object: Object{Class: DeepArchive}, request: Request{days(1), TierExpedited}, code: "InvalidArgument"},
		{name: "no capacity", object: Object{Class: Glacier}, request: Request{days(1), TierExpedited}, change: func(r *Rules) { r.RefuseExpedited = true }, code: "GlacierExpeditedRetrievalNotAvailable"},
		{name: "no days", object: Object{Class: Glacier}, request: Request{Tier: TierBulk}, code: "MalformedXML"},
		{name: "0 days", object: Object{Class: Glacier}, request: Request{Days: days(0)}, code: "MalformedXML"},
		{name: "unknown tier", object: Object{Class: Glacier}, request: Request{days(1), "Fast"}, code: "MalformedXML"},

		{name: "tiered, archived", object: Object{Class: IntelligentTiering, Size: 1 << 20, Accessed: sunk}, outcome: Started, ready: 4 * hour},
		{name: "tiered, deep", object: Object{Class: IntelligentTiering, Size: 1 << 20, Accessed: deep}, request: Request{Tier: TierBulk}, outcome: Started, ready: 48 * hour},
		{name: "tiered, deep, expedited", object: Object{Class: IntelligentTiering, Size: 1 << 20, Accessed: deep}, request: Request{Tier: TierExpedited}, code: "InvalidArgument"},
		{name: "tiered, days", object: Object{Class: IntelligentTiering, Size: 1 << 20, Accessed: sunk}, request: Request{Days: days(1)}, code: "InvalidArgument"},
		{name: "tiered, online", object: Object{Class: IntelligentTiering, Size: 1 << 20, Accessed: noon}, code: "ObjectAlreadyInActiveTierError"},
		{name: "tiered, too small to sink", object: Object{Class: IntelligentTiering, Size: 1, Accessed: deep}, code: "ObjectAlreadyInActiveTierError"},
		{name: "tiered, thawing", object: Object{Class: IntelligentTiering, Size: 1 << 20, Accessed: sunk, Thaw: &Thaw{Ready: noon.Add(hour), Tier: TierStandard}}, code: "RestoreAlreadyInProgress"},
		{name: "tiered, hurried", object: Object{Class: IntelligentTiering, Size: 1 << 20, Accessed: sunk, Thaw: &Thaw{Ready: noon.Add(hour), Tier: TierStandard, Access: ArchiveAccess}}, request: Request{Tier: TierExpedited}, outcome: Hurried, ready: time.Minute},

		{name: "ovh", object: Object{Class: DeepArchive}, request: Request{Days: days(1)}, change: ovh, outcome: Started, ready: 48 * hour},
		{name: "ovh, tier", object: Object{Class: DeepArchive}, request: Request{days(1), TierBulk}, change: ovh, code: "InvalidArgument"},
		{name: "ovh, active archive", object: Object{Class: Glacier}, request: Request{Days: days(1)}, change: ovh, code: "InvalidObjectState"},
		{name: "ovh, fewer days", object: Object{Class: DeepArchive, Thaw: done}, request: Request{Days: days(1)}, change: ovh, code: "InvalidArgument"},
		{name: "ovh, more days", object: Object{Class: DeepArchive, Thaw: done}, request: Request{Days: days(9)}, change: ovh, outcome: Extended, ready: -hour},
		{name: "ovh, running", object: Object{Class: DeepArchive, Thaw: running(TierBulk, 2)}, request: Request{Days: days(2)}, change: ovh, code: "RestoreAlreadyInProgress"},
		{name: "scaleway, no days", object: Object{Class: Glacier}, change: func(r *Rules) { r.Flavour = Scaleway }, outcome: Started, ready: 4 * hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := testRules()
			if tt.change != nil {
				tt.change(&r)
			}
			thaw, outcome, err := r.Restore(tt.object, tt.request, 0.5, noon)
			var refused *Refusal
			if tt.code != "" {
				if !errors.As(err, &refused) || refused.Code != tt.code {
					t.Fatalf("Restore = %v, %v, want %s", outcome, err, tt.code)
				}
				return
			}
			if err != nil || outcome != tt.outcome || thaw.Ready.Sub(noon) != tt.ready {
				t.Errorf("Restore = %v, ready after %v, %v, want %v, %v", outcome, thaw.Ready.Sub(noon), err, tt.outcome, tt.ready)
			}
		})
	}
}

func ovh(r *Rules) { r.Flavour = OVH }

func TestExpiryIsAMidnight(t *testing.T) {
	date := func(day, hour int) time.Time { return time.Date(2012, 10, day, hour, 0, 0, 0, time.UTC) }
	r := testRules()
	r.Standard = Range{}
	thaw, _, err := r.Restore(Object{Class: Glacier}, Request{Days: days(3)}, 0, noon)
	if err != nil || !thaw.Expiry.Equal(date(19, 0)) {
		t.Fatalf("3 days from 15 October 10:30 end at %v, %v, want 19 October 0:00", thaw.Expiry, err)
	}
	// On the day after, 1 day more makes it end earlier.
	thaw, outcome, err := r.Restore(Object{Class: Glacier, Thaw: &thaw}, Request{Days: days(1)}, 0, date(16, 11))
	if err != nil || outcome != Extended || !thaw.Expiry.Equal(date(18, 0)) {
		t.Errorf("1 day from 16 October 11:00 ends at %v, %v, want 18 October 0:00", thaw.Expiry, err)
	}
	if got := r.expiry(date(15, 0), 1); !got.Equal(date(16, 0)) {
		t.Errorf("1 day from a midnight ends at %v, want the next midnight", got)
	}
	r.Day = time.Hour
	if got := r.expiry(noon, 2); !got.Equal(noon.Add(2 * time.Hour)) {
		t.Errorf("2 days of an hour end at %v, want 12:30", got)
	}
}

func TestStates(t *testing.T) {
	r := testRules()
	o := Object{Class: DeepArchive, Thaw: &Thaw{Asked: noon, Ready: noon.Add(hour), Expiry: noon.Add(3 * hour)}}
	for _, tt := range []struct {
		at     time.Duration
		phase  Phase
		header string
	}{
		{0, Thawing, `ongoing-request="true"`},
		{hour - 1, Thawing, `ongoing-request="true"`},
		{hour, Thawed, `ongoing-request="false", expiry-date="Mon, 15 Oct 2012 13:30:00 GMT"`},
		{3*hour - 1, Thawed, `ongoing-request="false", expiry-date="Mon, 15 Oct 2012 13:30:00 GMT"`},
		{3 * hour, Cold, ""},
	} {
		s := r.State(o, noon.Add(tt.at))
		if s.Phase != tt.phase || s.Header() != tt.header {
			t.Errorf("after %v: phase %v with header %q, want %v with %q", tt.at, s.Phase, s.Header(), tt.phase, tt.header)
		}
	}
}

func TestTieredObjectsSinkAgainAfterARestore(t *testing.T) {
	r := testRules()
	day := 24 * hour
	o := Object{Class: IntelligentTiering, Size: 1 << 20, Accessed: noon, Thaw: &Thaw{Ready: noon.Add(100 * day), Access: ArchiveAccess}}
	for _, tt := range []struct {
		at     time.Duration
		phase  Phase
		access Access
	}{
		{99 * day, Thawing, ArchiveAccess},
		{100 * day, Online, ""},
		{189 * day, Online, ""},
		{190 * day, Cold, ArchiveAccess},
		{280 * day, Cold, DeepArchiveAccess},
	} {
		if s := r.State(o, noon.Add(tt.at)); s.Phase != tt.phase || s.Access != tt.access {
			t.Errorf("after %v: %v %q, want %v %q", tt.at, s.Phase, s.Access, tt.phase, tt.access)
		}
	}
}

func TestClasses(t *testing.T) {
	for _, tt := range []struct {
		flavour Flavour
		asked   string
		want    Class
		ok      bool
	}{
		{AWS, "", Standard, true},
		{AWS, "DEEP_ARCHIVE", DeepArchive, true},
		{AWS, "EXPRESS_ONEZONE", ExpressOneZone, false},
		{AWS, "glacier", "glacier", false},
		{OVH, "INTELLIGENT_TIERING", Standard, true},
		{Scaleway, "DEEP_ARCHIVE", DeepArchive, false},
	} {
		if c, ok := (Rules{Flavour: tt.flavour}).Accept(tt.asked); c != tt.want || ok != tt.ok {
			t.Errorf("Accept(%q) at %s = %v, %v, want %v, %v", tt.asked, tt.flavour, c, ok, tt.want, tt.ok)
		}
	}
}

func TestRanges(t *testing.T) {
	var r Range
	for text, want := range map[string]Range{
		"90":     {90 * time.Second, 90 * time.Second},
		"0.5":    {500 * time.Millisecond, 500 * time.Millisecond},
		"1m..5m": {time.Minute, 5 * time.Minute},
		"10..3h": {10 * time.Second, 3 * time.Hour},
	} {
		if err := r.Set(text); err != nil || r != want {
			t.Errorf("Set(%q) = %v, %v, want %v", text, r, err, want)
		}
	}
	for _, text := range []string{"", "x", "5..1", "-1", "1..", "..2"} {
		if err := r.Set(text); err == nil {
			t.Errorf("Set(%q) = nil, want an error", text)
		}
	}
	if got := (Range{time.Hour, 3 * time.Hour}).At(0.25); got != 90*time.Minute {
		t.Errorf("a quarter of 1h..3h is %v, want 1h30m", got)
	}
}
