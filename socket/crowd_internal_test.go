package socket

import (
	"context"
	"log/slog"
	"testing"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket/internal/conn"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

type nobody struct{}

func (nobody) Init(context.Context) websock.Result                      { return websock.OK() }
func (nobody) HandleIn(context.Context, websock.Message) websock.Result { return websock.OK() }
func (nobody) HandleInfo(context.Context, any) websock.Result           { return websock.OK() }

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
	conns := make([]*conn.Conn, crowd)
	for i := range conns {
		if conns[i], err = s.group.Spawn(nobody{}, nil); err != nil {
			t.Fatal(err)
		}
		s.add(conns[i])
	}
	if n := room(); n < crowd {
		t.Fatalf("room for %d sockets, and there are %d", n, crowd)
	}
	for _, c := range conns[stay:] {
		s.remove(c, &Closed{}, wire.Counts{})
	}
	if n := room(); n > crowd/4 { // 64 parts, each of which may keep a little
		t.Errorf("%d of %d sockets are there: room for %d", stay, crowd, n)
	}
	if n := s.Count(); n != stay {
		t.Errorf("Count = %d, want %d", n, stay)
	}
	for _, c := range conns[:stay] {
		s.remove(c, &Closed{}, wire.Counts{})
	}
	for _, c := range conns {
		c.PID().Exit(actor.ErrKilled)
	}
}
