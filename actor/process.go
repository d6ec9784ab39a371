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

// String is what [ProcessInfo].Handling says, except while a message is handled.
func (h phase) String() string {
	return [...]string{"", "init", "receive", "turn end", "ending", "terminate"}[h]
}

// state is how far a process has come; it only grows.
type state uint8

const (
	stateNew       state = iota // Init has not returned; messages wait
	stateRunning                // Init has returned
	stateEnding                 // the exit reason is decided, and nothing more is handled
	stateLeaving                // the host's Exited is to run
	stateExitHooks              // the functions of OnExit run
	stateDead                   // nobody finds it any more
)

// overtaking says what is going to end the process, with process.reason, without having been put into the mailbox.
type overtaking uint8

const (
	notOvertaken overtaking = iota
	lastWaits               // the host's last frame is in the mailbox, or will be: what waits before it is still handled
	byExit                  // an Exit that has found the process at rest; it ends next
	byLoss                  // the transport is lost, or the mailbox was over its limit; it ends next, whatever waits
)

// holder says who holds the turn.
type holder uint8

const (
	atRest   holder = iota // nobody
	byHost                 // a goroutine of the host
	hired                  // a worker that has not begun, whose turn the host may Take: a turnTask is in the pool, or on its way there
	byWorker               // one of the System's goroutines, or a host's that was relieved
)

// process is the record of one process. mu guards the fields that do not say otherwise; those under "never change" are
// set before the process can be found.
//
// Exactly one goroutine at a time holds the turn (holder). It alone calls the actor, and it alone ends the process,
// but for a kill, which ends it from any goroutine: then the holder of the turn finds the process dead and lets go.
//
// A million of them may rest, so its size counts: 256 bytes are a size class, and hardly any of those that rest has extras. What a
// message touches stands in the first two cache lines: when there are many processes, each is a miss.
type process struct {
	mu      sync.Mutex
	state   state
	holder  holder // after a kill it may be any
	tasked  bool   // a turnTask is in the pool or on its way there; there is never more than one
	shut    bool   // no messages are taken any more: an Exit waits, or the end is decided
	started bool   // Init has returned nil
	phase   phase  // what runs; a kill leaves it as it was

	abandoned bool // the goroutine that holds the turn was abandoned, because the process ended while a callback ran
	overtaken overtaking
	step      uint8 // the last step of the end that has begun, see conclude; belongs to the goroutine that holds the turn
	overflow  Overflow
	hosted    bool // host is set; never changes
	flushes   bool // host.Options.FlushesItself; never changes

	turn    uint32 // counts turns; each names the goroutine that holds it
	current item   // what is being handled; written by the goroutine that holds the turn only, which may read it without mu
	began   int64  // by System.now: when the running callback began; where nobody hosts it, up to lapseTime before that

	sys     *System // never changes
	actor   Actor   // never changes
	handled uint64
	queue   queue // its first item stands at the end of the second cache line

	// These never change.
	host    hosting       // nil when nobody hosts it
	options *hook.Options // nil: none; it is the host's
	own     *own          // nil when somebody hosts it
	terms   *terms
	num     uint64
	since   int64 // by System.now

	reason   error // from stateEnding on, or when overtaken
	relation *relations
	extra    *extras   // nil: none yet; once it is set, it never changes
	exits    *exitHook // the first one; see addExitHook

	// real is the ctx in the form of the standard library, once somebody needs that; see processContext.
	real    atomic.Pointer[stdContext]
	dropped atomic.Uint64
}

// own is what only a process needs that nobody hosts. Its mu guards slot; the rest never changes.
type own struct {
	cell   engine.Cell
	parent *process  // nil: a root
	slot   chan bool // where Spawn waits for Init
}

// parent is the process of which this one is a child; nil: it is a root.
func (p *process) parent() *process {
	if p.own == nil {
		return nil
	}
	return p.own.parent
}

// terms are what processes with the same limits share.
type terms struct {
	limits
	ends endQueue
}

// limits are of SpawnOptions. They never change.
type limits struct {
	shutdown time.Duration
	maxAsync int32 // negative: none
}

// termsOf returns terms with these limits: some that are there, if they are among the last that were made. A program has few.
func (s *System) termsOf(l limits) *terms {
	for i := range s.terms {
		if t := s.terms[i].Load(); t != nil && t.limits == l {
			return t
		}
	}
	made := &terms{limits: l}
	s.terms[s.termsMade.Add(1)%uint32(len(s.terms))].Store(made)
	return made
}

// extras are what a hosted process has only with a label, when it was relieved, or from the beginning of its end. The mu of the
// process guards them.
type extras struct {
	label    string
	clock    *endClock
	relieved *relieved
}

// extras returns p.extra, and makes it if there is none; p.mu is held.
func (p *process) extras() *extras {
	if p.extra == nil {
		p.extra = &extras{}
	}
	return p.extra
}

// label is empty when there is none; p.mu is held.
func (p *process) label() string {
	if p.extra == nil {
		return ""
	}
	return p.extra.label
}

// relations are what a process has to do with others. Most processes never have any.
type relations struct {
	children  shrink.Map[*process, struct{}]
	childGone chan struct{} // closed when the last child has gone, while the parent waits for that
	watchers  shrink.Map[*monitor, struct{}]
	watching  shrink.Map[*monitor, struct{}]
	timers    shrink.Map[*timer, struct{}]
	calls     shrink.Map[*call, struct{}] // taken by Caller and not answered yet
	asyncs    int32                       // how many run
	senders   senders
	leftOut   *leftOut // nil: none
}

func (p *process) pid() PID { return PID{sys: p.sys, origin: p.sys.origin, num: p.num} }

// rel returns the relations, and makes them if there are none; p.mu is held.
func (p *process) rel() *relations {
	if p.relation == nil {
		p.relation = &relations{}
	}
	return p.relation
}

// alive tells whether the process is not dead yet. Alive is false earlier: from the decision to end.
func (p *process) alive() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state < stateDead
}

// hasStarted tells whether Init has returned nil. Only then the parent gets a Down at the end.
func (p *process) hasStarted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.started
}
