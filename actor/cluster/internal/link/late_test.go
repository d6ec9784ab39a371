package link_test

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor/cluster/internal/link"
	"github.com/troupe-dev/troupe/actor/cluster/internal/seednet"
)

// An engine repeats all datagrams of a session once the next one has begun: none of them is taken for one of that.
func TestMesh_lateRepetitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := network(t, seednet.Config{Seed: 1})
		var mu sync.Mutex
		var sent [][]byte // by a
		var a *node
		a = prepare(t, net, 1, func(o *link.Options) {
			o.Publish = func(to uint64, b []byte) error {
				mu.Lock()
				sent = append(sent, bytes.Clone(b))
				mu.Unlock()
				return a.conn.Publish(to, b)
			}
		})
		a.run()
		b := start(t, net, 2, nil)
		var got []string
		b.onRecord = func(_ *link.Peer, rec []byte) { got = append(got, string(rec)) }
		wait(time.Second)
		for _, rec := range []string{"old 1", "old 2", "old 3"} {
			a.mesh.Peers()[0].Offer([]byte(rec))
			wait(time.Second)
		}
		b.mesh.Peers()[0].Reset(errors.New("enough"))
		wait(time.Second)
		if len(a.all()) != 2 || len(b.all()) != 2 {
			t.Fatalf("sessions: %v and %v, want two each", a.all(), b.all())
		}
		mu.Lock()
		late := slices.Clone(sent)
		mu.Unlock()
		for _, datagram := range late {
			b.mesh.Receive(datagram)
		}
		wait(time.Second)
		a.mesh.Peers()[0].Offer([]byte("new 1"))
		wait(time.Second)
		if want := []string{"old 1", "old 2", "old 3", "new 1"}; !slices.Equal(got, want) {
			t.Errorf("received %q, want %q", got, want)
		}
		if len(a.all()) != 2 || len(b.all()) != 2 {
			t.Errorf("the repetitions have ended a session: %v and %v", a.all(), b.all())
		}
	})
}
