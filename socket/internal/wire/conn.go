package wire

import (
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/frame"
	"github.com/troupe-dev/troupe/websock"
)

// Conn is one WebSocket connection, from the 101 on.
//
// Next, Linger, SetPatient, Buffered, Finished and SetHooks are for one goroutine at a time. Everything else may be
// called from any goroutine, also while another call blocks. Whoever made a Conn has to end it with Abort.
//
// The order of its fields is one of cache lines: every message touches four of
// them. With many connections each is a cache miss, which costs as much as
// everything else that is done with a message.
type Conn struct {
	subprotocol string
	t           transport // after its first field, what a message needs of it and writer is the second line and the third
	writer
	reader
}

// Open makes a Conn of conn, after its handshake. conn must have no deadlines. subprotocol is what was negotiated, and
// deflate says whether permessage-deflate without context takeover was. early is what has been read from conn already; it
// belongs to the Conn from now on.
func (o *Opener) Open(conn net.Conn, subprotocol string, deflate bool, early []byte) *Conn {
	c := &Conn{subprotocol: subprotocol}
	c.t.Init(conn, &o.settings)
	c.t.opts, c.t.rules = &o.opts, frame.Rules{Deflate: deflate, Unmasked: o.opts.Client}
	c.writer.t, c.reader.source.t = &c.t, &c.t
	c.source.data = early
	if len(early) > 0 {
		c.source.read.Store(c.t.Now())
	}
	return c
}

// Abort closes TCP at once, without a Close frame, and wakes every call that
// blocks.
func (c *Conn) Abort() error {
	conn := c.t.Conn.Conn
	if t, ok := conn.(*tls.Conn); ok {
		// Its Close tells the peer first, and may wait five seconds for that.
		conn = t.NetConn()
	}
	err := conn.Close()
	c.shutDown()
	if errors.Is(err, net.ErrClosed) {
		return nil // closed before
	}
	return err
}

// Transport is the connection as Open got it. It is for waiting until bytes
// come while reading is suspended, and not for reading or writing.
func (c *Conn) Transport() net.Conn { return c.t.Conn.Conn }

// Subprotocol is what was negotiated; "": none.
func (c *Conn) Subprotocol() string { return c.subprotocol }

// RemoteAddr is the peer's address; after the end too, if the transport still
// knows it.
func (c *Conn) RemoteAddr() net.Addr { return c.t.RemoteAddr() }

// Activity says when a connection last did something. A zero Time stands for
// never, or not now.
type Activity struct {
	LastRead     time.Time // bytes came from the transport
	LastWrite    time.Time // a write to the transport was completed
	WaitingSince time.Time // Next, or Linger, waits for bytes
	MessageSince time.Time // the first byte of a message, or of any frame, that is not complete; never while OnControl runs
}

// Activity says when the connection last did something.
func (c *Conn) Activity() Activity {
	c.writer.mu.Lock()
	wrote := c.wrote
	c.writer.mu.Unlock()
	return Activity{
		LastRead:     c.t.Time(c.source.read.Load()),
		LastWrite:    c.t.Time(wrote),
		WaitingSince: c.t.Time(c.source.waitingSince()),
		MessageSince: c.t.Time(c.openedAt.Load()),
	}
}

// Counts says what crossed the wire so far.
func (c *Conn) Counts() Counts {
	in, others := &c.reader.counts, &c.reader.others
	counts := Counts{In: FrameCounts{
		Text: in[0].load(), Binary: in[1].load(),
		Continuation: others[0].load(), Ping: others[1].load(), Pong: others[2].load(), Close: others[3].load(),
	}}
	w := &c.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	counts.Out = FrameCounts{Text: w.counts[0], Binary: w.counts[1], Ping: w.others[0], Pong: w.others[1], Close: w.others[2]}
	return counts
}

// Touch brings what Counts needs into the processor's cache. It takes no lock: all that it looks at is atomic or does not
// change. What it returns says nothing.
func (c *Conn) Touch() uint64 {
	n := uint64(c.reader.others[0].frames.Load() + c.reader.counts[0].frames.Load()) // two lines of reader
	if c.writer.t == nil || c.writer.sent.Load() != nil {                            // two lines of writer
		n++
	}
	return n
}

// CloseFrames returns the Close frames that were written and read, nil for
// none. An empty one has the code 1005 (RFC 6455 section 7.1.5).
func (c *Conn) CloseFrames() (sent, received *websock.CloseDetail) {
	return c.sent.Load(), c.received.Load()
}
