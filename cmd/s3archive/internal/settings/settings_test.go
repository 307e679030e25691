package settings

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func replace(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.WriteFile(path+".new", []byte(text), 0o600), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
}

func TestControlFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.json")
	var warnings []error
	c := NewControl(path, Default(), func(err error) { warnings = append(warnings, err) })
	if got := c.Settings(); got != Default() {
		t.Errorf("without a file: %+v, want the defaults", got)
	}
	replace(t, path, `{"bulk": [20, 40], "clock_offset": -5}`)
	got := c.Settings()
	if got.Bulk.Min != 20*time.Second || got.Bulk.Max != 40*time.Second || got.ClockOffset != -5 || got.Standard != Default().Standard {
		t.Errorf("with a file: %+v", got)
	}
	// Files of one size, one after another, are told apart.
	for _, digit := range []string{"1", "2", "3"} {
		replace(t, path, `{"clock_offset": `+digit+`}`)
		if got := c.Settings().ClockOffset; got != float64(digit[0]-'0') {
			t.Errorf("clock_offset is %v, want %s", got, digit)
		}
	}
	for _, wrong := range []string{`{"bulk": "soon"}`, `{"days": 1}`, `{"speedup": 0}`, `{"bulk": [5, 1]}`, `{`} {
		warnings = nil
		replace(t, path, wrong)
		if got := c.Settings().ClockOffset; got != 3 || len(warnings) != 1 {
			t.Errorf("%s: clock_offset is %v with %d warnings, want the settings before and 1", wrong, got, len(warnings))
		}
		if c.Settings(); len(warnings) != 1 {
			t.Errorf("%s is warned of again", wrong)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got := c.Settings(); got != Default() {
		t.Errorf("after the file is gone: %+v, want the defaults", got)
	}
}
