package faultproxy

import (
	"net/http"
	"time"
)

// A Kind is what can happen to a request. Up is what goes to the server, Down what
// comes from it.
type Kind uint8

// The kinds of fault. Those of bodies do not concern messages that have none.
const (
	// Silent requests get no answer, and the connection stays open. By chance the
	// server has done what was asked, or never heard of it.
	Silent Kind = iota + 1
	// Lost answers: the server has done what was asked, and the connection is
	// reset in place of its answer.
	Lost
	// Busy requests are answered 503 and do not reach the server. By chance the
	// answer is an XML error of S3, or a page of HTML as load balancers send it.
	Busy
	// Reset connections end in mid-body, and what was under way is lost.
	ResetUp
	ResetDown
	// Cut bodies end early, and the connection in good order.
	CutUp
	CutDown
	// Stalled bodies end early, and the connection stays open.
	StallUp
	StallDown
	// Dripping bodies pass at 100 bytes a second.
	DripUp
	DripDown
	// Wrong bodies have one byte changed.
	WrongUp
	WrongDown
)

func (k Kind) String() string {
	names := [...]string{
		"none", "silent", "lost", "busy", "reset up", "reset down", "cut up", "cut down",
		"stall up", "stall down", "drip up", "drip down", "wrong up", "wrong down",
	}
	return names[k]
}

// up reports whether the fault is one of a request's body.
func (k Kind) up() bool {
	switch k {
	case ResetUp, CutUp, StallUp, DripUp, WrongUp:
		return true
	}
	return false
}

// down reports whether the fault is one of an answer's body.
func (k Kind) down() bool {
	switch k {
	case ResetDown, CutDown, StallDown, DripDown, WrongDown:
		return true
	}
	return false
}

// Shares say which part of the requests meets which fault: 0.05 is one in twenty.
// A request meets one at most, so that together they are 1 at most.
type Shares map[Kind]float64

// Faults are what a proxy does. The zero value passes everything on.
type Faults struct {
	Shares Shares
	// Only says which requests are concerned; nil for all. It is called by
	// several goroutines, and must not read the body.
	Only func(*http.Request) bool
	// Times is how many faults there are at most; 0 for no limit.
	Times int
	// RetryAfter goes with what is Busy, in whole seconds; 0 for no such header.
	RetryAfter time.Duration
	// Latency delays all that comes from the server, on connections that are made
	// from now on.
	Latency time.Duration
	// Down is a total outage: connections are reset, new ones at once.
	Down bool
}

// Counts are what a proxy has seen and done since it was made.
type Counts struct {
	Connections int // that were taken
	Refused     int // connections that were not
	Requests    int // that reached the proxy, whatever became of them
	// Early are requests that came before the time that an answer to the same
	// request had asked for with Retry-After.
	Early int
	Of    map[Kind]int // faults that happened
}

// An exchange is a request and its answer, with the fault that they meet.
type exchange struct {
	kind   Kind // 0 for none
	method string
	where  float64 // in the body, from 0 to 1
	heads  bool    // the toss of a coin
	after  time.Duration
}

// begin takes a request in, and draws its lot.
func (p *Proxy) begin(r *http.Request, hasBody bool) *exchange {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.Requests++
	key := r.Method + " " + r.URL.String()
	if time.Now().Before(p.notBefore[key]) {
		p.counts.Early++
	}
	x := &exchange{method: r.Method, after: p.faults.RetryAfter}
	if p.faults.Only != nil && !p.faults.Only(r) {
		return x
	}
	// Each request takes as many numbers as any other, whatever becomes of it.
	lot := p.lots.Float64()
	x.where, x.heads = p.lots.Float64(), p.lots.IntN(2) == 0
	for k := Silent; k <= WrongDown; k++ {
		if lot -= p.faults.Shares[k]; lot < 0 {
			x.kind = k
			break
		}
	}
	if x.kind == 0 || x.kind.up() && !hasBody || p.faults.Times > 0 && p.drawn >= p.faults.Times {
		x.kind = 0
		return x
	}
	p.drawn++
	if x.kind == Busy && x.after > 0 {
		p.notBefore[key] = time.Now().Add(x.after)
	}
	return x
}

// happened counts the fault of an exchange.
func (p *Proxy) happened(x *exchange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.Of[x.kind]++
}

// spared takes back a fault that could not happen.
func (p *Proxy) spared() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drawn--
}
