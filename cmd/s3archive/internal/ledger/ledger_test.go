package ledger

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLedger(t *testing.T) {
	var l Ledger
	put := Item{Kind: Put, Operation: "PutObject", Class: "GLACIER", Status: 200}
	get := Item{Kind: Get, Operation: "GetObject", Class: "STANDARD", Status: 403}
	l.Add(put, 10)
	l.Add(get, 0)
	l.Add(put, 5)
	want := []Line{{get, 1, 0}, {put, 2, 15}}
	if diff := cmp.Diff(want, l.Lines()); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if !l.Changed() || l.Changed() {
		t.Error("Changed is not true once")
	}

	data, err := json.Marshal(&l)
	if err != nil {
		t.Fatal(err)
	}
	var again Ledger
	if err := json.Unmarshal(data, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, again.Lines()); diff != "" {
		t.Errorf("lines that were kept (-want +got):\n%s", diff)
	}
	l.Reset()
	if len(l.Lines()) != 0 || !l.Changed() {
		t.Error("a ledger that was reset has lines, or has not changed")
	}
}
