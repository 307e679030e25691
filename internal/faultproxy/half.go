package faultproxy

import (
	"bytes"
	"fmt"
	"time"

	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"
)

// largestHeader is more than any server takes.
const largestHeader = 1 << 20

// dripRest is the time between two bytes of a dripping body.
const dripRest = 10 * time.Millisecond

// A half is one direction of a connection, and the state of its toxic.
type half struct {
	conn *conn
	stub *toxics.ToxicStub
	// begin looks at a whole header. It says what the body is like, and whether
	// header and body are passed on.
	begin func(head []byte) (body framing, pass bool, err error)
	// over is called when a message has passed, or was swallowed.
	over func()

	head []byte  // of a header that has not come whole
	body framing // of the message under way
	busy bool    // a message is under way: its header has passed
	pass bool    // it is passed on

	fault *exchange // that is still to happen to the body; nil for none
	until int64     // data bytes before it; negative when it has happened
	dead  bool      // nothing passes any more
}

// run is the loop of a toxic. A link is never changed while it lives, so that
// there are no interrupts. To its end all that comes is taken, for whoever sends
// it would hang.
func (h *half) run(stub *toxics.ToxicStub, replies <-chan reply) {
	h.stub = stub
	for {
		select {
		case r := <-replies:
			h.send(r.data)
			if r.last {
				h.breakOff()
			}
		case chunk := <-stub.Input:
			if chunk == nil {
				h.bodyOver()
				stub.Close()
				return
			}
			if err := h.take(chunk.Data); err != nil {
				h.conn.proxy.confused(err)
				h.conn.abrupt.Store(true)
				h.breakOff()
			}
		}
	}
}

// take passes on what has come.
func (h *half) take(p []byte) error {
	for len(p) > 0 && !h.dead {
		if !h.busy {
			rest, err := h.takeHead(p)
			if err != nil {
				return err
			}
			p = rest
		} else {
			n, data, err := h.body.next(p)
			if err != nil {
				return err
			}
			h.takeBody(p[:n], data)
			p = p[n:]
		}
		if h.busy && h.body.over() {
			h.busy = false
			h.bodyOver()
			h.over()
		}
	}
	return nil
}

// bodyOver takes back a fault that the body was too short for, or that the client
// did not wait for.
func (h *half) bodyOver() {
	if h.fault != nil && h.until >= 0 {
		h.conn.proxy.spared()
	}
	h.fault = nil
}

// takeHead returns what follows the header.
func (h *half) takeHead(p []byte) ([]byte, error) {
	had := len(h.head)
	h.head = append(h.head, p...)
	end := bytes.Index(h.head, []byte("\r\n\r\n"))
	if end < 0 && len(h.head) > largestHeader {
		return nil, fmt.Errorf("no end of a header in %d bytes", len(h.head))
	}
	if end < 0 {
		return nil, nil
	}
	head := h.head[:end+4]
	h.head = nil
	body, pass, err := h.begin(head)
	if err != nil {
		return nil, err
	}
	h.body, h.pass, h.busy = body, pass, true
	if pass {
		h.send(head)
	}
	return p[len(head)-had:], nil
}

// plan sets the fault of a body, of which the length is negative when unknown.
func (h *half) plan(x *exchange, length int64) {
	if length < 0 {
		length = 1 << 10 // of a listing or an error, which are seldom shorter
	}
	h.fault, h.until = x, int64(x.where*float64(length))
}

// takeBody passes bytes of a body on, or does to them what is planned.
func (h *half) takeBody(p []byte, data bool) {
	switch {
	case !h.pass:
	case h.fault == nil || !data:
		h.send(p)
	case h.fault.kind == DripUp || h.fault.kind == DripDown:
		if h.until >= 0 {
			h.conn.proxy.happened(h.fault)
			h.until = -1
		}
		h.drip(p)
	case h.until >= int64(len(p)):
		h.until -= int64(len(p))
		h.send(p)
	case h.fault.kind == WrongUp || h.fault.kind == WrongDown:
		p[h.until] ^= 0x01
		h.conn.proxy.happened(h.fault)
		h.fault = nil
		h.send(p)
	default:
		h.send(p[:h.until])
		h.conn.proxy.happened(h.fault)
		h.until = -1
		switch h.fault.kind {
		case StallUp, StallDown:
			h.dead = true
			return
		case ResetUp, ResetDown:
			h.conn.abrupt.Store(true)
		}
		h.breakOff()
	}
}

// send passes bytes on.
func (h *half) send(p []byte) {
	if len(p) > 0 && !h.dead {
		h.stub.Output <- &stream.StreamChunk{Data: p, Timestamp: time.Now()}
	}
}

// drip passes bytes on slowly, as long as there is a connection.
func (h *half) drip(p []byte) {
	rest := time.NewTicker(dripRest)
	defer rest.Stop()
	for i := range p {
		h.send(p[i : i+1])
		select {
		case <-rest.C:
		case <-h.conn.gone:
			return
		}
	}
}

// breakOff ends the connection after what was sent.
func (h *half) breakOff() {
	h.dead = true
	h.stub.Close()
}
