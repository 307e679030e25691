package thaw

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/policy/price"
)

// A job is two files, in StateDir/jobs and, named with hotPrefix before, in the
// hot tier: ID.json is the plan, which never changes; ID.state.json is the
// progress, small, and rewritten. What the stores say of themselves is enough
// to carry on when the progress is old: it only saves requests.
const (
	hotPrefix     = "isotherm-job-"
	planSuffix    = ".json"
	stateSuffix   = ".state.json"
	recordVersion = 1
)

// record is a job's plan as written down.
type record struct {
	Version int    `json:"version"`
	ID      string `json:"id"`
	Plan    *Plan  `json:"plan"`
}

// rawRecord is a record whose plan is encoded already.
type rawRecord struct {
	Version int             `json:"version"`
	ID      string          `json:"id"`
	Plan    json.RawMessage `json:"plan"`
}

// jobID names a job after its plan and the plan's text, so that starting one plan twice gives one
// job.
func jobID(p *Plan, text []byte) string {
	sum := sha256.Sum256(text)
	return p.MadeAt.UTC().Format("20060102T150405Z") + "-" + hex.EncodeToString(sum[:4])
}

// validID reports whether an id can be part of a file name.
func validID(id string) bool {
	return id != "" && len(id) <= 64 && strings.Trim(id, "0123456789abcdefghijklmnopqrstuvwxyzTZ-") == ""
}

// parseRecord reads a plan that was written down, and checks what the job
// relies on. Errors are backends.ErrCorrupt.
func parseRecord(text []byte) (*record, error) {
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("thaw job: %w", errors.Join(backends.ErrCorrupt, err))
	}
	if r.Version != recordVersion {
		return nil, fmt.Errorf("thaw job is of version %d, this program reads %d: %w", r.Version, recordVersion, backends.ErrUnsupported)
	}
	if !validID(r.ID) || r.Plan == nil {
		return nil, fmt.Errorf("thaw job has no id or no plan: %w", backends.ErrCorrupt)
	}
	if err := r.Plan.check(); err != nil {
		return nil, fmt.Errorf("thaw job %s: %w", r.ID, errors.Join(backends.ErrCorrupt, err))
	}
	return &r, nil
}

// check finds what would make a plan impossible to carry out.
func (p *Plan) check() error {
	if p.Version != planVersion {
		return fmt.Errorf("plan is of version %d, this program reads %d", p.Version, planVersion)
	}
	n := len(p.Files.Names)
	if len(p.Files.Sizes) != n || len(p.Files.Waves) != n {
		return fmt.Errorf("plan has %d names, %d sizes and %d waves", n, len(p.Files.Sizes), len(p.Files.Waves))
	}
	for i, w := range p.Files.Waves {
		if w < 0 || int(w) >= len(p.Waves) || p.Files.Sizes[i] < 0 {
			return fmt.Errorf("file %d of the plan has wave %d, size %d", i, w, p.Files.Sizes[i])
		}
	}
	for i, w := range p.Waves {
		if w.Store < 0 || w.Store >= len(p.Stores) {
			return fmt.Errorf("wave %d of the plan is in store %d", i, w.Store)
		}
		if w.Keep < 0 {
			return fmt.Errorf("wave %d of the plan is kept for %s", i, w.Keep)
		}
	}
	return nil
}

// progress is what a job has noted down beside its plan.
type progress struct {
	Version int         `json:"version"`
	Status  Status      `json:"status"`
	Asked   bitmap      `json:"asked,omitempty"`    // by file: asked for at least once
	Done    bitmap      `json:"done,omitempty"`     // by file: read
	AskedAt []time.Time `json:"asked_at,omitempty"` // by wave: when it was last asked for
}

// parseProgress reads a progress. Errors are backends.ErrCorrupt.
func parseProgress(text []byte) (*progress, error) {
	var p progress
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, fmt.Errorf("state of a thaw job: %w", errors.Join(backends.ErrCorrupt, err))
	}
	if p.Version != recordVersion {
		return nil, fmt.Errorf("state of a thaw job is of version %d, this program reads %d: %w", p.Version, recordVersion, backends.ErrUnsupported)
	}
	if !validID(p.Status.ID) {
		return nil, fmt.Errorf("state of a thaw job has no id: %w", backends.ErrCorrupt)
	}
	return &p, nil
}

// fit gives the lists of a progress the lengths that the plan says.
func (p *progress) fit(plan *Plan) {
	p.Asked = p.Asked.resized(plan.Len())
	p.Done = p.Done.resized(plan.Len())
	at := make([]time.Time, len(plan.Waves))
	copy(at, p.AskedAt)
	p.AskedAt = at
}

// merge takes over what another machine or process has noted of the same job.
// Nothing noted is ever taken back, so the order of merges does not matter.
func (p *progress) merge(q *progress) {
	p.Asked.or(q.Asked)
	p.Done.or(q.Done)
	for i := range min(len(p.AskedAt), len(q.AskedAt)) {
		if q.AskedAt[i].After(p.AskedAt[i]) {
			p.AskedAt[i] = q.AskedAt[i]
		}
	}
	s, o := &p.Status, &q.Status
	if s.State == Running && o.State != Running {
		s.State, s.Ended = o.State, o.Ended
	}
	s.Requests, s.Repeated = max(s.Requests, o.Requests), max(s.Repeated, o.Repeated)
	s.Extra = mostOf(s.Extra, o.Extra)
}

// mostOf is the larger amount of each currency.
func mostOf(a, b []price.Amount) []price.Amount {
	most := slices.Clone(a)
	for _, y := range b {
		i := slices.IndexFunc(most, func(x price.Amount) bool { return x.Currency == y.Currency })
		if i < 0 {
			most = append(most, y)
			continue
		}
		if c, err := most[i].Cmp(y); err == nil && c < 0 {
			most[i] = y
		}
	}
	return price.Sum(most...)
}

// bitmap is a set of small numbers; in JSON it is base64.
type bitmap []byte

func (b bitmap) has(i int) bool { return b[i>>3]&(1<<(i&7)) != 0 }
func (b bitmap) set(i int)      { b[i>>3] |= 1 << (i & 7) }
func (b bitmap) clear(i int)    { b[i>>3] &^= 1 << (i & 7) }

func (b bitmap) or(c bitmap) {
	for i := range min(len(b), len(c)) {
		b[i] |= c[i]
	}
}

// resized returns a copy for n numbers, without what is beyond.
func (b bitmap) resized(n int) bitmap {
	c := make(bitmap, (n+7)/8)
	copy(c, b)
	if rest := n & 7; rest != 0 {
		c[len(c)-1] &= 1<<rest - 1
	}
	return c
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
