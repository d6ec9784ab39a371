package conn

import (
	"context"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
	"github.com/troupe-dev/troupe/socket/internal/deadline"
	"github.com/troupe-dev/troupe/socket/internal/notify"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// Options are those of a Group. Each means what it means in socket.Config, with the defaults filled in; a negative time
// means off.
type Options struct {
	Owner        any // what Conn.Owner returns
	System       *actor.System
	MailboxLimit int
	MaxAsync     int

	// MailboxBytes, MaxLag and Overflow are those of host.Options.
	MailboxBytes int64
	MaxLag       time.Duration
	Overflow     host.Overflow

	IdleTimeout, PingInterval, MessageTimeout, HibernateAfter time.Duration
	WriteTimeout, CloseTimeout, ShutdownTimeout, AbandonAfter time.Duration

	IdleClose websock.CloseDetail
	Threshold int // of compression

	// SlowCallback is how long a callback may run before Slow is called, once; 0 or negative: never. handling is
	// actor.ProcessInfo.Handling.
	SlowCallback time.Duration
	Slow         func(c *Conn, handling string, d time.Duration)

	// Overflowed is called when the mailbox was over its limit, on the goroutine of a sender. It must not block.
	Overflowed func(*Conn)

	// Abandoned is called when a callback has not returned a moment after the process was killed; see host.Abandoner. It must
	// not block. nil: nobody wants to know.
	Abandoned func(c *Conn, handling string, d time.Duration, stack string)

	// Record is which connections have a recorder: one in so many; 0: none.
	Record int

	// Timings has callbacks timed; see Group.Timings.
	Timings bool

	// LeftOut is called for each message that is left out. It must not block.
	LeftOut func()

	// Answered is called when the peer has answered a ping of ours, with how long that took. It must not block.
	Answered func(rtt time.Duration)

	// ExpiryWarning is how long before the time of Expire HandleExpiry is called; 0 or less: it is not. Now tells the time
	// by the wall clock; nil: time.Now.
	ExpiryWarning time.Duration
	Now           func() time.Time

	// MaxAge is how long a connection may live, less up to a tenth; 0: as long as it likes. TooOld is called when it has. It
	// must not block.
	MaxAge time.Duration
	TooOld func(*Conn)

	// Ending is called when the exit reason is decided, before the Close frame is written. It is not called at a kill. It must
	// not block. It may be nil.
	Ending func(*Conn)

	// Opened is called by Open, before the first callback. Closed is called once for each connection that was opened, when
	// TCP is closed and the process is dead. It must not block.
	Opened, Closed func(*Conn)
}

// Group is what many connections share.
type Group struct {
	opts      Options
	host      host.Options
	epoch     time.Time
	deadlines deadline.Queue
	notifier  notify.Notifier
	watches   [watches]watch
	spawned   atomic.Uint32 // connections; it gives each its watch
	seed      maphash.Seed  // of maxAge
	asleep    atomic.Int64  // connections that sleep
	timing    *timing       // nil: callbacks are not timed
}

// NewGroup makes a Group.
func NewGroup(o Options) *Group {
	g := &Group{opts: o, epoch: time.Now(), seed: maphash.MakeSeed(), host: host.Options{
		// The reader flushes when it is about to wait, so that the answers to frames which have arrived together leave
		// together.
		FlushesItself: true,
		AbandonAfter:  o.AbandonAfter,
		ClassOf:       classOf,
		LeftOut:       o.LeftOut,
		MailboxBytes:  o.MailboxBytes,
		MaxLag:        o.MaxLag,
		Overflow:      o.Overflow,
	}}
	if o.Timings {
		g.timing = new(timing)
	}
	return g
}

// at is the time from the epoch to t, plus one nanosecond, so that 0 can stand for the zero Time.
func (g *Group) at(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return t.Sub(g.epoch) + 1
}

// time is the inverse of at, for anything but 0.
func (g *Group) time(at time.Duration) time.Time { return g.epoch.Add(at - 1) }

// Scope is what a connection keeps of its request.
type Scope struct {
	Values  context.Context // nil: none
	Subject string          // who it is
	Attrs   []slog.Attr     // for every log line
	Tag     any             // the owner's own; see Conn.SetTag

	recorder *recorder // nil: the connection is not recorded
}

// Conn is one connection: the actor and host of its process, and the reader. Its exported methods are for its owner, except
// those that packages actor, host, wire, deadline and notify call. See the package's comment for its states.
//
// What a message touches stands in the first cache line: when there are many connections, each line is a miss. A million
// of them may sleep, so the size counts: 256 bytes are a size class of the allocator.
type Conn struct {
	wire           *wire.Conn
	handler        websock.Handler
	lost           atomic.Pointer[lostError] // the transport has failed
	place          *frame                    // where the next message goes; owned by the reader; nil: made when one comes
	lateFlushArmed atomic.Bool
	watched        atomic.Bool  // this connection is in its watch
	queued         bool         // a message may wait in the mailbox; owned by the reader
	impatient      bool         // the reader has woken after a long silence, and does not wait for more; owned by it
	stage          stage        // owned by the turn
	watch          uint8        // which of Group.watches is that of this connection
	taps           atomic.Int32 // how many there are
	port           host.Port

	group *Group
	scope *Scope        // nil: nothing is kept
	since time.Duration // when the process was made; by Group.at, like all times below

	// mu guards all that follows.
	mu          sync.Mutex
	life        life
	reading     reading
	interrupted bool   // reading is to end; the reader will tell the process
	overloaded  bool   // the mailbox went over its limit before the transport was lost
	saidGoodbye bool   // the Close frame of an overload was written while life was open
	terminated  bool   // Terminate is over, so this end is not a kill
	holders     int16  // see hold
	role        uint32 // the number of the current reader; see serve
	backlog     backlog

	changed    *sync.Cond    // of life or backlog; nil until somebody waits for that
	waitsSince time.Duration // since when the peer's Close is waited for; 0: it is not
	end        *end          // nil: nothing is known of the end yet
	lateFlush  *time.Timer
	deadline   deadline.Entry
	sleeper    notify.Sleeper
	silence    silence
	ping       ping
}

// stage is how far the handler has come.
type stage uint8

const (
	fresh       stage = iota
	initialized       // Init has returned normally
	draining          // HandleDrain was called
)

// Spawn makes the process of a connection but runs nothing of it. The caller must call Open, or kill the process. scope may
// be nil.
func (g *Group) Spawn(h websock.Handler, scope *Scope) (*Conn, error) {
	c := &Conn{group: g, handler: h, scope: scope, since: g.at(time.Now()), holders: 2} // the process, and the reader
	n := g.spawned.Add(1)
	c.watch = uint8(n % watches)
	c.silence.noMessage = c.since
	actorAndHost := host.Host(c)
	if o := c.observed(n); o != nil {
		actorAndHost = o
	}
	port, err := host.Spawn(g.opts.System, actorAndHost, actor.SpawnOptions{
		MailboxLimit: g.opts.MailboxLimit,
		MaxAsync:     g.opts.MaxAsync,
		Overflow:     actor.OverflowExit,
		Shutdown:     g.opts.ShutdownTimeout,
	}, &g.host)
	if err != nil {
		return nil, err
	}
	c.port = port
	return c, nil
}

// Open starts the connection. The 101 must have been written.
func (c *Conn) Open(w *wire.Conn) {
	c.wire = w
	w.SetHooks(c)
	if _, ok := optional[websock.Borrower](c.handler); ok {
		w.Lend()
	}
	if r := c.recorder(); r != nil {
		w.Watch(r, 1)
	}
	c.mu.Lock()
	if c.group.opts.HibernateAfter < 0 || !notify.Supported(w.Transport()) {
		c.reads(always)
	}
	c.become(open)
	dead := c.end != nil
	c.mu.Unlock()
	if dead { // killed before, because the System is shut down
		c.exited()
	}
	c.group.opts.Opened(c)
	c.port.Go((*opener)(c))
}

// Owner is Options.Owner.
func (c *Conn) Owner() any { return c.group.opts.Owner }

// Wrapped is what actor.Inspect names the type of.
func (c *Conn) Wrapped() any { return innermost(c.handler) }

// PID is that of the process.
func (c *Conn) PID() actor.PID { return c.port.PID() }

// Scope implements host.Host.
func (c *Conn) Scope() (values context.Context, attrs []slog.Attr) {
	if c.scope == nil {
		return nil, nil
	}
	return c.scope.Values, c.scope.Attrs
}
