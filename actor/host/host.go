// Package host is for code that owns the transport of a process, as package socket does, and for packages registry and
// supervisor. It is exported because they need it, and may change in any release before 1.0.
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
	// TurnEnd runs at the end of a turn, when the mailbox is empty, before another goroutine can take the process. It must
	// flush what the turn has buffered. When delivering is set, it runs on the goroutine of Start, Hand or Run, and may leave the
	// flush to that goroutine, which must do it before it blocks. A panic ends the process.
	TurnEnd(delivering bool)
	// Overflow is called when a limit of the mailbox is exceeded and the process ends with ErrOverload: once, on the goroutine
	// of a sender or that of the turn. It must not block.
	Overflow()
	// Ending runs when the exit reason is decided, before the children end and before Terminate: a socket writes its
	// Close frame. It does not run at a kill. brief says that Terminate will take no time. Then the process ends on the
	// goroutine of Start, Hand or Run, if it is there and has no children; otherwise it leaves that goroutine after Ending.
	Ending(reason error) (brief bool)
	// Exited is called once, on any goroutine, as if it were the first function of [actor.PID.OnExit]. It must not block.
	// info is the process as it was before. When the process is killed at once, this may be before Spawn has returned.
	Exited(info actor.ProcessInfo, reason error)
	// Gone is called once, when the process is dead and its monitors and its parent have been told, on the goroutine that
	// has ended it, which after a kill may be anybody's. It must not block. It does not run when Spawn has failed.
	Gone()
	// Scope returns what the process keeps of its origin, such as an HTTP request: values in which its ctx looks for what
	// it does not have itself (nil: none), and attributes for every log line about it. It is called on any goroutine and
	// must always return the same.
	Scope() (values context.Context, attrs []slog.Attr)
}

// Abandoner is a [Host] that is told when a callback of its process does not return, a moment after the process was killed or its
// time was over: when the Logger gets the line about it. Abandoned runs on a goroutine of the System's, after Exited, and must
// not block. stack is that of the goroutine, or says why it was not taken.
type Abandoner interface {
	Abandoned(handling string, d time.Duration, stack string)
}

// Namer is a [Host] with names for messages that are no messages of a user's: what it hands over, and what it sends to its own process.
// NameOf is what [actor.ProcessInfo].Handling says of msg; "": its type. It is called on any goroutine, while msg is handled, with
// the process locked. It must not block, and must not use the process.
type Namer interface {
	NameOf(msg any) string
}

// Options are what all processes of one kind of Host have in common. They must not change.
type Options struct {
	// FlushesItself says that the Host flushes what its turns have buffered itself, before the goroutine of Start, Hand or Run
	// blocks. Then TurnEnd is not called on that goroutine, only on others.
	FlushesItself bool
	// AbandonAfter is how long the callback in progress may run on, on whatever goroutine, after a [Port.Fail], after an
	// overload, or while the message of a [Port.HandLast] waits for it. When that message waits for several callbacks, each
	// of them has this time. When the time is over, the process ends with the reason of the Fail, the overload or the
	// HandLast, without Terminate, and the goroutine of the callback is abandoned. An Exit shortens the time to the shutdown
	// time. 0: the shutdown time; negative: without limit.
	AbandonAfter time.Duration
	// ClassOf says what may become of a message, or a [Deferred] of that Content, while it waits; nil: it is handled in its
	// turn. size is how many bytes it has for the client; negative: it is not for the client. It is called once for each that
	// comes while the process is not at rest, and for each of [actor.SendWait], of which it says the size alone, with the
	// mailbox locked, so it must be quick and must not block. nil: all are handled, and none is for the client.
	ClassOf func(msg any) (c *Class, size int)
	// LeftOut is called for each message that is left out, with the mailbox locked. nil: nobody counts them.
	LeftOut func()
	// MailboxBytes is how many bytes for the client may wait; those of the message that has found the process at rest, or its
	// mailbox empty, do not count. MaxLag is how long a message may wait; it is looked at when another one comes and when its turn
	// has come, and late by 1/64 at most. 0 or negative: no limit.
	MailboxBytes int64
	MaxLag       time.Duration
	// Overflow is what a message does that exceeds one of them, or SpawnOptions.MailboxLimit. With any of the three,
	// SpawnOptions.Overflow must be OverflowExit.
	Overflow Overflow
}

// Overflow says what becomes of messages for the client, of which ClassOf says nothing more, when a mailbox has reached a limit.
type Overflow = hook.Overflow

const (
	// Exit ends the process with ErrOverload.
	Exit = hook.Exit
	// LeaveOutOldest leaves out the oldest of those that wait, and all that have waited longer than MaxLag.
	LeaveOutOldest = hook.LeaveOutOldest
	// LeaveOutNewest leaves out the one that comes; when one comes that is not to be left out, the newest of those that wait.
	LeaveOutNewest = hook.LeaveOutNewest
)

// Class says what may become of a message while it waits: when a newer one with the same Key comes, that takes its place;
// Volatile: it is left out when anything waits, or the running callback has been running for a millisecond; Expires: it is
// left out when its turn comes later than this after it was sent.
type Class = hook.Class

// CatchUp is the message that Receive gets when nothing waits any more after a message was left out for the first time since
// [Port.CaughtUp].
type CatchUp = hook.CatchUp

// Port is the host's side of a process. It is a reference: copies are the same Port.
type Port struct{ process *actor.Process }

// Spawn makes a process but runs nothing of it: messages wait until [Port.Start]. A hosted actor's Terminate runs after a
// failed Init, too; it decides for itself what there is to terminate. The end of a hosted process is not logged: its host
// reports it. o is kept, not copied, so one Options can serve many processes; nil: the zero Options.
func Spawn(sys *actor.System, h Host, so actor.SpawnOptions, o *Options) (Port, error) {
	if o != nil && (o.MailboxBytes > 0 || o.MaxLag > 0 || o.Overflow != Exit) && so.Overflow != actor.OverflowExit {
		return Port{}, errors.New("host: Options with MailboxBytes, MaxLag or Overflow need SpawnOptions.Overflow OverflowExit")
	}
	p, _, err := sys.Inside(hook.Key{}).Spawn(h, h, (*hook.Options)(o), so)
	return Port{p}, err
}

// PID is the process's address.
func (p Port) PID() actor.PID { return p.process.PID() }

// Delivery is what became of a [Port.Start], [Port.Hand] or [Port.HandLast].
type Delivery uint8

const (
	// Ended says that the process has ended or is ending, and that what was handed over is not handled, or was the last.
	Ended = Delivery(hook.Ended)
	// Going says that Init has returned, or that the message was handled on the caller's goroutine.
	Going = Delivery(hook.Going)
	// Queued says that the process is busy, and the message waits in its mailbox. Receive gets it in its turn, unless the
	// process ends before.
	Queued = Delivery(hook.Queued)
	// Relieved says that [Port.Relieve] has made a worker of the caller's goroutine, whose turn is over now. Another one has
	// taken its place at the transport, and the caller must touch nothing that belongs to that.
	Relieved = Delivery(hook.Relieved)
)

// Start runs Init, and then what waits, on the caller's goroutine. It returns Ended, Going or Relieved.
func (p Port) Start() Delivery { return Delivery(p.process.Start()) }

// Hand hands msg over in mailbox order, beyond any limit, and does not wait. At rest, the process handles it on the caller's
// goroutine, and what has come meanwhile, until the turn has become long; otherwise msg is Queued. The host bounds how many
// wait: it learns in Receive that one waits no longer. What waits when the process ends is dropped.
//
// Only one goroutine at a time may use Start, Hand, and Take with Run; when it is relieved, the one that takes its place.
func (p Port) Hand(msg any) Delivery { return Delivery(p.process.Hand(msg)) }

// Take takes the turn from a worker to which it was given and which has not begun: many other turns may come before. It is for after
// a Hand that has said Queued, and does not block. True: the caller has the turn, and must call Run next, since nobody else runs
// the process until then. False: a worker has begun, or the process is at rest or has ended since.
func (p Port) Take() bool { return p.process.Take() }

// Run runs what waits in the mailbox on the caller's goroutine, as Hand does, after a Take that has said true, and only then. It
// returns Ended, Going or Relieved.
func (p Port) Run() Delivery { return Delivery(p.process.Run()) }

// HandLast is Hand of the last message, which ends the process with reason when it is handled: while it waits, the
// callback in progress has [Options].AbandonAfter.
func (p Port) HandLast(msg any, reason error) Delivery {
	return Delivery(p.process.HandLast(msg, reason))
}

// Queue puts msg into the mailbox as Hand does when the process is busy, and at rest has a worker handle it: it never runs
// anything on the caller's goroutine. False: the process has ended or is ending.
func (p Port) Queue(msg any) bool { return p.process.Queue(msg) }

// QueueLast is Queue of the last message, as HandLast is Hand of it.
func (p Port) QueueLast(msg any, reason error) bool { return p.process.QueueLast(msg, reason) }

// Waited tells whether what Receive handles was Queued. It is for Receive, on its goroutine.
func (p Port) Waited() bool { return p.process.Waited() }

// Leaving says that the peer sends no more, and that what it sent before is still to be handed over: the callback in progress,
// and each one that follows while the process stays busy, has [Options].AbandonAfter. When one takes longer the process ends
// with reason. It ends nothing that is at rest. Any goroutine may call it; it does not block.
func (p Port) Leaving(reason error) { p.process.Leaving(reason) }

// Callback tells how long Init or Receive has been running, on whichever goroutine; 0: neither runs. Any goroutine may call
// it; it does not block.
func (p Port) Callback() time.Duration { return p.process.Callback() }

// Relieve makes a worker of the goroutine on which Start, Hand or Run runs Init, Receive or TurnEnd, if that has been
// running for at least after. Then the turn goes on there as on any worker: TurnEnd is called with delivering not set,
// the end of the process, if it comes to that, runs there too, System.Shutdown waits for it, and when the turn is over,
// whatever became of the process, Start, Hand or Run returns Relieved. A callback that leaves its goroutine by
// runtime.Goexit keeps them from returning at all.
//
// For each true the host must put one other goroutine in its place, for which Hand says Queued until the process is at rest
// again. What the goroutine had written before it called Start, Hand or Take, the caller of Relieve sees when it returns true.
// False: there is no such goroutine, because the callback has just returned, a worker has the turn, or the process is at
// rest or ending; or it has not been running for that long. Nothing has changed then.
//
// Any goroutine may call it; it does not block.
func (p Port) Relieve(after time.Duration) bool { return p.process.Relieve(after) }

// Delivering tells whether a goroutine of the host has the turn, and was not relieved: it is in Start, Hand or Run, or between
// Take and Run. After the end of the process it tells whether one had. Any goroutine may ask; it does not block.
func (p Port) Delivering() bool { return p.process.Delivering() }

// Fail ends the process with reason, ahead of what waits in the mailbox: the peer is lost, or a write has failed. The
// callback in progress may run on for [Options].AbandonAfter; the shutdown time begins when it has returned. Any
// goroutine may call it; it does not block. It panics on a nil reason.
func (p Port) Fail(reason error) { p.process.Fail(reason) }

// Calling tells whether what Receive handles is a Call. It is for Receive, on its goroutine.
func (p Port) Calling() bool { return p.process.Calling() }

// Paced tells whether what Receive handles was sent by [actor.SendWait]. It is for Receive, on its goroutine.
func (p Port) Paced() bool { return p.process.Paced() }

// Decided has the process take no more messages. It is for a callback that stops the process and has more to do before it
// returns; it must be called on the goroutine of the callback, which must then return an error.
func (p Port) Decided() { p.process.Decided() }

// Load is [actor.ProcessInfo].Mailbox and Oldest, and for how long the callback that runs has been running, Terminate
// included; 0: none runs. It is cheaper than actor.Inspect. Any goroutine may ask; it does not block.
func (p Port) Load() (n int, oldest, callback time.Duration) { return p.process.Load() }

// LeaveOut leaves out the message with the key that waits, if there is one; with "" it counts one that the host has left out
// itself. It is for Receive, on its goroutine.
func (p Port) LeaveOut(key string) { p.process.LeaveOut(key) }

// CatchUp has Receive get another [CatchUp], when nothing waits again: it is for Receive of one, when more has come meanwhile.
func (p Port) CatchUp() { p.process.CatchUp() }

// Notify is [Ref.Notify] of the Port's own process. Any goroutine may call it.
func (p Port) Notify(d Deferred) bool { return p.process.Notify(d) }

// CaughtUp is how many messages were left out since it was called last. The next one that is left out brings a [CatchUp].
func (p Port) CaughtUp() uint64 { return p.process.CaughtUp() }

// Touch brings what Load needs into the processor's cache, for whoever is about to ask very many processes. It takes no
// lock, and what it returns says nothing.
func (p Port) Touch() uint64 { return p.process.Touch() }

// WaitingBytes adds up what size says of the messages that wait: of a [Deferred] it gets the Content. It looks at each of
// them while nothing can be put into the mailbox, so it is for what is seldom asked, and size must not block.
func (p Port) WaitingBytes(size func(msg any) int) int64 { return p.process.WaitingBytes(size) }

// Go runs t soon on one of the goroutines that run the System's turns. It may block. It is not part of the process: it
// may run beside a turn and after the end, and System.Shutdown does not wait for it.
func (p Port) Go(t interface{ Run() }) { p.process.Go(t) }

// Aside runs f. It is for a goroutine other than that of the turn, which waits for it, as that of iter.Pull: when the callback does not
// return, the stack that is reported is that of f. A panic and a runtime.Goexit in f are the caller's.
func (p Port) Aside(f func()) { p.process.Aside(f) }

// LogPanic logs a panic of the user's that cannot be the exit reason any more: where says in what. Any goroutine may call it; it
// does not block.
func (p Port) LogPanic(where string, panicked *actor.PanicError) { p.process.LogPanic(where, panicked) }

// Ref is a process that was found, for whoever sends to it often. It is comparable; two of one process are ==. The zero
// Ref is nobody. A Ref keeps a dead process in memory, so drop it in an OnExit.
type Ref struct{ process *actor.Process }

// RefOf finds p. ok is false, and ref zero, when it is dead, nobody, or of another boot or node. It does not block.
func RefOf(p actor.PID) (ref Ref, ok bool) {
	ref = Ref{p.Inside(hook.Key{})}
	return ref, ref != Ref{}
}

// PID is that of the process, alive or dead; zero for the zero Ref.
func (r Ref) PID() actor.PID { return r.process.PID() }

// Send is [actor.PID.Send]: it never blocks, and returns false when the process has ended, its end is decided, or its
// mailbox is full. Any goroutine may call it.
func (r Ref) Send(msg any) bool { return r.process != nil && r.process.Send(msg) }

// Alive is [actor.PID.Alive]. Any goroutine may call it.
func (r Ref) Alive() bool { return r.process != nil && r.process.Alive() }

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

// Look is a Deferred, for [Ref.Notify], that looks at the process and changes nothing: it does not count as handled in
// [actor.ProcessInfo]. Look is never called.
type Look interface {
	Deferred
	Look()
}

// Defer is [Ref.Send] for a Deferred.
func (r Ref) Defer(d Deferred) bool { return r.process != nil && r.process.Defer(d) }

// Notify is [Ref.Defer] without a limit. Its caller must let at most one d wait, so that their number is bounded by
// what the process has asked for, as with its timers. It returns false as Send does, and logs nothing.
func (r Ref) Notify(d Deferred) bool { return r.process != nil && r.process.Notify(d) }

// ExitHook is what [Ref.OnExit] needs, for a record of the caller's to be a part of: so one that is kept for each process needs no
// memory beyond its own, and no closure.
type ExitHook = actor.ExitHook

// OnExit is [actor.PID.OnExit] of an f that gets the PID. False: it is too late, and f never runs. h belongs to the process from
// then on: it cannot be cancelled, and must not have been used before. Else, and when f is nil, OnExit panics.
func (r Ref) OnExit(h *ExitHook, f func(p actor.PID, reason error)) bool {
	return r.process != nil && r.process.OnExit(h, f)
}

// Unhandled tells whether err is that of an actor.Call that has reached no callback of the callee, because the callee was
// gone or ended first, or its node was not connected. Then nothing has been done, and the Call can be made again without doing anything twice.
func Unhandled(err error) bool {
	_, ok := errors.AsType[hook.Unhandled](err)
	return ok
}

// present is an error of package supervisor, which this package cannot import.
type present interface {
	error
	TroupePresent()
}

// Present tells whether err is supervisor.ErrAlreadyPresent: what was to be started is a child already, which may be
// waiting for a restart. A later look finds it, or a later start works.
func Present(err error) bool {
	_, ok := errors.AsType[present](err)
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
	found := p.Inside(hook.Key{})
	return found != nil && found.Outlives(ctx)
}

// Reopen lets processes into sys again after System.Shutdown. It is for the owner of sys, when that is served again.
// Processes from before stay dead, and their PIDs are never used again. Reopen waits until no Shutdown runs and no process
// lives; the error is the cause of ctx's end. A System that was not shut down stays as it is.
func Reopen(ctx context.Context, sys *actor.System) error { return sys.Inside(hook.Key{}).Reopen(ctx) }

// OnEnding has f called for each process of sys when its exit reason is decided: before what waits in its mailbox is dropped,
// its children end and Terminate runs. It is not called at a kill. It runs with no lock held on the goroutine that ends the
// process, which waits for it, and must not block. A panic in it is logged. There can be one for each System, and it stays;
// false says that there is one.
func OnEnding(sys *actor.System, f func(p actor.PID)) bool { return sys.Inside(hook.Key{}).OnEnding(f) }

// ErrUnhandled is the error of an actor.Call for which [Unhandled] is true; it is an ErrNoProcess.
var ErrUnhandled error = hook.Unhandled{Err: actor.ErrNoProcess}

// ErrUnsent is one, too: an ErrNodeDown, for which nothing was sent, since the node was not connected.
var ErrUnsent error = hook.Unhandled{Err: actor.ErrNodeDown}

// LogOf is the Log of sys, for code that runs with it and has no Logger of its own. System.Shutdown waits for it.
func LogOf(sys *actor.System) *Log { return sys.Inside(hook.Key{}).Log() }
