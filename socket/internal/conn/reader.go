package conn

import (
	"errors"

	"github.com/troupe-dev/troupe/actor/host"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// The tasks that read. Each goes on until the connection sleeps or ends, or until a callback on its goroutine takes long: a
// process at rest handles a message on the goroutine that has read it.
type (
	opener    Conn // the first: it runs Init, and then reads
	reader    Conn // started when the connection wakes
	successor Conn // takes over from a reader that a callback keeps for long
)

func (o *opener) Run() { (*Conn)(o).serve((*Conn)(o).port.Start) }

func (r *reader) Run() {
	(*Conn)(r).serve(func() host.Delivery {
		r.wire.SetPatient(false) // what woke it may be a pong, or nothing
		r.impatient = (*Conn)(r).wasSilent()
		return host.Going
	})
}

func (s *successor) Run() {
	(*Conn)(s).serve(func() host.Delivery { return host.Going })
}

// serve is what a reader does: first begin, then reading. A goroutine gives up the role of the reader when the connection
// falls asleep, and loses it when a callback keeps it for long. Each reader has a number, so that a goroutine that comes back
// from a callback, even by runtime.Goexit, can tell whether it is still the reader.
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

// relieve starts another reader if a callback has kept the goroutine of this one for longCallback.
func (c *Conn) relieve() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.port.Relieve(longCallback) {
		c.role++
		c.place = nil // the callback uses it
		c.port.Go((*successor)(c))
	}
}

// read hands over what the peer sends, until the connection sleeps or ends, or until the reader is relieved. When the
// connection sleeps or the reader is relieved, this goroutine must not touch the reader's fields any more.
func (c *Conn) read() {
	for {
		if !c.wire.Buffered() && c.wire.Pending() { // Next is about to wait
			c.flush()
		}
		msg, err := c.wire.Next()
		if err == wire.ErrSuspended { //nolint:errorlint // never wrapped
			c.place = nil
			if c.fallAsleep() {
				return
			}
			c.impatient = false
			c.wire.SetPatient(true)
			continue
		}
		if err != nil {
			c.readingEnded(err)
			return
		}
		if !c.impatient {
			c.wire.SetPatient(true)
		}
		if !c.deliver(&msg) {
			return
		}
	}
}

// deliver hands over a message. False: this goroutine reads no more.
func (c *Conn) deliver(m *websock.Message) bool {
	c.show(m)
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
		if !c.port.Take() { // while a broadcast reaches very many, the turn for this one may be far away
			return true
		}
		c.group.enter(c) // a write on this goroutine may take long before any callback runs
		if c.port.Run() == host.Going {
			return true
		}
	}
	return false // ended or relieved; if relieved, the reader's fields belong to another goroutine
}

// OnControl implements wire.Hooks: it gets pings and pongs from the wire, on the reader's goroutine. A ping is answered at
// once. No callback runs here, since a reader that is inside Next cannot be relieved.
func (c *Conn) OnControl(m websock.Message) bool {
	c.show(&m)
	switch {
	case m.Opcode == websock.OpPing:
		if err := c.wire.Append(websock.Pong(m.Data)); err != nil && err != wire.ErrCloseSent { //nolint:errorlint // never wrapped
			c.lose("write", err)
			return false
		}
	case c.answered(m.Data):
		return true
	}
	if _, ok := optional[websock.ControlHandler](c.handler); !ok {
		return true
	}
	f := &frame{m}
	if !c.awaitRoom(true) {
		return false
	}
	c.counted(f, 1)
	return c.port.Queue(f)
}

// BeforeWait implements wire.Hooks: it writes what turns on the reader's goroutine have pushed, before that goroutine waits
// for bytes. Usually read has done so already, where the stack is less deep.
func (c *Conn) BeforeWait() { c.flush() }

// readingEnded tells the process why reading has ended. The peer's Close, a breach of the protocol and a timeout come after
// what waits in the mailbox; loseInRead deals with a lost transport.
func (c *Conn) readingEnded(err error) {
	said, remote := errors.AsType[*websock.RemoteCloseError](err)
	if remote {
		c.showClose(said)
	}
	_, broken := errors.AsType[*websock.ProtocolError](err)
	switch {
	case remote || broken || errors.Is(err, websock.ErrTimeout):
		c.port.HandLast(&readEnd{err}, err)
	case !errors.Is(err, wire.ErrStopped):
		c.loseInRead(err)
	}
}

// leave is the end of the reader: it waits until our Close frame is out, or never will be, reads on until the peer's has
// come, and closes TCP.
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
