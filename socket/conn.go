package socket

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// conn is one connection: the actor of its process, and the reader.
//
// The reader (serve) is a goroutine that runs Init and reads; at rest, the process's turns run on it. While the peer is
// silent there may be none; see sleep. The reader is the last to leave: when
// the process has ended it waits for the peer's Close, closes TCP and reports. Only after a kill that finds it inside a
// callback, the killer does that in its place.
//
// What a message touches stands in its first cache line: when there are many sockets, each is a miss.
type conn struct {
	wire    *wire.Conn
	handler websock.Handler
	lost    atomic.Pointer[lostError] // the transport has failed
	place   *frame                    // for the next frame; owned by the reader; nil while there is no need of it
	stalls  atomic.Bool               // stall is armed
	port    host.Port                 // its second half is the PID

	stall      stall
	srv        *Server
	since      time.Time
	overloaded atomic.Bool // before lost was set, the mailbox went over its limit
	opened     atomic.Bool // wire is set; it becomes true under mu
	pulse      pulse
	sleep      sleep

	scope *scope // what is kept of the request; nil: nothing

	// One word, so that a conn is no larger than 512 bytes.
	started     bool // Init has run; owned by the reader
	draining    bool // HandleDrain was called
	initialized bool // Init has returned normally; owned by the turn
	decided     bool // ended is done: Ending has run, or the end was a kill; mu is held
	over        bool // Terminate has returned, so the end is no kill; mu is held

	// Owned by the turn.
	readEnd error               // why reading has ended, when that has become the exit reason
	detail  websock.CloseDetail // of the Result that stops

	mu      sync.Mutex
	refused error     // what Terminate gets when the exit reason carries a Close frame that cannot be sent
	parted  time.Time // when the Close frame was out and the wait for the peer's began; zero: it is not waited for
	reason  error     // the exit reason
	label   string    // at the end
	dropped uint64
	ended   sync.WaitGroup // 1 until the Close frame is out, or will never be

	left    atomic.Bool  // the reader has left, or is given up
	settled atomic.Int32 // 1: it has left or the process is dead, 2: both
}

// frame is what the reader hands to the process: a message, or why reading has ended.
type frame struct {
	msg websock.Message // its Opcode is not changed before the process has done with it
	end error           // nor is this

	// other is the place for the frame after this. A Deliver returns when its frame is taken out of the mailbox, and so the
	// handling of the one before is over: two are enough.
	other *frame
}

func newPlace() *frame {
	two := new([2]frame)
	two[0].other, two[1].other = &two[1], &two[0]
	return &two[0]
}

// String is what actor.Inspect says of a message of the peer.
func (f *frame) String() string {
	if f.end != nil {
		return "end of reading"
	}
	switch f.msg.Opcode {
	case websock.OpText:
		return "websock.Message text"
	case websock.OpBinary:
		return "websock.Message binary"
	case websock.OpPing:
		return "websock.Message ping"
	default:
		return "websock.Message pong"
	}
}

// lostError is the exit reason when the transport fails.
type lostError struct {
	op  string
	err error
}

func (e *lostError) Error() string   { return "connection lost: " + e.op + ": " + e.err.Error() }
func (e *lostError) Unwrap() []error { return []error{websock.ErrRemote, e.err} }

// spawn makes the process of a socket, of which nothing runs yet.
func (s *Server) spawn(h websock.Handler, sc *scope) (*conn, error) {
	c := &conn{srv: s, handler: h, scope: sc, since: time.Now()}
	c.ended.Add(1)
	c.stall.c, c.pulse.c, c.sleep.c = c, c, c
	port, err := host.Spawn(s.System(), c, actor.SpawnOptions{
		MailboxLimit: s.cfg.MailboxLimit,
		MaxAsync:     s.cfg.MaxAsync,
		Overflow:     actor.OverflowExit,
		Shutdown:     s.cfg.ShutdownTimeout,
	}, &s.host)
	if err != nil {
		return nil, err
	}
	c.port = port
	return c, nil
}

func (c *conn) pid() actor.PID { return c.port.PID() }

// open starts the socket; the 101 is on the wire.
func (c *conn) open(w *wire.Conn) {
	c.wire = w
	w.SetHooks(c)
	c.sleep.init()
	c.mu.Lock()
	c.opened.Store(true)
	dead := c.reason != nil
	c.mu.Unlock()
	if dead { // the System was shut down meanwhile, and its patience is over
		c.exited()
	}
	c.srv.add(c)
	c.port.Go((*reader)(c))
}

// serve is the reader, until the socket sleeps or ends.
func (c *conn) serve() {
	asleep := false
	defer func() { // after a runtime.Goexit in a callback, too
		if !asleep {
			c.leave()
		}
	}()
	if c.started {
		c.wire.SetPatient(false) // what woke it may be a pong, or nothing
	} else {
		c.started = true
		c.port.Start()
	}
	c.pulse.start()
	asleep = c.read()
}

// read hands over what the peer sends. True: the socket sleeps, and this goroutine has nothing to do with it any more.
func (c *conn) read() (asleep bool) {
	for {
		if !c.wire.Buffered() && c.wire.Pending() { // Next is about to wait
			c.flush()
		}
		msg, err := c.wire.Next()
		if err == wire.ErrSuspended { //nolint:errorlint // never wrapped
			c.place = nil // the process may still handle the last
			if c.sleep.lieDown() {
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
func (c *conn) deliver(m *websock.Message) (ok bool) {
	f := c.frame()
	f.msg, f.end = *m, nil
	return c.port.Deliver(f)
}

// deliverEnd hands over why reading has ended.
func (c *conn) deliverEnd(why error) {
	f := c.frame()
	f.msg, f.end = websock.Message{}, why
	c.port.DeliverLast(f, why)
}

// frame is a free place for what is to be handed over.
func (c *conn) frame() *frame {
	f := c.place
	if f == nil {
		f = newPlace()
	}
	c.place = f.other
	return f
}

// OnControl implements wire.Hooks: it gets pings and pongs from the wire, on the reader goroutine.
func (c *conn) OnControl(m websock.Message) bool {
	if m.Opcode == websock.OpPong && c.pulse.answered(m.Data) {
		return true
	}
	return c.deliver(&m)
}

// met passes on why reading has ended. What the peer has done keeps its place after the frames that were read; a
// transport that is lost overtakes what waits.
func (c *conn) met(err error) {
	if remote, ok := errors.AsType[*websock.RemoteCloseError](err); ok {
		c.deliverEnd(remote)
	} else if broken, ok := errors.AsType[*websock.ProtocolError](err); ok {
		c.deliverEnd(broken)
	} else if errors.Is(err, websock.ErrTimeout) {
		c.deliverEnd(err)
	} else if !errors.Is(err, wire.ErrStopped) {
		c.lose("read", err)
	}
}

// lose ends the process because the transport has failed. TCP is closed at once, however long the callback in progress
// takes.
func (c *conn) lose(op string, err error) {
	c.lost.CompareAndSwap(nil, &lostError{op, err})
	c.port.Fail(c.lost.Load())
	c.abort()
}

// gone is why nothing can be written any more; nil: nothing has failed.
func (c *conn) gone() error {
	l := c.lost.Load()
	switch {
	case l == nil:
		return nil
	case c.overloaded.Load():
		return websock.ErrOverload
	}
	return l
}

// BeforeWait implements wire.Hooks, on the reader goroutine before it blocks for bytes: what its turns have pushed
// leaves now. Mostly read has seen to that, from where the stack is less deep.
func (c *conn) BeforeWait() { c.flush() }

// TurnEnd implements host.Host, on a worker.
func (c *conn) TurnEnd(bool) {
	if c.wire.Pending() {
		c.flush()
	}
}

func (c *conn) flush() {
	if c.stalls.Load() {
		c.stall.disarm()
	}
	if err := c.wire.Flush(); err != nil {
		c.lose("write", err)
	}
}

// interrupt ends reading with err.
func (c *conn) interrupt(err error) {
	c.wire.Interrupt(err)
	c.rouse()
}

// rouse has the reader see that reading is to end, or has ended.
func (c *conn) rouse() { c.sleep.rouse() }

// abort closes TCP at once.
func (c *conn) abort() {
	c.sleep.close()
	c.wire.Abort()
}

// kill ends the socket at once.
func (c *conn) kill() {
	c.pid().Exit(actor.ErrKilled)
	c.abort() // also when the process is dead, and the wire waits for the peer's Close
}

// Exited implements host.Host, on any goroutine. It does not look into the reason, which may be anybody's error.
func (c *conn) Exited(info actor.ProcessInfo, reason error) {
	c.mu.Lock()
	c.reason, c.label = reason, info.Label
	c.dropped = info.Dropped
	opened := c.opened.Load()
	c.mu.Unlock()
	if opened {
		c.exited()
	}
}

// exited is the rest of Exited, for a socket that has been opened.
func (c *conn) exited() {
	c.mu.Lock()
	killed := !c.over
	first := !c.decided
	c.decided = true
	c.mu.Unlock()
	if killed {
		c.pulse.bury()
		c.abort()
	}
	if first {
		c.ended.Done()
	}
	if killed && c.port.Delivering() {
		c.leftBy() // the reader may be stuck in a callback
	}
}

// Gone implements host.Host.
func (c *conn) Gone() {
	if c.settled.Add(1) == 2 {
		c.port.Go((*reporter)(c)) // this goroutine may be anybody's
	}
}

// leftBy is called when TCP is closed, by the reader or by whoever gives it up.
func (c *conn) leftBy() {
	if !c.left.Swap(true) && c.settled.Add(1) == 2 {
		c.report()
	}
}

// reporter is the task that reports.
type reporter conn

func (r *reporter) Run() { (*conn)(r).report() }

// leave is the end of the reader goroutine: it waits for the Close frame to be out, reads on for the peer's, and closes
// TCP. If the process is dead, it reports.
func (c *conn) leave() {
	c.ended.Wait()
	c.mu.Lock()
	parted := c.parted
	c.mu.Unlock()
	if !parted.IsZero() && !c.wire.Finished() {
		c.wire.Linger(parted, c.srv.cfg.CloseTimeout)
	}
	c.abort()
	c.stall.stop()
	c.pulse.bury()
	c.pulse.wait()
	c.leftBy()
}

// report is the last act: TCP is closed and the process is dead. The only code of the user's that it runs are the
// methods of the exit reason. They may end this goroutine, so the rest is deferred.
func (c *conn) report() {
	defer c.srv.release()
	c.srv.remove(c)
	if f := c.srv.cfg.OnClose; f != nil {
		defer func() { c.callOnClose(f, c.closed()) }()
	}
	if level, logged := c.logLevel(); logged {
		c.log(level, c.closed())
	}
}

// Info describes the socket whose callback runs with ctx, or a context derived from it. It panics when ctx is not that of
// a socket's process.
func Info(ctx context.Context) ConnInfo {
	c, ok := host.ActorOf(ctx).(*conn)
	if !ok {
		panic("socket: Info: ctx is not that of a socket's callback")
	}
	return c.info()
}
