package cluster_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/internal/seednet"
)

// FuzzRecords has a node get any records of another one, after a hello that makes sense. In the input each record is its length
// and its bytes; one that begins with 0xf0 and more is made to be about a process that there is. Whatever comes: no panic; what was
// sent before is received; and the node is as good as before, to its own processes and in the next session.
func FuzzRecords(f *testing.F) {
	add := func(recs ...[]byte) {
		var in []byte
		for _, r := range recs {
			in = append(append(in, byte(len(r))), r...)
		}
		f.Add(in)
	}
	add(with([]byte{0xf0}, value("hi")...), with([]byte{0xf1}, 1, 0, 0), []byte{0xf2, 1}, []byte{0xf3, 1}, []byte{0xf4})
	add(rec(hello, 0), rec(send), rec(answer, 1))
	add([]byte{answer | 0x80, 9, 3, 1, 'k', 4, 0, 5, 2, 0xac, 2, 1, 20, 1, 'h', 'i'}, // with a Delivery
		[]byte{onChannel | 0x80, 9, 3, 1, 'k', 4, 0, 5, 2, 0xac, 2, 0, 'a', 'b'}, []byte{send | 0x80, 7, 3, 9, 'k', 5, 1, 0x80, 4, 1, 20, 1})
	add(with(rec(call, 1, 7, 100), 2, 1, 'a', 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 'x'), rec(cancelCall, 1), with(rec(fail, 1), 0))
	add(with(rec(onChannel, 0), 'a', 'b'), rec(onChannel, 1), []byte{send | 0x80, 3, 1, 2, 3, 4}, []byte{77})
	add(with(rec(send, 1), 25, 0, '{', '}'), with(rec(send, 1), 25, 9), with(rec(kill, 999), 1, 2, 3))
	f.Fuzz(func(t *testing.T, in []byte) {
		synctest.Test(t, func(t *testing.T) {
			net := network(t, seednet.Config{})
			types := &cluster.Types{}
			cluster.Register[known](types, "known")
			n := newNode(t, "n", cluster.Config{Engine: onNet{net: net}, Types: types})
			ch := &replica{}
			if _, err := n.Channel("test", ch); err != nil {
				t.Fatal(err)
			}
			serve(t, n)
			in1 := newInbox(t, n.System())
			victim := mute(t, n.System())
			s := newStranger(t, net, nil)
			control := func(rec []byte) { s.peer.Load().Control(rec) }
			greeting := with(rec(hello, 1), append([]byte{4}, "test"+"\x05known"...)...)
			control(greeting)
			control(with(rec(send, number(in1.pid)), value("before")...))
			synctest.Wait() // a kill would overtake it
			for len(in) > 0 {
				l := min(int(in[0]), len(in)-1)
				r := slices.Clone(in[1 : 1+l])
				in = in[1+l:]
				if l > 0 && r[0] >= 0xf0 {
					r = append(about(r[0], number(victim)), r[1:]...)
				}
				control(r)
			}
			synctest.Wait()
			if got := in1.all(); len(got) == 0 || got[0] != "before" {
				t.Errorf("received %v, want what was sent before at first", got)
			}
			other := newInbox(t, n.System())
			if !other.pid.Send("alive") {
				t.Error("a process of the node takes nothing")
			}
			if len(s.ends.all()) > 0 {
				wait(time.Minute)
				control(greeting)
			}
			control(with(rec(send, number(other.pid)), value("still")...))
			wait(time.Second)
			if got := other.all(); !slices.Equal(got, []any{"alive", "still"}) && len(s.ends.all()) == 0 {
				t.Errorf("after that %v was received, want alive and still", got)
			}
			if err := n.Ready(); err != nil {
				t.Errorf("Ready = %v, want nil", err)
			}
		})
	})
}

// about begins a record about a process.
func about(what byte, num uint64) []byte {
	switch what {
	case 0xf0:
		return rec(send, num)
	case 0xf1:
		return with(rec(call, 1, num), 0, 0)
	case 0xf2:
		return rec(monitor, 1, num)
	case 0xf3:
		return rec(demonitor, 1)
	}
	return rec(kill, num)
}
