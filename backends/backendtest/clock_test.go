package backendtest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/isotherm-backup/isotherm/backends/backendtest"
)

func TestClock(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	synctest.Test(t, func(t *testing.T) {
		c := backendtest.NewClock(noon)
		woken := make(chan error, 1)
		go func() { woken <- c.Sleep(t.Context(), time.Hour) }()
		synctest.Wait()
		c.Advance(time.Hour - 1)
		synctest.Wait()
		if len(woken) > 0 {
			t.Error("a sleeper woke early")
		}
		c.Advance(1)
		if err := <-woken; err != nil {
			t.Errorf("Sleep: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { woken <- c.Sleep(ctx, time.Hour) }()
		synctest.Wait()
		cancel()
		if err := <-woken; !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled Sleep: %v", err)
		}
		c.Hurry = true
		if err := c.Sleep(t.Context(), time.Hour); err != nil {
			t.Errorf("hurried Sleep: %v", err)
		}
		if got, want := c.Now(), noon.Add(2*time.Hour); !got.Equal(want) {
			t.Errorf("clock says %v, want %v", got, want)
		}
	})
}
