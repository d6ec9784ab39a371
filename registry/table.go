package registry

import "sync"

// shards is how many independent locks a table has.
const shards = 128

// table is a map that gives memory back when it has become much smaller. Its owner locks it.
type table[K comparable, V any] struct {
	m    map[K]V
	peak int // the most that m has held
}

func (t *table[K, V]) get(k K) V { return t.m[k] }

func (t *table[K, V]) put(k K, v V) {
	if t.m == nil {
		t.m = make(map[K]V)
	}
	t.m[k] = v
	t.peak = max(t.peak, len(t.m))
}

func (t *table[K, V]) remove(k K) {
	delete(t.m, k)
	switch {
	case len(t.m) == 0:
		t.m, t.peak = nil, 0
	case t.peak > 64 && len(t.m) < t.peak/8: // a map keeps the memory of its largest time
		m := make(map[K]V, len(t.m))
		for k, v := range t.m {
			m[k] = v
		}
		t.m, t.peak = m, len(m)
	}
}

// shard is one part of a table under a lock of its own.
type shard[K comparable, V any] struct {
	mu sync.RWMutex
	table[K, V]
}

// shrink returns list in less memory when it has become much shorter.
func shrink[T any](list []T) []T {
	switch {
	case len(list) == 0:
		return nil
	case cap(list) > 64 && len(list) < cap(list)/8:
		return append(make([]T, 0, 2*len(list)), list...)
	}
	return list
}
