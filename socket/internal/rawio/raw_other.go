//go:build !unix || troupe_nosyscalls

package rawio

// Here package net does it all: reads wait with a buffer, and every write sets a deadline.

func (*Conn) describe() {}

// Rest takes the connection out of Go's poller while nobody waits for it; here it does nothing.
func (*Conn) Rest() {}

// MayRest tells whether Rest may do something.
func (*Conn) MayRest() bool { return false }

// Receive reads once, what is there or comes first. A read deadline ends waiting.
func (c *Conn) Receive(r Reader) (int, error) { return c.receive(r) }

// Writer is the memory of a write, which is kept for the next one. The zero value is ready.
type Writer struct{}

// Write writes parts, which it uses up, or p when there are none. It waits as long as the peer takes some of it:
// WriteTimeout is for a peer that takes nothing. It ends before in any case at the time of [Conn.LimitWrites].
//
// After an error it is not known how much was written.
func (*Writer) Write(c *Conn, p []byte, parts [][]byte) error { return c.pace(p, parts) }
