package price

import (
	"errors"
	"testing"
	"time"
)

// The worked examples V1 to V14 of the cost conventions. They hold for the
// book compiled on this day.
const vectorsFor = "2026-11-21"

const volume = 200 << 20 // bytes of one of duplicity's volumes

var (
	thirtyDays = Period{Held: 720 * time.Hour, MonthHours: 720}
	march      = time.Date(2027, 3, 1, 18, 20, 0, 0, time.UTC)
)

func book(t testing.TB, id string) *Book {
	t.Helper()
	c, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	if c.AsOf != vectorsFor {
		t.Fatalf("book of %s, vectors are for %s", c.AsOf, vectorsFor)
	}
	b, err := c.Book(id)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// must unwraps the results of a bill in the test t.
func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func want(t *testing.T, what string, a Amount, decimal string) {
	t.Helper()
	if got := a.Decimal(6); got != decimal {
		t.Errorf("%s = %s, want %s", what, got, decimal)
	}
}

func one(t *testing.T, items ...Item) Amount {
	t.Helper()
	sums := Total(items)
	if len(sums) != 1 {
		t.Fatalf("%d currencies in %v, want one", len(sums), items)
	}
	return sums[0]
}

func storage(t *testing.T, b *Book, p Period, stocks ...Stock) []Item {
	t.Helper()
	return must[[]Item](t)(b.Storage(stocks, p))
}

func retrieval(t *testing.T, b *Book, class, tier string, objects, bytes int64) Amount {
	t.Helper()
	perGB, requests, err := b.Retrieval(class, tier, objects, bytes)
	if err != nil {
		t.Fatal(err)
	}
	return one(t, perGB, requests)
}

func requests(t *testing.T, b *Book, class string, kind RequestKind, n int64) Item {
	t.Helper()
	return must[Item](t)(b.Requests(class, kind, n))
}

func TestV1Month(t *testing.T) {
	t.Parallel()
	b := book(t, "aws-us-east-1")
	items := storage(t, b, thirtyDays, Stock{Class: "DEEP_ARCHIVE", Objects: 10000, Bytes: 10000 * volume})
	want(t, "DEEP_ARCHIVE", items[0].Amount, "1.933896")
	want(t, "STANDARD", items[1].Amount, "0.001755")
	total := one(t, items...)
	want(t, "total", total, "1.935651")
	if got := total.String(); got != "1.94 USD" {
		t.Errorf("display = %q, want 1.94 USD", got)
	}
	want(t, "GLACIER", one(t, storage(t, b, thirtyDays, Stock{Class: "GLACIER", Objects: 10000, Bytes: 10000 * volume})...), "7.034103")
	want(t, "STANDARD", one(t, storage(t, b, thirtyDays, Stock{Class: "STANDARD", Objects: 10000, Bytes: 10000 * volume})...), "44.921875")
}

func TestV2Upload(t *testing.T) {
	t.Parallel()
	b := book(t, "aws-us-east-1")
	direct := requests(t, b, "DEEP_ARCHIVE", Put, 10000)
	want(t, "direct", direct.Amount, "0.500000")
	parts := requests(t, b, "STANDARD", Put, 10000*26)
	want(t, "parts", parts.Amount, "1.300000")
	want(t, "multipart", one(t, parts, direct), "1.800000")
	want(t, "lifecycle", one(t, requests(t, b, "STANDARD", Put, 10000), requests(t, b, "DEEP_ARCHIVE", TransitionIn, 10000)), "0.550000")
}

func TestV3EarlyDeletion(t *testing.T) {
	t.Parallel()
	b := book(t, "aws-us-east-1")
	stored := storage(t, b, Period{Held: 60 * 24 * time.Hour, MonthHours: 720}, Stock{Class: "DEEP_ARCHIVE", Objects: 1000, Bytes: 1000 * volume})
	want(t, "stored", stored[0].Amount, "0.386779")
	want(t, "overhead", stored[1].Amount, "0.000351")
	early := must[Item](t)(b.EarlyDeletion("DEEP_ARCHIVE", 1000, 1000*volume, 60*24*time.Hour))
	want(t, "early deletion", early.Amount, "0.773558")
	want(t, "sum", one(t, append(stored, early)...), "1.160688")

	late := must[Item](t)(b.EarlyDeletion("DEEP_ARCHIVE", 1000, 1000*volume, 180*24*time.Hour))
	if !late.Amount.IsZero() {
		t.Errorf("deletion on day 180 costs %s, want nothing", late.Amount)
	}
}

func TestV4Thaw(t *testing.T) {
	t.Parallel()
	b := book(t, "aws-us-east-1")
	for _, tt := range []struct{ class, tier, perGB, requests, total string }{
		{"DEEP_ARCHIVE", "bulk", "1.250000", "0.064000", "1.314000"},
		{"DEEP_ARCHIVE", "standard", "10.000000", "0.256000", "10.256000"},
		{"GLACIER", "bulk", "0.000000", "0.000000", "0.000000"},
		{"GLACIER", "standard", "5.000000", "0.128000", "5.128000"},
		{"GLACIER", "expedited", "15.000000", "25.600000", "40.600000"},
	} {
		perGB, requests, err := b.Retrieval(tt.class, tt.tier, 2560, 2560*volume)
		if err != nil {
			t.Fatal(err)
		}
		want(t, tt.class+" "+tt.tier+" per GB", perGB.Amount, tt.perGB)
		want(t, tt.class+" "+tt.tier+" requests", requests.Amount, tt.requests)
		want(t, tt.class+" "+tt.tier, one(t, perGB, requests), tt.total)
	}
	if _, _, err := b.Retrieval("DEEP_ARCHIVE", "expedited", 2560, 2560*volume); !errors.Is(err, ErrNotOffered) {
		t.Errorf("expedited from DEEP_ARCHIVE: %v, want ErrNotOffered", err)
	}
}

func TestV5RestoredCopy(t *testing.T) {
	t.Parallel()
	b := book(t, "aws-us-east-1")
	c := must[*Class](t)(b.Class("DEEP_ARCHIVE"))
	if got, want := c.CopyExpiry(march, 7), time.Date(2027, 3, 9, 0, 0, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("expiry = %s, want %s", got, want)
	}
	want(t, "actual", must[Item](t)(b.Copy("DEEP_ARCHIVE", 2560*volume, march, 7)).Amount, "2.684364")
	want(t, "nominal", must[Item](t)(b.CopyNominal("DEEP_ARCHIVE", 2560*volume, march, 7)).Amount, "2.596774")
	want(t, "upper bound", must[Item](t)(b.CopyUpper("DEEP_ARCHIVE", 2560*volume, march, 7)).Amount, "2.967742")
}

func TestV6Egress(t *testing.T) {
	t.Parallel()
	b := book(t, "aws-us-east-1")
	const gb = 1 << 30
	want(t, "500 GB", b.EgressTo(0, 500*gb).Amount, "45.000000")
	want(t, "500 GB after 10,000", b.EgressTo(10000*gb, 500*gb).Amount, "43.700000")
	want(t, "12,000 GB", b.EgressTo(0, 12000*gb).Amount, "1071.200000")
}

func TestV7WholeRestore(t *testing.T) {
	t.Parallel()
	b := book(t, "aws-us-east-1")
	rest := []Item{
		must[Item](t)(b.Copy("DEEP_ARCHIVE", 2560*volume, march, 7)),
		requests(t, b, "DEEP_ARCHIVE", Get, 2560),
		b.EgressTo(0, 2560*volume),
		requests(t, b, "DEEP_ARCHIVE", List, 576),
	}
	want(t, "GET", rest[1].Amount, "0.001024")
	want(t, "LIST", rest[3].Amount, "0.002880")
	for tier, total := range map[string]string{"bulk": "49.002268", "standard": "57.944268"} {
		sum, err := one(t, rest...).Add(retrieval(t, b, "DEEP_ARCHIVE", tier, 2560, 2560*volume))
		if err != nil {
			t.Fatal(err)
		}
		want(t, tier, sum, total)
	}
	want(t, "HEAD", requests(t, b, "DEEP_ARCHIVE", Head, 7372800).Amount, "2.949120")
}

func TestV8Mirror(t *testing.T) {
	t.Parallel()
	const hot = 31*2<<20 + 31*400<<20
	if hot != 13067354112*1 {
		t.Fatalf("hot = %d bytes, want 13,067,354,112", hot)
	}
	aws := storage(t, book(t, "aws-us-east-1"), thirtyDays,
		Stock{Class: "STANDARD", Objects: 62, Bytes: hot}, Stock{Class: "DEEP_ARCHIVE", Objects: 10000, Bytes: 10000 * volume})
	scw := storage(t, book(t, "scaleway-fr-par"), thirtyDays,
		Stock{Class: "STANDARD", Objects: 62, Bytes: hot}, Stock{Class: "GLACIER", Objects: 10000, Bytes: 10000 * volume})
	want(t, "Scaleway cold", scw[0].Amount, "5.254624")
	want(t, "Scaleway hot", scw[1].Amount, "0.188170")

	sums := Total(append(aws, scw...))
	if len(sums) != 2 {
		t.Fatalf("%d sums, want two: currencies are never added", len(sums))
	}
	want(t, "EUR", sums[0], "5.442794")
	want(t, "USD", sums[1], "2.215559")
	if _, err := sums[0].Add(sums[1]); !errors.Is(err, ErrCurrency) {
		t.Errorf("EUR + USD: %v, want ErrCurrency", err)
	}
}

func TestV9SmallObjects(t *testing.T) {
	t.Parallel()
	b := book(t, "aws-us-east-1")
	deep := storage(t, b, thirtyDays, Stock{Class: "DEEP_ARCHIVE", Objects: 1e6, Bytes: 1e6 * 10 << 10})
	want(t, "DEEP_ARCHIVE", deep[0].Amount, "0.039654") // 0.009441 + 0.030212, rounded once
	want(t, "8 KB", deep[1].Amount, "0.175476")
	want(t, "month", one(t, deep...), "0.215130")
	want(t, "STANDARD", one(t, storage(t, b, thirtyDays, Stock{Class: "STANDARD", Objects: 1e6, Bytes: 1e6 * 10 << 10})...), "0.219345")
	want(t, "PUT cold", requests(t, b, "DEEP_ARCHIVE", Put, 1e6).Amount, "50.000000")
	want(t, "PUT hot", requests(t, b, "STANDARD", Put, 1e6).Amount, "5.000000")
}

func TestV10Steps(t *testing.T) {
	t.Parallel()
	b := book(t, "aws-us-east-1")
	for tb, total := range map[int64]string{60: "1402.880000", 600: "13465.600000"} {
		want(t, "storage", one(t, storage(t, b, thirtyDays, Stock{Class: "STANDARD", Objects: 1, Bytes: tb << 40})...), total)
	}
}

func TestV11Batch(t *testing.T) {
	t.Parallel()
	b := book(t, "aws-us-east-1")
	want(t, "requests", retrieval(t, b, "DEEP_ARCHIVE", "bulk", 1e6, 0), "25.000000")
	batch := b.BatchJobs(1, 1e6)
	want(t, "batch", batch.Amount, "1.250000")
	sum, err := batch.Amount.Add(retrieval(t, b, "DEEP_ARCHIVE", "bulk", 1e6, 0))
	if err != nil {
		t.Fatal(err)
	}
	want(t, "sum", sum, "26.250000")
	if sum.Firm() {
		t.Error("a sum with unconfirmed prices is taken as firm")
	}
}

func TestV12UnknownPrice(t *testing.T) {
	t.Parallel()
	thaw := func(b *Book) Amount {
		copied := must[Item](t)(b.CopyNominal("DEEP_ARCHIVE", 2560*volume, march, 7))
		want(t, "copy", copied.Amount, "2.596774")
		sum, err := one(t, copied, b.EgressTo(0, 2560*volume)).Add(retrieval(t, b, "DEEP_ARCHIVE", "bulk", 2560, 2560*volume))
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	b := book(t, "aws-eu-west-1")
	if got := retrieval(t, b, "DEEP_ARCHIVE", "bulk", 2560, 2560*volume).String(); got != "unknown" {
		t.Errorf("retrieval = %q, want unknown", got)
	}
	sum := thaw(b)
	want(t, "total", sum, "47.596774")
	if sum.Complete() || sum.String() != "47.60 USD + unknown" {
		t.Errorf("total = %q, complete %v; want incomplete", sum, sum.Complete())
	}

	own, err := merged([]byte(`
schema: isotherm.prices/v1
books:
  - id: aws-eu-west-1
    classes:
      DEEP_ARCHIVE:
        retrieval:
          bulk: {per_gb: "0.0025", per_1000: "0.025"}
`), "own.yaml")
	if err != nil {
		t.Fatal(err)
	}
	b = must[*Book](t)(own.Book("aws/eu-west-1"))
	sum = thaw(b)
	want(t, "total by the user's book", sum, "48.910774")
	if !sum.Complete() {
		t.Error("total by the user's book is incomplete")
	}
	perGB, _, err := b.Retrieval("DEEP_ARCHIVE", "bulk", 2560, 2560*volume)
	if err != nil {
		t.Fatal(err)
	}
	if got := perGB.Amount.Statuses(); len(got) != 1 || got[0] != User {
		t.Errorf("statuses = %v, want user", got)
	}
}

func TestV13Scaleway(t *testing.T) {
	t.Parallel()
	b := book(t, "scaleway-fr-par")
	items := append(storage(t, b, thirtyDays, Stock{Class: "GLACIER", Objects: 1, Bytes: 1e12}),
		must[Item](t)(b.Copy("GLACIER", 200e9, march, 3)), b.EgressTo(0, 200e9))
	want(t, "storage", items[0].Amount, "2.505600")
	want(t, "copy", items[1].Amount, "0.288000")
	want(t, "egress", items[2].Amount, "1.250000")
	restore := retrieval(t, b, "GLACIER", "only", 1000, 200e9)
	want(t, "restore", restore, "1.800000")
	sum, err := one(t, items...).Add(restore)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "total", sum, "5.843600")
}

func TestV14OVH(t *testing.T) {
	t.Parallel()
	b := book(t, "ovh-s3-fr")
	const gb = 1 << 30
	want(t, "storage", one(t, storage(t, b, thirtyDays, Stock{Class: "DEEP_ARCHIVE", Objects: 5000, Bytes: 5000 * volume})...), "1.269531")
	want(t, "restore", retrieval(t, b, "DEEP_ARCHIVE", "only", 512, 100*gb), "0.500000")
	want(t, "copy", must[Item](t)(b.Copy("DEEP_ARCHIVE", 100*gb, march, 10)).Amount, "0.233333")
	want(t, "delete", must[Item](t)(b.EarlyDeletion("DEEP_ARCHIVE", 5000, 5000*volume, 100*24*time.Hour)).Amount, "3.385417")
}
