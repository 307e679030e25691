package network

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/isotherm-backup/isotherm/backends"
)

// Transient reports whether an error of a connection is worth another try: it
// was refused, reset, cut off or took too long, or a name server had no answer.
// What the caller's own context ended is not, nor is a certificate that does not
// fit.
func Transient(err error) bool {
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return false
	case errors.Is(err, backends.ErrTransient), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return true
	case errors.Is(err, net.ErrClosed):
		return true // net/http closes a connection whose reading end has failed while it still writes
	}
	for _, errno := range []syscall.Errno{
		syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.ECONNABORTED, syscall.EPIPE,
		syscall.ETIMEDOUT, syscall.ENETUNREACH, syscall.EHOSTUNREACH,
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.IsTemporary || dns.IsTimeout
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return true
	}
	// net/http has no value for these two.
	return err != nil && (strings.Contains(err.Error(), "server closed idle connection") ||
		strings.Contains(err.Error(), "transport connection broken"))
}
