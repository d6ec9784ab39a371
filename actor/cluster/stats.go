package cluster

import (
	"errors"
	"time"

	"github.com/troupe-dev/troupe/actor/cluster/internal/link"
)

// Stats are the numbers of a [Node] and of all its links together, as [Node.Stats] returns them. Those that are uint64 have
// counted since New, links that have ended included, and never become less; all others are of now. What is known of each link is
// in [Node.Peers].
type Stats struct {
	Name  string // of this node: actor.Config.Node
	Ready bool   // [Node.Ready] is nil
	Up    int    // nodes that are up: Ups - Left - Lost

	Ups    uint64 // links that have begun, each with an EventNodeUp
	Left   uint64 // of them those that a goodbye has ended, of the other node or of this one
	Lost   uint64 // of them those that have ended otherwise: silence, a network, a node that does not keep up
	Resets uint64 // links to a node that had one before and was not restarted; not after it was silent for 15 s

	RecordsIn, RecordsOut,
	BytesIn, BytesOut uint64
	Refused     uint64 // Sends, Calls and Offers for which a window had no room
	Resent      uint64 // datagrams
	Unencodable uint64 // messages of a type that cannot cross, or too long for their node, each with an EventRefused
	Undecodable uint64 // what has come that could not be decoded
	Undelivered uint64 // messages of other nodes to processes here that had ended, or whose mailbox was full
	EngineLost  uint64 // how often the engine was lost

	RTTMax time.Duration // of the node that is farthest; 0: none is known
	// InUse and Window are those of the node whose window is fullest, in bytes: from Window on, Send says false. 0 when no node
	// is up.
	InUse, Window int
}

// Stats returns the numbers of the Node. It looks at each link that lasts, of which there are at most 1,024, for a moment, and
// meanwhile nodes neither come nor go; messages do not wait. Links that have ended cost nothing.
func (n *Node) Stats() Stats {
	n.mu.Lock()
	defer n.mu.Unlock()
	st := n.past
	for s := range n.links {
		info := s.info()
		st.count(&info)
		if n.told[s.boot] == s { // else its hello has not come
			st.Up++
			st.compare(&info)
		}
	}
	st.Name, st.Ready = n.name, n.Ready() == nil
	st.Unencodable, st.EngineLost = n.unencodable.Load(), n.engineLost.Load()
	return st
}

// count adds what the link of p has counted.
func (st *Stats) count(p *PeerInfo) {
	st.RecordsIn += p.RecordsIn
	st.RecordsOut += p.RecordsOut
	st.BytesIn += p.BytesIn
	st.BytesOut += p.BytesOut
	st.Refused += p.Refused
	st.Resent += p.Resent
	st.Undecodable += p.Undecodable
	st.Undelivered += p.Undelivered
}

// compare keeps what is worse with p than with those before. InUse can be more than Window, whose shares change.
func (st *Stats) compare(p *PeerInfo) {
	st.RTTMax = max(st.RTTMax, p.RTT)
	if st.Window == 0 || float64(p.InUse)*float64(st.Window) > float64(st.InUse)*float64(p.Window) {
		st.InUse, st.Window = p.InUse, p.Window
	}
}

// linked puts s among the links. Each is in n.links from its Up to its Down, and only then in n.past: mu is held while it moves,
// so Stats has it once.
func (n *Node) linked(s *session) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links[s] = struct{}{}
	if s.peer.Stats().Resets > 0 {
		n.past.Resets++
	}
}

// unlinked keeps the numbers of s, from which nothing is received any more; n.mu is held.
func (n *Node) unlinked(s *session, reason error) {
	delete(n.links, s)
	info := s.info()
	n.past.count(&info)
	switch {
	case n.told[s.boot] != s:
	case errors.Is(reason, link.ErrGoodbye), errors.Is(reason, link.ErrClosed):
		n.past.Left++
	default:
		n.past.Lost++
	}
}
