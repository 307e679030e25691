package main

import (
	"encoding/json"
	"log"
	"os"
	"path/filepath"
)

func (a *archive) event(bucket, key string, more map[string]any) {
	more["bucket"], more["key"], more["time"] = bucket, key, float64(a.now().UnixMilli())/1000
	line, err := json.Marshal(more)
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	f, err := os.OpenFile(filepath.Join(a.state, "events.jsonl"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		log.Print(err)
		return
	}
	defer f.Close()
	f.Write(append(line, '\n'))
}
