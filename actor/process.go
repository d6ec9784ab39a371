package actor

import (
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
	phaseNone phase = iota
	phaseInit
	phaseReceive
	phaseTurnEnd
	phaseEnding
	phaseTerminate
)

// String is what [ProcessInfo].Handling says when it is not a message that is handled.
func (h phase) String() string {
	return [...]string{"", "init", "receive", "turn end", "ending", "terminate"}[h]
}

// state is how far a process has come; it only grows.
type state uint8

const (
	stateNew     state = iota // Init has not returned; messages wait
	stateRunning              // Init has returned
	stateEnding               // the exit reason is decided, and nothing more is handled
	stateLeaving              // the host's Exited is to run
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
// A million of them may rest, so its size counts: 304 bytes are a size class. What a message touches stands in the first
// two cache lines: when there are many processes, each is a miss.
type process struct {
	mu      sync.Mutex
	state   state
	running bool  // some goroutine holds the turn
	worker  bool  // and it is one of the System's, not a host's; or was relieved
	shut    bool  // the end is decided: an Exit waits, or more; no messages are taken any more
	started bool  // Init has returned nil
	phase   phase // what runs; a kill leaves it as it was

	abandoned bool // the goroutine that holds the turn was abandoned, because the process ended while a callback ran
	overtaken overtaking
	step      uint8 // of the end that is over or has begun, see conclude; belongs to the goroutine that holds the turn
	overflow  Overflow
	hosted    bool // host is set; never changes, nor does
	flushes   bool // this: its host sees to what its turns have buffered, see host.Options

	turn    uint32 // counts turns; each names the goroutine that holds it
	current item   // what is being handled; written by the goroutine that holds the turn only, which may read it without mu
	began   int64  // by System.now: when the running callback began

	sys     *System // never changes, nor does
	actor   Actor   // this
	handled uint64
	queue   queue // the first item of it ends the second cache line

	// These never change.
	host     hosting       // nil when nobody hosts it
	options  *hook.Options // nil: none; it is the host's
	cell     *engine.Cell  // nil when somebody hosts it
	num      uint64
	parent   *process
	since    int64 // by System.now
	shutdown time.Duration
	maxAsync int32 // negative: none

	leader   uint32 // counts the goroutines that have led through the exit hooks; see exitHookOver
	label    string
	reason   error // from stateEnding on, or when overtaken
	clock    *endClock
	slot     chan bool // where Spawn waits for Init, or a Deliver for its frame to be taken
	relation *relations
	exits    *exitHook // the first one; see addExitHook
	relieved *relieved

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
