package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
)

// Control overrides the settings of the command line by a file, which it reads again whenever it has changed.
// It is safe for concurrent use.
type Control struct {
	path string
	base Settings
	warn func(error)

	mu      sync.Mutex  // guards what follows
	read    os.FileInfo // of the file that current was read from, nil if there was none
	current Settings
}

// NewControl reads path over base; warn is told when the file is wrong, and the settings before stay in force.
func NewControl(path string, base Settings, warn func(error)) *Control {
	return &Control{path: path, base: base, warn: warn, current: base}
}

// Settings are those in force now.
func (c *Control) Settings() Settings {
	c.mu.Lock()
	defer c.mu.Unlock()
	info, err := os.Stat(c.path)
	if err != nil {
		info = nil
	}
	if same(info, c.read) {
		return c.current
	}
	c.read = info
	next, err := c.load()
	if err != nil {
		c.warn(fmt.Errorf("%s: %w", c.path, err))
		return c.current
	}
	c.current = next
	return next
}

// same says whether two looks at the file saw one content; nil stands for no file.
func same(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == b
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

func (c *Control) load() (Settings, error) {
	data, err := os.ReadFile(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return c.base, nil
	}
	if err != nil {
		return c.current, err
	}
	return c.base.Override(data)
}
