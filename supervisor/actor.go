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
	s := &actorServe{ctx: ctx, life: l, end: make(chan error, 1)}
	defer whenDone(ctx, func() { s.exit(exitReason(ctx)) })()
	defer whenDone(killed, func() { s.exit(exit.ErrKilled) })()
	p := &incarnation{owner: s}
	if l != nil {
		_, p.ignores = l.owner.(*dynService)
	}
	if err := p.spawn(context.Background(), a.sys, a.newActor, o); err != nil {
		return err
	}
	Ready(ctx)
	reason := <-s.end
	// The reason comes from an exit hook. Hooks that run later free the names that a successor will want.
	_, _ = actor.Wait(context.Background(), *s.pid.Load())
	if reason == exit.ErrNormal || ctx.Err() != nil && reason == exit.ErrShutdown {
		return nil // which is how a Service says so
	}
	return reason
}

// actorServe is one Serve of an actorService.
type actorServe struct {
	ctx  context.Context
	life *life // nil: outside of a supervisor
	pid  atomic.Pointer[actor.PID]
	end  chan error // has room for one
}

// exit ends the process, if it has begun; otherwise begun sees that ctx is done.
func (s *actorServe) exit(reason error) {
	if p := s.pid.Load(); p != nil {
		p.Exit(reason)
	}
}

// begun implements processOwner.
func (s *actorServe) begun(pid actor.PID) error {
	s.pid.Store(&pid)
	if s.life != nil {
		s.life.pid.Store(&pid)
	}
	if s.ctx.Err() != nil {
		return exitReason(s.ctx)
	}
	return nil
}

// ready implements processOwner; Serve calls Ready when Spawn has returned.
func (s *actorServe) ready(actor.PID) {}

// gone implements processOwner.
func (s *actorServe) gone(actor.PID) {}

// ended implements processOwner.
func (s *actorServe) ended(_ actor.PID, reason error, _ bool) { s.end <- reason }

// spawnOptions returns o with the label and the shutdown time of the child, where o has none.
func spawnOptions(o actor.SpawnOptions, label string, shutdown time.Duration) actor.SpawnOptions {
	if o.Label == "" {
		o.Label = label
	}
	if o.Shutdown == 0 && shutdown != Kill {
		o.Shutdown = shutdown // Infinity is no limit there, too
	}
	return o
}

// exitReason returns the reason with which a process is to end whose service's ctx is done.
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

// incarnation is one process of a supervised actor: the actor, wrapped so that its owner knows the PID before Init runs,
// and hears of the end however soon it comes.
type incarnation struct {
	actor.Actor
	owner   processOwner
	ignores bool // an error of Init that says that the process exists already is ErrIgnore

	mu      sync.Mutex
	hooked  bool // the owner will hear of the end
	refused bool // the owner will not, so Init must not run
	taken   bool // the owner's begun has returned nil
}

// processOwner hears of a process, on goroutines of the process, or on the one that ends it.
type processOwner interface {
	begun(actor.PID) error                         // before Init; an error is that of Init
	ready(actor.PID)                               // Init has returned nil
	gone(actor.PID)                                // the end, before ended
	ended(pid actor.PID, reason error, begun bool) // once, last; begun: the method of that name has returned nil
}

// willEnd is for a spawn that has failed. It tells whether ended has been or will be called all the same. When it returns
// false, Init will not be called either.
func (p *incarnation) willEnd() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused = !p.hooked
	return p.hooked
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
	_, err = sys.Spawn(ctx, a, o)
	return sound(err)
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
	if err := p.begin(pid); err != nil {
		return err
	}
	if i, ok := p.Actor.(actor.Initializer); ok {
		if err := i.Init(ctx); err != nil {
			if p.ignores {
				err = ignoreTaken(sound(err))
			}
			return err
		}
	}
	p.owner.ready(pid)
	return nil
}

// begin sees to it that the owner hears of the end, and tells it of the beginning. An end at the same moment waits for
// that.
func (p *incarnation) begin(pid actor.PID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refused {
		return exit.ErrShutdown
	}
	if _, p.hooked = pid.OnExit(func(reason error) { p.exited(pid, reason) }); !p.hooked {
		return exit.ErrKilled // that is what has happened
	}
	err := p.owner.begun(pid)
	p.taken = err == nil
	return err
}

func (p *incarnation) exited(pid actor.PID, reason error) {
	p.mu.Lock()
	taken := p.taken
	p.mu.Unlock()
	p.owner.gone(pid)
	p.owner.ended(pid, sound(reason), taken)
}

// Wrapped is what actor.Inspect names the type of.
func (p *incarnation) Wrapped() any { return p.Actor }

// terminating is an incarnation of an actor with a Terminate.
type terminating struct {
	*incarnation
	terminator actor.Terminator
}

// Terminate implements actor.Terminator.
func (p *terminating) Terminate(ctx context.Context, reason error) {
	p.terminator.Terminate(ctx, reason)
}
