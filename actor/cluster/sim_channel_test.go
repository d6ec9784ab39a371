package cluster_test

import (
	"bytes"
	"encoding/binary"
	"iter"

	"github.com/troupe-dev/troupe/actor/cluster"
)

// simChannel is what a node replicates in a simulation: numbers, beginning at 1 for each session. The first ones are the
// snapshot. All is under w.mu.
type simChannel struct {
	w      *world
	boot   *nodeNote
	sender *cluster.Sender
	peers  map[*cluster.Peer]*feed
}

// feed is what is said on the channel in one session.
type feed struct {
	id   uint64 // stands in all that is sent
	sent uint64
	from uint64 // the id of the other node's feed; 0: nothing has come
	got  uint64
	down bool
}

// channel adds the channel to a node.
func (w *world) channel(n *cluster.Node) {
	w.mu.Lock()
	c := &simChannel{w: w, boot: w.boots[bootOf(n.System())], peers: make(map[*cluster.Peer]*feed)}
	w.channels = append(w.channels, c)
	w.mu.Unlock()
	sender, err := n.Channel("sim", c)
	if err != nil {
		w.t.Fatal(err)
	}
	c.sender = sender
}

func (f *feed) record(n uint64) []byte {
	b := binary.AppendUvarint(binary.AppendUvarint(nil, f.id), n)
	return append(b, bytes.Repeat([]byte{byte(n)}, int(n*37%300))...)
}

func (c *simChannel) Up(p *cluster.Peer) iter.Seq[[]byte] {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	if c.peers[p] != nil {
		c.w.problem("%v: Up was called twice for %s", c.boot, p.Boot())
	}
	c.w.feeds = append(c.w.feeds, &feed{id: uint64(len(c.w.feeds) + 1)})
	f := c.w.feeds[len(c.w.feeds)-1]
	c.peers[p] = f
	f.sent = f.id * 31 % 400
	last := f.sent
	return func(yield func([]byte) bool) {
		for n := range last {
			if !yield(f.record(n + 1)) {
				return
			}
		}
	}
}

func (c *simChannel) Receive(p *cluster.Peer, rec []byte) {
	id, k := binary.Uvarint(rec)
	n, _ := binary.Uvarint(rec[k:])
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	f := c.peers[p]
	switch {
	case f == nil || f.down:
		c.w.problem("%v got record %d of feed %d of %s, which is not up", c.boot, n, id, p.Boot())
		return
	case f.from != 0 && f.from != id:
		c.w.problem("%v got record %d of feed %d of %s in the session of feed %d", c.boot, n, id, p.Boot(), f.from)
	case n != f.got+1:
		c.w.problem("%v got record %d of feed %d of %s after %d", c.boot, n, id, p.Boot(), f.got)
	case n > c.w.feeds[id-1].sent || !bytes.Equal(rec, c.w.feeds[id-1].record(n)):
		c.w.problem("%v got record %d of feed %d of %s, which was not sent", c.boot, n, id, p.Boot())
	}
	f.from, f.got = id, n
}

func (c *simChannel) Down(p *cluster.Peer) {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	if f := c.peers[p]; f == nil || f.down {
		c.w.problem("%v: Down was called for %s, which is not up", c.boot, p.Boot())
	} else {
		f.down = true
	}
}

// replicate has a node tell all others something.
func (w *world) replicate() {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.channels[w.rnd.IntN(len(w.channels))]
	many, offer := w.rnd.IntN(5), w.rnd.IntN(3) == 0
	for p, f := range c.peers {
		for range many {
			if f.down {
				continue
			}
			if rec := f.record(f.sent + 1); !offer {
				c.sender.Send(p, rec)
			} else if !c.sender.Offer(p, rec) {
				continue
			}
			f.sent++
		}
	}
}

// checkChannels: at rest a session has brought all that was sent in it.
func (w *world) checkChannels() {
	w.mu.Lock()
	defer w.mu.Unlock()
	lasting := 0
	for _, c := range w.channels {
		if c.boot.over(w.now()) {
			continue
		}
		for p, f := range c.peers {
			if f.down {
				continue
			}
			lasting++
			if f.from == 0 || w.feeds[f.from-1].sent != f.got {
				w.problem("%v has got %d records of feed %d of %s at rest, not all", c.boot, f.got, f.from, p.Boot())
			}
		}
	}
	if want := simNodes * (simNodes - 1); lasting != want {
		w.problem("%d of the %d directions between nodes are up on the channel at rest", lasting, want)
	}
}
