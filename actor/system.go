package actor

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"github.com/troupe-dev/troupe/actor/internal/engine"
	"github.com/troupe-dev/troupe/actor/internal/pool"
	"github.com/troupe-dev/troupe/actor/internal/report"
)

// Config configures a System. The zero value works.
type Config struct {
	// Node names this node in PIDs: letters, digits and -_.:[] only. Empty: "local".
	Node string
	// CallTimeout is how long a Call waits when its ctx has no deadline. 0: 5 s; negative: no limit.
	CallTimeout time.Duration
	// ShutdownTimeout is the shutdown time of processes that do not choose their own. 0: 5 s; negative: no limit.
	ShutdownTimeout time.Duration
	// LastExits is how many abnormal ends [System.LastExits] keeps, the exit reasons included. 0: 256; negative: none.
	LastExits int
	// OnEvent is called for each [Event]: what the log says of processes, for code that is to act on it or to count it. It is
	// called by one goroutine at a time, in order, on a goroutine that exists only while there are calls. Nothing waits for
	// it but Shutdown, at its end: for 5 s at most, and only while no call takes longer than 300 ms. When too many calls
	// wait, more are dropped, and the log says how many: 65,536 may wait, but only 1,024 while one call has been taking
	// longer than 300 ms. A panic in it is logged. nil: none.
	OnEvent func(Event)
	// Carry and Fetch take something along with messages, such as the context of a trace, from the ctx of whoever sends to
	// that of the callback that handles it. Carry says what of ctx is to be taken along; nil: nothing. It is called on the
	// goroutine of the sender by [Call], [Send], [SendWait], [SendAfter], [Spawn] and [Async]. [PID.Send] has no ctx and carries
	// nothing, and neither do [SendEvery] and what a broadcast sends.
	//
	// Fetch returns the ctx for the callback that gets such a message, derived from the ctx that it would have otherwise:
	// that of Init for Spawn, and that of the callback that gets the [Done] for Async. (The function of an Async has a ctx
	// that is derived from the caller's anyway.) It is called in the process, right before the callback.
	//
	// To another node goes what is a string, or an encoding.TextMarshaler of which the text is sent, of 1 to 1,024 bytes;
	// anything else stays behind. The Fetch of that node gets a string. One that does not know what it gets should return
	// ctx as it is.
	//
	// Both are called by many goroutines at a time and must not block, and neither must MarshalText. A panic in one of them is
	// logged, and the message goes on without what was to be carried. Each carried message costs a small allocation. Both are nil, or neither is.
	Carry func(ctx context.Context) any
	Fetch func(ctx context.Context, carried any) context.Context
	// Logger gets abnormal ends at Error, other ends and messages that reach nobody at Debug. A callback that has not
	// returned a moment after its process was killed is an Error too. The line has its stack where that can be had
	// without stopping a large program: among at most 1,000 goroutines, once a second. nil: slog.Default(). Nothing
	// waits for the Logger: lines that it does not take in time are dropped, and the next one that gets through says
	// how many. Only the Enabled method of its Handler is called on the goroutines that report.
	Logger *slog.Logger
}

const (
	defaultLastExits       = 256
	defaultCallTimeout     = 5 * time.Second
	defaultShutdownTimeout = 5 * time.Second
)

// System runs processes. Make one for a program, and end it with Shutdown or Serve. Inside testing/synctest, make one per
// bubble, in the bubble, and shut it down there.
//
// A System without work has no goroutine and no ticker. Goroutines that have run callbacks are kept for the next ones for a
// moment, at most 16 for each processor, and not after Shutdown. All methods may be called from any goroutine.
type System struct {
	origin          unique.Handle[origin]
	boot            uint64
	callTimeout     time.Duration
	shutdownTimeout time.Duration
	log             *report.Log
	engine          *engine.System
	table           table
	pool            pool.Pool // of the goroutines that run turns
	numbers         atomic.Uint64
	terms           [4]atomic.Pointer[terms] // the last ones that were made
	termsMade       atomic.Uint32
	epoch           time.Time
	carry           func(ctx context.Context) any // nil: nothing is carried. It stands beside epoch, which each message reads
	fetch           func(ctx context.Context, carried any) context.Context
	remote          atomic.Pointer[remote]      // nil: this System knows no other node
	ending          atomic.Pointer[func(p PID)] // host.OnEnding; nil: nobody is told
	slots, waiters  sync.Pool                   // of chan bool and *waiter

	closed     atomic.Bool
	opening    opening
	live       atomic.Int64  // processes, from before they come into the table until after their end
	goroutines atomic.Int64  // that run turns and tasks, without the abandoned ones
	abandoned  atomic.Int64  // goroutines abandoned with their process
	quiet      chan struct{} // a token, when live or goroutines has come to 0 after closed
	dropped    atomic.Int64  // messages that reached nobody
	counts     counts
	exits      exits
	onEvent    func(Event)   // nil: none
	events     *report.Queue // of onEvent
	losses     losses        // that onEvent has not been told of
	trespasses atomic.Int64  // uses of the engine's own paths; stays 0
	reporter   reporter
	lapse      lapse // an actor that is busy reads it for each message: nothing beside it is written often
}

// NewSystem makes a System. The only errors are a Node that cannot stand in a PID, and a Carry without a Fetch or a Fetch
// without a Carry.
func NewSystem(cfg Config) (*System, error) {
	return newSystem(cfg, func(c engine.Config) (*engine.System, error) { return engine.New(c), nil })
}

func newSystem(cfg Config, newEngine func(engine.Config) (*engine.System, error)) (*System, error) {
	if cfg.Node == "" {
		cfg.Node = "local"
	}
	if err := checkNode(cfg.Node); err != nil {
		return nil, fmt.Errorf("actor: Config.Node %q: %w", cfg.Node, err)
	}
	if (cfg.Carry == nil) != (cfg.Fetch == nil) {
		return nil, errors.New("actor: Config.Carry and Config.Fetch: one is set without the other")
	}
	var boot [8]byte
	rand.Read(boot[:]) // never fails
	s := &System{
		boot:            binary.LittleEndian.Uint64(boot[:]),
		callTimeout:     orDefault(cfg.CallTimeout, defaultCallTimeout),
		shutdownTimeout: orDefault(cfg.ShutdownTimeout, defaultShutdownTimeout),
		log:             report.NewLog(cfg.Logger),
		quiet:           make(chan struct{}, 1),
		opening:         opening{tryAgain: make(chan struct{}, 1)},
		epoch:           time.Now(),
		exits:           exits{most: max(cmp.Or(cfg.LastExits, defaultLastExits), 0)},
		onEvent:         cfg.OnEvent,
		carry:           cfg.Carry,
		fetch:           cfg.Fetch,
	}
	s.lapse.init()
	s.events = report.NewCalls("Config.OnEvent", s.log)
	s.origin = unique.Make(origin{node: cfg.Node, boot: s.boot})
	var err error
	s.engine, err = newEngine(engine.Config{
		Trespass: s.trespass, Find: s.findTarget, Away: s.findAway, Address: s.engineAddress(), Logger: s.log.Logger,
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func orDefault(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return d
}

// CallTimeout is Config.CallTimeout, or its default; negative: no limit. It is for code that waits for processes by other
// means than [Call], and should wait as long when ctx has no deadline.
func (s *System) CallTimeout() time.Duration { return s.callTimeout }

// now is the time since the System was made. It has a third of the size of a time.Time, and takes half the time.
func (s *System) now() int64 { return int64(time.Since(s.epoch)) }

// time turns what now has returned into a time.Time.
func (s *System) time(now int64) time.Time { return s.epoch.Add(time.Duration(now)) }

// slot is a channel for one value; process.putSlot gives it back. Channels belong to the System and not to the
// program because one that was made in a bubble of testing/synctest must not be used in another.
func (s *System) slot() chan bool {
	if c, ok := s.slots.Get().(chan bool); ok {
		return c
	}
	return make(chan bool, 1)
}

func (s *System) trespass(what string) {
	s.trespasses.Add(1)
	s.log.Error("a path of the actor engine was reached that is never used", "what", what, "stack", string(debug.Stack()))
}

// remove takes a dead process out of the table and the engine. False: it has never been in the table.
func (s *System) remove(p *process) (was bool) {
	was = s.table.remove(p.num)
	if !p.hosted {
		s.engine.Remove(p.num)
	}
	return was
}

func (s *System) undelivered(p PID, msg any) {
	s.dropped.Add(1)
	if s.onEvent != nil {
		s.losses.note(s, p, msg)
	}
	if s.log.Enabled(context.Background(), slog.LevelDebug) {
		s.log.Debug("message reached nobody", "pid", p.String(), "type", fmt.Sprintf("%T", msg), "dropped", s.dropped.Load())
	}
}

// Processes yields what [Inspect] says of every living process, in no order, without stopping any.
func (s *System) Processes() iter.Seq[ProcessInfo] {
	return func(yield func(ProcessInfo) bool) {
		for p := range s.table.all() {
			if info, ok := p.info(); ok && !yield(info) {
				return
			}
		}
	}
}
