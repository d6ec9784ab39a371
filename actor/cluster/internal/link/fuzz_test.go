package link_test

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor/cluster/internal/link"
	"github.com/troupe-dev/troupe/actor/cluster/internal/seednet"
)

// The kinds of datagrams, as they are on the wire.
const (
	kindHello = 1 + iota
	kindOpen
	kindData
	kindAck
	kindReset
	kindBye
	headLen = 37
)

// FuzzDatagrams has a node get any datagrams while it has a session with another one. In the input each datagram is a byte of
// flags, its length, and its bytes, whose head can be made to look as if it came from that other node, in its session: else
// hardly any would get beyond the head. Whatever comes: no panic, no memory beyond what the settings allow, callbacks in order, and
// when it is over the two nodes find each other.
func FuzzDatagrams(f *testing.F) {
	head := func(kind byte, seq, ack uint64, body ...byte) []byte {
		b := make([]byte, headLen)
		b[0] = 1<<4 | kind
		binary.LittleEndian.PutUint64(b[17:], seq)
		binary.LittleEndian.PutUint64(b[25:], ack)
		binary.LittleEndian.PutUint32(b[33:], 1<<20)
		return append(b, body...)
	}
	add := func(datagrams ...[]byte) {
		var in []byte
		for _, d := range datagrams {
			in = append(append(in, asPeer|inSession, byte(len(d))), d...)
		}
		f.Add(in)
	}
	add(head(kindData, 2, 1, 3, 'a', 'b', 'c'), head(kindData, 3, 1, 0xff, 0xff, 3, 'x'), head(kindData, 4, 1, 'y'))
	add(head(kindData, 9, 1, 1, 'a'), head(kindData, 2, 99), head(kindBye, 3, 1), head(kindBye, 0, 2))
	add(head(kindAck, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), head(kindAck, 0, 1), head(kindReset, 1, 0))
	add(head(kindOpen, 0, 1, 1, 1, 'p', 2, 2, 1, 1, 3, 8, 0xe8, 3, 0, 0, 0x88, 0x13, 0, 0, 4, 4, 0, 0, 1, 0))
	f.Add([]byte{0, 5, 1, 2, 3, 4, 5, asPeer, 37, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		synctest.Test(t, func(t *testing.T) {
			net := network(t, seednet.Config{Delay: time.Millisecond})
			const window, maxRecord = 256 << 10, 64 << 10
			small := func(o *link.Options) { o.Window, o.MaxRecord, o.MaxPeers = window, maxRecord, 8 }
			a, peer := start(t, net, 1, small), start(t, net, 2, small)
			wait(time.Second)
			a.offer(2, "before")
			wait(time.Second)
			for len(in) >= 2 {
				flags, n := in[0], min(int(in[1]), len(in)-2)
				d := slices.Clone(in[2 : 2+n])
				in = in[2+n:]
				if flags&asPeer != 0 && len(d) >= 9 {
					binary.LittleEndian.PutUint64(d[1:], 2)
				}
				if ps := a.mesh.Peers(); flags&inSession != 0 && len(d) >= 17 && len(ps) > 0 {
					binary.LittleEndian.PutUint64(d[9:], ps[0].Session())
				}
				if flags&pause != 0 {
					wait(time.Duration(flags>>4) * 100 * time.Millisecond)
				}
				a.mesh.Receive(d)
				for _, p := range a.mesh.Peers() {
					p.Offer(make([]byte, 1000))
					if used := p.Stats().Used; used > window+maxRecord+64<<10 {
						t.Errorf("%d bytes are kept for %d", used, p.Boot())
					}
				}
			}
			if known := a.mesh.Stats().Known; known > 8 {
				t.Errorf("%d nodes are known, want MaxPeers 8 at most", known)
			}
			wait(3 * time.Minute) // strangers are forgotten, and links that flap come back
			a.peer(2)
			peer.peer(1)
			for _, n := range []*node{a, peer} {
				for _, s := range n.all() {
					if s.ended && !errors.Is(s.reason, link.ErrReset) && !errors.Is(s.reason, link.ErrProtocol) && !errors.Is(s.reason, link.ErrGoodbye) &&
						!errors.Is(s.reason, link.ErrSilent) {
						t.Errorf("node %d: a session has ended with %v", n.boot, s.reason)
					}
				}
			}
		})
	})
}

// Flags of a datagram in the input of FuzzDatagrams.
const (
	asPeer = 1 << iota
	inSession
	pause // as many tenths of a second as the upper four bits say
)
