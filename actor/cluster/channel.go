package cluster

import (
	"errors"
	"fmt"
	"iter"
	"runtime/debug"

	"github.com/troupe-dev/troupe/websock"
)

// Channel is for packages that replicate state between nodes: each node tells each other one its own part, and forgets what
// a node has told when that is down. What one node sends on a Channel comes in order, and in order with what its processes
// send. All methods are called without a lock of this package and must not block; for one Peer never two at a time. They
// must not panic: that ends the session.
type Channel interface {
	// Up says that p has this channel, too, and can be sent to from now on. It returns the snapshot of this node's part, in
	// records; nil: there is none. That is pulled later, on another goroutine, as p takes it, so of any size. What is sent
	// to p from now on, within Up and meanwhile on other goroutines, too, follows it.
	Up(p *Peer) iter.Seq[[]byte]
	// Receive gets what p has sent, in order, with nothing missing since Up. rec is valid during the call.
	Receive(p *Peer, rec []byte)
	// Down says that p is gone, with all that it has said. Nothing can be sent to it any more. It comes before whoever monitors
	// a process of p gets its Down, and before Calls to p fail.
	Down(p *Peer)
}

// Peer is another node during one session, for a [Channel]. The next session has another Peer.
type Peer struct {
	s       *session
	deliver *websock.Delivery // of the record that Receive has got; the goroutine's that receives
}

// Node is its name.
func (p *Peer) Node() string { return p.s.node }

// Boot is that of its PIDs, in 16 hex digits.
func (p *Peer) Boot() string { return p.s.bootText }

const (
	maxChannels    = 64
	maxChannelName = 64
)

// channel is one of this node.
type channel struct {
	name   string
	number uint64
	c      Channel
}

// Sender sends on one channel.
type Sender struct {
	n      *Node
	number uint64 // of the channel
	head   []byte // what each of its records begins with
}

// Channel adds a channel, which nodes know by its name of 1 to 64 bytes. It must be added before the Node is served. The error
// says what is wrong.
func (n *Node) Channel(name string, c Channel) (*Sender, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.served:
		return nil, errors.New("cluster: Channel: the Node was served already")
	case name == "" || len(name) > maxChannelName:
		return nil, fmt.Errorf("cluster: Channel: the name %q must have 1 to %d bytes", name, maxChannelName)
	case c == nil:
		return nil, fmt.Errorf("cluster: Channel %q is nil", name)
	case len(n.channels) == maxChannels:
		return nil, fmt.Errorf("cluster: Channel: there are %d already", maxChannels)
	}
	for _, other := range n.channels {
		if other.name == name {
			return nil, fmt.Errorf("cluster: Channel: there is one of the name %q", name)
		}
	}
	number := uint64(len(n.channels))
	n.channels = append(n.channels, &channel{name, number, c})
	return &Sender{n, number, record(nil, recChannel, number)}, nil
}

// With returns a Sender on the same channel for records that end with v, as [Sender.Append] has encoded it: the
// [websock.Delivery] of a [websock.Message] goes along, and [Peer.Value] gives it back. For every other v that is the Sender which
// [Node.Channel] has returned, if s is that, or one like it. A node of a version that does not know it gets the message without a
// Delivery.
func (s *Sender) With(v any) *Sender {
	h := headers{deliver: deliveryOf(v)}
	if h.deliver == nil && s.head[0]&byte(hasHeaders) == 0 {
		return s
	}
	return &Sender{s.n, s.number, recordWith(nil, recChannel, h, s.number)}
}

// Send sends rec, which is copied. It is never refused and never blocks: a p that cannot take what waits for it is down, and
// then it comes to nothing. rec may have Config.MaxMessage bytes of the node that has the smaller one; a longer one ends the
// session.
func (s *Sender) Send(p *Peer, rec []byte) {
	if len(s.head)+len(rec) > p.s.peer.MaxRecord() {
		p.s.peer.Reset(p.s.tooLong("a record on a channel", len(rec)))
		return
	}
	p.s.peer.Control(s.head, rec)
}

// Offer is Send of what may be refused: it returns false when p's window has no room, or p is down, or rec is too long. Then p
// has not got it.
func (s *Sender) Offer(p *Peer, rec []byte) bool {
	return p.s.peer.Offer(s.head, rec)
}

// Append appends the encoding of v to b: what may cross, and how, is as for a message. A value has no length of its own, so
// it is the last in its record. It may have Config.MaxMessage bytes; an error of a type that is not registered may have 40 KiB,
// and what is beyond that is left out. Code of a registered type runs on the caller's goroutine; no lock may be held that it
// could need. On an error, which names the type, b is returned as it was; the Logger and OnEvent are told, as of a message that
// is refused.
func (s *Sender) Append(b []byte, v any) ([]byte, error) {
	b, err := s.n.appendValue(b, v, deliveryOf(v))
	if err != nil {
		s.n.refused(err)
	}
	return b, err
}

// Value decodes what [Sender.Append] has written at p. It is for Receive, and only during it: what [Sender.With] has sent along is
// that of the record. Of an error, such as a type that is not registered here, the Logger and OnEvent are told, as of a message.
func (p *Peer) Value(b []byte) (any, error) {
	v, err := p.s.types.Value(b)
	if err != nil {
		p.s.undecodable(err)
	}
	return delivered(v, p.deliver), err
}

// Reset ends the session, because what p says makes no sense. It is for Receive: nothing more is received, and Down follows. The
// reason is logged.
func (p *Peer) Reset(reason error) {
	p.s.broken = true
	p.s.peer.Reset(fmt.Errorf("cluster: a channel of node %s: %w", p.s.node, reason))
}

// channelPeer is a channel that both nodes of a session have. It belongs to the goroutine that receives, and then to that
// which ends the session.
type channelPeer struct {
	channel *channel
	peer    *Peer
	broken  bool // it has panicked: it gets nothing more
}

// hello is the first record of a session: the names of this node's channels, whose numbers are their places, and the
// announcement of its types.
func (n *Node) hello() []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	b := record(nil, recHello, uint64(len(n.channels)))
	for _, c := range n.channels {
		b = appendBytes(b, c.name)
	}
	return append(b, n.codec.Announcement()...)
}

func (s *session) receiveHello(f *fields) error {
	count := f.number()
	if f.bad || count > maxChannels {
		return errBroken
	}
	var both []*channelPeer
	for range count {
		name := f.bytes()
		if f.bad || len(name) == 0 || len(name) > maxChannelName {
			return errBroken
		}
		both = append(both, s.channel(string(name)))
	}
	types, err := s.n.codec.Peer(s.node, s.boot, f.b)
	if err != nil {
		return err
	}
	s.types, s.channels = types, both
	for _, c := range both {
		c.up()
	}
	s.n.begun(s)
	return nil
}

// channel is the channel of that name, for this session; nil: there is none here.
func (s *session) channel(name string) *channelPeer {
	s.n.mu.Lock()
	defer s.n.mu.Unlock()
	for _, c := range s.n.channels {
		if c.name == name {
			return &channelPeer{channel: c, peer: &Peer{s: s}}
		}
	}
	return nil
}

func (s *session) receiveChannel(f *fields) error {
	number, h := f.number(), f.tagged()
	if f.bad || number >= uint64(len(s.channels)) {
		return errBroken
	}
	if c := s.channels[number]; c != nil {
		c.peer.deliver = h.deliver
		c.call("Receive", func() { c.channel.c.Receive(c.peer, f.b) })
	}
	return nil
}

// up begins the channel, and sends the snapshot ahead of all that follows: its place in the stream is taken before Up is
// called, since from then on anybody may send.
func (c *channelPeer) up() {
	if c == nil {
		return
	}
	var snapshot iter.Seq[[]byte]
	known := make(chan struct{})
	defer close(known)
	head := record(nil, recChannel, c.channel.number)
	s := c.peer.s
	s.peer.Snapshot(func(yield func([]byte) bool) {
		if <-known; snapshot == nil {
			return
		}
		c.protect("the snapshot", func() {
			b := append([]byte(nil), head...)
			for rec := range snapshot {
				if len(head)+len(rec) > s.peer.MaxRecord() {
					s.peer.Reset(s.tooLong("a record on a channel", len(rec)))
					return
				}
				if b = append(b[:len(head)], rec...); !yield(b) {
					return
				}
			}
		})
	})
	c.call("Up", func() { snapshot = c.channel.c.Up(c.peer) })
}

func (c *channelPeer) down() {
	if c != nil {
		c.protect("Down", func() { c.channel.c.Down(c.peer) }) // after a panic, too: it is to forget
	}
}

// call calls the channel, unless it has panicked before.
func (c *channelPeer) call(method string, f func()) {
	if !c.broken {
		c.broken = !c.protect(method, f)
	}
}

// protect runs f. A panic in it ends the session: what the other node has said would be missing here.
func (c *channelPeer) protect(what string, f func()) (ok bool) {
	defer func() {
		if ok {
			return
		}
		s := c.peer.s
		s.n.log.Error("panic in a channel", "node", s.n.name, "peer", s.node, "channel", c.channel.name, "in", what,
			"panic", recover(), "stack", string(debug.Stack()))
		s.peer.Reset(fmt.Errorf("cluster: channel %q has panicked", c.channel.name))
	}()
	f()
	return true
}
