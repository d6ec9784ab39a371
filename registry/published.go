package registry

import (
	"slices"
	"sync"

	"github.com/troupe-dev/troupe/actor/host"
)

// published is one table of this node's part: what every peer is told. It is in shards, each with a lock, under which an entry
// is changed and the peers are told; so they hear of the changes of one entry in their order.
//
// A peer that has come is told the whole, shard by shard, while changes go on: from the moment at which a shard is copied for it,
// the peer is told of the changes in that shard, and not before. What is sent meanwhile follows the snapshot, so the peer
// knows each shard as it was at that moment, then what has changed since, and nothing twice.
type published[K comparable, V any] struct {
	shards [shards]publishedShard[K, V]
}

type publishedShard[K comparable, V any] struct {
	mu sync.Mutex
	m  host.Map[K, V]
	to []*peer // who is told of changes; replaced, never written to
}

// at is the shard of a hash.
func (t *published[K, V]) at(hash uint64) *publishedShard[K, V] { return &t.shards[hash%shards] }

// begin copies a shard for p, which is told of the changes in it from then on.
func (t *published[K, V]) begin(i int, p *peer) []entry[K, V] {
	s := &t.shards[i]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = append(slices.Clip(s.to), p)
	list := make([]entry[K, V], 0, s.m.Len())
	for k, v := range s.m.All() {
		list = append(list, entry[K, V]{k, v})
	}
	return list
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

// drop has p told no more.
func (t *published[K, V]) drop(p *peer) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		s.to = without(s.to, p)
		s.mu.Unlock()
	}
}

// without is list without p; list is not written to.
func without(list []*peer, p *peer) []*peer {
	i := slices.Index(list, p)
	if i < 0 {
		return list
	}
	if len(list) == 1 {
		return nil
	}
	return slices.Delete(slices.Clone(list), i, i+1)
}

// tell sends rec to all of these peers. They never refuse it: one that cannot take it is down.
func (o *others) tell(to []*peer, rec []byte) {
	for _, p := range to {
		o.sender.Send(p.Peer, rec)
	}
}
