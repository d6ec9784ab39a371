package host

import (
	"math/bits"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/internal/hook"
)

// Remote carries what is sent to processes of other nodes, and of other boots of them. Package cluster is the one there is.
// No method blocks, any goroutine may call them, and none is called for a PID of the System's own node name. What Send and Call
// get as the message is a [Carried] when Config.Carry of the System has something for it.
type Remote interface {
	// Send is [actor.PID.Send]. False: nothing is delivered.
	Send(to actor.PID, msg any) bool
	// Exit is [actor.PID.Exit]; reason is not nil.
	Exit(to actor.PID, reason error) bool
	// Reachable is [actor.PID.Alive].
	Reachable(to actor.PID) bool
	// Call sends req to a process, at most once, for from, which is zero for a goroutine that is no process. It runs answer
	// once, on any goroutine, perhaps before it returns, unless it was cancelled before: with the reply v, which may be an
	// error, or with the err why there is none. What comes after the deadline need not be handled (zero: none); whoever
	// calls watches the time, too. A req that is a [Room] is no Call, but an [actor.SendWait]: its Msg is to be put into the
	// mailbox when there is room, and the answer is nil then.
	Call(to, from actor.PID, req any, deadline time.Time, answer func(v any, err error)) (cancel func())
	// Monitor runs down once, after all that to has sent to this node, perhaps before it returns, unless it was cancelled
	// before. The reason is ErrNoProcess itself when there is no such process, and ErrNodeDown itself when its node is
	// not connected, or is lost; an exit reason is never an ErrNodeDown by errors.Is. cancel may be called more than once, and in down.
	Monitor(to actor.PID, down func(reason error)) (cancel func())
}

// Attach gives sys its Remote. There can be one for each System, and it stays; the error says that there is one.
func Attach(sys *actor.System, r Remote) error { return sys.Inside(hook.Key{}).Attach(r) }

// Identity is what the PIDs of the processes of sys have in common.
func Identity(sys *actor.System) (node string, boot uint64) { return sys.Inside(hook.Key{}).Identity() }

// PIDOf is the PID with these parts for use in sys, as [actor.System.ParsePID] would return it. It is zero when the num is
// 0 or the node's name cannot stand in a PID.
func PIDOf(sys *actor.System, node string, boot, num uint64) actor.PID {
	return sys.Inside(hook.Key{}).PIDOf(node, boot, num)
}

// ValidNode tells whether a node of this name can have PIDs.
func ValidNode(node string) bool { return anySystem.Inside(hook.Key{}).ValidNode(node) }

// Parts takes a PID apart: it is what [PIDOf] is made of. All are zero for the zero PID.
func Parts(p actor.PID) (node string, boot, num uint64) {
	return anySystem.Inside(hook.Key{}).Parts(p)
}

// Spread is the place of the process of this number in a table of n places. The processes of one kind may be each eighth, say, of all
// that are spawned; they are spread evenly all the same.
func Spread(num uint64, n int) int {
	const golden = 0x9e3779b97f4a7c15 // 2 to the power of 64 divided by the golden ratio
	place, _ := bits.Mul64(num*golden, uint64(n))
	return int(place)
}

// Ask is an [actor.Call] whose caller does not wait: answer runs once, on any goroutine, perhaps before Ask returns, unless
// cancel was called before. It must not block. It gets the reply, which may be an error, or the err that Call would
// return: context.DeadlineExceeded, ErrNoProcess, ErrMailboxFull, ErrNoReply, ErrNodeDown. from is what From.PID says in
// the callee. The zero deadline is none: then answer may never run while the callee lives. Ask never blocks.
func Ask(to, from actor.PID, req any, deadline time.Time, answer func(v any, err error)) (cancel func()) {
	return anySystem.Inside(hook.Key{}).Ask(to, from, req, deadline, answer)
}

// Carried is a message with what Config.Carry of the sender's System has made of a ctx. A Remote takes both to the other node,
// and gives them to [SendCarried] or, in the place of the req, to [Ask] there.
type Carried = hook.Carried

// Room is what [actor.SendWait] gives to Remote.Call, and what the Remote gives to [Ask] at the other node: Msg, which may be a
// Carried, is to be put into the mailbox as soon as there is room, and not before. Then answer runs with a nil v. Its err may be
// ErrUnhandled, when the process takes no more messages, and on the way there what that of a Call may be; after an
// ErrMailboxFull, Call is called again a moment later.
type Room = hook.Room

// SendCarried is [actor.PID.Send] of a message with what it carries; see [Carried]. Without a Config.Fetch here, with is dropped.
func SendCarried(p actor.PID, msg any, with string) bool {
	return anySystem.Inside(hook.Key{}).SendCarried(p, msg, with)
}

// Kill is [actor.PID.Exit] with a reason that is ErrKilled, of a process of this System: but the functions of OnExit may
// still run when it returns, and it never blocks.
func Kill(p actor.PID, reason error) bool { return anySystem.Inside(hook.Key{}).Kill(p, reason) }

// Watch is an [actor.Monitor] whose watcher is no process: down runs once, on any goroutine, perhaps before Watch returns,
// with what a Down would say, unless cancel was called before. It runs after the Downs of p are in their mailboxes. It must
// not block. cancel may be called more than once.
func Watch(p actor.PID, down func(reason error)) (cancel func()) {
	return anySystem.Inside(hook.Key{}).Watch(p, down)
}

// anySystem opens what a PID knows by itself.
var anySystem *actor.System
