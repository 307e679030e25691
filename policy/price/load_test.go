package price

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("one.yaml", "schema: isotherm.prices/v1\nbooks:\n  - {id: aws-us-east-1, as_of: 2027-01-01}\n")
	write("two.yaml", "schema: isotherm.prices/v1\nbooks:\n  - {id: aws-us-east-1}\n  - {id: mine, currency: CHF, unit: {gb_bytes: 1000000000}}\n")
	for _, tt := range []struct {
		ref, id string
		err     error
		says    string
	}{
		{ref: "aws-eu-west-1", id: "aws-eu-west-1"},
		{ref: "aws/eu-west-1", id: "aws-eu-west-1"},
		{ref: "aws/moon-1", err: ErrNoBook, says: "there are aws-eu-west-1, aws-us-east-1, ovh-s3-fr"},
		{ref: "one.yaml", id: "aws-us-east-1"},
		{ref: filepath.Join(dir, "one.yaml"), id: "aws-us-east-1"},
		{ref: "two.yaml#mine", id: "mine"},
		{ref: "two.yaml", err: ErrNoBook, says: "two.yaml#ID"},
		{ref: "none.yaml", err: os.ErrNotExist, says: "none.yaml"},
	} {
		b, err := Open(tt.ref, dir)
		if !errors.Is(err, tt.err) || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("Open(%q): %v, want %v, %q", tt.ref, err, tt.err, tt.says)
		}
		if err == nil && b.ID != tt.id {
			t.Errorf("Open(%q) = %s, want %s", tt.ref, b.ID, tt.id)
		}
	}
}

// TestMerge: maps are merged key by key, lists are replaced whole, and each
// value knows whose it is.
func TestMerge(t *testing.T) {
	t.Parallel()
	c, err := merged([]byte(`
schema: isotherm.prices/v1
books:
  - id: aws-us-east-1
    classes:
      STANDARD:
        storage: {steps: [{price: "0.02"}]}
        requests: {put: "0.004", get: null}
`), "mine.yaml")
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.Book("aws-us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		what    string
		amount  Amount
		want    string
		status  Status
		sources string
	}{
		{"60 TB at the user's one step", one(t, storage(t, b, thirtyDays, Stock{Class: "STANDARD", Bytes: 60 << 40})...), "1228.80 USD", User, "mine.yaml"},
		{"put", requests(t, b, "STANDARD", Put, 1000).Amount, "0.00 USD", User, "mine.yaml"},
		{"get", requests(t, b, "STANDARD", Get, 1000).Amount, "unknown", Unknown, "aws-api-2025-10"},
		{"list", requests(t, b, "STANDARD", List, 1e6).Amount, "5.00 USD", Recorded, "aws-api-2025-10"},
	} {
		if got := tt.amount.String(); got != tt.want {
			t.Errorf("%s = %s, want %s", tt.what, got, tt.want)
		}
		if got := tt.amount.Statuses(); !cmp.Equal(got, []Status{tt.status}) {
			t.Errorf("%s has statuses %v, want %v", tt.what, got, tt.status)
		}
		if got := strings.Join(tt.amount.Sources(), " "); got != tt.sources {
			t.Errorf("%s has sources %s, want %s", tt.what, got, tt.sources)
		}
	}
}

// TestRefused: each mistake is an error that says where it is.
func TestRefused(t *testing.T) {
	t.Parallel()
	const head = "schema: isotherm.prices/v1\nbooks:\n  - id: mine\n    currency: EUR\n    unit: {gb_bytes: 1000}\n"
	for _, tt := range []struct{ name, text, says string }{
		{"empty", "", "empty"},
		{"schema", "schema: isotherm.prices/v2\n", "isotherm.prices/v1"},
		{"unknown key", head + "    colour: red\n", "line 6"},
		{"number for money", head + "    batch: {per_job: 0.25}\n", "line 6: money is a decimal in quotes"},
		{"exponent", head + "    batch: {per_job: \"1e3\"}\n", "line 6"},
		{"negative", head + "    batch: {per_job: \"-1\"}\n", "line 6"},
		{"fraction", head + "    batch: {per_job: \"1/3\"}\n", "line 6"},
		{"status", head + "    batch: {status: certain}\n", "line 6"},
		{"month", head[:len(head)-1] + "\n    unit: {month_hours: often}\n", "line 6"},
		{"no currency", "schema: isotherm.prices/v1\nbooks:\n  - id: mine\n    unit: {gb_bytes: 1}\n", "currency is missing"},
		{"no unit", "schema: isotherm.prices/v1\nbooks:\n  - id: mine\n    currency: EUR\n", "gb_bytes"},
		{"unknown class", head + "    classes: {COLD: {restored_copy_class: HOT}}\n", "class HOT"},
		{"steps", head + "    classes: {COLD: {storage: {steps: [{price: \"1\"}, {price: \"2\"}]}}}\n", "up_to_gb"},
		{"steps not growing", head + "    egress: {internet: {steps: [{up_to_gb: 2, price: \"1\"}, {up_to_gb: 2, price: \"1\"}, {price: \"2\"}]}}\n", "grow"},
		{"rounding", head + "    classes: {COLD: {restored_copy_rounding: up}}\n", "midnight_utc"},
		{"times", head + "    classes: {COLD: {retrieval: {bulk: {typical_min: 5, typical_max: 3}}}}\n", "order"},
		{"source", head + "    batch: {src: nowhere, per_job: \"1\"}\n", "nowhere"},
		{"twice", head + head[len("schema: isotherm.prices/v1\nbooks:\n"):], "twice"},
	} {
		_, err := merged([]byte(tt.text), "mine.yaml")
		if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "mine.yaml") {
			t.Errorf("%s: %v, want an error with %q and the file's name", tt.name, err, tt.says)
		}
	}
}

func TestAmountJSON(t *testing.T) {
	t.Parallel()
	b := book(t, "aws-eu-west-1")
	part := b.EgressTo(0, 1<<30).Amount.plus(retrieval(t, b, "DEEP_ARCHIVE", "bulk", 1, 1))
	for _, tt := range []struct {
		amount Amount
		want   string
	}{
		{Zero("USD"), `{"amount":"0.000000","currency":"USD","complete":true}`},
		{UnknownAmount("EUR"), `{"amount":null,"currency":"EUR","complete":false,"statuses":["unknown"]}`},
		{part, `{"amount":"0.090000","currency":"USD","complete":false,"statuses":["recorded","unknown"],"sources":["infracost-2025-07","none"]}`},
	} {
		text, err := json.Marshal(tt.amount)
		if err != nil || string(text) != tt.want {
			t.Errorf("JSON = %s, %v; want %s", text, err, tt.want)
		}
		var back Amount
		if err := json.Unmarshal(text, &back); err != nil || back.String() != tt.amount.String() || back.Complete() != tt.amount.Complete() {
			t.Errorf("read back as %v, %v; want %v", back, err, tt.amount)
		}
	}
}

// TestCopyOverMonths: each month has its own hours: 1 GB for 2 days from
// 2027-02-27, a day of 672 h, a day of 744 h.
func TestCopyOverMonths(t *testing.T) {
	t.Parallel()
	b := book(t, "aws-us-east-1")
	end := time.Date(2027, 2, 28, 0, 0, 0, 0, time.UTC)
	got := must[Item](t)(b.CopyNominal("DEEP_ARCHIVE", 1000<<30, end, 2)).Amount
	want(t, "copy", got, "1.563364") // 1000 x 0.023 x (24/672 + 24/744)
}

// FuzzLoad: no book makes the program panic, or a bill of it negative.
func FuzzLoad(f *testing.F) {
	f.Add(builtin)
	f.Add([]byte("schema: isotherm.prices/v1\nbooks:\n  - {id: aws-us-east-1, batch: {per_job: \"1\"}}\n"))
	f.Add([]byte("schema: isotherm.prices/v1\nbooks: [{id: a, currency: X, unit: {gb_bytes: 1}, classes: {C: {storage: {steps: [{price: \"1\"}]}}}}]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := merged(text, "mine.yaml")
		if err != nil {
			return
		}
		for _, b := range c.Books {
			for class := range b.Classes {
				items, err := b.Storage([]Stock{{Class: class, Objects: 1, Bytes: 1 << 40}}, b.Month(march))
				if err != nil {
					t.Fatal(err)
				}
				for _, sum := range Total(items) {
					if sum.Rat().Sign() < 0 {
						t.Fatalf("%s: storage costs %s", class, sum)
					}
				}
			}
		}
	})
}
