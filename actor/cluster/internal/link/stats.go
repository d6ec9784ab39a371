package link

import "time"

// MeshStats are the numbers of a Mesh.
type MeshStats struct {
	Known         int    // nodes that have told of themselves
	Sessions      int    // with a session
	Published     uint64 // datagrams given to the engine
	PublishErrors uint64 // of them with an error
	Bad           uint64 // datagrams that made no sense
	Strangers     uint64 // RESETs to nodes that are not known
}

// Stats returns the numbers of now.
func (m *Mesh) Stats() MeshStats {
	m.mu.RLock()
	known := len(m.pairs)
	m.mu.RUnlock()
	return MeshStats{
		Known: known, Sessions: int(m.sessions.Load()), Published: m.published.Load(), PublishErrors: m.publishErrors.Load(),
		Bad: m.bad.Load(), Strangers: m.resets.Load(),
	}
}

// Stats are the numbers of a session.
type Stats struct {
	RTT    time.Duration // smoothed; 0: not measured yet
	Grant  int           // bytes that may be on their way to the node
	Used   int           // bytes that are on their way or wait
	Resets int           // sessions with this boot that ended before this one

	RecordsIn, RecordsOut uint64
	BytesIn, BytesOut     uint64 // of records and their lengths
	FramesIn, FramesOut   uint64 // without those sent again
	Refused               uint64 // Offers
	Resent                uint64 // frames sent again
	Duplicates            uint64 // frames that had been received before
	Gaps                  uint64 // frames that came out of place and were dropped
}

// Stats returns the numbers of now, or those at the end of the session.
func (p *Peer) Stats() Stats {
	p.pair.mu.Lock()
	defer p.pair.mu.Unlock()
	s := p.stats
	s.RTT, s.Grant, s.Used = p.rtt, p.grant, p.waiting+p.flying
	s.RecordsIn, s.BytesIn = p.recordsIn.Load(), p.bytesIn.Load()
	return s
}
