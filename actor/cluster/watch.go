package cluster

import (
	"sync/atomic"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// NodeUp is the message that a node is connected; see [Node.Watch].
type NodeUp struct {
	Node string
	Boot string // 16 hex digits, as in a PID's text
}

// NodeDown is the message that a node is not connected any more. It comes after the Downs of its processes.
type NodeDown struct {
	Node, Boot string
	// Reason is ErrShutdown when the node has said goodbye, and ErrNodeDown when it fell silent or the link broke: then it may
	// live, and a NodeUp of the same boot may follow.
	Reason error
}

// maxNews is how many messages of Watch may wait for one process.
const maxNews = 4096

// Watch has pid sent a [NodeUp] for each node that is up, and from then on a NodeUp or [NodeDown] for each that comes or
// goes, without a gap, until pid ends. No mailbox limit refuses them; a process that lets 4,096 of them wait ends with
// ErrOverload. pid must be of this System; if it is not, or is dead, or watches already, nothing happens.
func (n *Node) Watch(pid actor.PID) {
	ref, ok := host.RefOf(pid)
	if !ok || !n.sys.Owns(pid) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.watchers[pid] != nil {
		return
	}
	_, ok = pid.OnExit(func(error) {
		n.mu.Lock()
		delete(n.watchers, pid)
		n.mu.Unlock()
	})
	if !ok {
		return
	}
	w := &watcher{pid: pid, ref: ref}
	n.watchers[pid] = w
	for _, s := range n.told {
		w.tell(NodeUp{Node: s.node, Boot: s.bootText})
	}
}

// watcher is a process that watches nodes.
type watcher struct {
	pid   actor.PID
	ref   host.Ref
	waits atomic.Int32 // how many messages
}

// tell sends msg to all that watch; n.mu is held, so that all get the same in the same order.
func (n *Node) tell(msg any) {
	for _, w := range n.watchers {
		w.tell(msg)
	}
}

func (w *watcher) tell(msg any) {
	if w.waits.Add(1) > maxNews {
		w.pid.Exit(actor.ErrOverload)
		return
	}
	w.ref.Notify(&news{w, msg})
}

// news is a message of Watch in a mailbox. It is a host.Deferred only because those have no limit but their sender's.
type news struct {
	to  *watcher
	msg any
}

// Due implements host.Deferred.
func (m *news) Due(actor.PID) (any, bool) {
	m.to.waits.Add(-1)
	return m.msg, true
}

// Content implements host.Deferred.
func (m *news) Content() any { return m.msg }
