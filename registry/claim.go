package registry

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/actor"
)

// Names in a cluster: each node tells the others of the names that its own processes hold: its claims. The best claim of a name
// that a node knows is its holder there. All nodes have the same order, so they agree once they have heard the same.
//
// A name that is held here stands in nameShard.m, as on a single node, and is better than all that is known of others: when a
// better claim comes, it has lost, and its node, which is this one, takes it out. What others hold stands in
// nameShard.away. Both are guarded by the lock of the shard, and so are the leases, so that they never disagree.

// stamp says how good a claim is. Only ending changes, which says nothing about that.
type stamp struct {
	gen     uint64 // how many Replaces have led to it
	at      int64  // by others.now
	replace bool   // made by Replace
	ending  bool   // the end of the process is decided
}

// beats tells whether the claim of p with stamp a is better than that of q with b. Who was replaced has lost. Of claims of one
// generation that did not know each other, the latest Replace wins, as the last login does; without any the earliest
// Register, as it would have on a single node.
func (a stamp) beats(b stamp, p, q actor.PID) bool {
	switch {
	case a.gen != b.gen:
		return a.gen > b.gen
	case a.replace != b.replace:
		return a.replace
	case a.at != b.at:
		return (a.at > b.at) == a.replace
	}
	return p.String() < q.String()
}

// claimed is a name that a process of this node holds, as the others know it.
type claimed struct {
	stamp
	over   actor.PID // whom it has replaced knowingly
	h      *holding
	beaten uint64 // the boot of a node that has a better one, as a third node says: see receiveBeaten; 0: nobody says so
}

// claim is a name that a process of another node holds. There are as many as the cluster has names: 80 bytes each.
type claim struct {
	stamp
	pid  actor.PID
	meta any
	from *peer
	next *claim // a worse one, of another node
}

// now is the time, but later than all that was seen before: so a claim made by somebody who has heard of another one is later, even
// if the clocks of the two nodes differ.
func (o *others) now() int64 {
	for {
		last := o.clock.Load()
		now := max(time.Now().UnixNano(), last+1)
		if o.clock.CompareAndSwap(last, now) {
			return now
		}
	}
}

// saw notes the time of another node.
func (o *others) saw(at int64) {
	for last := o.clock.Load(); at > last; last = o.clock.Load() {
		if o.clock.CompareAndSwap(last, at) {
			return
		}
	}
}

// mine, registered, replaced, claim, unclaim and end need the lock of the name's shard.

// mine is the claim of a name that is held here.
func (o *others) mine(name string) claimed {
	s := o.claims.at(o.r.hash(name))
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m.Get(name)
}

// registered claims a name that h holds now. renewed: its process has held it before, and has new meta.
func (o *others) registered(h *holding, renewed bool, meta []byte) {
	c := claimed{stamp: stamp{gen: 1, at: o.now()}, h: h}
	if renewed {
		c = o.mine(h.name)
		c.h = h
	}
	c.ending = !h.who.ref.Alive()
	o.claim(c, meta)
}

// replaced claims a name that h has taken from whoever held it.
func (o *others) replaced(s *nameShard, h, prev *holding, meta []byte) {
	c := claimed{stamp: stamp{gen: o.mine(h.name).gen, at: o.now(), replace: true}, h: h}
	if best := s.away.Get(h.name); best != nil {
		c.gen, c.over = max(c.gen, best.gen), best.pid
	}
	if prev != nil {
		c.over = prev.who.pid()
	}
	c.gen++
	c.ending = !h.who.ref.Alive()
	o.claim(c, meta)
}

func (o *others) claim(c claimed, meta []byte) {
	s := o.claims.at(o.r.hash(c.h.name))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m.Put(c.h.name, c)
	if len(s.to) > 0 {
		o.tell(s.to, append(appendClaim(nil, c, 0), meta...))
	}
}

func (o *others) unclaim(name string) {
	s := o.claims.at(o.r.hash(name))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m.Delete(name)
	o.tell(s.to, appendText([]byte{byte(recUnclaim)}, name))
}

// appendClaim appends all but the meta.
func appendClaim(b []byte, c claimed, flags byte) []byte {
	if c.ending {
		flags |= claimEnds
	}
	b = appendText(append(b, byte(recClaim)), c.h.name)
	return appendStamp(b, c.stamp, flags, c.h.who.pid(), c.over)
}

const (
	claimReplaces = 1 << iota
	claimEnds
	claimLate // in a snapshot
)

func appendStamp(b []byte, s stamp, flags byte, pid, over actor.PID) []byte {
	if s.replace {
		flags |= claimReplaces
	}
	b = binary.AppendUvarint(binary.AppendUvarint(append(b, flags), s.gen), uint64(s.at))
	return appendPID(appendPID(b, pid), over)
}

// claim reads what appendStamp has written: also whom the claim has replaced knowingly, and whether it was made before the link was,
// which counts only when it comes.
func (f *fields) claim(o *others) (c *claim, over actor.PID, late bool) {
	flags := f.number()
	c = &claim{stamp: stamp{replace: flags&claimReplaces != 0, ending: flags&claimEnds != 0}}
	c.gen, c.at = f.number(), int64(f.number())
	c.pid, over = f.pid(o.r.sys), f.pid(o.r.sys)
	if c.pid == (actor.PID{}) || c.at < 0 {
		f.bad = true
	}
	return c, over, flags&claimLate != 0
}

// ends tells the peers that the end of a process is decided: what it holds is not free, but Whereis does not find it, and Ensure
// waits.
func (o *others) ends(pid actor.PID) {
	e := o.r.known(pid)
	if e == nil {
		return
	}
	defer e.mu.Unlock()
	for _, reg := range e.all() {
		h, ok := reg.(*holding)
		if !ok {
			continue
		}
		s := o.r.nameShard(h.name)
		s.mu.Lock()
		if s.m.Get(h.name) == h {
			o.end(h.name)
		}
		s.mu.Unlock()
	}
}

func (o *others) end(name string) {
	s := o.claims.at(o.r.hash(name))
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.m.Get(name)
	c.ending = true
	s.m.Put(name, c)
	o.tell(s.to, appendText([]byte{byte(recEnding)}, name))
}

// snapshotNames yields the claims of this node. False: p wants no more.
func (o *others) snapshotNames(p *peer, yield func([]byte) bool) bool {
	var b []byte
	for i := range shards {
		for _, e := range o.claims.begin(i, p) {
			if b = o.appendMeta(appendClaim(b[:0], e.value, claimLate), e.value.h.meta); !yield(b) {
				return false
			}
		}
	}
	return true
}

// receiveClaim notes a claim of p, in place of its older one of that name. A process here that it has replaced is out. If it is
// better than another one, p is asked whether it still stands, before anybody acts on it.
func (o *others) receiveClaim(p *peer, f *fields) {
	name := f.text()
	c, over, late := f.claim(o)
	if f.bad {
		return
	}
	c.from = p
	c.meta, _ = p.Value(f.b) // what cannot be read here is no meta
	o.saw(c.at)
	s := o.r.nameShard(name)
	s.mu.Lock()
	s.putAway(name, append(s.awayBut(name, p), c))
	var lost *holding
	var tell []*nameWatcher
	switch own := s.m.Get(name); {
	case own == nil:
		tell = o.r.changed(s, name, s.away.Get(name).pid)
	case over == own.who.pid() && !late:
		lost, tell = o.yields(s, name, c)
	}
	o.confirm(s, name)
	s.mu.Unlock()
	o.r.deliver(news{names: tell})
	o.left(lost)
}

// awayBut is the claims of others, without that of p; putAway notes them, the best first.
func (s *nameShard) awayBut(name string, p *peer) (list []*claim) {
	for c := s.away.Get(name); c != nil; c = c.next {
		if c.from != p {
			list = append(list, c)
		}
	}
	return list
}

func (s *nameShard) putAway(name string, list []*claim) {
	if len(list) == 0 {
		s.away.Delete(name)
		return
	}
	slices.SortFunc(list, func(a, b *claim) int {
		if a.beats(b.stamp, a.pid, b.pid) {
			return -1
		}
		return 1
	})
	for i, c := range list[:len(list)-1] {
		c.next = list[i+1]
	}
	list[len(list)-1].next = nil
	s.away.Put(name, list[0])
}

func (o *others) receiveUnclaim(p *peer, f *fields) {
	name := f.text()
	if f.bad {
		return
	}
	s := o.r.nameShard(name)
	s.mu.Lock()
	tell := o.withdraw(s, name, p)
	s.mu.Unlock()
	o.r.deliver(news{names: tell})
}

// withdraw forgets the claim of p; the shard is locked.
func (o *others) withdraw(s *nameShard, name string, p *peer) []*nameWatcher {
	before := s.away.Get(name)
	s.putAway(name, s.awayBut(name, p))
	best := s.away.Get(name)
	if best == before {
		return nil
	}
	holder := actor.PID{}
	if best != nil {
		holder = best.pid
		o.confirm(s, name) // the one that has gone was asked before
	}
	if s.m.Get(name) != nil {
		return nil
	}
	return o.r.changed(s, name, holder)
}

// receiveEnding notes that the end of a holder is decided: Whereis does not find it any more, and Ensure waits for its end.
func (o *others) receiveEnding(p *peer, f *fields) {
	name := f.text()
	s := o.r.nameShard(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := s.away.Get(name); c != nil; c = c.next {
		if c.from == p {
			c.ending = true
		}
	}
}

// unnamed forgets what p holds and wants to start.
func (o *others) unnamed(p *peer) {
	for i := range o.r.names {
		s := &o.r.names[i]
		s.mu.Lock()
		var of []string
		for name, c := range s.away.All() {
			for ; c != nil; c = c.next {
				if c.from == p {
					of = append(of, name)
				}
			}
		}
		var tell []*nameWatcher
		for _, name := range of {
			tell = append(tell, o.withdraw(s, name, p)...)
		}
		o.releaseAll(s, p)
		s.mu.Unlock()
		o.r.deliver(news{names: tell})
	}
	o.beatenBy(p)
}
