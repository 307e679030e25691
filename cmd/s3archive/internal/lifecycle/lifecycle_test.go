package lifecycle

import (
	"errors"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/glacier"
)

func parse(t *testing.T, rules string) Configuration {
	t.Helper()
	c, err := Parse([]byte(`<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">` + rules + `</LifecycleConfiguration>`))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const (
	day  = 24 * time.Hour
	toIA = `<Transition><Days>30</Days><StorageClass>STANDARD_IA</StorageClass></Transition>`
	cool = `<Transition><Days>10</Days><StorageClass>GLACIER</StorageClass></Transition>`
	deep = `<Transition><Days>20</Days><StorageClass>DEEP_ARCHIVE</StorageClass></Transition>`
)

func rule(filter, actions string) string {
	return `<Rule><Filter>` + filter + `</Filter><Status>Enabled</Status>` + actions + `</Rule>`
}

// written is when the objects of the tests were written: not at midnight, so that rounding shows.
var written = time.Date(2026, 3, 1, 15, 0, 0, 0, time.UTC)

func TestDue(t *testing.T) {
	midnight := func(n int) time.Time { return time.Date(2026, 3, 2+n, 0, 0, 0, 0, time.UTC) }
	for _, tt := range []struct {
		name   string
		rules  string
		item   Item
		days   int // after the first midnight
		policy Policy
		class  glacier.Class // "" for nothing, "expire" for the end
	}{
		{name: "not yet", rules: rule("", cool), days: 9},
		{name: "at midnight after 10 days", rules: rule("", cool), days: 10, class: glacier.Glacier},
		{name: "the colder of two", rules: rule("", cool+deep), days: 20, class: glacier.DeepArchive},
		{name: "never warmer", rules: rule("", toIA), item: Item{Class: glacier.Glacier}, days: 100},
		{name: "there already", rules: rule("", cool), item: Item{Class: glacier.Glacier}, days: 100},
		{name: "out of intelligent tiering", rules: rule("", cool), item: Item{Class: glacier.IntelligentTiering}, days: 100, class: glacier.Glacier},
		{name: "another prefix", rules: rule("<Prefix>vol/</Prefix>", cool), item: Item{Key: "man/1"}, days: 100},
		{name: "the prefix", rules: rule("<Prefix>vol/</Prefix>", cool), item: Item{Key: "vol/1"}, days: 100, class: glacier.Glacier},
		{name: "the old prefix", rules: `<Rule><Prefix>vol/</Prefix><Status>Enabled</Status>` + cool + `</Rule>`, item: Item{Key: "man/1"}, days: 100},
		{name: "too small by default", rules: rule("", cool), item: Item{Size: 1000}, days: 100},
		{name: "small, with the old default", rules: rule("", cool), item: Item{Size: 1000}, days: 100, policy: Policy{Default: Varies}, class: glacier.Glacier},
		{name: "small, with the old default, to an online class", rules: rule("", toIA), item: Item{Size: 1000}, days: 100, policy: Policy{Default: Varies}},
		{name: "small, by a filter of size", rules: rule("<ObjectSizeGreaterThan>500</ObjectSizeGreaterThan>", cool), item: Item{Size: 1000}, days: 100, class: glacier.Glacier},
		{name: "smaller than the filter", rules: rule("<And><Prefix></Prefix><ObjectSizeGreaterThan>500</ObjectSizeGreaterThan></And>", cool), item: Item{Size: 500}, days: 100},
		{name: "larger than the filter", rules: rule("<ObjectSizeLessThan>1000</ObjectSizeLessThan>", cool), item: Item{Size: 1000}, days: 100},
		{name: "tag", rules: rule("<Tag><Key>k</Key><Value>v</Value></Tag>", cool), item: Item{Tags: map[string]string{"k": "v"}}, days: 100, class: glacier.Glacier},
		{name: "other tag", rules: rule("<Tag><Key>k</Key><Value>v</Value></Tag>", cool), item: Item{Tags: map[string]string{"k": "w"}}, days: 100},
		{name: "disabled", rules: `<Rule><Filter/><Status>Disabled</Status>` + cool + `</Rule>`, days: 100},
		{name: "expiration", rules: rule("", cool+`<Expiration><Days>30</Days></Expiration>`), days: 30, class: "expire"},
		{name: "expiration of small ones, too", rules: rule("", `<Expiration><Days>30</Days></Expiration>`), item: Item{Size: 1}, days: 30, class: "expire"},
		{name: "date", rules: rule("", `<Transition><Date>2026-03-05T00:00:00Z</Date><StorageClass>GLACIER</StorageClass></Transition>`), days: 3, class: glacier.Glacier},
		{name: "replaced versions are left alone", rules: rule("", cool), item: Item{Replaced: written}, days: 100},
		{name: "replaced version", rules: rule("", `<NoncurrentVersionTransition><NoncurrentDays>5</NoncurrentDays><StorageClass>GLACIER</StorageClass></NoncurrentVersionTransition>`), item: Item{Replaced: written}, days: 5, class: glacier.Glacier},
		{name: "replaced version expires", rules: rule("", `<NoncurrentVersionExpiration><NoncurrentDays>5</NoncurrentDays></NoncurrentVersionExpiration>`), item: Item{Replaced: written}, days: 5, class: "expire"},
		{name: "replaced version is one of those kept", rules: rule("", `<NoncurrentVersionExpiration><NoncurrentDays>5</NoncurrentDays><NewerNoncurrentVersions>2</NewerNoncurrentVersions></NoncurrentVersionExpiration>`), item: Item{Replaced: written, Newer: 1}, days: 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := tt.policy
			p.Configuration, p.MinimumSize, p.Day = parse(t, tt.rules), 128<<10, glacier.Rules{Day: day}
			i := tt.item
			i.Written = written
			if i.Size == 0 {
				i.Size = 1 << 20
			}
			if i.Class == "" {
				i.Class = glacier.Standard
			}
			a, due := p.Due(i, midnight(tt.days))
			got := a.Class
			if a.Expire {
				got = "expire"
			}
			if got != tt.class || due != (tt.class != "") {
				t.Errorf("Due = %q, %v, want %q", got, due, tt.class)
			}
			if due && a.At.After(midnight(tt.days)) {
				t.Errorf("it was due at %v, which is to come", a.At)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ rules, code string }{
		"no rules":       {"", "MalformedXML"},
		"no action":      {rule("", ""), "InvalidArgument"},
		"same id":        {`<Rule><ID>a</ID><Filter/><Status>Enabled</Status>` + cool + `</Rule><Rule><ID>a</ID><Filter/><Status>Enabled</Status>` + cool + `</Rule>`, "InvalidArgument"},
		"status":         {`<Rule><Filter/><Status>On</Status>` + cool + `</Rule>`, "MalformedXML"},
		"to standard":    {rule("", `<Transition><Days>1</Days><StorageClass>STANDARD</StorageClass></Transition>`), "MalformedXML"},
		"to nowhere":     {rule("", `<Transition><Days>1</Days><StorageClass>COLD</StorageClass></Transition>`), "MalformedXML"},
		"days and date":  {rule("", `<Transition><Days>1</Days><Date>2026-03-05T00:00:00Z</Date><StorageClass>GLACIER</StorageClass></Transition>`), "MalformedXML"},
		"early to ia":    {rule("", `<Transition><Days>29</Days><StorageClass>STANDARD_IA</StorageClass></Transition>`), "InvalidArgument"},
		"end before":     {rule("", cool+`<Expiration><Days>10</Days></Expiration>`), "InvalidArgument"},
		"ends after 0 d": {rule("", `<Expiration><Days>0</Days></Expiration>`), "MalformedXML"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte("<LifecycleConfiguration>" + tt.rules + "</LifecycleConfiguration>"))
			var r *glacier.Refusal
			if !errors.As(err, &r) || r.Code != tt.code {
				t.Errorf("Parse = %v, want %s", err, tt.code)
			}
		})
	}
}

// TestDocument checks that what is kept reads back as the same rules, and has ids.
func TestDocument(t *testing.T) {
	c := parse(t, rule("<And><Prefix>p</Prefix><Tag><Key>k</Key><Value>v</Value></Tag><ObjectSizeLessThan>5</ObjectSizeLessThan></And>", cool)+
		rule("", `<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration><AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>`))
	again, err := Parse([]byte(c.String()))
	if err != nil {
		t.Fatal(err)
	}
	if again.String() != c.String() || again.Rules[0].ID == "" || again.Rules[0].ID == again.Rules[1].ID {
		t.Errorf("read again: %s\nwant %s", again, c)
	}
	if !c.Tagged() || !c.DropMarker("x") {
		t.Error("the tag or the delete markers were lost")
	}
	p := Policy{Configuration: c, Day: glacier.Rules{Day: day}}
	if p.Aborts("x", written, written.Add(7*day)) || !p.Aborts("x", written, written.Add(8*day)) {
		t.Error("uploads are not given up at the midnight after 7 days")
	}
}
