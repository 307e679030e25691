package tiering

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/isotherm-backup/isotherm/backends/faulty"
	"github.com/isotherm-backup/isotherm/policy"
)

// absent stands for a file that does not exist.
const absent = "-"

// TestAnyFailuresThenRepair puts, overwrites and deletes files while stores
// fail in every way, loses processes and their machines' state, and repairs: each
// file then has, in every store, the content of the last put that succeeded, or
// of one that failed after it.
func TestAnyFailuresThenRepair(t *testing.T) {
	t.Parallel()
	for _, onFailure := range []policy.OnFailure{policy.Abort, policy.Continue} {
		t.Run(string(onFailure), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) { checkFailures(t, rt, onFailure) })
		})
	}
}

func checkFailures(t *testing.T, rt *rapid.T, onFailure policy.OnFailure) {
	opts := Options{StateDir: t.TempDir()}
	r := newRig(t, hotCold(3, 0, onFailure), opts)
	may := map[string][]string{volume(1): {absent}, volume(2): {absent}}
	names := slices.Sorted(maps.Keys(may))
	serial := 0
	rt.Repeat(map[string]func(*rapid.T){
		"put": func(rt *rapid.T) {
			name := rapid.SampledFrom(names).Draw(rt, "name")
			serial++
			data := fmt.Sprintf("%d %s", serial, strings.Repeat("x", rapid.SampledFrom([]int{0, 1, 2, blockSize}).Draw(rt, "more")))
			if err := put(t.Context(), r, name, data); err == nil {
				may[name] = []string{data}
			} else {
				may[name] = append(may[name], data)
			}
		},
		"delete": func(rt *rapid.T) {
			name := rapid.SampledFrom(names).Draw(rt, "name")
			if err := r.Delete(t.Context(), name); err == nil {
				may[name] = []string{absent}
			} else {
				may[name] = append(may[name], absent)
			}
		},
		"fault": func(rt *rapid.T) {
			s := rapid.SampledFrom(r.Stores()).Draw(rt, "store")
			r.faults[s].Set(drawRule(rt))
		},
		"vanish": func(rt *rapid.T) {
			r.faults[rapid.SampledFrom(r.Stores()).Draw(rt, "store")].Vanish(nil)
		},
		"heal": func(*rapid.T) { heal(r) },
		"restart": func(rt *rapid.T) {
			r = r.reopen(t, opts)
		},
		"repair": func(rt *rapid.T) {
			if _, err := r.Repair(t.Context(), RepairOptions{}); err != nil {
				rt.Fatalf("Repair: %v", err)
			}
		},
		"read": func(rt *rapid.T) {
			heal(r)
			for _, name := range names {
				wantOneOf(rt, t, r, name, may[name])
			}
		},
	})
	heal(r)
	r = r.reopen(t, opts)
	report, err := r.Repair(t.Context(), RepairOptions{})
	if err != nil || !report.Complete() || len(r.Degraded()) != 0 {
		rt.Fatalf("last Repair: %+v, %v; left %+v", report, err, r.Degraded())
	}
	for _, name := range names {
		got := wantOneOf(rt, t, r, name, may[name])
		for _, s := range r.Stores() {
			if in := r.on(s, name); in != got {
				rt.Errorf("%s in %s is %.20q, elsewhere %.20q", name, s, in, got)
			}
		}
	}
}

func drawRule(rt *rapid.T) faulty.Rule {
	fault := rapid.SampledFrom([]faulty.Fault{
		faulty.Fail(nil), faulty.LoseReply(nil), faulty.Cut(3, nil), faulty.Cut(blockSize+1, nil),
	}).Draw(rt, "fault")
	return faulty.Rule{
		Op:    rapid.SampledFrom([]faulty.Op{faulty.Any, faulty.Put, faulty.Delete, faulty.Get, faulty.List}).Draw(rt, "op"),
		Skip:  rapid.IntRange(0, 2).Draw(rt, "skip"),
		Times: rapid.IntRange(0, 2).Draw(rt, "times"),
		Fault: fault,
	}
}

func heal(r *rig) {
	for _, s := range r.faults {
		s.Set()
		s.Return()
	}
}

// wantOneOf checks that the file reads as one of the contents, and returns it.
func wantOneOf(rt *rapid.T, t *testing.T, r *rig, name string, may []string) string {
	got, err := content(t.Context(), r.Tiers, name)
	if errors.Is(err, fs.ErrNotExist) {
		got, err = absent, nil
	}
	if err != nil || !slices.Contains(may, got) {
		rt.Fatalf("%s is %.20q, %v; want one of %.20q", name, got, err, may)
	}
	return got
}
