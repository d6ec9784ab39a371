package cluster

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster/internal/codec"
	"github.com/troupe-dev/troupe/actor/cluster/internal/link"
	"github.com/troupe-dev/troupe/actor/host"
)

// Node connects a System with those of other nodes. It is a service: it must be served, and can be served again. All methods
// may be called from any goroutine.
type Node struct {
	sys    *actor.System
	cfg    Config
	log    *host.Log
	calls  *host.Calls
	codec  *codec.Codec
	name   string
	boot   uint64
	remote remote // what the System reaches others by

	// sessions are those that last, by boot. The map is never changed: whoever changes it replaces it, with mu held.
	sessions atomic.Pointer[map[uint64]*session]

	mu       sync.Mutex
	told     map[uint64]*session // whose NodeUp was told, and whose NodeDown was not
	links    map[*session]struct{}
	past     Stats // what links have counted that are not in links any more
	served   bool  // at some time since New: then no channel can be added
	serving  bool
	channels []*channel
	watchers map[actor.PID]*watcher

	engineMu   sync.Mutex            // held while engineErr changes and that is told
	engineErr  atomic.Pointer[error] // of the last Publish
	running    atomic.Bool           // the engine is open
	answers    answers               // see Answer
	unsendable seen
	unreadable seen

	unencodable, engineLost atomic.Uint64 // see Stats
}

const (
	// goodbyeTime is how long Serve waits for the others to acknowledge its goodbye.
	goodbyeTime = 2 * time.Second
	// engineTime is how long an engine that does not answer may hold Serve after that: one Publish and Close, 4 s each with
	// natsengine.
	engineTime = 8 * time.Second
)

// New makes the Node of a System, which from then on reaches other nodes by it: there can be one for each System. It runs
// nothing yet: see [Node.Serve]. The System must have a Node name that no other node of the cluster has. The error says what
// of cfg cannot be carried out.
func New(sys *actor.System, cfg Config) (*Node, error) {
	if sys == nil {
		return nil, errors.New("cluster: New: the System is nil")
	}
	cfg, err := cfg.checked()
	if err != nil {
		return nil, err
	}
	n := &Node{sys: sys, cfg: cfg, told: make(map[uint64]*session), links: make(map[*session]struct{}), watchers: make(map[actor.PID]*watcher)}
	n.name, n.boot = host.Identity(sys)
	switch {
	case n.name == "local":
		return nil, errors.New(`cluster: New: the System has no name of its own: set actor.Config.Node to one that no other node has`)
	case len(n.name) > maxNodeName:
		return nil, fmt.Errorf("cluster: New: actor.Config.Node has %d bytes; in a cluster it may have %d", len(n.name), maxNodeName)
	}
	n.log = host.NewLog(cfg.Logger)
	n.calls = host.NewCalls("cluster.Config.OnEvent", n.log)
	n.sessions.Store(&map[uint64]*session{})
	n.remote.n = n
	if err := host.Attach(sys, &n.remote); err != nil {
		return nil, fmt.Errorf("cluster: New: the System has a Node already: %w", err)
	}
	types := (*codec.Types)(nil)
	if cfg.Types != nil {
		types = &cfg.Types.types
	}
	n.codec = codec.New(codec.Config{System: sys, Types: types, MaxMessage: cfg.MaxMessage, Foreign: foreign, Origin: origin})
	return n, nil
}

// System is the one given to New.
func (n *Node) System() *actor.System { return n.sys }

// Serve opens the engine and connects with all other nodes of the cluster until ctx is done. Then it says goodbye, so that the
// others know in milliseconds, and waits for their acknowledgement, 2 s at most. It returns nil then, and an error when
// the engine cannot be opened. An engine that does not answer may hold it longer, up to ShutdownTime, and so may a Logger and an
// OnEvent that are slow, for 5 s each.
//
// Start it before sockets and other processes that nodes reach, so that it ends after them: then their ends reach the other
// nodes as what they are.
func (n *Node) Serve(ctx context.Context) error {
	if !n.begin() {
		return errors.New("cluster: Serve: this Node is served already")
	}
	defer n.end()
	var mesh atomic.Pointer[link.Mesh]
	conn, err := n.cfg.Engine.Open(ctx, n.cfg.Name, n.boot, func(datagram []byte) {
		if m := mesh.Load(); m != nil {
			m.Receive(datagram)
		}
	})
	if err != nil {
		return fmt.Errorf("cluster: the engine does not open: %w", err)
	}
	m, err := link.New(link.Options{
		Name: n.name, Boot: n.boot,
		Heartbeat: n.cfg.Heartbeat, DownAfter: n.cfg.DownAfter, Window: n.cfg.Window,
		MaxRecord: n.cfg.maxRecord(), MaxDatagram: conn.MaxDatagram(),
		Publish: func(to uint64, datagram []byte) error { return n.published(conn.Publish(to, datagram)) },
		Up:      n.up,
		Record:  func(p *link.Peer, rec []byte, _ bool) { p.State.(*session).receive(rec) },
		Down:    func(p *link.Peer, reason error) { n.down(p.State.(*session), reason) },
		Event:   n.linkEvent,
	})
	if err != nil {
		return errors.Join(fmt.Errorf("cluster: %w", err), conn.Close())
	}
	if s, ok := conn.(Suspecter); ok {
		s.Suspects(m.Suspect)
	}
	run, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); m.Run(run) }()
	mesh.Store(m)
	n.running.Store(true)
	<-ctx.Done()
	n.running.Store(false)
	goodbye, cancel := context.WithTimeout(context.Background(), goodbyeTime)
	_ = m.Goodbye(goodbye) // whoever did not acknowledge it will notice the silence
	cancel()
	stop()
	<-ended // all sessions are down, and nothing publishes any more
	n.answers.group.Wait()
	if err := conn.Close(); err != nil {
		return fmt.Errorf("cluster: the engine does not close: %w", err)
	}
	return nil
}

// ShutdownTime is how long Serve may take to end, for the supervisor: 10 s, of an engine that does not answer. Usually it takes
// milliseconds.
func (n *Node) ShutdownTime() time.Duration { return goodbyeTime + engineTime }

// begin takes the right to serve.
func (n *Node) begin() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.serving {
		return false
	}
	n.served, n.serving = true, true
	return true
}

func (n *Node) end() {
	n.mu.Lock()
	n.serving = false
	n.mu.Unlock()
	n.calls.Wait(context.Background())
	n.log.Wait(context.Background())
}

// published notes what the engine says, and tells of what changes, in the order in which it changes. The lock is for that: any
// goroutine publishes.
func (n *Node) published(err error) error {
	same := func() bool { return (n.engineErr.Load() == nil) == (err == nil) }
	if same() {
		return err
	}
	n.engineMu.Lock()
	defer n.engineMu.Unlock()
	switch {
	case same():
	case err == nil:
		n.engineErr.Store(nil)
		n.log.Info("the engine is back", "node", n.name)
		n.event(Event{Kind: EventEngineBack})
	default:
		lost := err // err itself would be on the heap, at each Publish
		n.engineErr.Store(&lost)
		n.engineLost.Add(1)
		n.log.Warn("the engine is lost", "node", n.name, "error", err)
		n.event(Event{Kind: EventEngineLost, Err: err})
	}
	return err
}

var errNotServed = errors.New("cluster: the node is not served")

// Ready is nil when this node can reach others, and else says why not: it is not served, or its engine refuses what it
// publishes. A node that is alone is ready.
func (n *Node) Ready() error {
	if !n.running.Load() {
		return errNotServed
	}
	if err := n.engineErr.Load(); err != nil {
		return fmt.Errorf("cluster: the engine is lost: %w", *err)
	}
	return nil
}

// session is that with a boot of a node, or nil.
func (n *Node) session(node string, boot uint64) *session {
	s := (*n.sessions.Load())[boot]
	if s == nil || s.node != node {
		return nil
	}
	return s
}

// up is link.Options.Up. The first record goes before the session can be found, so it is the first.
func (n *Node) up(p *link.Peer) {
	s := newSession(n, p)
	p.State = s
	n.linked(s)
	s.control(n.hello())
}

// begun makes a session that can be found, once the hello of the other node has come and its channels are up. So what
// the channels of this node have to tell the other one goes ahead of all that its processes send there.
func (n *Node) begun(s *session) {
	n.mu.Lock()
	next := maps.Clone(*n.sessions.Load())
	next[s.boot] = s
	n.sessions.Store(&next)
	n.told[s.boot] = s
	n.past.Ups++
	n.tell(NodeUp{Node: s.node, Boot: s.bootText})
	n.mu.Unlock()
	n.log.Info("node up", "node", n.name, "peer", s.node, "boot", s.bootText, "session", s.peer.Session())
	n.event(Event{Kind: EventNodeUp, Node: s.node, Boot: s.bootText})
}

// down is link.Options.Down. In this order: nothing is sent to the node any more; the channels forget it; Calls fail and
// monitors fire; whoever watches nodes is told.
func (n *Node) down(s *session, reason error) {
	n.mu.Lock()
	next := maps.Clone(*n.sessions.Load())
	if next[s.boot] == s {
		delete(next, s.boot)
	}
	n.sessions.Store(&next)
	n.unlinked(s, reason)
	n.mu.Unlock()
	s.end()
	why := error(actor.ErrNodeDown)
	if errors.Is(reason, link.ErrGoodbye) {
		why = actor.ErrShutdown
	}
	n.mu.Lock()
	told := n.told[s.boot] == s
	if told {
		delete(n.told, s.boot)
		n.tell(NodeDown{Node: s.node, Boot: s.bootText, Reason: why})
	}
	n.mu.Unlock()
	if !told { // its hello has not come, or made no sense
		n.log.Warn("a link to a node has ended before it was of use", "node", n.name, "peer", s.node, "boot", s.bootText,
			"session", s.peer.Session(), "reason", reason)
		n.event(Event{Kind: EventTrouble, Node: s.node, Boot: s.bootText, Err: reason})
		return
	}
	n.log.Info("node down", "node", n.name, "peer", s.node, "boot", s.bootText, "session", s.peer.Session(), "reason", reason)
	n.event(Event{Kind: EventNodeDown, Node: s.node, Boot: s.bootText, Err: reason})
}

// Peers yields the nodes that are up, in no order.
func (n *Node) Peers() iter.Seq[PeerInfo] {
	return func(yield func(PeerInfo) bool) {
		for _, s := range *n.sessions.Load() {
			if !yield(s.info()) {
				return
			}
		}
	}
}
