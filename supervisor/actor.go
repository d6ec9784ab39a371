package supervisor

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
)

// Actor is a Service that is a process: each Serve spawns a new actor in sys, is ready when its Init has returned, and
// returns the exit reason of the process (nil for ErrNormal). Each restart so means a new PID; ChildInfo.PID is the
// present one.
//
// To stop it, it gets Exit(ErrShutdown), and ErrKilled when its shutdown time is over. o.Shutdown, when it is not zero, is
// what it asks for as shutdown time; else the process has that of the ChildSpec. Without o.Label its label is the ID of
// the child. newActor must not block. Actor panics when sys or newActor is nil.
func Actor(sys *actor.System, newActor func() actor.Actor, o actor.SpawnOptions) Service {
	if sys == nil || newActor == nil {
		panic("supervisor: Actor: nil System or nil newActor")
	}
	return &actorService{sys: sys, newActor: newActor, o: o}
}

type actorService struct {
	sys      *actor.System
	newActor func() actor.Actor
	o        actor.SpawnOptions
}

// ShutdownTime is what SpawnOptions.Shutdown says; 0: nothing.
func (a *actorService) ShutdownTime() time.Duration {
	if a.o.Shutdown < 0 {
		return Infinity
	}
	return a.o.Shutdown
}

func (a *actorService) String() string { return cmp.Or(a.o.Label, "actor") }

// Serve implements Service.
func (a *actorService) Serve(ctx context.Context) error {
	o, killed := a.o, context.Background()
	l := lifeOf(ctx)
	if l != nil && l.owner != nil {
		o = spawnOptions(o, l.id, l.shutdown)
		killed = l.killed
	}
	ended := make(chan error, 1)
	var pid atomic.Pointer[actor.PID]
	exitWith := func(reason func() error) func() {
		return func() {
			if p := pid.Load(); p != nil { // else begun sees for itself
				p.Exit(reason())
			}
		}
	}
	defer whenDone(ctx, exitWith(func() error { return exitReason(ctx) }))()
	defer whenDone(killed, exitWith(func() error { return exit.ErrKilled }))()
	p := &incarnation{
		begun: func(p actor.PID) error {
			pid.Store(&p)
			if l != nil {
				l.pid.Store(&p)
			}
			if ctx.Err() != nil {
				return exitReason(ctx)
			}
			return nil
		},
		ended: func(reason error) { ended <- reason },
	}
	if l != nil {
		if _, ok := l.owner.(*dynService); ok {
			p.judge = ignoreTaken
		}
	}
	if err := p.spawn(context.Background(), a.sys, a.newActor, o); err != nil {
		return err
	}
	Ready(ctx)
	reason := <-ended
	// That came from an exit hook. Later hooks free the names that a successor will want.
	_, _ = actor.Wait(context.Background(), *pid.Load())
	if reason == exit.ErrNormal || ctx.Err() != nil && reason == exit.ErrShutdown {
		return nil // all went well, in the words of those who know no exit reasons
	}
	return reason
}

// spawnOptions are o with what the supervisor knows.
func spawnOptions(o actor.SpawnOptions, label string, shutdown time.Duration) actor.SpawnOptions {
	if o.Label == "" {
		o.Label = label
	}
	if o.Shutdown == 0 && shutdown != Kill {
		o.Shutdown = shutdown // Infinity is no limit there, too
	}
	return o
}

// exitReason is with which reason a process ends whose service's ctx is done.
func exitReason(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), exit.ErrKilled) {
		return exit.ErrKilled
	}
	return exit.ErrShutdown
}

// whenDone runs f on a goroutine of its own when ctx is done. stop calls that off, or waits until f has returned.
func whenDone(ctx context.Context, f func()) (stop func()) {
	returned := make(chan struct{})
	callOff := context.AfterFunc(ctx, func() {
		defer close(returned)
		f()
	})
	return func() {
		if !callOff() {
			<-returned
		}
	}
}

// incarnation is one process of a supervised actor: the actor, wrapped so that the PID is known before Init runs, and
// the end is not missed however soon it comes.
type incarnation struct {
	actor.Actor
	judge func(error) error     // optional; of the error of Init
	begun func(actor.PID) error // before Init, on the process's goroutine; an error is that of Init
	gone  func(actor.PID)       // optional; at the end of a process that has begun, on the goroutine that ends it
	ended func(reason error)    // when spawn says nil: once, at the end, on the goroutine that ends it or on spawn's

	mu      sync.Mutex
	hooked  bool // exited will be called
	refused bool // nobody owns it: it was given up before it was hooked
	spawned bool
	late    func(reason error) // in place of ended, of one that was given up
	over    bool
	reason  error
}

// giveUp is for a spawn that has failed, perhaps because its ctx was done while Init runs. True: late will be called at
// the end of the process, as ended would be. False: that is over, or the actor's Init will not be called.
func (p *incarnation) giveUp(late func(reason error)) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.hooked || p.over {
		p.refused = true
		return false
	}
	p.late = late
	return true
}

// hook has exited called at the end of the process; otherwise it returns the error with which Init fails.
func (p *incarnation) hook(pid actor.PID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refused {
		return exit.ErrShutdown
	}
	if _, p.hooked = pid.OnExit(func(reason error) { p.exited(pid, reason) }); !p.hooked {
		return exit.ErrKilled // that is what has happened
	}
	return nil
}

// spawn makes the process and waits for its Init.
func (p *incarnation) spawn(ctx context.Context, sys *actor.System, newActor func() actor.Actor, o actor.SpawnOptions) error {
	var err error
	if p.Actor, err = construct(newActor); err != nil {
		return err
	}
	a := actor.Actor(p)
	if t, ok := p.Actor.(actor.Terminator); ok {
		a = &terminating{p, t}
	}
	if _, err = sys.Spawn(ctx, a, o); err != nil {
		return sound(err)
	}
	// The exit hook and this meet here: the second has seen the first, and reports the end.
	p.mu.Lock()
	p.spawned = true
	over, reason := p.over, p.reason
	p.mu.Unlock()
	if over {
		p.ended(reason)
	}
	return nil
}

var errNilActor = errors.New("supervisor: newActor returned nil")

func construct(newActor func() actor.Actor) (a actor.Actor, err error) {
	returned := false
	defer func() {
		if !returned {
			v := recover()
			if v == nil {
				return // runtime.Goexit is the caller's own business
			}
			err = panicError(v)
		}
	}()
	if a = newActor(); a == nil {
		err = errNilActor
	}
	returned = true
	return a, err
}

// Init implements actor.Initializer.
func (p *incarnation) Init(ctx context.Context) error {
	pid := actor.Self(ctx)
	if err := p.hook(pid); err != nil {
		return err
	}
	if err := p.begun(pid); err != nil {
		return err
	}
	if i, ok := p.Actor.(actor.Initializer); ok {
		err := i.Init(ctx)
		if err != nil && p.judge != nil {
			err = p.judge(sound(err))
		}
		return err
	}
	return nil
}

// terminating is an incarnation of an actor with a Terminate.
type terminating struct {
	*incarnation
	terminator actor.Terminator
}

// Terminate implements actor.Terminator.
func (p *terminating) Terminate(ctx context.Context, reason error) {
	p.terminator.Terminate(ctx, reason)
}

func (p *incarnation) exited(pid actor.PID, reason error) {
	if p.gone != nil {
		p.gone(pid)
	}
	p.mu.Lock()
	reason = sound(reason)
	p.over, p.reason = true, reason
	ended := p.late
	if p.spawned {
		ended = p.ended
	}
	p.mu.Unlock()
	if ended != nil {
		ended(reason)
	}
}
