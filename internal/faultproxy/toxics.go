package faultproxy

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/Shopify/toxiproxy/v2/toxics"
)

// The names under which toxiproxy knows our toxics.
const (
	requestToxic = "isotherm_requests"
	answerToxic  = "isotherm_answers"
)

// requests is the toxic on the way up. toxiproxy makes it; the proxy is set
// before there is a connection.
type requests struct{ proxy *Proxy }

var _ toxics.StatefulToxic = (*requests)(nil)

// NewState returns the state of the connection that is being made.
func (t *requests) NewState() any {
	c := t.proxy.making
	h := &half{conn: c}
	u := &upward{half: h}
	h.begin, h.over = u.begin, u.over
	return h
}

// Pipe passes requests on.
func (t *requests) Pipe(stub *toxics.ToxicStub) { stub.State.(*half).run(stub, nil) }

// upward is the way of requests.
type upward struct {
	*half
	reply *reply // to the request that is being swallowed
}

func (u *upward) begin(head []byte) (framing, bool, error) {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		return framing{}, false, fmt.Errorf("request that cannot be read: %w", err)
	}
	body := framed(r.ContentLength, r.TransferEncoding)
	body.endless = false // requests are never
	p := u.conn.proxy
	x := p.begin(r, r.ContentLength != 0)
	switch {
	case x.kind == Busy:
		p.happened(x)
		u.reply = &reply{data: x.busy(), last: r.Header.Get("Expect") != ""}
		if u.reply.last { // the body is not even sent
			u.conn.replies <- *u.reply
			u.dead = true
		}
		return body, false, nil
	case x.kind == Silent && x.heads:
		p.happened(x)
		u.dead = true
		return body, false, nil
	case x.kind.up():
		u.plan(x, r.ContentLength)
		x = &exchange{method: x.method} // the way down has nothing to do
	}
	u.conn.exchanges <- x
	return body, true, nil
}

func (u *upward) over() {
	if u.reply != nil {
		u.conn.replies <- *u.reply
		u.reply = nil
	}
}

// answers is the toxic on the way down, made like requests.
type answers struct{ proxy *Proxy }

var _ toxics.StatefulToxic = (*answers)(nil)

// NewState returns the state of the connection that is being made.
func (t *answers) NewState() any {
	c := t.proxy.making
	h := &half{conn: c, over: func() {}}
	d := &downward{half: h}
	h.begin = d.begin
	return h
}

// Pipe passes answers on, and those that the way up gives.
func (t *answers) Pipe(stub *toxics.ToxicStub) {
	h := stub.State.(*half)
	h.run(stub, h.conn.replies)
	for { // of requests for whose answers the client did not wait
		select {
		case x := <-h.conn.exchanges:
			if x.kind != 0 {
				t.proxy.spared()
			}
		default:
			return
		}
	}
}

// downward is the way of answers.
type downward struct {
	*half
	now *exchange // that waits for its final answer; nil for the next one
}

func (d *downward) begin(head []byte) (framing, bool, error) {
	if d.now == nil {
		select {
		case d.now = <-d.conn.exchanges:
		default:
			d.now = &exchange{method: http.MethodGet} // unasked, such as 408 on an idle connection
		}
	}
	x := d.now
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), &http.Request{Method: x.method})
	if err != nil {
		return framing{}, false, fmt.Errorf("answer that cannot be read: %w", err)
	}
	if r.StatusCode < 200 {
		return framing{}, true, nil // more follows
	}
	d.now = nil
	length := r.ContentLength
	if x.method == http.MethodHead || r.StatusCode == http.StatusNoContent || r.StatusCode == http.StatusNotModified {
		length = 0
	}
	body := framed(length, r.TransferEncoding)
	switch {
	case x.kind == Silent:
		d.conn.proxy.happened(x)
		d.dead = true
		return body, false, nil
	case x.kind == Lost:
		d.conn.proxy.happened(x)
		d.conn.abrupt.Store(true)
		d.breakOff()
		return body, false, nil
	case x.kind.down() && body.over():
		d.conn.proxy.spared()
	case x.kind.down():
		d.plan(x, length)
	}
	return body, true, nil
}

// A reply is an answer of our own.
type reply struct {
	data []byte
	last bool // the connection ends after it
}

// busy returns the answer to a Busy request.
func (x *exchange) busy() []byte {
	kind, body := "text/html", "<html><body><h1>503 Service Unavailable</h1>No server is available.</body></html>\n"
	if x.heads {
		kind, body = "application/xml", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
	}
	var b strings.Builder
	b.WriteString("HTTP/1.1 503 Service Unavailable\r\n")
	header := http.Header{"Content-Type": {kind}, "Content-Length": {strconv.Itoa(len(body))}}
	if x.after > 0 {
		header.Set("Retry-After", strconv.Itoa(int(x.after/time.Second)))
	}
	_ = header.Write(&b) // a Builder never fails
	b.WriteString("\r\n")
	if x.method != http.MethodHead {
		b.WriteString(body)
	}
	return []byte(b.String())
}
