package main

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/engine"
	"github.com/isotherm-backup/isotherm/policy"
	"github.com/isotherm-backup/isotherm/policy/price"
	"github.com/isotherm-backup/isotherm/tiering"
	"github.com/isotherm-backup/isotherm/tiering/doctor"
	"github.com/isotherm-backup/isotherm/tiering/thaw"
)

// jsonObjects are the objects of docs/json.md, each below the heading of its
// name. A struct that is reached from an answer and is not here fails the test.
var jsonObjects = []struct {
	name string
	of   reflect.Type
}{
	{"isotherm check", reflect.TypeFor[checkAnswer]()},
	{"store summary", reflect.TypeFor[storeSummary]()},
	{"finding", reflect.TypeFor[doctor.Finding]()},
	{"isotherm check --explain", reflect.TypeFor[explainAnswer]()},
	{"earlier route", reflect.TypeFor[earlierRoute]()},
	{"isotherm import", reflect.TypeFor[importAnswer]()},
	{"isotherm backup", reflect.TypeFor[backupAnswer]()},
	{"isotherm backup --dry-run", reflect.TypeFor[estimateAnswer]()},
	{"month at a store", reflect.TypeFor[monthOfStore]()},
	{"isotherm backup --explain", reflect.TypeFor[selectedAnswer]()},
	{"isotherm status", reflect.TypeFor[engine.Status]()},
	{"chain", reflect.TypeFor[engine.ChainStatus]()},
	{"set", reflect.TypeFor[engine.SetStatus]()},
	{"copies", reflect.TypeFor[engine.CopyCount]()},
	{"states", reflect.TypeFor[engine.StateCounts]()},
	{"store", reflect.TypeFor[engine.StoreStatus]()},
	{"degraded file", reflect.TypeFor[tiering.Record]()},
	{"digest", reflect.TypeFor[backends.Digest]()},
	{"isotherm ls", reflect.TypeFor[listedPath]()},
	{"isotherm plan", reflect.TypeFor[engine.RestorePlan]()},
	{"volumes", reflect.TypeFor[engine.Count]()},
	{"missing volume", reflect.TypeFor[engine.MissingVolume]()},
	{"thaw plan", reflect.TypeFor[thaw.Plan]()},
	{"quote", reflect.TypeFor[thaw.Quote]()},
	{"price", reflect.TypeFor[thaw.Price]()},
	{"planned store", reflect.TypeFor[thaw.PlanStore]()},
	{"offer", reflect.TypeFor[thaw.Offer]()},
	{"times", reflect.TypeFor[backends.Times]()},
	{"wave", reflect.TypeFor[thaw.Wave]()},
	{"planned files", reflect.TypeFor[thaw.Files]()},
	{"files", reflect.TypeFor[thaw.Count]()},
	{"amount", reflect.TypeFor[price.Amount]()},
	{"isotherm thaw status", reflect.TypeFor[jobsAnswer]()},
	{"thaw job", reflect.TypeFor[thaw.Status]()},
	{"isotherm restore", reflect.TypeFor[restoreAnswer]()},
	{"isotherm verify", reflect.TypeFor[verifyAnswer]()},
	{"isotherm prune", reflect.TypeFor[pruneAnswer]()},
	{"deletion plan", reflect.TypeFor[engine.PrunePlan]()},
	{"rules", reflect.TypeFor[engine.PruneRules]()},
	{"set that goes", reflect.TypeFor[engine.PruneSet]()},
	{"share of a store", reflect.TypeFor[engine.StoreShare]()},
	{"listed deletion", reflect.TypeFor[engine.Deletion]()},
	{"chain that stays", reflect.TypeFor[engine.KeptChain]()},
	{"file of no set", reflect.TypeFor[engine.LeftoverFile]()},
	{"resumable backup", reflect.TypeFor[engine.Resumable]()},
	{"deletions", reflect.TypeFor[engine.PruneReport]()},
	{"set kept after all", reflect.TypeFor[engine.KeptDeletion]()},
	{"isotherm repair", reflect.TypeFor[repairAnswer]()},
	{"step", reflect.TypeFor[tiering.Step]()},
	{"isotherm retier", reflect.TypeFor[retierAnswer]()},
	{"move", reflect.TypeFor[retierMove]()},
	{"isotherm schedule", reflect.TypeFor[scheduleAnswer]()},
	{"unit", reflect.TypeFor[scheduleFile]()},
	{"isotherm unlock", reflect.TypeFor[unlockAnswer]()},
	{"lock", reflect.TypeFor[seenLock]()},
	{"isotherm policy lifecycle", reflect.TypeFor[lifecycleAnswer]()},
	{"bucket lifecycle", reflect.TypeFor[policy.BucketLifecycle]()},
	{"lifecycle configuration", reflect.TypeFor[policy.LifecycleConfig]()},
	{"lifecycle rule", reflect.TypeFor[policy.LifecycleRule]()},
	{"lifecycle filter", reflect.TypeFor[policy.LifecycleFilter]()},
	{"lifecycle transition", reflect.TypeFor[policy.LifecycleTransition]()},
	{"noncurrent expiration", reflect.TypeFor[policy.NoncurrentExpiration]()},
	{"abort uploads", reflect.TypeFor[policy.AbortUploads]()},
	{"isotherm demo", reflect.TypeFor[demoAnswer]()},
}

// ownJSON are the types that write themselves, as the struct that they write.
var ownJSON = map[reflect.Type]reflect.Type{
	reflect.TypeFor[price.Amount](): reflect.TypeFor[struct {
		Amount   *string        `json:"amount"`
		Currency string         `json:"currency"`
		Complete bool           `json:"complete"`
		Statuses []price.Status `json:"statuses,omitempty"`
		Sources  []string       `json:"sources,omitempty"`
	}](),
	reflect.TypeFor[thaw.Files](): reflect.TypeFor[struct {
		Encoded bool     `json:"encoded,omitempty"`
		Names   []string `json:"names"`
		Sizes   []int64  `json:"sizes"`
		Waves   []int32  `json:"waves"`
	}](),
}

// A jsonField is a row of a table of docs/json.md.
type jsonField struct {
	key, kind string
	of        reflect.Type
}

// TestJSONPage holds docs/json.md against the Go types of all answers, and its
// examples against what the commands write. With -update it writes both, and
// keeps what the page says about each field.
func TestJSONPage(t *testing.T) {
	t.Parallel()
	src, err := os.ReadFile(filepath.Join("..", "..", "docs", "json.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(src)
	for _, cmd := range allCommands(testRoot()) {
		// Not in the page's headings: what groups commands, has no answer, or the
		// answer of another one.
		switch path := cmd.CommandPath(); path {
		case "isotherm", "isotherm policy", "isotherm thaw", "isotherm init", "isotherm man", "isotherm completion", "isotherm version",
			"isotherm thaw wait", "isotherm thaw cancel":
		default:
			if !strings.Contains(page, "\n## "+path+"\n") {
				t.Errorf("docs/json.md says nothing of %s", path)
			}
		}
	}
	for _, object := range jsonObjects {
		page = replaceBlock(t, page, "fields: "+object.name, func(old string) string {
			return fieldTable(t, object.name, object.of, old)
		})
	}
	written := exampleAnswers(t)
	for _, name := range slices.Sorted(maps.Keys(written)) {
		answer := written[name]
		page = replaceBlock(t, page, "example: "+name, func(old string) string {
			example := "```json\n" + answer + "```\n"
			if maskVarying(example) == maskVarying(old) {
				return old
			}
			return example
		})
	}
	checkPage(t, "json.md", []byte(page))
}

// replaceBlock replaces the lines between <!-- name --> and <!-- end -->.
func replaceBlock(t *testing.T, page, name string, f func(old string) string) string {
	t.Helper()
	begin, end := "<!-- "+name+" -->\n", "<!-- end -->\n"
	before, rest, ok1 := strings.Cut(page, begin)
	old, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Errorf("docs/json.md has no place for %q: add the lines %q and %q", name, begin, end)
		return page
	}
	return before + begin + f(old) + end + after
}

// fieldTable writes the table of an object, with the meanings that the page
// has.
func fieldTable(t *testing.T, name string, of reflect.Type, old string) string {
	t.Helper()
	meanings := map[string]string{}
	for line := range strings.Lines(old) {
		cells := strings.SplitN(strings.Trim(strings.TrimSpace(line), "|"), "|", 3)
		if len(cells) == 3 {
			meanings[strings.Trim(cells[0], " `")] = strings.TrimSpace(cells[2])
		}
	}
	var b strings.Builder
	b.WriteString("| field | type | meaning |\n| --- | --- | --- |\n")
	for _, f := range jsonFields(t, of) {
		meaning := meanings[f.key]
		if meaning == "" || meaning == "?" {
			t.Errorf("docs/json.md does not say what %q of %q means", f.key, name)
			meaning = "?"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.key, f.kind, meaning)
	}
	return b.String()
}

// jsonFields returns the fields that a struct has in JSON.
func jsonFields(t *testing.T, of reflect.Type) []jsonField {
	t.Helper()
	if stand, ok := ownJSON[of]; ok {
		of = stand
	}
	var fields []jsonField
	for i := range of.NumField() {
		f := of.Field(i)
		tag := f.Tag.Get("json")
		if !f.IsExported() || tag == "-" {
			continue
		}
		key, options, _ := strings.Cut(tag, ",")
		if key == "" {
			key = f.Name
		}
		kind := jsonKind(t, f.Type)
		if strings.Contains(options, "omit") {
			kind += ", optional"
		}
		fields = append(fields, jsonField{key: key, kind: kind, of: f.Type})
	}
	return fields
}

// jsonKind names a type in the words of the page.
func jsonKind(t *testing.T, of reflect.Type) string {
	t.Helper()
	if of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	for _, object := range jsonObjects {
		if object.of == of {
			return fmt.Sprintf("[%s](#%s)", object.name, strings.ReplaceAll(object.name, " ", "-"))
		}
	}
	switch of {
	case reflect.TypeFor[time.Time]():
		return "time"
	case reflect.TypeFor[time.Duration]():
		return "nanoseconds"
	case reflect.TypeFor[big.Rat]():
		return "fraction"
	case reflect.TypeFor[[]byte]():
		return "base64"
	}
	if of.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		return "string"
	}
	switch of.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint64:
		return "integer"
	case reflect.Slice:
		return "array of " + jsonKind(t, of.Elem())
	case reflect.Map:
		return "object of " + jsonKind(t, of.Elem())
	}
	t.Errorf("docs/json.md has no words for the type %v", of)
	return of.String()
}

// checkKeys fails for every key of an answer that its Go type does not show to
// jsonFields, and that the page therefore lacks.
func checkKeys(t *testing.T, where string, value any, of reflect.Type) {
	t.Helper()
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	switch v := value.(type) {
	case []any:
		for _, element := range v {
			checkKeys(t, where+"[]", element, of.Elem())
		}
	case map[string]any:
		if of.Kind() == reflect.Map {
			for key, element := range v {
				checkKeys(t, where+"."+key, element, of.Elem())
			}
			return
		}
		fields := jsonFields(t, of)
		for key, element := range v {
			i := slices.IndexFunc(fields, func(f jsonField) bool { return f.key == key })
			if i < 0 {
				t.Errorf("%s.%s is not documented", where, key)
				continue
			}
			checkKeys(t, where+"."+key, element, fields[i].of)
		}
	}
}

// exampleAnswers runs the commands and returns what they wrote, by the name of
// the example, with varying times, ids and folders made equal.
func exampleAnswers(t *testing.T) map[string]string {
	t.Helper()
	h := newHost(t, coldStore{class: "DEEP_ARCHIVE", speedup: "1", prices: "aws/us-east-1"}, symmetric, "")
	h.allow(t, "hot:  {mode: mirror, stores: [hot-a, hot-b]}", "hot:  {mode: mirror, stores: [hot-a, hot-b], on_failure: continue}")
	archive := places(t, "gpg-sym")[0]
	dest := filepath.Join(h.dir, "restored")
	answers := map[string]string{}
	for _, c := range []struct {
		name string
		code int
		args []string
		of   reflect.Type
	}{
		{"import --dry-run", 0, []string{"import", "--dry-run", archive}, reflect.TypeFor[importAnswer]()},
		{"import", 0, []string{"import", archive}, reflect.TypeFor[importAnswer]()},
		{"check", 0, []string{"check"}, reflect.TypeFor[checkAnswer]()},
		{"check --explain", 0, []string{"check", "--explain", "duplicity-full.20240101T000000Z.vol1.difftar.gpg"}, reflect.TypeFor[explainAnswer]()},
		{"status", 0, []string{"status"}, reflect.TypeFor[engine.Status]()},
		{"ls", 0, []string{"ls", "docs"}, reflect.TypeFor[listedPath]()},
		{"plan", 0, []string{"plan", "--bandwidth", "8 Mbit/s", "docs"}, reflect.TypeFor[engine.RestorePlan]()},
		{"thaw start", 0, []string{"thaw", "start", "--yes", "docs"}, reflect.TypeFor[thaw.Status]()},
		{"thaw status", 0, []string{"thaw", "status"}, reflect.TypeFor[jobsAnswer]()},
		{"restore", exitWaiting, []string{"restore", "--yes", "--detach", dest, "docs"}, reflect.TypeFor[restoreAnswer]()},
		{"verify", 0, []string{"verify"}, reflect.TypeFor[verifyAnswer]()},
		{"retier --dry-run", 0, []string{"retier", "--dry-run"}, reflect.TypeFor[retierAnswer]()},
		{"demo", 0, []string{"demo"}, reflect.TypeFor[demoAnswer]()},
	} {
		answers[c.name] = h.answer(t, c.code, c.of, c.args...)
	}
	lost, err := filepath.Glob(filepath.Join(h.dir, "hot-b", "*full*"))
	if err != nil || len(lost) == 0 {
		t.Fatalf("hot-b holds nothing: %v", err)
	}
	for _, file := range lost {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	answers["repair --dry-run"] = h.answer(t, 0, reflect.TypeFor[repairAnswer](), "repair", "--dry-run")
	answers["repair"] = h.answer(t, 0, reflect.TypeFor[repairAnswer](), "repair")

	h.must(t, "import", anotherFull(t, archive))
	answers["prune"] = h.answer(t, 0, reflect.TypeFor[pruneAnswer](), "prune", "--keep-full", "1", "--yes")
	return answers
}

// anotherFull copies the full set of an archive, as that of a month later.
func anotherFull(t *testing.T, archive string) string {
	t.Helper()
	dir := t.TempDir()
	files, err := filepath.Glob(filepath.Join(archive, "duplicity-full*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no full set: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.Replace(filepath.Base(file), "20240101", "20240201", 1)
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// answer runs a command with --json and checks that the page knows every key.
func (h *host) answer(t *testing.T, code int, of reflect.Type, args ...string) string {
	t.Helper()
	stdout, stderr, got := h.run(t, append([]string{"--json"}, args...)...)
	if got != code {
		t.Fatalf("isotherm %q exits with %d, want %d\n%s", args, got, code, stderr)
	}
	dec := json.NewDecoder(strings.NewReader(stdout))
	for dec.More() {
		var value any
		if err := dec.Decode(&value); err != nil {
			t.Fatalf("isotherm %q writes no JSON: %v\n%s", args, err, stdout)
		}
		checkKeys(t, strings.Join(args, " "), value, of)
	}
	return h.normalised(stdout)
}

// allow edits the policy.
func (h *host) allow(t *testing.T, old, text string) {
	t.Helper()
	path := filepath.Join(h.dir, "isotherm.yaml")
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(src, []byte(old)) {
		t.Fatalf("the policy has no %q", old)
	}
	if err := os.WriteFile(path, bytes.Replace(src, []byte(old), []byte(text), 1), 0o600); err != nil {
		t.Fatal(err)
	}
}

var (
	jobIDs     = regexp.MustCompile(`20\d{6}T\d{6}Z-[0-9a-f]{8}`)
	timeStamps = regexp.MustCompile(`"(20\d\d-\d\d-\d\dT[0-9:.]+Z)"`)
	varying    = regexp.MustCompile(`"\d+\.\d{6}"|"\d+/\d+"|\d{11,}`)
)

// normalised puts the host's folder at /srv/laptop, and the first time of now at
// the beginning of 2026, the others as far from it as they are.
func (h *host) normalised(answer string) string {
	answer = strings.ReplaceAll(answer, h.dir, "/srv/laptop")
	answer = jobIDs.ReplaceAllString(answer, "20260101T000000Z-0123abcd")
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var first time.Time
	return timeStamps.ReplaceAllStringFunc(answer, func(text string) string {
		at, err := time.Parse(`"`+time.RFC3339Nano+`"`, text)
		if err != nil || at.Year() < 2026 { // of the archive
			return text
		}
		if first.IsZero() {
			first = at
		}
		return began.Add(at.Sub(first).Round(10 * time.Minute)).Format(`"` + time.RFC3339 + `"`)
	})
}

// maskVarying hides what differs from month to month: prices for days of a month
// and the days until midnight.
func maskVarying(example string) string { return varying.ReplaceAllString(example, "…") }

// TestOwnJSON checks the types that write themselves against what stands for
// them.
func TestOwnJSON(t *testing.T) {
	t.Parallel()
	amount, err := price.NewAmount("1.5", "USD")
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []any{amount, thaw.Files{Names: []string{"a\xff"}, Sizes: []int64{1}, Waves: []int32{0}}} {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		var decoded any
		if err := json.Unmarshal(text, &decoded); err != nil {
			t.Fatal(err)
		}
		checkKeys(t, fmt.Sprintf("%T", value), decoded, reflect.TypeOf(value))
	}
}
