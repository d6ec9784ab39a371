package link_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor/cluster/internal/link"
	"github.com/troupe-dev/troupe/actor/cluster/internal/seednet"
)

var update = flag.Bool("update", false, "write testdata/golden.txt anew: only for a new version of the protocol")

const golden = "testdata/golden.txt"

// datagram is one as the protocol has it, written by hand so that the code under test does not check itself.
func datagram(version, kind byte, from, session, seq, ack uint64, grant uint32, body ...byte) []byte {
	b := []byte{version<<4 | kind}
	for _, v := range []uint64{from, session, seq, ack} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return append(binary.LittleEndian.AppendUint32(b, grant), body...)
}

// helloBody is what a node of version 1 says of itself: tag, length, bytes.
func helloBody(name string, more ...byte) []byte {
	b := append([]byte{1, byte(len(name))}, name...)
	b = append(b, 2, 2, 1, 1) // speaks version 1 to 1
	b = append(b, 3, 8, 0xe8, 3, 0, 0, 0x88, 0x13, 0, 0)
	b = append(b, 4, 4, 0, 0, 1, 0)
	return append(b, more...)
}

// confirmation is what begins the session. How many ACKs answer it depends on the scheduler, so they are not compared.
const confirmation = "confirmation"

// conversation has a node of boot 2 talk with one of boot 1 that the test plays: say gives it a datagram of that one.
func conversation(n *node, say func(what string, b []byte)) {
	const session = 77
	wait(time.Second)
	say("hello", datagram(0, kindHello, 1, 0, 0, 0, 0, helloBody("peer", 200, 3, 'n', 'e', 'w')...))
	say("proposal of a session", datagram(1, kindOpen, 1, session, 0, 1, 1<<20, helloBody("peer")...))
	say(confirmation, datagram(1, kindAck, 1, session, 0, 1, 1<<20, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
	say("two records and the beginning of a third", datagram(1, kindData, 1, session, 1, 1, 1<<20, 2, 'h', 'i', 0, 5, 'a', 'b'))
	say("its rest", datagram(1, kindData, 1, session, 2, 1, 1<<20, 'c', 'd', 'e'))
	if p := n.mesh.Peers(); len(p) == 1 {
		p[0].Control([]byte("con"), []byte("trol"))
	}
	wait(time.Millisecond)
	say("acknowledgement, with a clock and a question", datagram(1, kindAck, 1, session, 0, 2, 1<<20, 2, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
	wait(2 * time.Second) // heartbeats
	say("a frame out of place", datagram(1, kindData, 1, session, 9, 2, 1<<20, 1, 'x'))
	say("reset of another session", datagram(1, kindReset, 1, 55, 0, 0, 0))
	say("goodbye", datagram(1, kindBye, 1, session, 3, 2, 1<<20))
	say("of a session that is over", datagram(1, kindAck, 1, session, 0, 2, 1<<20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
	say("acknowledgement of a goodbye", datagram(1, kindBye, 1, 55, 0, 1, 0))
}

// talk is the conversation as text: a line for each datagram.
func talk(t *testing.T, change func(*link.Options)) string {
	t.Helper()
	var text strings.Builder
	var mu sync.Mutex // of text and said
	said := ""
	synctest.Test(t, func(t *testing.T) {
		n := prepare(t, network(t, seednet.Config{}), 2, func(o *link.Options) {
			o.Name, o.MaxRecord, o.Window = "node", 1<<16, 1<<20
			o.Publish = func(to uint64, b []byte) error {
				mu.Lock()
				defer mu.Unlock()
				if said == confirmation && b[0]&15 == kindAck || to == 0 && text.Len() > 0 { // how often HELLO is said is no matter of bytes
					return nil
				}
				fmt.Fprintf(&text, "> %d %s\n", to, hex.EncodeToString(b))
				return nil
			}
			if change != nil {
				change(o)
			}
		})
		n.run()
		conversation(n, func(what string, b []byte) {
			mu.Lock()
			fmt.Fprintf(&text, "# %s\n< %s\n", what, hex.EncodeToString(b))
			said = what
			mu.Unlock()
			n.mesh.Receive(b)
			wait(50 * time.Millisecond)
		})
		n.wantRecords(1, "hi", "", "abcde")
		n.wantDown(1, link.ErrGoodbye)
		if bad := n.mesh.Stats().Bad; bad != 0 {
			t.Errorf("%d datagrams made no sense", bad)
		}
	})
	return text.String()
}

// TestGolden holds the bytes of datagrams: nodes of different versions of a program talk to each other. What is sent is compared
// with what was written down once, and what is received as well.
func TestGolden(t *testing.T) {
	got := talk(t, nil)
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, got, string(want))
}

func compare(t *testing.T, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		a, b := "nothing", "nothing"
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			t.Fatalf("line %d is\n%s\nwant\n%s", i+1, a, b)
		}
	}
}

// A node of the next version speaks this one with a node of this one: the same bytes, but for the versions that it says it
// speaks.
func TestGolden_nextVersion(t *testing.T) {
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	says := func(versions ...byte) string {
		return "6e6f6465" + hex.EncodeToString(append([]byte{2, 2}, versions...))
	} // after the name
	next := talk(t, func(o *link.Options) { o.VersionMin, o.VersionMax = 1, 2 })
	if !strings.Contains(next, says(1, 2)) {
		t.Fatalf("a node of the next version does not say so: %s", next)
	}
	compare(t, strings.ReplaceAll(next, says(1, 2), says(1, 1)), string(want))
}

// Two nodes talk in the highest version that both speak. Those that have none in common say so, once, and have no session.
func TestMesh_versions(t *testing.T) {
	for _, tt := range []struct {
		name                   string
		min1, max1, min2, max2 uint8
		want                   byte // 0: none
	}{
		{"this and this", 1, 1, 1, 1, 1},
		{"this and the next", 1, 1, 1, 2, 1},
		{"the next and this", 1, 2, 1, 1, 1},
		{"the next and the next", 1, 2, 1, 2, 2},
		{"the next and that after it", 1, 2, 2, 3, 2},
		{"this and that after the next", 1, 1, 2, 3, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := network(t, seednet.Config{})
				var mu sync.Mutex
				var versions []byte // of frames; by mu
				a := prepare(t, net, 1, nil)
				b := prepare(t, net, 2, nil)
				for _, n := range []struct {
					*node
					min, max uint8
				}{{a, tt.min1, tt.max1}, {b, tt.min2, tt.max2}} {
					o := link.Options{
						Name: fmt.Sprint("n", n.boot), Boot: n.boot, VersionMin: n.min, VersionMax: n.max, Up: n.up, Record: n.record, Down: n.down, Event: n.event,
						Publish: func(to uint64, d []byte) error {
							mu.Lock()
							defer mu.Unlock()
							if d[0]&15 == kindData && !bytes.Contains(versions, []byte{d[0] >> 4}) {
								versions = append(versions, d[0]>>4)
							}
							return n.conn.Publish(to, d) // does not block: the network is never frozen
						},
					}
					m, err := link.New(o)
					if err != nil {
						t.Fatal(err)
					}
					if err := n.conn.Close(); err != nil {
						t.Fatal(err)
					}
					if n.conn, err = net.Open("test", n.boot, m.Receive); err != nil {
						t.Fatal(err)
					}
					n.mesh = m
					n.run()
				}
				wait(time.Minute)
				if tt.want == 0 {
					for _, n := range []*node{a, b} {
						if ev := n.kinds(link.Incompatible); len(ev) != 1 || ev[0].Err == nil || len(n.all()) > 0 {
							t.Errorf("node %d: %d sessions and the events %v, want none and one", n.boot, len(n.all()), ev)
						}
					}
					return
				}
				a.offer(2, "there")
				b.offer(1, "back")
				wait(time.Second)
				b.wantRecords(1, "there")
				a.wantRecords(2, "back")
				start := time.Now()
				if err := a.goodbye(time.Second); err != nil || time.Since(start) > 20*time.Millisecond {
					t.Errorf("the goodbye took %v: %v, want it acknowledged at once", time.Since(start), err)
				}
				a.wantDown(2, link.ErrClosed)
				synctest.Wait()
				b.wantDown(1, link.ErrGoodbye)
				for _, n := range []*node{a, b} {
					if bad := n.mesh.Stats().Bad; bad != 0 {
						t.Errorf("node %d: %d datagrams made no sense: %v", n.boot, bad, n.kinds(link.BadDatagram))
					}
				}
				mu.Lock()
				defer mu.Unlock()
				if !bytes.Equal(versions, []byte{tt.want}) {
					t.Errorf("frames had the versions %v, want %d", versions, tt.want)
				}
			})
		})
	}
}
