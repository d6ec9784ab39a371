package wire

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/troupe-dev/troupe/websock"
)

// Options say how a connection is opened and read.
type Options struct {
	Subprotocols   []string      // in order of preference (RFC 6455 section 4.2.2)
	Compress       bool          // negotiate permessage-deflate
	Threshold      int           // least bytes of a message that is deflated; 0: every message
	Level          int           // of deflate, 1 to 9
	MaxMessageSize int64         // bytes after inflation; negative: no limit
	SkipUTF8Check  bool          // of text messages; close reasons are always checked
	WriteTimeout   time.Duration // for one write; 0 or less: none
}

// Conn is one WebSocket connection, from the 101 on.
//
// Next, Drain and SetHooks are for one goroutine at a time. All else may be
// called from any goroutine, also while another call blocks. Whoever made a
// Conn has to end it with Abort.
type Conn struct {
	conn        net.Conn
	ws          *websocket.Conn
	remote      net.Addr
	subprotocol string

	clock  clock
	counts struct{ in, out counter }

	// Reading.
	feed     feed
	source   source
	in       inbound
	payload  io.Reader // of the open message, by coder/websocket
	skipUTF8 bool
	readErr  error
	closed   bool // the peer's Close frame was read
	draining bool // Interrupt and Discard have no effect any more

	beforeWait func()
	onControl  func(websock.Message) bool

	received  atomic.Pointer[websock.CloseDetail]
	interrupt atomic.Pointer[error]
	discard   atomic.Bool
	wakeMu    sync.Mutex // guards unwakable and the read deadline
	unwakable bool       // the read deadline belongs to Drain

	out outbound
}

// Accept writes the 101 and takes the connection over. Headers that were set on
// w stay in the 101. The request must have passed [CheckRequest] and, unless
// every origin is welcome, [CheckOrigin].
//
// A [*Refusal] says that nothing was written and w is still the caller's. With
// any other error the 101 may be out and the transport has failed; the
// connection, if there was one, is closed.
func Accept(w http.ResponseWriter, r *http.Request, o Options) (*Conn, error) {
	if refusal := CheckRequest(r); refusal != nil {
		return nil, refusal
	}
	if !canHijack(w) {
		return nil, refuse(http.StatusNotImplemented, nil,
			"a %T does not give its connection away (http.Hijacker)", w)
	}
	c := &Conn{skipUTF8: o.SkipUTF8Check}
	c.in.max = o.MaxMessageSize

	// Ours to answer, so nothing that middleware set stays.
	w.Header().Del("Sec-WebSocket-Extensions")
	if o.Compress {
		var answer string
		if answer, c.in.deflate = negotiateDeflate(r.Header.Values("Sec-WebSocket-Extensions")); c.in.deflate {
			w.Header().Set("Sec-WebSocket-Extensions", answer)
		}
	}

	rw := &responseWriter{ResponseWriter: w, feed: &c.feed, timeout: o.WriteTimeout}
	ws, err := websocket.Accept(rw, r, &websocket.AcceptOptions{
		Subprotocols:       o.Subprotocols,
		InsecureSkipVerify: true, // CheckOrigin is ours
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		if rw.conn == nil { // the 101 is written by Hijack
			for _, name := range [...]string{"Upgrade", "Connection", "Sec-WebSocket-Accept", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"} {
				w.Header().Del(name)
			}
			return nil, refuse(http.StatusInternalServerError, nil, "the connection was not given away: %w", err)
		}
		rw.conn.Close() //nolint:errcheck,gosec // it has failed already
		return nil, fmt.Errorf("wire: upgrade: %w", err)
	}
	ws.SetReadLimit(-1)           // the limit is held to from the header
	runtime.SetFinalizer(ws, nil) // it would keep what is in a cycle for ever
	rw.br.Reset(&c.feed)          // past the io.MultiReader that Accept puts between
	c.open(rw.conn, ws, rw.leftover, o)
	if err := rw.conn.SetDeadline(time.Time{}); err != nil {
		c.Abort() //nolint:errcheck,gosec // it has failed already
		return nil, fmt.Errorf("wire: upgrade: %w", err)
	}
	return c, nil
}

func (c *Conn) open(conn net.Conn, ws *websocket.Conn, leftover []byte, o Options) {
	c.conn, c.ws = conn, ws
	c.remote = conn.RemoteAddr()
	c.subprotocol = ws.Subprotocol()
	c.clock.base = time.Now()
	c.source.conn, c.source.clock, c.source.data = conn, &c.clock, leftover
	if len(leftover) > 0 {
		c.clock.read.Store(c.clock.now())
	}
	c.source.raw = newRawReader(conn)
	if c.source.raw == nil {
		c.source.waiter, _ = conn.(readWaiter)
	}
	c.out.open(conn, &c.clock, &c.counts.out, c.in.deflate, o)
}

// SetHooks sets what Next calls on the reading goroutine; either may be nil. It
// must be called before the first Next.
//
// beforeWait is called right before Next may block for bytes, or inflates a
// message that may take long. onControl gets
// each ping and pong, also between the fragments of a message; its Data belongs
// to the hook. False makes Next return [ErrStopped].
func (c *Conn) SetHooks(beforeWait func(), onControl func(websock.Message) bool) {
	c.beforeWait, c.onControl = beforeWait, onControl
}

// Abort closes TCP at once, without a Close frame, and wakes every call that
// blocks.
func (c *Conn) Abort() error {
	conn := c.conn
	if t, ok := conn.(*tls.Conn); ok {
		// Its Close tells the peer first, and may wait five seconds for that.
		conn = t.NetConn()
	}
	err := conn.Close()
	c.out.shut()
	if errors.Is(err, net.ErrClosed) {
		return nil // closed before
	}
	return err
}

// Subprotocol is what was negotiated; "": none.
func (c *Conn) Subprotocol() string { return c.subprotocol }

// Compressed reports whether permessage-deflate was negotiated.
func (c *Conn) Compressed() bool { return c.in.deflate }

// RemoteAddr is the peer's address, also after the end.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// Activity says when the connection last did something.
func (c *Conn) Activity() Activity { return c.clock.activity() }

// Counts says what crossed the wire so far.
func (c *Conn) Counts() Counts {
	return Counts{In: c.counts.in.load(), Out: c.counts.out.load()}
}

// CloseFrames returns the Close frames that were written and read, nil for
// none. An empty one has the code 1005 (RFC 6455 section 7.1.5).
func (c *Conn) CloseFrames() (sent, received *websock.CloseDetail) {
	return c.out.sent.Load(), c.received.Load()
}
