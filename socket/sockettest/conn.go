package sockettest

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// Conn is the test's end of a connection: the client's, after [Serve] and [Dial], or the server's, after
// [Attempt.Upgrade]. It checks every byte of its peer against RFC 6455 and RFC 7692; a breach fails the test, at its end
// at the latest.
//
// It behaves as a browser does, or a server: it reads all the time, answers a ping at once, and the peer's Close frame with
// one of its own. After the Close frames the server ends TCP. What has arrived waits, without limit and in the order of its
// arrival, until the test asks for it. So a Conn is no slow consumer, unless [Conn.Pause] makes it one.
//
// Its methods fail the test when something else comes than they want, and must be called on the test's own goroutine.
type Conn struct {
	// PID is the socket's process after Serve. It is zero after Dial, which does not know the Server that h leads to (see
	// [socket.Server.Sockets]), and after Upgrade.
	PID actor.PID

	server bool // this end is the server's
	t      testing.TB
	limit  time.Duration // how long a call waits for the peer
	conn   *tap
	client *rawclient.Client
	inbox  inbox

	silent  atomic.Bool   // IgnorePings
	closing atomic.Bool   // a Close frame was sent, or will never be
	dropped atomic.Bool   // the connection was ended here
	broken  atomic.Bool   // the peer broke the protocol, and the test does not know yet
	done    chan struct{} // closed when read has returned
}

func newConn(t testing.TB, client *rawclient.Client, conn *tap, server bool) *Conn {
	c := &Conn{server: server, t: t, limit: limit(), conn: conn, client: client, done: make(chan struct{})}
	c.inbox.arrived = make(chan struct{}, 1)
	go c.read()
	return c
}

// Send sends messages, each in one frame, all in one write. It blocks while the peer does not read and the 64 KiB of
// the connection are full. Nothing is checked: what a peer must not send is sent as well. What is sent
// when the peer has ended the connection is lost, as with TCP; the next Want fails then.
func (c *Conn) Send(ms ...websock.Message) {
	c.t.Helper()
	var b []byte
	for _, m := range ms {
		b = c.appendFrame(b, byte(m.Opcode), m.Data)
	}
	c.send("Send", b)
}

// appendFrame appends a frame of this end: a client's is masked.
func (c *Conn) appendFrame(b []byte, opcode byte, payload []byte) []byte {
	return rawclient.AppendFrame(b, rawclient.Frame{Fin: true, Opcode: opcode, Masked: !c.server, Payload: payload}, c.client.Mask)
}

// SendRaw sends p as it is, in one write: frames in pieces, illegal frames, no frames at all. Otherwise it is as Send.
// While a frame is incomplete the answer to a ping would end up inside it: say IgnorePings before.
func (c *Conn) SendRaw(p []byte) {
	c.t.Helper()
	c.send("SendRaw", p)
}

func (c *Conn) send(call string, p []byte) {
	c.t.Helper()
	if c.dropped.Load() {
		c.t.Fatalf("sockettest: %s after Drop", call)
	}
	if err := c.write(p); errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("sockettest: %s: the peer has not read %d bytes within %v", call, len(p), c.limit)
	}
}

// write is called by the test and by read. The pipe keeps the bytes of two writes apart.
func (c *Conn) write(p []byte) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.limit)); err != nil {
		return err
	}
	return c.client.WriteBytes(p)
}

// Close starts the closing handshake (RFC 6455 section 7.1.2) with a Close frame of code and closeReason, or an empty
// one for [websock.CloseNoStatus]. It does not wait: use WantClose for the peer's Close, which has the same code and no
// reason. Nothing is checked. Close does nothing when this end has sent a Close frame before, even as the answer to
// the peer's.
func (c *Conn) Close(code websock.CloseCode, closeReason string) {
	c.t.Helper()
	if c.closing.Swap(true) {
		return
	}
	c.send("Close", c.appendClose(code, closeReason))
}

func (c *Conn) appendClose(code websock.CloseCode, closeReason string) []byte {
	var payload []byte
	if code != websock.CloseNoStatus {
		payload = rawclient.ClosePayload(uint16(code), closeReason)
	}
	return c.appendFrame(nil, rawclient.OpClose, payload)
}

// CloseWrite half closes TCP: the peer gets everything that was sent, and then the end of the stream, without a Close frame
// if there was none. This end reads on, and answers nothing any more.
func (c *Conn) CloseWrite() {
	c.closing.Store(true)
	_ = c.conn.CloseWrite() // if it fails, TCP has ended already
}

// Drop cuts TCP, without a Close frame: the peer gets a reset. The test can still ask for what has arrived before;
// what a paused Conn has not read is lost.
func (c *Conn) Drop() {
	c.closing.Store(true)
	c.dropped.Store(true)
	c.conn.Reset()
	c.conn.set(false) // read must see the end
}

// IgnorePings leaves pings unanswered from now on.
func (c *Conn) IgnorePings() { c.silent.Store(true) }

// end is the end of the test.
func (c *Conn) end() {
	c.t.Helper()
	c.Drop()
	wait(c.t, c.done, "the test's end of the connection")
	if c.broken.Load() {
		e, _ := c.inbox.first(func(e event) bool { return e.end == nil })
		c.t.Errorf("sockettest: got %v", e)
	}
}

// read is the goroutine that reads, and answers what must be answered.
func (c *Conn) read() {
	defer close(c.done)
	why := endLost
	for {
		op, p, err := c.client.ReadMessage()
		c.conn.want(false) // the call that waits looks at this first
		if err != nil {
			c.ended(why, err)
			return
		}
		switch op {
		case rawclient.OpClose:
			why = endClosed
			peer := websock.CloseDetail{Code: websock.CloseNoStatus}
			if len(p) > 0 {
				peer = websock.CloseDetail{Code: websock.CloseCode(binary.BigEndian.Uint16(p)), Reason: string(p[2:])}
			}
			if !c.closing.Swap(true) { // RFC 6455 section 5.5.1: answer once, with the code
				_ = c.write(c.appendClose(peer.Code, "")) // a connection that is lost shows in the next read
			}
			if c.server { // it ends TCP first (RFC 6455 section 7.1.1)
				_ = c.conn.CloseWrite()
			}
			c.inbox.put(event{peer: &peer})
		case rawclient.OpPing:
			if !c.silent.Load() && !c.closing.Load() {
				_ = c.write(c.appendFrame(nil, rawclient.OpPong, p))
			}
			fallthrough
		default:
			c.inbox.put(event{msg: websock.Message{Opcode: websock.Opcode(op), Data: p}})
		}
	}
}

// ended notes why reading has ended, and closes TCP after the peer.
func (c *Conn) ended(why endKind, err error) {
	if bad, ok := errors.AsType[*rawclient.BadPeerError](err); ok {
		why, err = endBroken, bad
		c.broken.Store(true)
	} else if c.dropped.Load() {
		why = endDrop
	}
	if errors.Is(err, io.EOF) {
		_ = c.conn.Close()
	} else {
		c.conn.Reset()
	}
	c.inbox.put(event{end: err, why: why})
}
