package cluster

import "time"

// PeerInfo is what is known of the link to a node that is up.
type PeerInfo struct {
	Node, Boot string
	Since      time.Time     // the session
	RTT        time.Duration // to the node and back, through the engine; 0: not known yet
	Window     int           // bytes that may be on their way to it
	InUse      int           // bytes that are
	RecordsIn, RecordsOut,
	BytesIn, BytesOut uint64
	Refused     uint64 // Sends, Calls and Offers for which the window had no room
	Resent      uint64 // datagrams
	Resets      uint64 // sessions with this boot before this one
	Undecodable uint64 // what it has sent that could not be decoded
	Undelivered uint64 // messages of its processes to some here that had ended, or whose mailbox was full
}

// info is what PeerInfo says of the session.
func (s *session) info() PeerInfo {
	l := s.peer.Stats()
	return PeerInfo{
		Node: s.node, Boot: s.bootText, Since: s.peer.Since(),
		RTT: l.RTT, Window: l.Grant, InUse: l.Used,
		RecordsIn: l.RecordsIn, RecordsOut: l.RecordsOut, BytesIn: l.BytesIn, BytesOut: l.BytesOut,
		Refused: l.Refused, Resent: l.Resent, Resets: uint64(l.Resets), Undecodable: s.lost.Load(), Undelivered: s.undelivered.Load(),
	}
}
