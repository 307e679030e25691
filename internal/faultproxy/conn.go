package faultproxy

import (
	"net"
	"sync"
	"sync/atomic"
)

// A conn is a client's connection and ours to the server.
type conn struct {
	proxy          *Proxy
	client, server *net.TCPConn
	exchanges      chan *exchange // requests on their way, for the way down
	replies        chan reply     // of our own, for the way down
	gone           chan struct{}  // closed with the connection
	abrupt         atomic.Bool    // it ends by a reset
	once           sync.Once
}

// waiting is how many requests a connection may have under way; clients of
// HTTP/1.1 have one.
const waiting = 16

func newConn(p *Proxy, client, server *net.TCPConn) *conn {
	return &conn{
		proxy: p, client: client, server: server,
		exchanges: make(chan *exchange, waiting), replies: make(chan reply, waiting), gone: make(chan struct{}),
	}
}

// close ends both connections. Errors do not matter: the other side may have
// been faster.
func (c *conn) close() {
	c.once.Do(func() {
		close(c.gone)
		for _, side := range []*net.TCPConn{c.client, c.server} {
			if c.abrupt.Load() {
				_ = side.SetLinger(0)
			}
			_ = side.Close()
		}
		c.proxy.forget(c)
	})
}

// reset ends both connections at once.
func (c *conn) reset() {
	c.abrupt.Store(true)
	c.close()
}

// A source is what a link reads from. A client that has gone takes everything
// with it; what a server said before it went still passes.
type source struct {
	conn *conn
	from *net.TCPConn
}

// Read ends a goroutine of the link with its first error.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	if err != nil {
		if s.from == s.conn.client {
			s.conn.close()
		}
		s.conn.proxy.running.Done()
	}
	return n, err
}

// A sink is what a link writes to. It takes everything, also what it cannot send:
// a link whose sink fails leaves behind whoever still sends into it (toxiproxy
// 2.5.0, link.go, write).
type sink struct {
	conn   *conn
	to     *net.TCPConn
	failed bool
}

// Write never fails. A server that does not take all of a request may have
// answered it.
func (s *sink) Write(p []byte) (int, error) {
	if s.failed {
		return len(p), nil
	}
	if _, err := s.to.Write(p); err != nil {
		s.failed = true
		if s.to == s.conn.client {
			s.conn.close()
		}
	}
	return len(p), nil
}

// Close is the last act of a link.
func (s *sink) Close() error {
	s.conn.close()
	s.conn.proxy.running.Done()
	return nil
}
