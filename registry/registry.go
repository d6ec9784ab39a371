package registry

import (
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// ErrNoProcess says that a PID names no living process of the registry's System.
var ErrNoProcess = actor.ErrNoProcess

// Registry knows the names, groups and presences of the processes of one System, or of all nodes of a cluster. Make one with
// [New] or [NewCluster]; it needs no service, and nothing has to be stopped. All methods may be called from any goroutine, in callbacks too.
//
// A PID that is zero, that names a dead process or that belongs to another System is no process here: methods that would
// add it return [ErrNoProcess] and change nothing, and methods that would take it out do nothing.
type Registry struct {
	sys         *actor.System
	log         *host.Log // of sys
	seed        maphash.Seed
	onExit      func(actor.PID, error) // exited
	refs        atomic.Uint64
	memberLists sync.Pool // of *[]*member
	topics      sync.Map  // the reflect.Type of the messages of each Topic, by its name
	procs       [shards]procShard
	names       [shards]nameShard
	groups      [shards]groupShard
	others      *others // nil: there are no other nodes
	revocations revocations
	measure     atomic.Pointer[measure] // nil: broadcasts are not measured
}

// No two locks of one table stand in one cache line.
type (
	procShard struct {
		shard[uint64, *entries]
		_ [24]byte
	}
	nameShard struct {
		shard[string, *holding]
		attempts host.Map[string, *attempt]
		watchers host.Map[string, []*nameWatcher]
		away     host.Map[string, *claim] // what other nodes hold, the best first
		leases   host.Map[string, *lease] // of the names that this node is the owner of
		_        [24]byte
	}
	groupShard struct {
		shard[string, *group]
		listeners []*listener // replaced, never written to
	}
)

// New makes an empty Registry for the processes of sys. A program usually has one; the names and groups of several have
// nothing to do with each other.
func New(sys *actor.System) *Registry {
	if sys == nil {
		panic("registry: New: nil System")
	}
	r := &Registry{
		sys:  sys,
		log:  host.LogOf(sys),
		seed: maphash.MakeSeed(),

		memberLists: sync.Pool{New: func() any { return new([]*member) }},
	}
	r.onExit = r.exited
	r.refs.Store(rand.Uint64() >> 1) // so that no two registries, on whatever nodes, make the same
	return r
}

func (r *Registry) hash(s string) uint64 { return maphash.String(r.seed, s) }

// procShard is where a process of r.sys stands in the table of processes, and under which key: its number. A PID as the key
// would take twice the memory, 30 bytes more for each process. Other PIDs may have the same number.
func (r *Registry) procShard(pid actor.PID) (s *procShard, num uint64) {
	_, _, num = host.Parts(pid)
	return &r.procs[host.Spread(num, shards)], num
}

func (r *Registry) nameShard(name string) *nameShard { return &r.names[r.hash(name)%shards] }

func (r *Registry) groupShard(name string) *groupShard { return &r.groups[r.hash(name)%shards] }
