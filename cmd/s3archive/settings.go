package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// settings are the times in seconds; the control file overrides them.
type settings struct {
	Expedited    float64 `json:"expedited"`
	Standard     float64 `json:"standard"`
	Bulk         float64 `json:"bulk"`
	DeepStandard float64 `json:"deep_standard"`
	DeepBulk     float64 `json:"deep_bulk"`
	Day          float64 `json:"day"`
	ClockOffset  float64 `json:"clock_offset"`
}

// times reads the control file again when it has changed.
func (a *archive) times() settings {
	a.mu.Lock()
	defer a.mu.Unlock()
	path := filepath.Join(a.state, "control.json")
	stamp := ""
	if info, err := os.Stat(path); err == nil {
		stamp = fmt.Sprint(info.ModTime().UnixNano(), info.Size(), info.Sys().(*syscall.Stat_t).Ino)
	}
	if stamp == a.stamp {
		return a.current
	}
	next := a.base
	if stamp != "" {
		data, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(data, &next)
		}
		if err != nil {
			log.Printf("%s: %v", path, err)
			return a.current
		}
	}
	a.current, a.stamp = next, stamp
	return next
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func (a *archive) now() time.Time { return time.Now().Add(seconds(a.times().ClockOffset)) }
