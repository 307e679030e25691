//go:build linux || darwin

package network

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// unsentBytes is how much of an upload may lie in the system's queue before it is
// sent at all. By default that is megabytes: on a slow line the answer to an
// upload would be waited for long before its body has left, and a stalled upload
// be noticed late.
const unsentBytes = 128 << 10

// shortQueue limits what the system queues of a connection. Failing at it is not
// worth an error.
func shortQueue(_, _ string, c syscall.RawConn) error {
	_ = c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentBytes)
	})
	return nil
}
