package registry

import (
	"reflect"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/websock"
)

// Broadcast sends msg to all members of the group, in no order, and returns how many mailboxes took it: a member whose
// mailbox is full, or that has just ended, does not count. It runs on the caller's goroutine, is [actor.PID.Send] for
// each, and so never blocks on a member nor runs a handler's code. Messages that one goroutine broadcasts and sends
// reach each process in that order.
//
// Who was a member from before the call until its end gets msg once; who joins or leaves meanwhile may get it. msg is
// shared: it is read-only from then on. A [websock.Message], which sockets write to their clients without passing
// HandleInfo, is prepared, so that it is encoded and compressed once for all; see [websock.Prepare].
func (r *Registry) Broadcast(group string, msg any) int {
	n, _ := r.broadcast(group, msg, actor.PID{}, nil, nil)
	return n
}

// BroadcastFrom is [Registry.Broadcast] to all members but from, the sender as a rule. from need not be a member.
func (r *Registry) BroadcastFrom(group string, from actor.PID, msg any) int {
	n, _ := r.broadcast(group, msg, from, nil, nil)
	return n
}

// BroadcastWhere is [Registry.Broadcast] to the members for which match, called with the PID and the meta of Join, says
// true. match runs on the caller's goroutine and may use the registry.
func (r *Registry) BroadcastWhere(group string, match func(actor.PID, any) bool, msg any) int {
	n, _ := r.broadcast(group, msg, actor.PID{}, match, nil)
	return n
}

// broadcast is all of the above. The error is that of a message type that the group does not have.
func (r *Registry) broadcast(group string, msg any, but actor.PID, match func(actor.PID, any) bool,
	message reflect.Type) (n int, err error) {
	list, parts, err := r.look(group, message)
	if parts == nil && len(*list) == 0 {
		r.drop(list)
		return 0, err
	}
	if m, ok := msg.(websock.Message); ok {
		msg = websock.Prepare(m)
	}
	for i := 0; ; i++ {
		if parts != nil {
			parts[i].copy(list)
		}
		for _, m := range *list {
			if but != (actor.PID{}) && m.who.pid == but {
				continue
			}
			if (match == nil || match(m.who.pid, m.meta)) && m.to.Send(msg) {
				n++
			}
		}
		clear(*list)
		if parts == nil || i == partCount-1 {
			r.drop(list)
			return n, nil
		}
	}
}
