package sockettest

import (
	"fmt"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/websock"
)

// event is one thing that a Conn has met: a message, the peer's Close frame, or the end of the connection.
type event struct {
	at   time.Time
	msg  websock.Message      // when the others are nil
	peer *websock.CloseDetail // of the peer's Close frame; code 1005: it was empty
	end  error
	why  endKind // of end
}

type endKind uint8

const (
	endLost   endKind = iota // TCP has ended without a Close frame
	endClosed                // TCP has ended after the peer's Close frame
	endDrop                  // by Drop, or at the end of the test
	endBroken                // the peer broke the protocol
)

func (e event) isMessage() bool { return e.end == nil && e.peer == nil }
func (e event) isPing() bool    { return e.isMessage() && e.msg.Opcode == websock.OpPing }

// String describes e so that it follows the word "got".
func (e event) String() string {
	switch {
	case e.peer != nil:
		return closeFrame(e.peer.Code, e.peer.Reason)
	case e.end == nil:
		return e.msg.String()
	}
	switch e.why {
	case endClosed:
		return "the end of the connection, after the peer's Close frame"
	case endDrop:
		return "nothing: the test has called Drop"
	case endBroken:
		return "a breach of the protocol: " + e.end.Error()
	default:
		return "the end of the connection without a Close frame: " + e.end.Error()
	}
}

func closeFrame(code websock.CloseCode, reason string) string {
	if code == websock.CloseNoStatus && reason == "" {
		return "an empty Close frame"
	}
	return fmt.Sprintf("Close frame %v with close reason %q", code, reason)
}

// inbox is the events that have not been asked for yet. It has no limit. The end is its last event and stays.
type inbox struct {
	mu      sync.Mutex
	events  []event
	arrived chan struct{} // has a token when something came since it was last looked at
}

func (b *inbox) put(e event) {
	e.at = time.Now()
	b.mu.Lock()
	b.events = append(b.events, e)
	b.mu.Unlock()
	select {
	case b.arrived <- struct{}{}:
	default:
	}
}

// take removes and returns the first event, and those before it that skip wants to be passed over.
func (b *inbox) take(skip func(event) bool) (event, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.events) > 0 {
		e := b.events[0]
		if e.end != nil {
			return e, true
		}
		b.events = b.events[1:]
		if !skip(e) {
			return e, true
		}
	}
	return event{}, false
}

// first returns the first event that skip does not pass over, and removes none.
func (b *inbox) first(skip func(event) bool) (event, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if !skip(e) {
			return e, true
		}
	}
	return event{}, false
}
