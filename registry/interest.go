package registry

import (
	"encoding/binary"
	"slices"
	"sync"

	"github.com/troupe-dev/troupe/actor/host"
)

// Which nodes have members of a group is known by the 64-bit FNV-1a hash of its name. When two groups have one hash, or a node
// does not know yet that a group has no members any more, a node gets a broadcast in vain, and finds no members: that is
// no harm. The other way round is: so a node tells of a group before its first Join returns, and the link puts that before
// everything that the process sends afterwards. What gathers meanwhile leaves in one datagram.

// hashOf is the hash of a group.
func hashOf(group string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(group) {
		h = (h ^ uint64(group[i])) * 1099511628211
	}
	return h
}

// opened tells all peers that a group has members, emptied that it has none; the group's shard is locked for writing. They count
// the groups of one hash.
func (o *others) opened(group string) {
	h := hashOf(group)
	s := o.open.at(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.m.Get(h)
	if s.m.Put(h, n+1); n == 0 {
		o.tell(s.to, appendHash(recOpened, h))
	}
}

func (o *others) emptied(group string) {
	h := hashOf(group)
	s := o.open.at(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.m.Get(h); n > 1 {
		s.m.Put(h, n-1)
		return
	}
	s.m.Delete(h)
	o.tell(s.to, appendHash(recEmptied, h))
}

func appendHash(k kind, h uint64) []byte {
	return binary.LittleEndian.AppendUint64(append(make([]byte, 0, 9), byte(k)), h)
}

// hashesPerRecord is how many groups one record of a snapshot has.
const hashesPerRecord = 1 << 10

// snapshotOpen yields the groups that have members here. False: p wants no more.
func (o *others) snapshotOpen(p *peer, yield func([]byte) bool) bool {
	b := []byte{byte(recOpened)}
	for i := range shards {
		for _, e := range o.open.begin(i, p) {
			b = binary.LittleEndian.AppendUint64(b, e.key)
			if len(b) > 8*hashesPerRecord {
				if !yield(b) {
					return false
				}
				b = b[:1]
			}
		}
	}
	return len(b) == 1 || yield(b)
}

// wanted says which peers have members of the groups with a hash.
type wanted struct {
	mu sync.RWMutex
	m  host.Map[uint64, *peerSet]
}

// peerSet is some peers; it is never written to. Most groups have members on one node only, and then it is peer.alone, which all of
// these share: so a group of another node is 16 bytes, besides the room that a map has left.
type peerSet struct{ list []*peer }

// all of ps, which may be nil.
func (ps *peerSet) all() []*peer {
	if ps == nil {
		return nil
	}
	return ps.list
}

// wanting is the peers that have members of the group.
func (o *others) wanting(group string) []*peer {
	h := hashOf(group)
	w := &o.wants[h%shards]
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.m.Get(h).all()
}

// receiveWanted notes what p says of its groups.
func (o *others) receiveWanted(p *peer, f *fields, opened bool) {
	for len(f.b) > 0 && !f.bad {
		h := f.fixed()
		if f.bad {
			return
		}
		w := &o.wants[h%shards]
		w.mu.Lock()
		if list := w.m.Get(h).all(); opened && !slices.Contains(list, p) {
			w.put(h, append(slices.Clip(list), p))
		} else if !opened {
			w.put(h, without(list, p))
		}
		w.mu.Unlock()
	}
}

func (w *wanted) put(h uint64, list []*peer) {
	switch len(list) {
	case 0:
		w.m.Delete(h)
	case 1:
		w.m.Put(h, list[0].alone)
	default:
		w.m.Put(h, &peerSet{list})
	}
}

// wantsNothing forgets what p has said.
func (o *others) wantsNothing(p *peer) {
	for i := range o.wants {
		w := &o.wants[i]
		w.mu.Lock()
		var of []uint64
		for h, ps := range w.m.All() {
			if slices.Contains(ps.list, p) {
				of = append(of, h)
			}
		}
		for _, h := range of {
			w.put(h, without(w.m.Get(h).all(), p))
		}
		w.mu.Unlock()
	}
}
