package sockettest

import (
	"fmt"
	"time"

	"github.com/troupe-dev/troupe/websock"
)

// Next waits for the next message of the peer and returns it: text, binary or pong. Pings are passed over; Want can
// ask for them. The message belongs to the test.
func (c *Conn) Next() websock.Message {
	c.t.Helper()
	e := c.next("Next", "a message", event.isPing)
	if !e.isMessage() {
		c.t.Fatalf("sockettest: Next: got %v, want a message", e)
	}
	return e.msg
}

// Want waits for messages, which must come in this order and with nothing in between but pings. A ping can be wanted,
// too: the pings before it that have another payload are passed over.
func (c *Conn) Want(ms ...websock.Message) {
	c.t.Helper()
	for i, want := range ms {
		call := "Want"
		if len(ms) > 1 {
			call = fmt.Sprintf("Want, message %d of %d", i+1, len(ms))
		}
		e := c.next(call, want.String(), func(e event) bool { return e.isPing() && !e.msg.Equal(want) })
		if !e.isMessage() || !e.msg.Equal(want) {
			c.t.Fatalf("sockettest: %s: got %v, want %v", call, e, want)
		}
	}
}

// WantNothing waits for d and fails the test when anything but pings arrives, or has arrived and not been asked for. What
// comes exactly d later does not count. Neither does the end of the connection after the peer's Close frame.
func (c *Conn) WantNothing(d time.Duration) {
	c.t.Helper()
	something := func(when func(event) bool) {
		c.t.Helper()
		e, ok := c.inbox.first(func(e event) bool { return e.isPing() || e.end != nil && e.why == endClosed })
		if ok && when(e) {
			c.told(e)
			c.t.Fatalf("sockettest: WantNothing: got %v, want nothing for %v", e, d)
		}
	}
	until := time.Now().Add(d)
	timer := time.NewTimer(d)
	defer timer.Stop()
	something(func(event) bool { return true })
	for over := false; !over; {
		select {
		case <-c.inbox.arrived:
		case <-timer.C:
			over = true
		}
		something(func(e event) bool { return e.at.Before(until) })
	}
}

// WantClose waits for the peer's Close frame, which must come next and have exactly this code and close reason.
// [websock.CloseNoStatus] stands for an empty one. This end has answered it when WantClose returns.
func (c *Conn) WantClose(code websock.CloseCode, closeReason string) {
	c.t.Helper()
	want := closeFrame(code, closeReason)
	e := c.next("WantClose", want, event.isPing)
	if e.peer == nil || *e.peer != (websock.CloseDetail{Code: code, Reason: closeReason}) {
		c.t.Fatalf("sockettest: WantClose: got %v, want %s", e, want)
	}
}

// WantDropped waits for the end of the connection, which must come next and without a Close frame.
func (c *Conn) WantDropped() {
	c.t.Helper()
	const want = "the end of the connection without a Close frame"
	e := c.next("WantDropped", want, event.isPing)
	if e.end == nil || e.why != endLost {
		c.t.Fatalf("sockettest: WantDropped: got %v, want %s", e, want)
	}
}

// next waits for the next event that skip does not pass over. The end of the connection is the next one for ever.
func (c *Conn) next(call, want string, skip func(event) bool) event {
	c.t.Helper()
	timer := time.NewTimer(c.limit)
	defer timer.Stop()
	defer c.conn.want(false)
	for {
		if e, ok := c.inbox.take(skip); ok {
			c.told(e)
			return e
		}
		c.conn.want(true) // an event that came since take has left a token in arrived
		select {
		case <-c.inbox.arrived:
		case <-timer.C:
			c.t.Fatalf("sockettest: %s: got nothing within %v, want %s", call, c.limit, want)
		}
	}
}

// told notes that the caller reports e, so that the end of the test need not.
func (c *Conn) told(e event) {
	if e.why == endBroken {
		c.broken.Store(false)
	}
}
