package gateway

import (
	"hash/fnv"
	"sync"
)

// stripes is how many keys can be written at the same time at most; it is a number that makes waiting for another key rare.
const stripes = 256

// locks are held while a key's version changes, so that its file and its place in the index change together.
type locks [stripes]sync.Mutex

// lock locks a key and returns how to unlock it. Nobody may hold two.
func (l *locks) lock(bucket, key string) (unlock func()) {
	h := fnv.New32a()
	h.Write([]byte(bucket))
	h.Write([]byte{0})
	h.Write([]byte(key))
	m := &l[h.Sum32()%stripes]
	m.Lock()
	return m.Unlock
}
