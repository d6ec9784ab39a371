package socket_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/proto"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
)

// In every way in which a socket ends, whoever watches it is told, once: an actor of protoactor by Terminated, a process by Down
// with the exit reason. The actor stops then, and whoever monitors its proxy is told that.
func TestClose_tableWatched(t *testing.T) {
	for _, row := range closeRows {
		bubble(t, row.name, func(t *testing.T) { testCloseWatched(t, row) })
	}
}

func testCloseWatched(t *testing.T, row closeRow) {
	as := newActorSystem()
	sys, err := proto.NewSystem(as, actor.Config{Logger: unlogged.Logger})
	if err != nil {
		t.Fatal(err)
	}
	row.cfg.System = sys
	r := serve(t, row.cfg)
	r.ln.Buffer = row.buffer
	h := puppet()
	c := r.dialWith(h, rawclient.HandshakeOptions{Deflate: row.deflate})
	var told list
	actors := &watcher{told: &told, whom: proto.PID(c.pid)}
	pid := as.Root.Spawn(protoactor.PropsFromProducer(func() protoactor.Actor { return actors }))
	proxy, err := proto.Proxy(sys, pid)
	if err != nil {
		t.Fatal(err)
	}
	down := row.reason
	if row.down != nil {
		down = row.down
	}
	waits := func(what string, p actor.PID) {
		go func() {
			reason, err := actor.Wait(context.Background(), p)
			told.add(what)
			if err != nil {
				t.Errorf("Wait for %s: %v", what, err)
			}
			if what == "socket" {
				if problem := down(reason); problem != "" {
					t.Errorf("Down of the socket: %s", problem)
				}
			}
		}()
	}
	waits("socket", c.pid)
	waits("proxy", proxy)
	synctest.Wait() // the reader waits for bytes

	row.play(t, c)
	c.end()
	synctest.Wait()
	if got, want := told.sorted(), []string{"Terminated Stopped", "proxy", "socket"}; !slices.Equal(got, want) {
		t.Errorf("told: %q, want each once: %q", got, want)
	}
	late := &watcher{told: new(list), whom: proto.PID(c.pid)}
	as.Root.Spawn(protoactor.PropsFromProducer(func() protoactor.Actor { return late }))
	synctest.Wait()
	if got, want := late.told.sorted(), []string{"Terminated NotFound"}; !slices.Equal(got, want) {
		t.Errorf("whoever watches the dead is told %q, want %q", got, want)
	}
	time.Sleep(time.Minute) // protoactor's dead letters keep a goroutine for a second
}

// list is what several goroutines write to.
type list struct {
	mu   sync.Mutex
	what []string
}

func (l *list) add(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.what = append(l.what, s)
}

func (l *list) sorted() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(slices.Values(l.what))
}

// watcher is an actor of protoactor's that watches a socket until it ends.
type watcher struct {
	told *list
	whom *protoactor.PID
}

func (w *watcher) Receive(ctx protoactor.Context) {
	switch m := ctx.Message().(type) {
	case *protoactor.Started:
		ctx.Watch(w.whom)
	case *protoactor.Terminated:
		if m.Who.Equal(w.whom) {
			w.told.add(fmt.Sprint("Terminated ", m.Why))
		}
		ctx.Stop(ctx.Self())
	}
}

// BenchmarkIdle_protoactor is what one silent socket keeps, in a System that has an ActorSystem of its own, which is what a
// program without package proto has, and in one of proto.NewSystem: there when protoactor does not know of the socket, and when
// an actor has sent to it and has forgotten it again.
func BenchmarkIdle_protoactor(b *testing.B) {
	const n = 20_000
	inOurs := func(b *testing.B) float64 {
		sys, err := actor.NewSystem(actor.Config{Logger: unlogged.Logger})
		if err != nil {
			b.Fatal(err)
		}
		return idleBytes(b, n, sys, func(actor.PID) {})
	}
	inTheirs := func(b *testing.B, each func(as *protoactor.ActorSystem, pid actor.PID)) float64 {
		as := newActorSystem()
		sys, err := proto.NewSystem(as, actor.Config{Logger: unlogged.Logger})
		if err != nil {
			b.Fatal(err)
		}
		return idleBytes(b, n, sys, func(pid actor.PID) { each(as, pid) })
	}
	inOurs(b) // what the first sockets of a program make is there from now on
	for _, bb := range []struct {
		name  string
		bytes func(b *testing.B) float64
	}{
		{"actor.NewSystem", inOurs},
		{"proto.NewSystem", func(b *testing.B) float64 { return inTheirs(b, func(*protoactor.ActorSystem, actor.PID) {}) }},
		{"proto.NewSystem, sent to once", func(b *testing.B) float64 {
			return inTheirs(b, func(as *protoactor.ActorSystem, pid actor.PID) { as.Root.Send(proto.PID(pid), "hello") })
		}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(bb.bytes(b), "heap-B/socket")
			}
		})
	}
}

// idleBytes is the heap that each of n silent sockets in sys keeps.
func idleBytes(b *testing.B, n int, sys *actor.System, each func(actor.PID)) float64 {
	h := newSite(b, socket.Config{System: sys, Logger: unlogged.Logger})
	conns := make([]net.Conn, n)
	before := heap()
	for i := range conns {
		var server net.Conn
		conns[i], server = pipe.New(0)
		pid, err := h.srv.Upgrade(&directWriter{conn: server}, goodRequest(), idleHandler{})
		if err != nil {
			b.Fatal(err)
		}
		each(pid)
	}
	bytes := float64(heap()-before) / float64(n)
	for _, c := range conns {
		c.Close()
	}
	if err := errors.Join(h.srv.Shutdown(context.Background()), sys.Shutdown(context.Background())); err != nil {
		b.Fatal(err)
	}
	return bytes
}

func newActorSystem() *protoactor.ActorSystem {
	return protoactor.NewActorSystem(protoactor.WithLoggerFactory(func(*protoactor.ActorSystem) *slog.Logger { return unlogged.Logger }))
}
