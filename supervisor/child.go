package supervisor

import (
	"errors"
	"fmt"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
)

// State is what a child does.
type State uint8

const (
	// StateStopped: it does not run and is not going to: finished, terminated, or its supervisor is not served.
	StateStopped State = iota
	// StateWaiting: it waits for those before it to be started for the first time.
	StateWaiting
	// StateStarting: it runs and is not ready.
	StateStarting
	// StateRunning: it is ready.
	StateRunning
	// StateRestarting: it waits to be started again.
	StateRestarting
	// StateStopping: it was told to stop and has not returned.
	StateStopping
)

var stateNames = [...]string{"stopped", "waiting", "starting", "running", "restarting", "stopping"}

// String is the state in one word.
func (s State) String() string { return name(stateNames[:], "state", uint8(s)) }

// ChildKind says what a child is.
type ChildKind uint8

const (
	KindService    ChildKind = iota // any other Service
	KindActor                       // of [Actor], or of [Dynamic.Spawn]
	KindHTTP                        // of [HTTP]
	KindSupervisor                  // a *Supervisor or a *Dynamic, which has children itself
)

var kindNames = [...]string{"service", "actor", "http", "supervisor"}

// String is the kind in one word.
func (k ChildKind) String() string { return name(kindNames[:], "kind", uint8(k)) }

func kindOf(s Service) ChildKind {
	switch s.(type) {
	case *actorService:
		return KindActor
	case *httpService:
		return KindHTTP
	case *Supervisor, *Dynamic:
		return KindSupervisor
	}
	return KindService
}

// ChildInfo is what a supervisor knows of a child, at one moment.
type ChildInfo struct {
	ID       string
	PID      actor.PID // of an actor that runs; zero otherwise
	State    State
	Restarts int

	// Service is that of the ChildSpec, or of Dynamic.Start; nil for what Dynamic.Spawn has started. One of [KindSupervisor]
	// is a *Supervisor or a *Dynamic, whose children are the next level of the tree.
	Service  Service
	Kind     ChildKind
	Restart  Restart       // which it has, never Default
	Shutdown time.Duration // which it has; Infinity, Kill

	Since time.Time // when its present run began; zero: it does not run
	// Last is how its last run has ended, nil: none has, and LastAt is when that was. It is an exit reason: ErrNormal for a
	// Service that has returned nil.
	Last   error
	LastAt time.Time
}

// child is the record of a child in a tree, guarded by the tree's mu.
type child struct {
	spec ChildSpec

	life   *life // nil: it does not run
	course       // of the life
	failed error // why its start has failed, when it was told to stop for that

	want       bool      // it is to run, now or when its turn comes
	initial    bool      // its first start is not over
	added      bool      // by StartChild: another run of the Supervisor does not know it
	fresh      bool      // and it was never ready: a failure discards it
	alone      bool      // started by a command, so in nobody's order
	again      bool      // the next start is a restart
	swept      bool      // to stop in its turn, before others are started
	terminated bool      // to stop now, by a command
	kept       bool      // its last life may have kept something for the next one
	concluding bool      // its life only ends what was kept
	notBefore  time.Time // of the next start

	starts   int
	restarts int
	began    time.Time // the life
	last     error     // how the last life has ended
	lastAt   time.Time
	readyAt  time.Time
	upFor    time.Duration // how long it was ready last time
	backoffs int

	starting []chan error // who waits for it to be ready
	ending   []chan error // who waits for its end
}

func (c *child) info() ChildInfo {
	i := c.spec.info()
	i.PID, i.State, i.Restarts, i.Last, i.LastAt = c.life.currentPID(), c.state(), c.restarts, c.last, c.lastAt
	if c.life != nil {
		i.Since = c.began
	}
	return i
}

// info is what the spec says; it has been normalized.
func (s *ChildSpec) info() ChildInfo {
	return ChildInfo{ID: s.ID, Service: s.Service, Kind: kindOf(s.Service), Restart: s.Restart, Shutdown: s.Shutdown}
}

func (c *child) state() State {
	switch {
	case c.life == nil && c.want && c.starts > 0:
		return StateRestarting
	case c.life == nil && c.want:
		return StateWaiting
	case c.life == nil:
		return StateStopped
	case c.stage != alive, c.terminated:
		return StateStopping
	case c.ready:
		return StateRunning
	}
	return StateStarting
}

func answer(waiters *[]chan error, err error) {
	for _, w := range *waiters {
		w <- err // has room for one
	}
	*waiters = nil
}

// start runs a new life of c.
func (t *tree) start(c *child, now time.Time) {
	kind := EventStarted
	if c.again {
		kind = EventRestarted
		c.restarts++
	}
	c.began = now
	c.life = newLife(t.base, c.spec.ID, t, c.spec.Shutdown, t.rep.log)
	c.course, c.failed = courseOf(c.spec.Service, c.spec.Shutdown), nil
	c.again, c.alone, c.swept, c.terminated = false, false, false, false
	c.kept, c.concluding = false, false
	answer(&c.ending, nil) // it was to be concluded, but is started instead
	c.upFor = 0
	c.starts++
	if c.spec.StartTimeout > 0 {
		c.deadline = now.Add(c.spec.StartTimeout)
	}
	t.event(c, Event{Kind: kind})
	go c.life.run(c.spec.Service, c.spec.StartTimeout == 0 && !announces(c.spec.Service))
}

// tell tells c to stop; it has its shutdown time from now on.
func (t *tree) tell(c *child, now time.Time) { c.life.tell(c.course.tell(t.causeFor(c), now)) }

// causeFor is why c is told to stop: ErrRestarting when it will be started again, because it is stopped with its
// siblings or because the whole tree is restarted.
func (t *tree) causeFor(c *child) error {
	if !t.stopping && c.swept && c.want || t.stopping && t.servesAgain(c) {
		return ErrRestarting
	}
	return exit.ErrShutdown
}

// expire does what is due at the deadline of c: when Serve does not return, the tree goes on without it.
func (t *tree) expire(c *child, now time.Time) {
	if c.stage == alive {
		c.failed = fmt.Errorf("%w %v", ErrStartTimeout, c.spec.StartTimeout)
		t.tell(c, now)
		return
	}
	c.life.tell(c.course.expire(now))
	if c.stage == abandoned {
		err := t.abandoned.add(c.life, c.spec.ID)
		t.event(c, Event{Kind: EventAbandoned, Reason: err, PID: c.life.currentPID()})
		t.over(c, err, exit.Abnormal, err, now)
	}
}

// becameReady notes that c is ready.
func (t *tree) becameReady(c *child, now time.Time) {
	if !c.course.becameReady() {
		return
	}
	c.readyAt, c.initial, c.fresh = now, false, false
	t.event(c, Event{Kind: EventReady, PID: c.life.currentPID()})
	answer(&c.starting, nil)
}

// exited notes that the Serve of c has returned.
func (t *tree) exited(c *child, reason error, kind exit.Kind, now time.Time) {
	if !c.concluding || exit.KindOf(reason) == exit.Abnormal {
		t.event(c, Event{Kind: EventExited, Reason: reason, ExitKind: kind, PID: c.life.currentPID()})
	}
	var below error
	if c.stage != alive {
		below = t.abandoned.of(c.spec.ID, reason, t.stopping)
	}
	t.over(c, reason, kind, below, now)
}

// over decides what comes after a life of c. incomplete is what TerminateChild returns.
func (t *tree) over(c *child, reason error, kind exit.Kind, incomplete error, now time.Time) {
	c.kept, c.concluding = c.stage != abandoned && keeps(c.spec.Service, c.life), false
	c.life = nil
	c.last, c.lastAt = reason, now
	if c.ready {
		c.upFor = now.Sub(c.readyAt)
	}
	defer func() {
		if !t.toConclude(c) {
			answer(&c.ending, incomplete)
		}
	}()
	failed, swept, terminated := c.failed, c.swept, c.terminated
	c.failed, c.swept, c.terminated = nil, false, false
	switch {
	case t.stopping:
		t.retire(c, ErrNotRunning)
		if !t.toConclude(c) {
			t.progress()
		}
	case terminated && !c.want, swept && !c.want:
		t.retire(c, ErrTerminated)
	case terminated, swept: // it is started when its turn comes
	case failed != nil:
		t.startFailed(c, failed, now)
	case errors.Is(reason, exit.ErrIgnore): // it is not needed
		t.retire(c, nil)
	case !c.ready && (kind != exit.Normal || c.spec.Restart == Permanent):
		if kind == exit.Normal {
			reason = fmt.Errorf("%w: %w", errEarly, reason)
		}
		t.startFailed(c, reason, now)
	case c.ready && c.spec.Restart.wants(kind):
		t.restart(c, reason, now)
	default:
		t.retire(c, nil)
	}
}

// startFailed decides what comes after a start that failed.
func (t *tree) startFailed(c *child, reason error, now time.Time) {
	err := &StartError{Supervisor: t.rep.name, Child: c.spec.ID, Err: reason}
	switch {
	case c.initial:
		t.stop(err)
	case len(c.starting) > 0 || c.fresh: // a command has started it, and returns the error
		t.retire(c, err)
	default:
		t.restart(c, reason, now)
	}
}

// retire notes that c is not to run any more. OTP forgets temporary children then, and those that StartChild could not
// start.
func (t *tree) retire(c *child, err error) {
	c.want, c.initial = false, false
	answer(&c.starting, err)
	if t.toConclude(c) { // it comes here again
		return
	}
	discard := c.spec.Restart == Temporary || c.fresh && err != nil
	c.fresh = false
	if discard && !t.stopping {
		t.remove(c)
	}
}
