package conn

import (
	"errors"

	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// The tasks that read, until the connection sleeps or ends. While nothing else goes on in the process, its turns run on
// them.
type (
	opener Conn // the first: it runs Init before
	reader Conn // those that find the connection asleep
)

func (o *opener) Run() {
	(*Conn)(o).serve(func() { o.port.Start() }) // nobody relieves it yet
}

func (r *reader) Run() {
	(*Conn)(r).serve(func() {
		r.wire.SetPatient(false) // what woke it may be a pong, or nothing
	})
}

// serve is the role of the reader.
func (c *Conn) serve(begin func()) {
	asleep := false
	defer func() { // after a runtime.Goexit in a callback, too
		if !asleep {
			c.leave()
		}
	}()
	begin()
	c.watchSilence()
	asleep = c.read()
}

// read hands over what the peer sends. True: the connection sleeps, and this goroutine has nothing to do with it any more.
func (c *Conn) read() (asleep bool) {
	for {
		if !c.wire.Buffered() && c.wire.Pending() { // Next is about to wait
			c.flush()
		}
		msg, err := c.wire.Next()
		if err == wire.ErrSuspended { //nolint:errorlint // never wrapped
			c.place = nil // the process may still handle the last
			if c.lieDown() {
				return true
			}
			c.wire.SetPatient(true)
			continue
		}
		if err != nil {
			c.met(err)
			return false
		}
		c.wire.SetPatient(true)
		if !c.deliver(&msg) {
			return false
		}
	}
}

// deliver hands over a message.
func (c *Conn) deliver(m *websock.Message) (ok bool) {
	f := c.frame()
	f.msg = *m
	return c.port.Deliver(f)
}

// OnControl implements wire.Hooks: it gets pings and pongs from the wire, on the reader's goroutine.
func (c *Conn) OnControl(m websock.Message) bool {
	if m.Opcode == websock.OpPong && c.answered(m.Data) {
		return true
	}
	return c.deliver(&m)
}

// BeforeWait implements wire.Hooks, on the reader's goroutine before it blocks for bytes: what its turns have pushed
// leaves now. Mostly read has seen to that, from where the stack is less deep.
func (c *Conn) BeforeWait() { c.flush() }

// met passes on why reading has ended. What the peer has done keeps its place after the frames that were read; a transport
// that is lost overtakes what waits.
func (c *Conn) met(err error) {
	_, remote := errors.AsType[*websock.RemoteCloseError](err)
	_, broken := errors.AsType[*websock.ProtocolError](err)
	switch {
	case remote || broken || errors.Is(err, websock.ErrTimeout):
		c.port.DeliverLast(&readEnd{err}, err)
	case !errors.Is(err, wire.ErrStopped):
		c.lose("read", err)
	}
}

// leave is the end of the reader: it waits for the Close frame to be out, reads on for the peer's, and closes TCP.
func (c *Conn) leave() {
	c.mu.Lock()
	c.awaitClosing()
	since := c.waitsSince
	c.mu.Unlock()
	if since != 0 && !c.wire.Finished() {
		c.wire.Linger(c.group.time(since), c.group.opts.CloseTimeout) //nolint:errcheck,gosec // TCP is closed in any case
	}
	c.abort()
	c.readerGone()
}
