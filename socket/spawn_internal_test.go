package socket

import (
	"context"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"testing"
	"unsafe"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/websock"
)

// TestConn_size: one size class more is 64 bytes for each of a million sockets.
func TestConn_size(t *testing.T) {
	if got, want := unsafe.Sizeof(conn{}), uintptr(512); got > want && strconv.IntSize == 64 {
		t.Errorf("a conn has %d bytes, want at most %d", got, want)
	}
}

type nobody struct{}

func (nobody) Init(context.Context) websock.Result                      { return websock.OK() }
func (nobody) HandleIn(context.Context, websock.Message) websock.Result { return websock.OK() }
func (nobody) HandleInfo(context.Context, any) websock.Result           { return websock.OK() }

// TestSpawn_killedMeanwhile: a System that is shut down without patience ends the process of a socket before the socket
// knows it. It is for the race detector.
func TestSpawn_killedMeanwhile(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	impatient, cancel := context.WithCancel(context.Background())
	cancel()
	rounds := 40
	if os.Getenv("TROUPE_STRESS") != "" {
		rounds = 200
	}
	for range rounds {
		sys, err := actor.NewSystem(actor.Config{Logger: log})
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(Config{System: sys, Logger: log})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					c, err := s.spawn(nobody{}, nil)
					if err != nil {
						return
					}
					c.mu.Lock()
					if c.reason != nil && c.label != "" {
						t.Errorf("label %q of a socket without one", c.label)
					}
					c.mu.Unlock()
				}
			})
		}
		sys.Shutdown(impatient)
		wg.Wait()
		sys.Shutdown(impatient) // what was spawned meanwhile
	}
}

// TestServer_givesMemoryBackAfterACrowd: the table of the sockets costs what those cost that are there.
func TestServer_givesMemoryBackAfterACrowd(t *testing.T) {
	const crowd, stay = 20_000, 100
	s, err := New(Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.endOwnSystem(context.Background())
	room := func() (n int) {
		for i := range s.shards {
			n += s.shards[i].conns.Room()
		}
		return n
	}
	conns := make([]*conn, crowd)
	for i := range conns {
		if conns[i], err = s.spawn(nobody{}, nil); err != nil {
			t.Fatal(err)
		}
		s.add(conns[i])
	}
	if n := room(); n < crowd {
		t.Fatalf("room for %d sockets, and there are %d", n, crowd)
	}
	for _, c := range conns[stay:] {
		s.remove(c)
	}
	if n := room(); n > crowd/4 { // 64 parts, each of which may keep a little
		t.Errorf("%d of %d sockets are there: room for %d", stay, crowd, n)
	}
	if n := s.Count(); n != stay {
		t.Errorf("Count = %d, want %d", n, stay)
	}
	for _, c := range conns[:stay] {
		s.remove(c)
	}
	for _, c := range conns {
		c.pid().Exit(actor.ErrKilled)
	}
}
