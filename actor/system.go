package actor

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"github.com/troupe-dev/troupe/actor/internal/engine"
	"github.com/troupe-dev/troupe/actor/internal/hook"
	"github.com/troupe-dev/troupe/actor/internal/pool"
	"github.com/troupe-dev/troupe/actor/internal/report"
)

// Config configures a System. The zero value works.
type Config struct {
	// Node names this node in PIDs: letters, digits and -_.:[] only. Empty: "local".
	Node string
	// CallTimeout is how long a Call waits whose ctx has no deadline. 0: 5 s; negative: no limit.
	CallTimeout time.Duration
	// ShutdownTimeout is the shutdown time of processes that do not choose their own. 0: 5 s; negative: no limit.
	ShutdownTimeout time.Duration
	// Logger gets abnormal ends at Error, other ends and messages that reach nobody at Debug. A callback that has not
	// returned a moment after its process was killed is an Error too. The line has its stack where that can be had
	// without stopping a large program: among at most 1,000 goroutines, once a second. nil: slog.Default(). Nothing
	// waits for the Logger: lines that it does not take in time are dropped, and the next one that gets through says
	// how many. Only the Enabled method of its Handler is called on the goroutines that report.
	Logger *slog.Logger
}

const (
	defaultCallTimeout     = 5 * time.Second
	defaultShutdownTimeout = 5 * time.Second
)

// System runs processes. Make one for a program, and end it with Shutdown or Serve. Inside testing/synctest, make one per
// bubble, in the bubble, and shut it down there.
//
// It starts no goroutine and no ticker of its own. Those that have run callbacks stay for a moment, at most 16 for
// each processor, or until Shutdown. All methods may be called from any goroutine.
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
	epoch           time.Time
	slots, waiters  sync.Pool // of chan bool and *waiter

	closed     atomic.Bool
	door       door
	live       atomic.Int64  // processes, from before they are in the table to after their end
	goroutines atomic.Int64  // that run turns and tasks, without the abandoned ones
	abandoned  atomic.Int64  // goroutines abandoned with their process
	quiet      chan struct{} // a token, when live or goroutines has come to 0 after closed
	dropped    atomic.Int64  // messages that reached nobody
	trespasses atomic.Int64  // uses of the engine's own paths; stays 0
	reporter   reporter
}

// NewSystem makes a System. The only error is a Node that cannot stand in a PID.
func NewSystem(cfg Config) (*System, error) {
	if cfg.Node == "" {
		cfg.Node = "local"
	}
	if err := checkNode(cfg.Node); err != nil {
		return nil, fmt.Errorf("actor: Config.Node %q: %w", cfg.Node, err)
	}
	var boot [8]byte
	rand.Read(boot[:]) // never fails
	s := &System{
		boot:            binary.LittleEndian.Uint64(boot[:]),
		callTimeout:     orDefault(cfg.CallTimeout, defaultCallTimeout),
		shutdownTimeout: orDefault(cfg.ShutdownTimeout, defaultShutdownTimeout),
		log:             report.NewLog(cfg.Logger),
		quiet:           make(chan struct{}, 1),
		door:            door{clear: make(chan struct{}, 1)},
		epoch:           time.Now(),
	}
	s.origin = unique.Make(origin{node: cfg.Node, boot: s.boot})
	s.engine = engine.New(engine.Config{Trespass: s.trespass, Logger: s.log.Logger})
	return s, nil
}

func orDefault(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return d
}

// CallTimeout is how long a wait lasts whose ctx has no deadline: Config.CallTimeout, negative for no limit. It is for
// code that waits for processes by other means than [Call] and should wait as long.
func (s *System) CallTimeout() time.Duration { return s.callTimeout }

// limit is n as it is kept: -1 for none.
func limit(n, def int) int32 {
	if n == 0 {
		n = def
	}
	return int32(max(-1, min(n, math.MaxInt32)))
}

// engineID is the id of a process in the engine. It needs no boot, because the engine's ids do not leave this System; and
// it is a number, like none of the engine's own.
func engineID(num uint64) string { return strconv.FormatUint(num, 10) }

// now is the time since the System was made: a third of the size of a time.Time, and half the work.
func (s *System) now() int64 { return int64(time.Since(s.epoch)) }

// time is what now said, as a time.
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

// Spawn starts a process and returns when its Init did, with its error (or the error that ended it meanwhile), which it
// does not wrap. Init runs on the process's own goroutine. After Shutdown the error is ErrShutdown.
//
// ctx bounds the wait, and is not that of the process: when it is done before Init has returned, the process gets
// Exit(ErrShutdown) and the error is the cause of ctx's end. When it is already done, no process is made.
//
// The process is a root: nobody is told of its end but its monitors. [Spawn] makes children.
func (s *System) Spawn(ctx context.Context, a Actor, o SpawnOptions) (PID, error) {
	if ctx.Err() != nil {
		return PID{}, context.Cause(ctx)
	}
	p, err := s.add(a, &o, nil)
	if err != nil {
		return PID{}, err
	}
	return p.launch(ctx)
}

// Spawn starts a child of the process that ctx belongs to. It ends with its parent: at the parent's end it gets
// Exit(ErrShutdown), is awaited for its shutdown time and then killed. Its own end reaches the parent as a [Down] with
// the zero Ref, unless Spawn has returned it as an error. Otherwise it is like [System.Spawn]: it blocks until the
// child's Init has returned or, if ctx is derived from that of the process, ctx is done. When the process of ctx is
// ending, the error is ErrNoProcess. Spawn panics when ctx belongs to no process.
func Spawn(ctx context.Context, a Actor, o SpawnOptions) (PID, error) {
	parent := mustProcess(ctx, "Spawn")
	p, err := parent.sys.add(a, &o, parent)
	if err != nil {
		return PID{}, err
	}
	return p.launch(ctx)
}

// newProcess makes the record of a process.
func (s *System) newProcess(a Actor, o *SpawnOptions, parent *process) *process {
	if a == nil {
		panic("actor: Spawn: nil Actor")
	}
	p := &process{
		sys:      s,
		num:      s.numbers.Add(1),
		actor:    a,
		parent:   parent,
		since:    s.now(),
		queue:    queue{limit: limit(o.MailboxLimit, defaultMailboxLimit)},
		maxAsync: limit(o.MaxAsync, defaultMaxAsync),
		overflow: o.Overflow,
		shutdown: orDefault(o.Shutdown, s.shutdownTimeout),
		label:    o.Label,
	}
	if h, ok := a.(hook.Hosted); ok {
		hosted := h.TroupeHosted()
		_, p.corked = hosted.Hooks.(hook.Corked)
		p.actor, p.hooks = hosted.Actor.(Actor), hosted.Hooks
		hosted.Port = p
	}
	return p
}

var (
	errSpawnLate   = fmt.Errorf("actor: spawn after System.Shutdown: %w", ErrShutdown)
	errSpawnEnding = fmt.Errorf("actor: spawn by a process that is ending: %w", ErrNoProcess)
)

// add makes a process that can be sent to and has not run yet.
func (s *System) add(a Actor, o *SpawnOptions, parent *process) (*process, error) {
	p := s.newProcess(a, o, parent)
	if err := s.admit(p); err != nil {
		return nil, err
	}
	if err := s.enter(p); err != nil {
		return nil, err
	}
	return p, nil
}

// admit counts p and makes it its parent's child, or returns why it must not live.
func (s *System) admit(p *process) error {
	s.live.Add(1)
	if s.closed.Load() {
		s.gone()
		return errSpawnLate
	}
	if p.parent != nil && !p.parent.addChild(p) {
		s.gone()
		return errSpawnEnding
	}
	return nil
}

// enter makes p known. Shutdown may have swept the table between admit and here.
func (s *System) enter(p *process) error {
	if err := s.register(p); err != nil {
		return err
	}
	if s.closed.Load() {
		p.exit(ErrShutdown)
	}
	return nil
}

// register makes p known. Under its lock, because its parent may end it at the same moment: what is removed then must
// not come in afterwards. A process that has a host enters the engine when that starts it: the engine's way is deep, and
// the goroutine that spawns it may be one of net/http's, whose stack would have to grow for it.
func (s *System) register(p *process) error {
	p.mu.Lock()
	if p.state != stateNew {
		reason := p.reason
		p.mu.Unlock()
		return reason
	}
	s.table.put(p)
	var err error
	if p.hooks == nil {
		err = p.enterEngine()
	}
	p.mu.Unlock()
	if err != nil {
		p.kill(err)
	}
	return err
}

// enterEngine makes p known to the engine; p.mu is held. It cannot fail, because the id is new.
func (p *process) enterEngine() error { return p.sys.engine.Spawn(engineID(p.num), p, &p.cell) }

func (p *process) addChild(c *process) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state >= stateEnding {
		return false
	}
	p.rel().children.Put(c, struct{}{})
	return true
}

// launch runs a process that has no host, and waits for its Init, or until ctx is done.
func (p *process) launch(ctx context.Context) (PID, error) {
	if p.hooks != nil {
		return p.pid(), nil // its host starts it
	}
	slot := p.sys.slot()
	p.mu.Lock()
	if p.state == stateDead {
		defer p.mu.Unlock()
		return PID{}, p.reason
	}
	p.slot = slot // where either initTask says true or leave says false
	p.hire()
	p.mu.Unlock()
	p.sys.pool.Go((*initTask)(p))
	var started bool
	select {
	case started = <-slot:
	case <-endOf(ctx):
		p.exit(ErrShutdown) // the slot is not given back: it has room for what may still come
		return PID{}, context.Cause(ctx)
	}
	p.putSlot()
	if !started {
		return PID{}, p.reason // nobody writes it any more
	}
	return p.pid(), nil
}

// endOf is Done of a ctx that is not a process's own: of that it would have to be made, and the process does not wait
// for what ends with it.
func endOf(ctx context.Context) <-chan struct{} {
	switch ctx.(type) {
	case *processContext, *terminateContext, *call:
		return nil
	}
	return ctx.Done()
}

func (s *System) goroutineDone() {
	if s.goroutines.Add(-1) == 0 {
		s.poke()
	}
}

// gone strikes off a process.
func (s *System) gone() {
	if s.live.Add(-1) == 0 {
		s.poke()
		if s.closed.Load() {
			offer(s.door.clear)
		}
	}
}

func (s *System) poke() {
	if s.closed.Load() {
		offer(s.quiet)
	}
}

// remove takes a dead process out of the table and the engine.
func (s *System) remove(p *process) {
	s.table.remove(p.num)
	s.engine.Remove(engineID(p.num))
}

func (s *System) undelivered(p PID, msg any) {
	s.dropped.Add(1)
	if s.log.Enabled(context.Background(), slog.LevelDebug) {
		s.log.Debug("message reached nobody", "pid", p.String(), "type", fmt.Sprintf("%T", msg), "dropped", s.dropped.Load())
	}
}

// Shutdown ends all processes with ErrShutdown, children before their parents, and waits until they are dead and the
// goroutines of their callbacks and Asyncs have returned. Spawn returns ErrShutdown from the call on. When ctx is done,
// what still lives is killed and the error says how much that was. A later call waits likewise. Shutdown returns after
// the Logger has got what there was to log, but does not wait for one that takes longer than 300 ms for a line.
//
// Do not call it from a callback: it would wait for itself, until that process's shutdown time is over. When ctx is
// that of a process of this System, it returns an error at once, and nothing is shut down.
//
// Each process has its own shutdown time, and an Async that ignores its ctx gets Config.ShutdownTimeout beyond the last
// process, so Shutdown ends without a deadline in ctx, too.
func (s *System) Shutdown(ctx context.Context) error {
	if err := s.waitsForItself(ctx, "shutdown"); err != nil {
		return err
	}
	s.shut()
	defer s.unshut() // last
	for p := range s.table.spread() {
		if p.parent == nil {
			p.exit(ErrShutdown)
		}
	}
	cause := s.waitQuiet(ctx)
	s.pool.Close()
	defer s.log.Wait(ctx)
	defer s.reportNow()
	if cause == nil {
		return nil
	}
	killed := 0
	for p := range s.table.spread() {
		if p.kill(ErrKilled) {
			killed++
		}
	}
	return fmt.Errorf("actor: shutdown: %d processes killed, %d goroutines left: %w", killed,
		s.abandoned.Load()+s.goroutines.Load(), cause)
}

var errAsync = errors.New("an Async did not return within Config.ShutdownTimeout of its end")

// waitsForItself returns an error when ctx is that of a process of s, for whose end what would have to wait.
func (s *System) waitsForItself(ctx context.Context, what string) error {
	if p := processOf(ctx); p != nil && p.sys == s && p.alive() {
		return fmt.Errorf("actor: %s by %v, one of the System's own processes, would wait for itself", what, p.pid())
	}
	return nil
}

// waitQuiet waits until no process lives and no goroutine runs, or says why it waits no longer.
func (s *System) waitQuiet(ctx context.Context) error {
	var grace <-chan time.Time
	for s.live.Load() > 0 || s.goroutines.Load() > 0 {
		if s.live.Load() == 0 && grace == nil && s.shutdownTimeout > 0 {
			t := time.NewTimer(s.shutdownTimeout)
			defer t.Stop()
			grace = t.C
		}
		select {
		case <-s.quiet:
		case <-grace:
			return errAsync
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	s.poke() // for whoever else waits
	return nil
}

// Serve waits until ctx is done and then shuts the System down, for use as a service of a supervision tree. A System
// that was shut down cannot be served again: the error, at once, is ErrShutdown. So it is a child that others are not
// restarted with (OneForOne), or is shut down after the tree.
func (s *System) Serve(ctx context.Context) error {
	if inside, ok := ctx.Value(hook.SystemKey{}).(*hook.System); ok {
		*inside = hook.System{Log: s.log, Reopen: s.reopen}
		return nil
	}
	if err := s.waitsForItself(ctx, "serve"); err != nil {
		return err
	}
	if s.closed.Load() {
		return fmt.Errorf("actor: serve after System.Shutdown: %w", ErrShutdown)
	}
	<-ctx.Done()
	return s.Shutdown(context.Background())
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
