package gateway

import (
	"testing"
	"time"
)

func TestRate(t *testing.T) {
	var r rate
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	took := func(n int) (taken int) {
		for range n {
			if r.take(10, now) {
				taken++
			}
		}
		return taken
	}
	if got := took(20); got != 10 {
		t.Errorf("of 20 at once %d are taken, want a second's worth: 10", got)
	}
	now = now.Add(500 * time.Millisecond)
	if got := took(20); got != 5 {
		t.Errorf("half a second later %d are taken, want 5", got)
	}
	now = now.Add(time.Hour)
	if got := took(20); got != 10 {
		t.Errorf("an hour later %d are taken, want 10", got)
	}
	if !r.take(0, now) {
		t.Error("one is refused without a limit")
	}
}

func TestShare(t *testing.T) {
	var sum float64
	for _, key := range []string{"vol1", "vol2", "vol3", "vol4", "vol5", "vol6", "vol7", "vol8", "vol9", "vol10"} {
		s := share(1, "b", key)
		if s < 0 || s >= 1 || s != share(1, "b", key) || s == share(2, "b", key) {
			t.Errorf("the share of %s is %v", key, s)
		}
		sum += s
	}
	if sum < 2.5 || sum > 7.5 {
		t.Errorf("ten shares add up to %v, want about 5", sum)
	}
}
