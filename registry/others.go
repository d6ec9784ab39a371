package registry

import (
	"iter"
	"maps"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/host"
)

// others is what a Registry of a cluster has to do with the registries of other nodes; one of a single node has none. Each
// node tells each other one its own part: what its own processes have. It is the only one that tells of it, nobody passes it on,
// and when the link to it ends all that it has told is forgotten. So there is nothing to merge and nothing to come back.
//
// It is the cluster.Channel of the registry: Up, Receive and Down run on the goroutine of the link, for one peer one at a time.
// Its locks are taken after all others of the registry, and while one is held nothing is called but the link, which
// copies what it is given.
type others struct {
	r      *Registry
	node   string
	boot   uint64
	sender *cluster.Sender
	judge  actor.PID

	mu    sync.Mutex                              // of whoever replaces peers
	peers atomic.Pointer[map[*cluster.Peer]*peer] // the nodes that are up

	open  published[uint64, int] // the hashes of groups that have members here, and how many groups each stands for
	wants [shards]wanted         // what the peers have told of theirs

	tracks published[uint64, *track]  // who is present here, by Ref
	claims published[string, claimed] // the names that are held here; written with the name's shard locked, too

	clock   atomic.Int64           // see now
	asks    host.Map[uint64, *ask] // of this node at other owners of names; by mu
	lastAsk uint64                 // by mu
}

// peer is the registry of another node, during one session.
type peer struct {
	*cluster.Peer
	boot   uint64
	alone  *peerSet                 // it, and no other one
	tracks host.Map[uint64, *track] // who is present there, by Ref; the goroutine's of the link
}

// channelName is that of the channel.
const channelName = "troupe.registry"

func newOthers(r *Registry, n *cluster.Node, cfg Config) error {
	o := &others{r: r}
	o.node, o.boot = host.Identity(r.sys)
	o.peers.Store(&map[*cluster.Peer]*peer{})
	var err error
	if o.judge, err = newJudge(r.sys, r.log, cfg.OnConflict); err != nil {
		return err
	}
	if o.sender, err = n.Channel(channelName, o); err != nil {
		o.judge.Exit(actor.ErrNormal)
		return err
	}
	r.others = o
	host.OnEnding(r.sys, o.ends)
	return nil
}

// Up implements cluster.Channel. The snapshot is made shard by shard, as it is pulled: see published.
func (o *others) Up(cp *cluster.Peer) iter.Seq[[]byte] {
	boot, _ := strconv.ParseUint(cp.Boot(), 16, 64)
	p := &peer{Peer: cp, boot: boot}
	p.alone = &peerSet{[]*peer{p}}
	o.change(func(peers map[*cluster.Peer]*peer) { peers[cp] = p })
	return func(yield func([]byte) bool) {
		_ = o.snapshotOpen(p, yield) && o.snapshotNames(p, yield) && o.snapshotTracks(p, yield)
	}
}

// Receive implements cluster.Channel.
func (o *others) Receive(cp *cluster.Peer, rec []byte) {
	p := (*o.peers.Load())[cp]
	if p == nil || len(rec) == 0 {
		return
	}
	f := &fields{b: rec[1:]}
	switch kind(rec[0]) {
	case recOpened:
		o.receiveWanted(p, f, true)
	case recEmptied:
		o.receiveWanted(p, f, false)
	case recCast:
		o.receiveCast(p, f)
	case recClose:
		o.receiveClose(p, f)
	case recTrack:
		o.receiveTrack(p, f)
	case recUntrack:
		o.receiveUntrack(p, f)
	case recClaim:
		o.receiveClaim(p, f)
	case recUnclaim:
		o.receiveUnclaim(p, f)
	case recEnding:
		o.receiveEnding(p, f)
	case recConfirm:
		o.receiveConfirm(p, f)
	case recConfirmed:
		o.receiveConfirmed(p, f)
	case recBeaten:
		o.receiveBeaten(f)
	case recAsk:
		o.receiveAsk(p, f)
	case recLease:
		o.receiveLease(p, f)
	case recRelease:
		o.receiveRelease(p, f)
	case recAgain:
		o.receiveAgain(f)
	case recRevoke:
		o.receiveRevoke(p, f)
	}
	if f.bad {
		cp.Reset(errBroken)
	}
}

// Down implements cluster.Channel.
func (o *others) Down(cp *cluster.Peer) {
	p := (*o.peers.Load())[cp]
	if p == nil {
		return
	}
	o.change(func(peers map[*cluster.Peer]*peer) { delete(peers, cp) })
	o.open.drop(p)
	o.tracks.drop(p)
	o.claims.drop(p)
	o.wantsNothing(p)
	o.absent(p)
	o.unnamed(p)
	o.ownerless(p)
}

// change replaces peers.
func (o *others) change(f func(map[*cluster.Peer]*peer)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	next := maps.Clone(*o.peers.Load())
	f(next)
	o.peers.Store(&next)
}
