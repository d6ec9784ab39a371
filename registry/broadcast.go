package registry

import (
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
	"github.com/troupe-dev/troupe/websock"
)

// Broadcast sends msg to all members of the group, in no order, and returns how many mailboxes took it: a member whose
// mailbox is full, or that has just ended, does not count. It runs on the caller's goroutine, is [actor.PID.Send] for
// each, and so never blocks on a member nor runs a handler's code. Messages that one goroutine broadcasts and sends
// reach each process in that order.
//
// Whoever is a member from before the call until after it gets msg once; whoever joins meanwhile may get it. A member
// that leaves before it has come to handle msg does not get it, although it was counted. msg is shared, and read-only
// from then on. A [websock.Message], which sockets write to their clients without passing it to HandleInfo, is prepared,
// so that it is encoded and compressed once for all of them; see [websock.Prepare]. Sockets whose clients are behind may leave it
// out, as its [websock.Message.Deliver] says.
//
// In a cluster, msg also goes to every node that has told this one of members of the group, encoded once, and is broadcast there in
// its turn among all that comes from here. A node whose window is full, and a msg that cannot be encoded, are as when
// [actor.PID.Send] returns false. What is returned counts the mailboxes of this node.
func (r *Registry) Broadcast(group string, msg any) int {
	return r.broadcast(group, msg, actor.PID{}, nil, r.others)
}

// BroadcastFrom is [Registry.Broadcast] to all members but from, usually the sender, which need not be a member.
func (r *Registry) BroadcastFrom(group string, from actor.PID, msg any) int {
	return r.broadcast(group, msg, from, nil, r.others)
}

// BroadcastWhere is [Registry.Broadcast] to the members for which match, called with the PID and the meta of Join,
// returns true. match runs on the caller's goroutine and may use the registry. When it panics, the caller does; the
// members that it accepted before have got msg.
func (r *Registry) BroadcastWhere(group string, match func(actor.PID, any) bool, msg any) int {
	return r.broadcast(group, msg, actor.PID{}, match, nil)
}

// broadcast does all of the above: for the members on this node, and for those on the nodes of others, if that is not nil.
func (r *Registry) broadcast(group string, msg any, but actor.PID, match func(actor.PID, any) bool, others *others) (n int) {
	m := r.measure.Load()
	var start time.Time
	if m != nil {
		start = time.Now()
	}
	if others != nil {
		others.cast(group, msg, but)
	}
	n = r.toMembers(group, msg, but, match)
	if m != nil {
		m.since(start, group, n)
	}
	return n
}

// broadcastAway is broadcast of what another node has broadcast.
func (r *Registry) broadcastAway(group string, msg any, but actor.PID) {
	m := r.measure.Load()
	if m == nil {
		r.toMembers(group, msg, but, nil)
		return
	}
	start := time.Now()
	m.sinceAway(start, group, r.toMembers(group, msg, but, nil))
}

// toMembers gives msg to the members on this node.
func (r *Registry) toMembers(group string, msg any, but actor.PID, match func(actor.PID, any) bool) (n int) {
	l := r.look(group)
	defer r.drop(l.list)
	if l.parts == nil && len(*l.list) == 0 {
		return 0
	}
	if m, ok := msg.(websock.Message); ok {
		msg = websock.Prepare(m)
	}
	except, _ := host.RefOf(but)
	c := &cast{r: r, group: l.group, since: l.since, msg: msg}
	for l.next() {
		for _, m := range *l.list {
			if m.who != except && (match == nil || match(m.who.PID(), m.meta)) && m.who.Defer(c) {
				n++
			}
		}
	}
	return n
}

// cast is one broadcast, which all mailboxes share. It is a host.Deferred, so that a process that has left the group
// while the message was waiting does not get it.
type cast struct {
	r     *Registry
	group *group
	since uint32 // group.left before it was sent
	msg   any
}

// Content implements host.Deferred.
func (c *cast) Content() any { return c.msg }

// Due implements host.Deferred. As long as nobody has left the group since, it costs one atomic load. Members that end do
// not count as having left, so this holds for a group whose members come and go with their sockets, too.
func (c *cast) Due(to actor.PID) (any, bool) {
	if c.group.left.Load() != c.since && !c.reaches(to) {
		return nil, false
	}
	return c.msg, true
}

// reaches tells whether a process is a member and has been since before c was sent.
func (c *cast) reaches(pid actor.PID) bool {
	e := c.r.known(pid)
	if e == nil {
		return false
	}
	defer e.mu.Unlock()
	m, ok := e.find(registrationKey{kind: RegisteredMember, name: c.group.name}).(*member)
	return ok && m.group == c.group && int32(c.since-m.since) >= 0
}
