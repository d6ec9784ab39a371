// Package host is for code that owns a process's transport: package socket; and packages registry and supervisor, for
// the exit hook and to send to the same processes very often. It is exported because they need it, and is not under
// compatibility before 1.0.
//
// A hosted process is an actor like any other, with a [Port] beside its PID, by which its host runs its Init, hands it
// what its transport reads, and tells it of a transport that is lost.
package host

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/internal/hook"
)

// Host is an actor with hooks, which the process calls on the goroutine that holds its turn unless said otherwise.
type Host interface {
	actor.Actor
	// TurnEnd runs inside the turn, when the mailbox is empty and before the process is released. What the turn has
	// buffered must be on its way when it returns; when delivering is set, this is the goroutine of Deliver or Start,
	// and it may be left to that goroutine, which must see to it before it blocks. A panic ends the process.
	TurnEnd(delivering bool)
	// Overflow is called when the mailbox has refused a message and the process ends with ErrOverload: once, on the
	// sender's goroutine. It must not block.
	Overflow()
	// Ending runs when the exit reason is decided, before the children end and before Terminate: a socket writes its
	// Close frame. It does not run at a kill.
	Ending(reason error)
}

// Brief is a [Host] that can say, after Ending, that its Terminate takes no time. Then the process ends on the
// goroutine of Deliver or Start, if it is there and has no children; otherwise it leaves that goroutine after Ending.
type Brief interface {
	Host
	Brief() bool
}

// Exited is a [Host] that wants to know when its process ends, without an [OnExit] of its own.
type Exited interface {
	Host
	// Exited is called once, where the first exit hook would be, and before all of them, on any goroutine. It must not
	// block. info is the process as it was before; a process that is killed at once may be so before Spawn has returned.
	Exited(info actor.ProcessInfo, reason error)
}

// Gone is a [Host] that wants to know when its process is dead and all who had to be told have been.
type Gone interface {
	Host
	// Gone is called once, on the goroutine that has ended the process, which after a kill may be anybody's. It must
	// not block. It does not run when Spawn has failed.
	Gone()
}

// Scoped is a [Host] whose process has values that are not its own, such as those of the request it came from.
type Scoped interface {
	Host
	// ContextValue is asked, on any goroutine, for values that the process's ctx does not have.
	ContextValue(key any) any
	// LogAttrs are in every log line about the process. They must not change.
	LogAttrs() []slog.Attr
}

// Patient is a [Host] with a transport that can be lost while a callback runs.
type Patient interface {
	Host
	// AbandonAfter is how long the callback in progress may run on after a [Port.Fail], after an overload, or while the
	// message of a [Port.DeliverLast] waits for it; when that waits for several callbacks, each has this time; negative:
	// without limit. When it is over the process ends, with that reason and without Terminate, and the goroutine of the
	// callback is abandoned. An Exit shortens the time to the shutdown time. For a Host that is not Patient it is the
	// shutdown time. It is called with a lock held and must be a constant.
	AbandonAfter() time.Duration
}

// Corked is a [Host] that sees to what its turns have buffered by itself before the goroutine of Deliver or Start blocks:
// there TurnEnd is not called. It is called on all others.
type Corked interface {
	Host
	Corked() // is not called
}

// Hooks are those of [Host] as functions, for an actor that is no Host. All are optional. They cost a process 72 bytes.
type Hooks struct {
	TurnEnd  func(delivering bool)
	Overflow func()
	Ending   func(reason error)
}

// functions makes a hook.Hooks of Hooks.
type functions struct{ h Hooks }

func (f *functions) TurnEnd(delivering bool) {
	if f.h.TurnEnd != nil {
		f.h.TurnEnd(delivering)
	}
}

func (f *functions) Overflow() {
	if f.h.Overflow != nil {
		f.h.Overflow()
	}
}

func (f *functions) Ending(reason error) {
	if f.h.Ending != nil {
		f.h.Ending(reason)
	}
}

// Port is the host's side of a process. It is a reference; copies are the same.
type Port struct {
	port hook.Port
	pid  actor.PID
}

// hosted is what System.Spawn recognises.
type hosted struct {
	actor.Actor
	process hook.Process
}

func (h *hosted) TroupeHosted() *hook.Process { return &h.process }

// Spawn makes a process that nothing has run of yet: messages wait until [Port.Start]. Its hooks are the actor's own when
// that is a [Host], else those of h, if there are any. A hosted actor's Terminate runs after a failed Init, too; it
// decides for itself what there is to terminate. The end of a hosted process is reported by its host, not logged.
func Spawn(sys *actor.System, a actor.Actor, o actor.SpawnOptions, h ...Hooks) (Port, error) {
	hd := &hosted{Actor: a, process: hook.Process{Actor: a}}
	if host, ok := a.(Host); ok {
		hd.process.Hooks = host
	} else if len(h) > 0 {
		hd.process.Hooks = &functions{h[0]}
	} else {
		hd.process.Hooks = &functions{}
	}
	pid, err := sys.Spawn(context.Background(), hd, o)
	if err != nil {
		return Port{}, err
	}
	return Port{hd.process.Port, pid}, nil
}

// PID is the process's address.
func (p Port) PID() actor.PID { return p.pid }

// Start runs Init, and then what waits, on the caller's goroutine.
func (p Port) Start() { p.port.Start() }

// Deliver hands msg over in mailbox order, beyond any limit. At rest, the process handles it on the caller's goroutine, and
// what has come meanwhile, until the turn has become long; otherwise msg waits in the mailbox and Deliver waits until it
// is taken out. So at most one waits. False: the process has ended or is ending, and does not handle it.
// Only one goroutine may use Start and Deliver. What actor.Inspect says of msg is its String, if it has one, which is
// called on any goroutine while msg is handled.
func (p Port) Deliver(msg any) bool { return p.port.Deliver(msg) }

// DeliverLast is Deliver of the last message, which ends the process with reason when it is handled: while it waits, the
// callback in progress has the time of [Patient].
func (p Port) DeliverLast(msg any, reason error) bool { return p.port.DeliverLast(msg, reason) }

// Delivering tells whether a Start or Deliver is running Init, a callback or a hook on its goroutine, or waits for its
// message to be taken out of the mailbox. After a kill it tells whether one was. Any goroutine may ask; it does not block.
func (p Port) Delivering() bool { return p.port.Delivering() }

// Fail ends the process with reason, ahead of what waits in the mailbox: the peer is lost, or a write has failed. The
// callback in progress may run on for the time of [Patient]; the shutdown time begins when it has returned. Any
// goroutine may call it; it does not block. It panics on a nil reason.
func (p Port) Fail(reason error) { p.port.Fail(reason) }

// Decided is for a callback that stops the process and has more to do before it returns; it calls it on its own
// goroutine. From here on the process takes no messages. The callback must return an error.
func (p Port) Decided() { p.port.Decided() }

// Go runs t soon on one of the goroutines that run the System's turns. It may block. It is not part of the process: it
// may run beside a turn and after the end, and System.Shutdown does not wait for it.
func (p Port) Go(t interface{ Run() }) { p.port.Go(t) }

// Ref is a process that was found, for whoever sends to it often. It is comparable; two of one process are ==. The zero
// Ref is nobody. It keeps the memory of a process that is dead, so let go of it in an exit hook.
type Ref struct{ ref hook.Ref }

// Reach finds p. ok is false, and ref zero, when it is dead, nobody, or of another boot or node. It does not block.
func Reach(p actor.PID) (ref Ref, ok bool) {
	var r hook.Reach
	ok = p.Send(&r)
	return Ref{r.Ref}, ok
}

// Send is [actor.PID.Send]: it never blocks, and returns false when the process has ended, its end is decided, or its
// mailbox is full. Any goroutine may call it.
func (r Ref) Send(msg any) bool { return r.ref != nil && r.ref.Send(msg) }

// Alive is [actor.PID.Alive]. Any goroutine may call it.
func (r Ref) Alive() bool { return r.ref != nil && r.ref.Alive() }

// Deferred is a message whose content is decided only when its turn in the mailbox has come. So many receivers can
// share it and it can still differ for each of them, it can gather what happens while it waits, and it can be taken
// back.
type Deferred interface {
	// Due returns the message that to is to handle; false: none. It is called once for each time that the Deferred was
	// put into a mailbox and reaches its turn, on the goroutine that holds the turn of to, with no lock held. It must
	// not block. It is not called for what still waits when a process ends.
	Due(to actor.PID) (msg any, ok bool)
	// Content is what can be said of the message before its turn, for log lines and actor.Inspect. Any goroutine may
	// call it.
	Content() any
}

// Defer is [Ref.Send] of what d is when its turn comes.
func (r Ref) Defer(d Deferred) bool { return r.ref != nil && r.ref.Defer(d) }

// Notify is [Ref.Defer] without a limit. Its caller must let at most one d wait, so that their number is bounded by
// what the process has asked for, as with its timers. It returns false when the process is dead, and logs nothing.
func (r Ref) Notify(d Deferred) bool { return r.ref != nil && r.ref.Notify(d) }

// Unhandled tells whether err is that of an actor.Call that no callback of the callee was given, because the callee was
// gone or ended first. Nothing has been done then, and the Call can be made again without doing anything twice.
func Unhandled(err error) bool {
	_, ok := errors.AsType[hook.Unhandled](err)
	return ok
}

// Present tells whether err is supervisor.ErrAlreadyPresent: what was to be started is a child already, which may be
// waiting for a restart. A later look finds it, or a later start works.
func Present(err error) bool {
	_, ok := errors.AsType[hook.Present](err)
	return ok
}

// ActorOf is the actor of the process that ctx belongs to, as it was given to Spawn; nil when there is none.
func ActorOf(ctx context.Context) actor.Actor {
	a, _ := ctx.Value(hook.ActorKey{}).(actor.Actor)
	return a
}

// Outlives tells whether p cannot end before the process of ctx has, except by a kill: p is that process or an ancestor
// of it, since a parent waits for its children. Whoever waits for such a p with ctx waits for itself. It does not
// block.
func Outlives(ctx context.Context, p actor.PID) bool {
	if p == (actor.PID{}) {
		return false
	}
	for pid := actor.Self(ctx); pid != (actor.PID{}); {
		if pid == p {
			return true
		}
		info, err := actor.Inspect(pid)
		if err != nil {
			return false // dead, so nobody waits for it
		}
		pid = info.Parent
	}
	return false
}

// Calling tells whether ctx is that of a callback that handles a Call.
func Calling(ctx context.Context) bool { return ctx.Value(hook.CallKey{}) != nil }

// Reopen lets processes into sys again, after System.Shutdown, for one who owns it and is served again. What was there before
// stays dead: a PID of it is never used again. It waits until the Shutdown that runs has returned, and the error is the cause of
// ctx's end. A System that was not shut down stays as it is.
func Reopen(ctx context.Context, sys *actor.System) error {
	return inside(sys).Reopen(ctx)
}

// LogOf is the Log of sys, for code that runs with it and has no Logger of its own. System.Shutdown waits for it.
func LogOf(sys *actor.System) *Log { return inside(sys).Log }

func inside(sys *actor.System) (s hook.System) {
	_ = sys.Serve(context.WithValue(context.Background(), hook.SystemKey{}, &s)) // never fails then
	return s
}

// OnExit registers f to run once at the end of p: after its Terminate, before its ctx is done and before any Down.
// Hooks run in the order of registration, on the goroutine that ends p, and must not block. ok is false, and f does not
// run, when p is dead or its hooks have run. cancel takes f back.
func OnExit(p actor.PID, f func(reason error)) (cancel func(), ok bool) {
	o := &hook.OnExit{F: f, Cancel: func() {}}
	ok = p.Send(o)
	return o.Cancel, ok
}
