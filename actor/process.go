package actor

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/actor/internal/engine"
	"github.com/troupe-dev/troupe/actor/internal/hook"
	"github.com/troupe-dev/troupe/actor/internal/shrink"
)

// phase says which code of the actor or its host is running.
type phase uint8

const (
	phaseNone  phase = iota
	phaseGiven       // no code: current waits for the worker that was hired for it
	phaseInit
	phaseReceive
	phaseTurnEnd
	phaseEnding
	phaseTerminate
)

// String is what [ProcessInfo].Handling says when it is not a message that is handled.
func (h phase) String() string {
	return [...]string{"", "", "init", "receive", "turn end", "ending", "terminate"}[h]
}

// state is how far a process has come; it only grows.
type state uint8

const (
	stateNew     state = iota // Init has not returned; messages wait
	stateRunning              // Init has returned
	stateEnding               // the exit reason is decided, and nothing more is handled
	stateLeaving              // host.Exited is to run
	stateLeft                 // exit hooks run
	stateDead                 // nobody finds it any more
)

// overtaking says what has overtaken the queue, or will: whether the next thing is the end, with process.reason.
type overtaking uint8

const (
	notOvertaken overtaking = iota
	lastWaits               // what waits is still handled; the host's last frame is among it, and ends the process with reason
	byExit                  // an Exit has found the process at rest
	byLoss                  // the transport is lost, or the mailbox over its limit
)

// process is the record of one process. mu guards the fields that do not say otherwise; those under "never change" are
// set before the process can be found.
//
// Exactly one goroutine at a time holds the turn (running). It alone calls the actor, and it alone ends the process,
// but for a kill, which ends it from any goroutine: then the holder of the turn finds the process dead and lets go.
//
// A million of them may rest, so its size counts: 320 bytes are a size class. What a message touches stands in the first
// two cache lines: when there are many processes, each is a miss.
type process struct {
	mu      sync.Mutex
	state   state
	running bool  // some goroutine holds the turn
	worker  bool  // and it is one of the System's, not a host's
	corked  bool  // the host is a host.Corked; never changes
	shut    bool  // the end is decided: an Exit waits, or more; no messages are taken any more
	started bool  // Init has returned nil
	phase   phase // what runs; a kill leaves it as it was, but for phaseGiven

	abandoned bool // the goroutine that holds the turn was abandoned, because the process ended while a callback ran
	overtaken overtaking
	step      uint8 // of the end that is over or has begun, see conclude; belongs to the goroutine that holds the turn
	overflow  Overflow
	maxAsync  int32  // these two never change; negative: none
	turn      uint64 // counts turns; each names the goroutine that holds it
	current   item   // what is being handled, or is given; then written by the goroutine that holds the turn only, which may read it without mu
	began     int64  // by System.now: when the running callback began

	sys     *System    // never changes, nor do
	actor   Actor      // this
	hooks   hook.Hooks // and this; nil when nobody hosts it
	handled uint64
	queue   queue

	// These never change.
	cell     engine.Cell
	num      uint64
	parent   *process
	since    int64 // by System.now
	shutdown time.Duration

	result   error // what Receive returned; belongs to the goroutine that holds the turn
	label    string
	reason   error // from stateEnding on, or when overtaken
	clock    *endClock
	slot     chan bool // where Spawn waits for Init, or a Deliver for its frame to be taken
	relation *relations
	exits    *exitHook // in the order of registration

	// real is the ctx in the form of the standard library, once somebody needs that; see processContext.
	real    atomic.Pointer[stdContext]
	dropped atomic.Uint64
}

// relations is what most processes never have.
type relations struct {
	children  shrink.Map[*process, struct{}]
	childGone chan struct{} // closed when the last child has gone, while the parent waits for that
	watchers  shrink.Map[*monitor, struct{}]
	watching  shrink.Map[*monitor, struct{}]
	timers    shrink.Map[*timer, struct{}]
	calls     shrink.Map[*call, struct{}] // taken by Caller and not answered yet
	asyncs    int32                       // how many run
}

type exitHook struct {
	f    func(reason error)
	next *exitHook
}

func (p *process) pid() PID { return PID{sys: p.sys, origin: p.sys.origin, num: p.num} }

// rel returns the relations to write to; p.mu is held.
func (p *process) rel() *relations {
	if p.relation == nil {
		p.relation = &relations{}
	}
	return p.relation
}

// Post implements engine.Process.
func (p *process) Post(msg any) { p.post(item{kind: kindUser, msg: msg}) }

// Len implements engine.Process.
func (p *process) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting()
}

// waiting is how many messages wait; p.mu is held.
func (p *process) waiting() int {
	if p.phase == phaseGiven {
		return p.queue.len() + 1
	}
	return p.queue.len()
}

// Trespass implements engine.Process.
func (p *process) Trespass(what string) { p.sys.trespass(what) }

// alive tells whether it has not ended yet; see Alive.
func (p *process) alive() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state < stateDead
}

// hasStarted tells whether Init has returned nil. Then Spawn has, too, and the parent is told of the end.
func (p *process) hasStarted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.started
}

type postResult uint8

const (
	posted   postResult = iota
	postDead            // or its end is decided
	postFull
)

// post puts it after what waits, or, at rest, gives it to the worker that it hires. It never blocks and never runs the
// actor.
func (p *process) post(it item) postResult {
	p.mu.Lock()
	if p.shut {
		dead := p.state == stateDead
		p.mu.Unlock()
		if !dead {
			p.turnAway(it)
		}
		return postDead
	}
	if it.kind.counts() && p.queue.limit >= 0 && p.queue.counted >= p.queue.limit {
		return p.refuse() // unlocks
	}
	if p.state == stateRunning && !p.running { // at rest: nothing waits, so it need not either
		p.current, p.phase = it, phaseGiven
		p.queue.count(it, 1)
		p.hire()
		p.mu.Unlock()
		p.sys.pool.Go((*turnTask)(p))
		return posted
	}
	p.queue.push(it)
	p.mu.Unlock()
	return posted
}

// turnAway counts what came after the end was decided. The sender of a message reports it; the sender of a Call gets an
// error.
func (p *process) turnAway(it item) {
	switch it.kind {
	case kindNotice:
		return
	case kindUser, kindDeferred:
	default:
		p.sys.undelivered(p.pid(), it.content())
	}
	p.dropped.Add(1)
}

// Alive is PID.Alive for a process that was found before; see host.Reach.
func (p *process) Alive() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.shut
}

// Send is PID.Send to a process that was found before; see host.Reach.
func (p *process) Send(msg any) bool {
	if p.post(item{kind: kindUser, msg: msg}) == posted {
		return true
	}
	p.sys.undelivered(p.pid(), msg)
	return false
}

// Defer is host.Ref.Defer.
func (p *process) Defer(d any) bool {
	it := item{kind: kindDeferred, msg: d}
	if p.post(it) == posted {
		return true
	}
	p.sys.undelivered(p.pid(), it.content())
	return false
}

// Notify is host.Ref.Notify.
func (p *process) Notify(d any) bool { return p.post(item{kind: kindNotice, msg: d}) == posted }

// refuse is post for a mailbox that is full; it unlocks p.mu.
func (p *process) refuse() postResult {
	p.dropped.Add(1)
	if p.overflow != OverflowExit {
		p.mu.Unlock()
		return postFull
	}
	if p.state == stateNew {
		p.urge(errOverloadInInit)
	} else {
		p.urge(ErrOverload)
	}
	p.wakeAndUnlock()
	if p.hooks != nil {
		p.hooks.Overflow()
	}
	return postFull
}

// overloaded is err or, when a host's Init has failed because of an overload, the reason that says more.
func (p *process) overloaded(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.overtaken == byLoss && errors.Is(err, ErrOverload) {
		return p.reason
	}
	return err
}

// errOverloadInInit is ErrOverload with a text for the log that says what helps.
var errOverloadInInit = fmt.Errorf("%w: the mailbox was full before Init returned; slow work comes first, then registry.Join",
	ErrOverload)

// urge sets the reason that overtakes the queue, if it is the first; p.mu is held.
func (p *process) urge(reason error) {
	if p.overtaken < byExit {
		p.overtaken, p.shut, p.reason = byLoss, true, reason
		p.startAbandon()
	}
}

// wakeAndUnlock gives the process a goroutine if it rests; it unlocks p.mu.
func (p *process) wakeAndUnlock() {
	if p.state != stateRunning || p.running {
		p.mu.Unlock()
		return
	}
	p.hire()
	p.mu.Unlock()
	p.sys.pool.Go((*turnTask)(p))
}

// hire gives the turn to a worker: the caller must hand one of the tasks below to the pool. p.mu is held.
func (p *process) hire() {
	p.sys.goroutines.Add(1)
	p.running, p.worker = true, true
	p.turn++
}

// What a worker does in a turn it was hired for. Nobody changes p.turn between hire and there.
type (
	initTask process // Init, and what waits after it
	turnTask process // what waits
	endTask  process // the rest of the end
)

func (t *initTask) Run() {
	p := (*process)(t)
	defer p.workerDone(p.turn)
	if p.initialize() == nil {
		p.slot <- true
		p.run(false, 0)
	}
}

func (t *turnTask) Run() {
	p := (*process)(t)
	defer p.workerDone(p.turn)
	p.run(false, 0)
}

func (t *endTask) Run() {
	p := (*process)(t)
	defer p.workerDone(p.turn)
	p.mu.Lock()
	reason := p.reason // that of a kill, if there was one: then nothing is left to do
	p.mu.Unlock()
	p.conclude(reason)
}

// workerDone takes a goroutine out of the count or, if its process has ended under it, out of the count of abandoned
// ones.
func (p *process) workerDone(turn uint64) {
	p.mu.Lock()
	abandoned := p.strikeOff(turn)
	p.mu.Unlock()
	if !abandoned {
		p.sys.goroutineDone()
	}
}

// strikeOff takes the goroutine of a turn out of the count of abandoned ones. False: it was not abandoned. p.mu is
// held.
func (p *process) strikeOff(turn uint64) bool {
	if !p.abandoned || p.turn != turn { // a dead process has no later turn
		return false
	}
	p.abandoned = false
	p.sys.abandoned.Add(-1)
	return true
}

// putSlot gives the slot back, from which the one value that was to come has been taken.
func (p *process) putSlot() {
	p.mu.Lock()
	slot := p.slot
	p.slot = nil
	p.mu.Unlock()
	p.sys.slots.Put(slot)
}

// A turn on the host's reader goroutine is given away when it has become this long: the reader must read.
const (
	longTurn         = time.Millisecond
	longTurnMessages = 64
)

// initialize runs Init, on the goroutine that holds the turn, and lets messages in after it. The caller must go on with
// run when the error is nil.
func (p *process) initialize() error {
	p.mu.Lock()
	if p.state != stateNew {
		defer p.mu.Unlock()
		return p.reason
	}
	p.phase, p.began = phaseInit, p.sys.now()
	p.mu.Unlock()
	if i, ok := p.actor.(Initializer); ok {
		if err := p.protect(func() error { return i.Init((*processContext)(p)) }); err != nil {
			err = p.overloaded(err)
			p.end(err)
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != stateNew {
		return p.reason
	}
	p.state, p.started = stateRunning, true
	return nil
}

// run handles what waits until the process rests or is dead. The caller holds the turn; run lets it go.
// delivering says that this is the goroutine of a Deliver or Start; n is how many messages it has handled.
func (p *process) run(delivering bool, n int) {
	start := p.began
	ended := false // TurnEnd has run since the last message
	for {
		p.mu.Lock()
		if p.state >= stateEnding { // killed
			p.mu.Unlock()
			return
		}
		if p.overtaken >= byExit {
			reason := p.reason
			p.mu.Unlock()
			p.end(reason)
			return
		}
		if delivering && p.queue.len() > 0 && (n >= longTurnMessages || p.sys.now()-start >= int64(longTurn)) {
			p.current, p.phase = item{}, phaseNone
			p.hire()
			p.mu.Unlock()
			p.sys.pool.Go((*turnTask)(p))
			return
		}
		it, ok := p.next()
		if !ok {
			p.current, p.phase = item{}, phaseNone
			if p.hooks != nil && !ended && !(delivering && p.corked) {
				p.phase, p.began = phaseTurnEnd, p.sys.now()
				p.mu.Unlock()
				if err := p.protect(func() error { p.hooks.TurnEnd(delivering); return nil }); err != nil {
					p.end(err)
					return
				}
				ended = true
				continue
			}
			p.running = false
			p.mu.Unlock()
			return
		}
		p.begin(it)
		p.mu.Unlock()
		if it.kind == kindFrame {
			p.slot <- true
		}
		if !p.handle(it) {
			return
		}
		ended = false
		n++
	}
}

// next takes what is to be handled; p.mu is held.
func (p *process) next() (item, bool) {
	if p.phase == phaseGiven {
		p.queue.count(p.current, -1)
		return p.current, true
	}
	return p.queue.pop()
}

// begin notes what is being handled; p.mu is held.
func (p *process) begin(it item) {
	p.current, p.phase, p.began = it, phaseReceive, p.sys.now()
	p.handled++
}

// handle gives one item to the actor. It says false when the process has ended with it.
func (p *process) handle(it item) bool {
	var err error
	switch it.kind {
	case kindExit:
		err = it.msg.(error)
	case kindCall:
		c := it.msg.(*call)
		if c.done.Load() { // the caller no longer waits, so nobody wants the result
			return true
		}
		if err = p.invoke(); err == nil {
			c.returned()
		}
	case kindDown:
		if m := it.msg.(Down).Ref.m; m != nil && !p.unwatch(m) {
			return true
		}
		err = p.invoke()
	case kindTimer:
		if !it.msg.(*timer).due() {
			return true
		}
		err = p.invoke()
	case kindFrame: // what a host's reader has handed over is no message of an actor, and passes the engine by
		err = p.receive((*processContext)(p), it.msg)
	default:
		err = p.invoke()
	}
	if err == nil {
		return true
	}
	p.end(err)
	return false
}

// invoke runs Receive for p.current and returns its error: by way of the engine, but for a process that has a host, of
// which there are too many and whose messages are broadcast.
func (p *process) invoke() error {
	p.result = nil
	if p.hooks != nil {
		p.Receive()
	} else {
		p.cell.Invoke()
	}
	return p.result
}

// Receive implements engine.Process: it is where proto's invocation arrives, and handles current.
func (p *process) Receive() {
	ctx := context.Context((*processContext)(p))
	var msg any
	switch it := p.current; it.kind {
	case kindCall:
		c := it.msg.(*call)
		ctx, msg = c, c.req
	case kindDeferred, kindNotice:
		var ok bool
		if msg, ok = it.msg.(deferred).Due(p.pid()); !ok {
			return
		}
	default:
		msg = it.content()
	}
	p.result = p.receive(ctx, msg)
}

var errGoexit = errors.New("runtime.Goexit in a callback")

// receive runs the actor's Receive as protect does.
func (p *process) receive(ctx context.Context, msg any) (err error) {
	returned := false
	defer func() {
		if !returned {
			err = p.unwound(recover())
		}
	}()
	err = p.actor.Receive(ctx, msg)
	returned = true
	runtime.KeepAlive(p) // stackOf looks for it
	return err
}

// protect runs f and turns a panic into a *PanicError. A runtime.Goexit cannot be stopped, and so the process is ended
// from here before the goroutine goes.
func (p *process) protect(f func() error) (err error) {
	returned := false
	defer func() {
		if !returned {
			err = p.unwound(recover())
		}
	}()
	err = f()
	returned = true
	return err
}

// unwound is what protect makes of a callback that has not returned.
func (p *process) unwound(recovered any) error {
	if recovered != nil {
		return &PanicError{Value: recovered, Stack: debug.Stack()}
	}
	err := &PanicError{Value: errGoexit, Stack: debug.Stack()}
	p.endByGoexit(err)
	return err
}
