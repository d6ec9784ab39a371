package proto_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/proto"
)

func TestNewSystem_errors(t *testing.T) {
	as := newActorSystem()
	if _, err := proto.NewSystem(as, actor.Config{Node: "not a name"}); err == nil || !strings.Contains(err.Error(), "Config.Node") {
		t.Errorf("a bad Node: %v, want the error of actor.NewSystem", err)
	}
	if _, err := proto.NewSystem(nil, actor.Config{}); err == nil || !strings.Contains(err.Error(), "nil ActorSystem") {
		t.Errorf("nil: %v, want an error that says so", err)
	}
	sys, err := proto.NewSystem(as, actor.Config{})
	if err != nil {
		t.Fatalf("after an error: %v", err)
	}
	if _, err := proto.NewSystem(as, actor.Config{}); err == nil || !strings.Contains(err.Error(), "has a System already") {
		t.Errorf("twice: %v, want an error that says so", err)
	}
	if err := sys.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := proto.NewSystem(as, actor.Config{}); err == nil {
		t.Error("after the Shutdown of the first: no error; it is for the life of both")
	}
}

// Shutdown of one side leaves the other alone, and Terminate can still talk to the actors of the program.
func TestNewSystem_shutdowns(t *testing.T) {
	bubble(t, "the System's", func(t *testing.T, h *house) {
		n, m := h.native(), h.member(actor.SpawnOptions{})
		farewell := &callsAtTheEnd{pid: n.pid}
		if _, err := h.sys.Spawn(t.Context(), farewell, actor.SpawnOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := h.sys.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if farewell.got != "answer" || farewell.err != nil {
			t.Errorf("Call in Terminate: %q, %v; want the answer", farewell.got, farewell.err)
		}
		m.want(t, "the process", actor.ErrShutdown)
		if h.as.IsStopped() {
			t.Error("the ActorSystem is stopped")
		}
		h.as.Root.Send(n.pid, "still there")
		h.as.Root.Send(proto.PID(m.pid), "too late")
		n.want(t, "the actor", "ask", "still there")
		h.dead.want(t, "dead letters", "too late")
		if _, err := h.sys.Spawn(t.Context(), m, actor.SpawnOptions{}); !errors.Is(err, actor.ErrShutdown) {
			t.Errorf("Spawn after Shutdown: %v, want ErrShutdown", err)
		}
	})
	bubble(t, "the ActorSystem's", func(t *testing.T, h *house) {
		n, m := h.native(), h.socket()
		h.as.Shutdown()
		h.as.Root.Send(n.pid, "to the actor")
		h.as.Root.Send(proto.PID(m.pid), "to the socket")
		n.want(t, "the actor, which protoactor does not stop", "to the actor")
		m.want(t, "the socket", "to the socket")
		h.in(m, func(ctx context.Context) { proto.Send(ctx, n.pid, "from the socket") })
		n.want(t, "the actor", "to the actor", "from the socket")
	})
}

// callsAtTheEnd asks an actor of protoactor in Terminate.
type callsAtTheEnd struct {
	member
	pid *protoactor.PID
	got string
	err error
}

func (c *callsAtTheEnd) Terminate(ctx context.Context, _ error) {
	c.got, c.err = proto.Call[string](ctx, c.pid, "ask")
}

type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Each side has a Logger of its own.
func TestNewSystem_loggers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var theirs, ours buffer
		as := protoactor.NewActorSystem(protoactor.WithLoggerFactory(func(*protoactor.ActorSystem) *slog.Logger {
			return slog.New(slog.NewTextHandler(&theirs, nil))
		}))
		sys, err := proto.NewSystem(as, actor.Config{Logger: slog.New(slog.NewTextHandler(&ours, nil))})
		if err != nil {
			t.Fatal(err)
		}
		pid, err := sys.Spawn(t.Context(), &member{}, actor.SpawnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		pid.Send(stop{errors.New("boom")})
		synctest.Wait()
		as.Root.Send(proto.PID(pid), "too late")
		time.Sleep(time.Minute)
		if err := sys.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if s := ours.String(); !strings.Contains(s, "boom") || strings.Contains(s, "DeadLetter") {
			t.Errorf("Config.Logger has %q, want the end of the process, and nothing of protoactor's", s)
		}
		if s := theirs.String(); strings.Contains(s, "boom") || !strings.Contains(s, "DeadLetter") {
			t.Errorf("the ActorSystem's Logger has %q, want the dead letter, and nothing of Troupe's", s)
		}
	})
}

// What this package does not do costs nothing: a program without it has none of protoactor's goroutines, whatever it sends
// to the dead, and a System of this package at rest has none either.
func TestNewSystem_goroutines(t *testing.T) {
	for name, newSystem := range map[string]func() (*actor.System, error){
		"actor.NewSystem": func() (*actor.System, error) {
			return actor.NewSystem(actor.Config{Logger: slog.New(slog.DiscardHandler)})
		},
		"proto.NewSystem": func() (*actor.System, error) {
			return proto.NewSystem(newActorSystem(), actor.Config{Logger: slog.New(slog.DiscardHandler)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				sys, err := newSystem()
				if err != nil {
					t.Fatal(err)
				}
				m := &member{}
				pid, err := sys.Spawn(t.Context(), m, actor.SpawnOptions{})
				if err != nil {
					t.Fatal(err)
				}
				pid.Exit(actor.ErrNormal)
				synctest.Wait()
				for range 100 {
					pid.Send("too late")
					if _, err := actor.Call[any](t.Context(), pid, "too late"); !errors.Is(err, actor.ErrNoProcess) {
						t.Errorf("Call of the dead: %v, want ErrNoProcess", err)
					}
					if _, err := actor.Wait(t.Context(), pid); !errors.Is(err, actor.ErrNoProcess) {
						t.Errorf("Wait for the dead: %v, want ErrNoProcess", err)
					}
				}
				if err := sys.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				// A ticker of protoactor's would be left at the end of the bubble, and fail the test then.
				if d := time.Since(start); d != 0 {
					t.Errorf("the clock has moved by %v, want 0", d)
				}
			})
		})
	}
}

func TestPanics(t *testing.T) {
	bubble(t, "panics", func(t *testing.T, h *house) {
		n := h.native()
		other, err := actor.NewSystem(actor.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer other.Shutdown(context.Background())
		for name, test := range map[string]struct {
			f    func()
			want string
		}{
			"Send":    {func() { proto.Send(t.Context(), n.pid, 1) }, "ctx belongs to no process"},
			"Request": {func() { proto.Request(t.Context(), n.pid, 1) }, "ctx belongs to no process"},
			"Call":    {func() { proto.Call[any](t.Context(), n.pid, 1) }, "ctx belongs to no process"},
			"Proxy":   {func() { proto.Proxy(other, n.pid) }, "was not made by proto.NewSystem"},
		} {
			func() {
				defer func() {
					if v, _ := recover().(string); !strings.Contains(v, test.want) || !strings.Contains(v, name) {
						t.Errorf("%s: panic %q, want one with %q", name, v, test.want)
					}
				}()
				test.f()
			}()
		}
	})
}

func TestPID(t *testing.T) {
	bubble(t, "PID", func(t *testing.T, h *house) {
		m, n := h.member(actor.SpawnOptions{}), h.native()
		for _, p := range []actor.PID{m.pid, h.socket().pid} {
			if got, ok := proto.ActorPID(h.sys, proto.PID(p)); !ok || got != p {
				t.Errorf("ActorPID of PID(%v) = %v, %t", p, got, ok)
			}
		}
		if !proto.PID(m.pid).Equal(proto.PID(m.pid)) {
			t.Error("two for one process are not Equal")
		}
		for _, pid := range []*protoactor.PID{nil, n.pid, proto.PID(actor.PID{}), protoactor.NewPID("troupe:", "7"), protoactor.NewPID("nonhost", "troupe:7"),
			protoactor.NewPID("nonhost", "0123456789abcdef@local/7"), protoactor.NewPID("nonhost", "troupe:0123456789abcdef@local")} {
			if got, ok := proto.ActorPID(h.sys, pid); ok {
				t.Errorf("ActorPID(%v) = %v, want none", pid, got)
			}
		}
		h.as.Root.Send(proto.PID(actor.PID{}), "to nobody")
		h.dead.want(t, "dead letters", "to nobody")
	})
}
