package socket_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/proto"
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
	discard := slog.New(slog.DiscardHandler)
	as := protoactor.NewActorSystem(protoactor.WithLoggerFactory(func(*protoactor.ActorSystem) *slog.Logger { return discard }))
	sys, err := proto.NewSystem(as, actor.Config{Logger: discard})
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
