package wire

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/troupe-dev/troupe/websock"
)

// Conn is one WebSocket connection, from the 101 on.
//
// Next, Linger, SetPatient and SetHooks are for one goroutine at a time. Everything else may be called from any
// goroutine, also while another call blocks. Whoever made a Conn has to end it with Abort.
//
// Its fields stand in the order of cache lines, four of them for what every
// message touches: with many connections each is a miss, and costs as much as all
// that is done with it.
type Conn struct {
	u      *Opener
	raw    syscall.RawConn // of conn, where it is a descriptor; else nil
	source source
	wrote  int64 // a time of clock: when a write to the transport was completed; under out.mu

	in        inbound
	interrupt atomic.Pointer[error]
	ended     bool // readErr is set
	closed    bool // the peer's Close frame was read
	finished  bool // and nothing after it
	draining  bool // Interrupt and Discard have no effect any more
	impatient bool // SetPatient(false)
	waiting   bool // whether clock.waiting is not 0
	unwakable bool // the read deadline belongs to Linger; under wakeMu
	discard   atomic.Bool

	clock  clock
	counts [2]tally         // of text and binary frames that were read
	small  *[smallSize]byte // what source has of an unfinished frame; nil: nothing

	out outbound

	hooks       Hooks
	readErr     error      // set with ended
	wakeMu      sync.Mutex // guards unwakable and the read deadline
	conn        net.Conn
	subprotocol string
	received    atomic.Pointer[websock.CloseDetail]
	others      [4]tally // of the other frames that were read
}

// Open makes a Conn of conn, after its handshake. conn has no deadlines. subprotocol and deflate, which stands for
// permessage-deflate without context takeover, are what was negotiated. early is what was read of conn already; it belongs
// to the Conn from now on.
func (u *Opener) Open(conn net.Conn, subprotocol string, deflate bool, early []byte) *Conn {
	c := &Conn{u: u, conn: conn, raw: rawConnOf(conn), subprotocol: subprotocol}
	if _, ok := conn.(*tls.Conn); ok {
		if d, ok := innermost(conn).(syscall.Conn); ok {
			hasten(d)
		}
	}
	c.in.deflate, c.out.deflate = deflate, deflate
	c.source.data = early
	if len(early) > 0 {
		c.clock.read.Store(c.now())
	}
	return c
}

// Hooks are called by Next on the reading goroutine.
type Hooks interface {
	// BeforeWait is called while frames wait for a Flush, right before Next may
	// block for bytes, or inflates a message that may take long.
	BeforeWait()
	// OnControl gets each ping and pong, also between the fragments of a message;
	// its Data belongs to it. False makes Next return [ErrStopped].
	OnControl(m websock.Message) bool
}

// SetHooks sets what Next calls. It must be called before the first Next.
func (c *Conn) SetHooks(h Hooks) { c.hooks = h }

// Abort closes TCP at once, without a Close frame, and wakes every call that
// blocks.
func (c *Conn) Abort() error {
	conn := c.conn
	if t, ok := conn.(*tls.Conn); ok {
		// Its Close tells the peer first, and may wait five seconds for that.
		conn = t.NetConn()
	}
	err := conn.Close()
	c.shut()
	if errors.Is(err, net.ErrClosed) {
		return nil // closed before
	}
	return err
}

// Subprotocol is what was negotiated; "": none.
func (c *Conn) Subprotocol() string { return c.subprotocol }

// Compressed reports whether permessage-deflate was negotiated.
func (c *Conn) Compressed() bool { return c.in.deflate }

// RemoteAddr is the peer's address, also after the end where the transport knows
// it then.
func (c *Conn) RemoteAddr() net.Addr { return c.conn.RemoteAddr() }

// Activity says when the connection last did something.
func (c *Conn) Activity() Activity {
	c.out.mu.Lock()
	wrote := c.wrote
	c.out.mu.Unlock()
	return c.u.activity(&c.clock, wrote)
}

// Counts says what crossed the wire so far.
func (c *Conn) Counts() Counts {
	in, others := &c.counts, &c.others
	counts := Counts{In: FrameCounts{
		Text: in[0].load(), Binary: in[1].load(),
		Continuation: others[0].load(), Ping: others[1].load(), Pong: others[2].load(), Close: others[3].load(),
	}}
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	counts.Out = FrameCounts{Text: o.counts[0], Binary: o.counts[1], Ping: o.others[1], Pong: o.others[2], Close: o.others[3]}
	return counts
}

// CloseFrames returns the Close frames that were written and read, nil for
// none. An empty one has the code 1005 (RFC 6455 section 7.1.5).
func (c *Conn) CloseFrames() (sent, received *websock.CloseDetail) {
	return c.out.sent.Load(), c.received.Load()
}
