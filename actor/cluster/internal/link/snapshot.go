package link

import "iter"

// Snapshot sends the records of seq. The goroutine of the pair pulls them when there is room within the grant, so a snapshot of any size
// ends no session; a record is copied before the next is pulled. All that is Offered and Controlled after
// this call follows the snapshot, and waits as long. seq must not block; it is ended early when the session ends.
func (p *Peer) Snapshot(seq iter.Seq[[]byte]) {
	pr := p.pair
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if p.over != nil || p.leaving {
		return
	}
	p.queue.push(item{snapshot: seq})
	p.tail = nil
	pr.poke()
}

// puller is the snapshot that is being sent. It is the goroutine's.
type puller struct {
	next func() ([]byte, bool)
	stop func()
}

// mayPull reports whether the next to be sent is a snapshot that has room. It takes half of the grant, so that what is
// Offered meanwhile finds room as well. pair.mu is held.
func (p *Peer) mayPull() bool {
	return p.queue.len() > 0 && p.queue.at(0).snapshot != nil &&
		(p.flying == 0 || p.flying+p.pair.mesh.frameMax <= p.grant/2)
}

// pull takes records of the snapshot for one frame; pair.mu is not held.
func (p *Peer) pull() {
	pr, m := p.pair, p.pair.mesh
	pr.mu.Lock()
	if p.over != nil {
		pr.mu.Unlock()
		return
	}
	seq := p.queue.at(0).snapshot
	pr.mu.Unlock()
	if p.snapshot.next == nil {
		p.snapshot.next, p.snapshot.stop = iter.Pull(seq)
	}
	var frames []item
	begin := func(f *frame) { frames = append(frames, item{frame: f}) }
	var f *frame
	var records, bytes int
	more := true
	for more && bytes < m.frameMax/2 {
		var rec []byte
		if rec, more = p.snapshot.next(); !more {
			break
		}
		if len(rec) > p.maxRecord {
			panic("link: a record of a snapshot exceeds MaxRecord")
		}
		var written int
		f, written = m.write(f, len(rec), [][]byte{rec}, begin)
		records++
		bytes += written
	}
	if !more {
		p.stopSnapshots()
	}

	pr.mu.Lock()
	defer pr.mu.Unlock()
	if p.over != nil {
		return
	}
	if !more {
		p.queue.pop()
	}
	p.queue.insert(frames)
	p.waiting += bytes + headLen*len(frames)
	p.stats.RecordsOut += uint64(records)
	p.stats.BytesOut += uint64(bytes)
}

// stopSnapshots ends the iterator that is being pulled.
func (p *Peer) stopSnapshots() {
	if p.snapshot.stop != nil {
		p.snapshot.stop()
		p.snapshot = puller{}
	}
}
