// Package shrink has maps and slices that give memory back when they have become much smaller. Go's own keep the memory
// of their peak for as long as a single entry stays, so after a peak a table of what comes and goes with connections
// would go on costing what it cost then.
package shrink

import (
	"iter"
	"maps"
)

const (
	// small is how many entries a map may have had and still be kept when it is empty, so that one entry that comes and
	// goes does not make a new map each time.
	small = 8
	// large is the number of entries from which on less memory is worth the copying.
	large = 64
	// much is the factor by which something of large size must have shrunk. At most 1/7 of what was taken out since the
	// copy before is copied.
	much = 8
)

// Map is a map that gives memory back. The zero value is empty. Its owner locks it.
type Map[K comparable, V any] struct {
	m    map[K]V
	peak int // the most entries since m was made
}

// Get returns the value of k, the zero value when there is none.
func (m *Map[K, V]) Get(k K) V { return m.m[k] }

// Has tells whether there is an entry for k.
func (m *Map[K, V]) Has(k K) bool {
	_, ok := m.m[k]
	return ok
}

// Len is the number of entries.
func (m *Map[K, V]) Len() int { return len(m.m) }

// Room is how many entries there is memory for, at least.
func (m *Map[K, V]) Room() int { return m.peak }

// All yields the entries, in no order. The loop body may delete only the entry that it was given.
func (m *Map[K, V]) All() iter.Seq2[K, V] { return maps.All(m.m) }

// Put sets the value of k.
func (m *Map[K, V]) Put(k K, v V) {
	if m.m == nil {
		m.m = make(map[K]V)
	}
	m.m[k] = v
	m.peak = max(m.peak, len(m.m))
}

// Delete removes the entry of k, if there is one. At times it copies what is left, which is little compared to what was
// removed since the last time.
func (m *Map[K, V]) Delete(k K) {
	delete(m.m, k)
	n := len(m.m)
	switch {
	case n == 0 && m.peak > small:
		m.m, m.peak = nil, 0
	case m.peak > large && n < m.peak/much:
		less := make(map[K]V, n)
		maps.Copy(less, m.m)
		m.m, m.peak = less, n
	}
}

// Slice returns list, whose end was cut off, in less memory when it has become much shorter.
func Slice[T any](list []T) []T {
	switch {
	case len(list) == 0:
		return nil
	case cap(list) > large && len(list) < cap(list)/much:
		return append(make([]T, 0, 2*len(list)), list...)
	}
	return list
}
