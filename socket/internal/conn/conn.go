package conn

import (
	"context"
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

// Options are those of a Group. They mean what they mean in socket.Config, with the defaults filled in: a negative time is
// off.
type Options struct {
	System       *actor.System
	MailboxLimit int
	MaxAsync     int

	IdleTimeout, PingInterval, MessageTimeout, HibernateAfter time.Duration
	WriteTimeout, CloseTimeout, ShutdownTimeout, AbandonAfter time.Duration

	IdleClose websock.CloseDetail
	Threshold int // of compression

	// SlowCallback is how long a callback may run before Slow is told of it, once: handling is what actor.Inspect says.
	SlowCallback time.Duration
	Slow         func(c *Conn, handling string, d time.Duration)

	// Opened is called by Open, before the first callback. Closed is called once for each connection that was opened: TCP is
	// closed and the process is dead. It must not block.
	Opened, Closed func(*Conn)
}

// Group is what many connections share.
type Group struct {
	opts      Options
	host      host.Options
	epoch     time.Time
	deadlines deadline.Queue
	notifier  notify.Notifier
	watch     watch
}

// NewGroup makes a Group.
func NewGroup(o Options) *Group {
	return &Group{opts: o, epoch: time.Now(), host: host.Options{
		// The reader leaves its writes to when it is about to wait, so that the answers to frames which have arrived together
		// leave together.
		FlushesItself: true,
		AbandonAfter:  o.AbandonAfter,
	}}
}

// at is how long after the epoch t is, plus one; 0 for the zero Time.
func (g *Group) at(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return t.Sub(g.epoch) + 1
}

// time is the other way round.
func (g *Group) time(at time.Duration) time.Time { return g.epoch.Add(at - 1) }

// Scope is what a connection keeps of its request.
type Scope struct {
	Values context.Context // nil: none
	Attrs  []slog.Attr     // for every log line
}

// Conn is one connection: the actor and host of its process, and the reader. Its exported methods are for its owner, but
// for those that package host, wire, deadline and notify call. See the package's comment for its states.
//
// What a message touches stands in its first cache line: when there are many connections, each is a miss. A million of
// them may sleep, so its size counts: 288 bytes are a size class.
type Conn struct {
	wire           *wire.Conn
	handler        websock.Handler
	lost           atomic.Pointer[lostError] // the transport has failed
	place          *frame                    // for the next frame; owned by the reader; nil while there is no need of it
	lateFlushArmed atomic.Bool
	watched        atomic.Bool // it is in Group.watch
	port           host.Port   // its second half is the PID

	group       *Group
	scope       *Scope        // nil: nothing is kept
	initialized bool          // Init has returned normally; owned by the turn
	draining    bool          // HandleDrain was called; owned by the turn
	queued      bool          // a message may wait in the mailbox; owned by the reader
	since       time.Duration // as Group.at has it, like all times below

	// What stands below is guarded by mu.
	mu          sync.Mutex
	life        life
	reading     reading
	interrupted bool   // reading is to end, which the process learns from the reader
	overloaded  bool   // before the transport was lost, the mailbox went over its limit
	saidGoodbye bool   // the Close frame of an overload is out, while a callback runs
	terminated  bool   // Terminate has returned, so the end is no kill
	holders     int16  // see hold
	role        uint32 // of the reader; see serve
	backlog     backlog

	changed    *sync.Cond    // of life; nil while nobody waits for that
	waitsSince time.Duration // when the wait for the peer's Close began; 0: it is not waited for
	end        *end          // nil: nothing is known of it yet
	lateFlush  *time.Timer
	deadline   deadline.Entry
	sleeper    notify.Sleeper
	silence    silence
	ping       ping
}

// Spawn makes the process of a connection, of which nothing runs yet. The caller must call Open, or kill the process. scope
// may be nil.
func (g *Group) Spawn(h websock.Handler, scope *Scope) (*Conn, error) {
	c := &Conn{group: g, handler: h, scope: scope, since: g.at(time.Now()), holders: 2} // the process, and the reader
	c.silence.noMessage = c.since
	port, err := host.Spawn(g.opts.System, c, actor.SpawnOptions{
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

// Open starts the connection; the 101 is on the wire.
func (c *Conn) Open(w *wire.Conn) {
	c.wire = w
	w.SetHooks(c)
	c.mu.Lock()
	if c.group.opts.HibernateAfter < 0 || !notify.Supported(w.Transport()) {
		c.reading = always
	}
	c.become(open)
	dead := c.end != nil
	c.mu.Unlock()
	if dead { // the System was shut down meanwhile, and its patience is over
		c.exited()
	}
	c.group.opts.Opened(c)
	c.port.Go((*opener)(c))
}

// PID is the process's.
func (c *Conn) PID() actor.PID { return c.port.PID() }

// Scope implements host.Host.
func (c *Conn) Scope() (values context.Context, attrs []slog.Attr) {
	if c.scope == nil {
		return nil, nil
	}
	return c.scope.Values, c.scope.Attrs
}
