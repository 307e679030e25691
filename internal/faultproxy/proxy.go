package faultproxy

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/rs/zerolog"
)

// A Proxy stands in front of one server. It may be used by several goroutines.
type Proxy struct {
	tb       testing.TB
	upstream string // host:port
	listener *net.TCPListener
	api      *toxiproxy.ApiServer
	running  sync.WaitGroup // whatever the proxy has started
	making   *conn          // for our toxics, while a link starts; of serve alone

	mu        sync.Mutex
	faults    Faults
	chain     *toxiproxy.Proxy // the toxics of new connections
	lots      *rand.Rand
	drawn     int // faults since Set
	counts    Counts
	notBefore map[string]time.Time // by method and URL: what Retry-After said
	conns     map[*conn]bool       // nil after the end
}

// New starts a proxy on a free port of loopback, before the server at a URL. It
// ends with the test.
func New(tb testing.TB, upstream string, seed uint64) *Proxy {
	tb.Helper()
	u, err := url.Parse(upstream)
	if err != nil || u.Scheme != "http" || u.Port() == "" {
		tb.Fatalf("faultproxy: %q is no URL such as http://127.0.0.1:8080", upstream)
	}
	toxics.Register(requestToxic, new(requests))
	toxics.Register(answerToxic, new(answers))
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{
		tb: tb, upstream: u.Host, listener: listener,
		api:       toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()),
		lots:      rand.New(rand.NewPCG(seed, 0)),
		counts:    Counts{Of: make(map[Kind]int)},
		notBefore: make(map[string]time.Time),
		conns:     make(map[*conn]bool),
	}
	p.Set(Faults{})
	p.running.Go(p.serve) // ends when the listener is closed
	tb.Cleanup(p.end)
	return p
}

// Addr returns the host and port to use in place of the server's.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// URL returns the URL to use in place of the server's.
func (p *Proxy) URL() string { return "http://" + p.Addr() }

// Set says what happens from now on. Requests under way keep their lot.
func (p *Proxy) Set(f Faults) {
	chain, err := p.newChain(f.Latency)
	if err != nil {
		p.tb.Fatalf("faultproxy: %v", err)
	}
	p.mu.Lock()
	p.faults, p.chain, p.drawn = f, chain, 0
	var open []*conn
	if f.Down {
		open = p.open()
	}
	p.mu.Unlock()
	for _, c := range open {
		c.reset()
	}
}

// Counts returns what has happened so far.
func (p *Proxy) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	counts := p.counts
	counts.Of = maps.Clone(p.counts.Of)
	return counts
}

// newChain returns a set of toxics. One for each Set, since toxiproxy cannot
// change those of a link that is in use without a race.
func (p *Proxy) newChain(latency time.Duration) (*toxiproxy.Proxy, error) {
	chain := toxiproxy.NewProxy(p.api, "faultproxy", p.Addr(), p.upstream)
	up, err := chain.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(`{"type": %q, "stream": "upstream"}`, requestToxic)))
	if err != nil {
		return nil, err
	}
	down, err := chain.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(`{"type": %q, "stream": "downstream"}`, answerToxic)))
	if err != nil {
		return nil, err
	}
	up.Toxic.(*requests).proxy, down.Toxic.(*answers).proxy = p, p
	if latency > 0 {
		_, err = chain.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(
			`{"type": "latency", "stream": "downstream", "attributes": {"latency": %d}}`, latency.Milliseconds())))
	}
	return chain, err
}

// serve takes connections until the listener is closed.
func (p *Proxy) serve() {
	for n := 0; ; n++ {
		client, err := p.listener.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			p.confused(err)
			continue
		}
		c, chain := p.connect(client)
		if c == nil {
			continue
		}
		p.making = c
		for direction, link := range [...]struct{ from, to *net.TCPConn }{
			stream.Upstream:   {c.client, c.server},
			stream.Downstream: {c.server, c.client},
		} {
			chain.Toxics.StartLink(p.api, fmt.Sprint(n, direction), &source{c, link.from}, &sink{conn: c, to: link.to}, stream.Direction(direction))
		}
	}
}

// connect connects a client with the server; nil when it is refused.
func (p *Proxy) connect(client *net.TCPConn) (*conn, *toxiproxy.Proxy) {
	// What lies in our buffers has passed the network as far as the client can
	// tell, and a stalled upload would be noticed late.
	_ = client.SetReadBuffer(64 << 10)
	c := newConn(p, client, nil)
	server, err := net.Dial("tcp", p.upstream)
	p.mu.Lock()
	refused := err != nil || p.faults.Down || p.conns == nil
	if refused {
		p.counts.Refused++
	} else {
		p.counts.Connections++
		c.server = server.(*net.TCPConn)
		p.conns[c] = true
		p.running.Add(4) // both ends of both links
	}
	chain := p.chain
	p.mu.Unlock()
	if !refused {
		return c, chain
	}
	_ = client.SetLinger(0)
	_ = client.Close()
	if err == nil {
		_ = server.Close()
	}
	return nil, nil
}

// open returns the connections there are. The caller holds mu.
func (p *Proxy) open() []*conn {
	var open []*conn
	for c := range p.conns {
		open = append(open, c)
	}
	return open
}

func (p *Proxy) forget(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// confused tells of what the proxy could not make sense of.
func (p *Proxy) confused(err error) { p.tb.Errorf("faultproxy: %v", err) }

// end closes everything, and waits for it.
func (p *Proxy) end() {
	_ = p.listener.Close()
	p.mu.Lock()
	open := p.open()
	p.conns = nil
	p.mu.Unlock()
	for _, c := range open {
		c.reset()
	}
	p.running.Wait()
}
