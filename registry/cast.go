package registry

import (
	"errors"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
	"github.com/troupe-dev/troupe/websock"
)

// cast sends a broadcast to the nodes that have members of the group: it is encoded once. A node whose window is full does not
// get it.
func (o *others) cast(group string, msg any, but actor.PID) {
	to := o.wanting(group)
	if len(to) == 0 {
		return
	}
	if o.r.sys.Owns(but) {
		but = actor.PID{} // no other node has it
	}
	buf := buffers.Get().(*[]byte)
	b := appendPID(appendText(append(*buf, byte(recCast)), group), but)
	b, err := o.sender.Append(b, msg)
	if err == nil {
		sender := o.sender.With(msg)
		for _, p := range to {
			sender.Offer(p.Peer, b)
		}
	}
	release(buf, b)
}

// receiveCast broadcasts to the members on this node, on the goroutine of the link: so it keeps its place among all that comes
// from p.
func (o *others) receiveCast(p *peer, f *fields) {
	group, but := f.text(), f.pid(o.r.sys)
	if f.bad {
		return
	}
	if msg, err := p.Value(f.b); err == nil {
		o.r.broadcastAway(group, msg, but)
	}
}

// Close ends all members of the group, on all nodes of a cluster, as [actor.PID.Exit] does: sockets close with the code and the
// text of reason. It returns how many processes of this node it has told, not counting those that have ended. It is not
// refused by a mailbox limit or by a node's window, and takes its place after what the caller has sent and broadcast before:
//
//	reg.Broadcast("user:42", websock.Text("you are signed out"))
//	reg.Close("user:42", &websock.CloseError{Code: 4001, Reason: "signed out"})
//
// It runs on the caller's goroutine and does not block. Whoever joins meanwhile may be ended, too. It panics on a nil reason.
func (r *Registry) Close(group string, reason *websock.CloseError) int {
	if reason == nil {
		panic("registry: Close: nil reason")
	}
	if r.others != nil {
		r.others.close(group, reason)
	}
	return r.exit(group, reason)
}

// exit ends the members on this node. A reason that kills does not make it wait for their functions of OnExit.
func (r *Registry) exit(group string, reason error) (n int) {
	exit := actor.PID.Exit
	if errors.Is(reason, actor.ErrKilled) {
		exit = host.Kill
	}
	r.everyMember(group, func(list []*member) bool {
		for _, m := range list {
			if exit(m.who.PID(), reason) {
				n++
			}
		}
		return true
	})
	return n
}

// close has other nodes end the members there.
func (o *others) close(group string, reason *websock.CloseError) {
	to := o.wanting(group)
	if len(to) == 0 || len(group) > maxName { // then it has no members
		return
	}
	if b, err := o.sender.Append(appendText([]byte{byte(recClose)}, group), reason); err == nil {
		o.tell(to, b)
	}
}

func (o *others) receiveClose(p *peer, f *fields) {
	group := f.text()
	if f.bad {
		return
	}
	v, err := p.Value(f.b)
	if err != nil {
		return
	}
	if reason, ok := v.(error); ok {
		o.r.exit(group, reason)
	} else {
		f.bad = true
	}
}
