package actor

import (
	"iter"
	"slices"
	"sync"

	"github.com/troupe-dev/troupe/actor/internal/shrink"
)

const tableShards = 64

// table finds processes by number. A lookup is one read lock of one of its shards and allocates nothing.
type table struct {
	shards [tableShards]tableShard
}

type tableShard struct {
	mu sync.RWMutex
	m  shrink.Map[uint64, *process]
	_  [88]byte // no two locks in one cache line
}

func (t *table) shard(num uint64) *tableShard { return &t.shards[num%tableShards] }

func (t *table) get(num uint64) *process {
	s := t.shard(num)
	s.mu.RLock()
	p := s.m.Get(num)
	s.mu.RUnlock()
	return p
}

func (t *table) put(p *process) {
	s := t.shard(p.num)
	s.mu.Lock()
	s.m.Put(p.num, p)
	s.mu.Unlock()
}

func (t *table) remove(num uint64) (was bool) {
	s := t.shard(num)
	s.mu.Lock()
	was = s.m.Has(num)
	s.m.Delete(num)
	s.mu.Unlock()
	return was
}

// spread yields the processes that were there at some moment, each from another shard than the one before: so what the
// loop body starts in them does not wait for one lock. No lock is held while the loop body runs.
func (t *table) spread() iter.Seq[*process] {
	return func(yield func(*process) bool) {
		var shards [tableShards][]*process
		longest := 0
		for i := range t.shards {
			shards[i] = t.shards[i].append(nil)
			longest = max(longest, len(shards[i]))
		}
		for n := range longest {
			for _, ps := range shards {
				if n < len(ps) && !yield(ps[n]) {
					return
				}
			}
		}
	}
}

func (s *tableShard) append(ps []*process) []*process {
	s.mu.RLock()
	defer s.mu.RUnlock()
	ps = slices.Grow(ps, s.m.Len())
	for _, p := range s.m.All() {
		ps = append(ps, p)
	}
	return ps
}

// all yields the processes shard by shard, each shard as it was at one moment. No lock is held while the loop body runs.
func (t *table) all() iter.Seq[*process] {
	return func(yield func(*process) bool) {
		var ps []*process
		for i := range t.shards {
			ps = t.shards[i].append(ps[:0])
			for _, p := range ps {
				if !yield(p) {
					return
				}
			}
		}
	}
}
