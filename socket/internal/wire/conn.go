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
	subprotocol *string   // nil: none
	t           transport // what a message needs of it and writer is the second line and the third
	writer
	reader
}

// Open makes a Conn of conn, after its handshake. conn must have no deadlines. subprotocol is what was negotiated, and
// deflate says whether permessage-deflate without context takeover was. early is what has been read from conn already; it
// belongs to the Conn from now on.
func (o *Opener) Open(conn net.Conn, subprotocol string, deflate bool, early []byte) *Conn {
	c := new(Conn)
	if subprotocol != "" {
		c.subprotocol = &subprotocol
	}
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

// MayRest tells whether [Conn.Rest] may do something.
func (c *Conn) MayRest() bool { return c.t.MayRest() }

// Rest has the connection take less memory until somebody has to wait for the peer, be it to read or to write. It is for the
// reading goroutine, and does nothing while something is written. Its descriptor gets another number, so whoever watches
// [Conn.Transport] must end that before, and may begin anew.
func (c *Conn) Rest() {
	c.writer.mu.Lock()
	defer c.writer.mu.Unlock()
	if !c.writing {
		c.t.Rest()
	}
}

// Subprotocol is what was negotiated; "": none.
func (c *Conn) Subprotocol() string {
	if c.subprotocol == nil {
		return ""
	}
	return *c.subprotocol
}

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
	r := &c.reader
	counts := Counts{In: FrameCounts{Text: r.counts[0].load(), Binary: r.counts[1].load(), Ping: r.pings.load(), Pong: r.pongs.load()}}
	if rare := r.rare.Load(); rare != nil {
		counts.In.Continuation, counts.In.Close = rare.continuations.load(), rare.closes.load()
	}
	w := &c.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	counts.Out = FrameCounts{Text: w.counts[0], Binary: w.counts[1], Ping: w.pings, Pong: w.pongs}
	if w.t.over != nil {
		counts.Out.Close = w.t.over.closes
	}
	return counts
}

// Touch brings what Counts needs into the processor's cache. It takes no lock: all that it looks at is atomic or does not
// change. What it returns says nothing.
func (c *Conn) Touch() uint64 {
	r := &c.reader
	n := uint64(r.pings.frames.Load() + r.counts[0].frames.Load()) // two lines of reader
	if c.writer.t == nil || r.rare.Load() != nil {                 // one of writer, one more of reader
		n++
	}
	return n
}

// CloseFrames returns the Close frames that were written and read, nil for
// none. An empty one has the code 1005 (RFC 6455 section 7.1.5).
func (c *Conn) CloseFrames() (sent, received *websock.CloseDetail) {
	c.writer.mu.Lock()
	if over := c.t.over; over != nil {
		sent = over.sent
	}
	c.writer.mu.Unlock()
	if rare := c.rare.Load(); rare != nil {
		received = rare.received.Load()
	}
	return sent, received
}
