package registry

import (
	"sync"

	"github.com/troupe-dev/troupe/internal/shrink"
)

// shards is how many independent locks a table has.
const shards = 128

// shard is one part of a table under a lock of its own.
type shard[K comparable, V any] struct {
	mu sync.RWMutex
	m  shrink.Map[K, V]
}
