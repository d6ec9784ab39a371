package conn

import (
	"errors"

	"github.com/troupe-dev/troupe/actor/host"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// The tasks that read, until the connection sleeps or ends, or until a callback on their goroutine takes long. While
// nothing else goes on in the process, its turns run on them.
type (
	opener    Conn // the first: it runs Init before
	reader    Conn // those that find the connection asleep
	successor Conn // those that take the place of one that is in a callback
)

func (o *opener) Run() { (*Conn)(o).serve((*Conn)(o).port.Start) }

func (r *reader) Run() {
	(*Conn)(r).serve(func() host.Delivery {
		r.wire.SetPatient(false) // what woke it may be a pong, or nothing
		return host.Going
	})
}

func (s *successor) Run() {
	(*Conn)(s).serve(func() host.Delivery { return host.Going })
}

// serve is the role of the reader. It is a role and no goroutine: who lies down gives it to the next one, and who is in a
// callback for long loses it. Each of them has a number, so that one who comes back, also by a runtime.Goexit in a callback,
// sees whether it is still the reader.
func (c *Conn) serve(begin func() host.Delivery) {
	role := c.takeRole()
	defer func() {
		if c.hasRole(role) {
			c.leave()
		}
	}()
	if begin() == host.Relieved {
		return
	}
	c.watchSilence()
	c.read()
}

func (c *Conn) takeRole() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.role
}

func (c *Conn) hasRole(role uint32) bool { return c.takeRole() == role }

// relieve gives the role to another goroutine if a callback has been running on the reader's for long.
func (c *Conn) relieve() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.port.Relieve(longCallback) {
		c.role++
		c.place = nil // the callback has it
		c.port.Go((*successor)(c))
	}
}

// read hands over what the peer sends, until the connection sleeps or ends, or until it is relieved. In the first and the
// last case this goroutine must touch nothing that is the reader's any more.
func (c *Conn) read() {
	for {
		if !c.wire.Buffered() && c.wire.Pending() { // Next is about to wait
			c.flush()
		}
		msg, err := c.wire.Next()
		if err == wire.ErrSuspended { //nolint:errorlint // never wrapped
			c.place = nil
			if c.lieDown() {
				return
			}
			c.wire.SetPatient(true)
			continue
		}
		if err != nil {
			c.met(err)
			return
		}
		c.wire.SetPatient(true)
		if !c.deliver(&msg) {
			return
		}
	}
}

// deliver hands over a message. False: this goroutine reads no more.
func (c *Conn) deliver(m *websock.Message) bool {
	if c.queued && !c.awaitRoom(false) {
		return false
	}
	f := c.place
	if f == nil {
		f = new(frame)
		c.place = f
	}
	f.msg = *m
	switch c.port.Hand(f) {
	case host.Going:
		c.queued = false
		return true
	case host.Queued:
		c.queued, c.place = true, nil
		c.counted(f, 1)
		return true
	}
	return false // and when it is relieved, nothing of the reader's is touched
}

// OnControl implements wire.Hooks: it gets pings and pongs from the wire, on the reader's goroutine. A ping is answered at
// once. No callback runs here, below Next, where nobody could be relieved.
func (c *Conn) OnControl(m websock.Message) bool {
	switch {
	case m.Opcode == websock.OpPing:
		if err := c.wire.Append(websock.Pong(m.Data)); err != nil && err != wire.ErrCloseSent { //nolint:errorlint // never wrapped
			c.lose("write", err)
			return false
		}
	case c.answered(m.Data):
		return true
	}
	if _, ok := c.handler.(websock.ControlHandler); !ok {
		return true
	}
	f := &frame{m}
	if !c.awaitRoom(true) {
		return false
	}
	c.counted(f, 1)
	return c.port.Queue(f)
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
		c.port.HandLast(&readEnd{err}, err)
	case !errors.Is(err, wire.ErrStopped):
		c.loseInRead(err)
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
