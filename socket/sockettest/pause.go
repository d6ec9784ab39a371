package sockettest

import (
	"sync"

	"github.com/troupe-dev/troupe/socket/internal/pipe"
)

// Pause stops reading, as a peer does that hangs, or whose network is congested. Once it has returned nothing is
// read, so pings and the peer's Close frame are not answered either, and a lost connection is not noticed.
//
// The peer can write window bytes more, which wait on the way, before its writes block; 0: 64 KiB. The test can still
// ask for what has arrived before.
//
// A call that waits for something, such as [Conn.Next] or [Conn.Want], reads as many bytes as it needs, and no more: so
// a paused Conn on which the test calls Next now and then is a slow one. [Conn.WantNothing] reads nothing. Send and Close work as
// usual.
//
// In a bubble, when [testing/synctest.Wait] has returned, the peer has written all that it can.
func (c *Conn) Pause(window int) {
	c.t.Helper()
	c.conn.set(true)
	_ = c.conn.SetReadBuffer(window) // it is closed only after Drop
}

// Resume reads on: what waits, at once, and then all that comes, with a window of 64 KiB. It does nothing when the
// Conn is not paused.
func (c *Conn) Resume() {
	c.t.Helper()
	c.conn.set(false)
	_ = c.conn.SetReadBuffer(0) // it is closed only after Drop
}

// tap is the test's end of the connection. While it is paused nothing of it is read, unless a call of the test waits.
// Only the goroutine of [Conn] that reads calls Read.
type tap struct {
	*pipe.Conn

	mu      sync.Mutex
	changed sync.Cond
	paused  bool
	wanted  bool // a call of the test waits for something
}

func newTap(conn *pipe.Conn) *tap {
	t := &tap{Conn: conn}
	t.changed.L = &t.mu
	return t
}

// Read is that of a [net.Conn]. While paused it reads single bytes, so that a caller that reads ahead gets nothing of
// the next message.
func (t *tap) Read(p []byte) (int, error) {
	if err := t.WaitRead(); err != nil {
		return 0, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.paused && !t.wanted {
		t.changed.Wait()
	}
	if t.paused {
		p = p[:min(len(p), 1)]
	}
	return t.Conn.Read(p) // does not block: nobody else takes the bytes that WaitRead has seen
}

func (t *tap) set(paused bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.paused = paused
	t.changed.Broadcast()
}

// want notes whether a call of the test waits for something that has not been read.
func (t *tap) want(yes bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wanted = yes
	t.changed.Broadcast()
}
