package walk

// UseOldStat makes a Tree describe files as it must where statx is missing.
func (t *Tree) UseOldStat() { t.old = true }

// CloseIdle closes the directories that nobody uses at the moment, as if many others had
// been opened since. It returns how many remain.
func (t *Tree) CloseIdle() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.closeOne() {
	}
	return len(t.descriptors.open)
}

// Users is how many uses of the root are still to come.
func (t *Tree) Users() int { return int(t.root.users.Load()) }
