package registry

import (
	"sync"

	"github.com/troupe-dev/troupe/actor/host"
)

// shards is how many independent locks a table has.
const shards = 128

// shard is one part of a table under a lock of its own.
type shard[K comparable, V any] struct {
	mu sync.RWMutex
	m  host.Map[K, V]
}
