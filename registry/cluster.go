package registry

import (
	"errors"
	"fmt"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
)

// Config configures a Registry in a cluster. The zero Config works.
type Config struct {
	// OnConflict is told, on the node of the loser only, that two processes have had one name, and which of them keeps it: two
	// nodes that did not know of each other's have given it away. lost does not hold the name any more, and is a process
	// of this node; what becomes of it is up to OnConflict. It runs in a process of its own, one call at a time in the order in
	// which the conflicts were found, so it may call processes, of other nodes too. Up to 65,536 conflicts wait for it. When it
	// panics, that is logged. Then, and for a conflict for which there is no room, lost ends as without it. nil: lost gets
	// Exit(&ConflictError{...}).
	OnConflict func(name string, lost, won actor.PID)
}

// NewCluster makes an empty Registry for the processes of n's System, which shares what it knows with the registries of the
// other nodes of the cluster. It must be made before n is served, once for each Node, and on every node. Nothing else
// changes for whoever uses it, except what its methods reach:
//
//   - [Registry.Broadcast], [Registry.BroadcastFrom], [Topic.Publish] and [Registry.Close] reach the members on all nodes.
//     What they return counts those of this node.
//   - [Registry.Track], [Registry.Present], PresentOf, Topics and [PresenceDiff] are about all nodes: what each of them tells of its
//     own processes. Whoever is present on a node that is lost goes with it, usually in one diff for each topic.
//   - [Registry.Register], [Registry.Replace], [Registry.Whereis], [Registry.WatchName], [Registry.Ensure], [Ask] and Names are
//     about all nodes. Whereis reads what is known here and asks nobody. Two nodes that Register one name at the same
//     moment, or that are not connected, both succeed; when they hear of each other one keeps the name, by an order that all
//     nodes share, and Config.OnConflict is told of the other. Ensure starts one process at a time in the whole cluster, also
//     while one node comes or goes, but not on the two sides of a partition. A name is free again when its node is lost.
//   - Members, Count, Groups, Of, OnGroup, Joined and Left are about the processes of this node, and so is
//     [Registry.BroadcastWhere]: a function cannot cross. A process can be added on its own node only; elsewhere it is no
//     process, and the error is [ErrNoProcess].
//
// A node is reached while it is connected. A node tells the others of a group before anything else that its processes send:
// when a process joins a group and then sends a message, what its receiver broadcasts to the group reaches it. What crosses
// nodes is encoded: the types of broadcast messages and of metas must be registered in cluster.Config.Types. Names may have 4,096
// bytes, metas 32 KiB.
//
// The error says why n takes no registry any more.
func NewCluster(n *cluster.Node, cfg Config) (*Registry, error) {
	if n == nil {
		return nil, errors.New("registry: NewCluster: nil Node")
	}
	r := New(n.System())
	if err := newOthers(r, n, cfg); err != nil {
		return nil, fmt.Errorf("registry: NewCluster: %w", err)
	}
	return r, nil
}
