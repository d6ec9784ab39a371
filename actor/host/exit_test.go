package host_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

func TestPort_Calling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := newQuietSystem(t)
		var got []bool
		var port host.Port
		port, err := host.Spawn(sys, receiver{receive: func(ctx context.Context, _ any) error {
			got = append(got, port.Calling())
			actor.Reply(ctx, nil)
			return nil
		}}, actor.SpawnOptions{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		port.Start()
		port.PID().Send("sent")
		actor.Call[any](context.Background(), port.PID(), "called")
		synctest.Wait()
		port.Hand("handed over")
		if want := []bool{false, true, false}; !slices.Equal(got, want) {
			t.Errorf("Calling: %v, want %v for a message, a Call and a frame", got, want)
		}
		if host.ActorOf(context.Background()) != nil {
			t.Errorf("a ctx of no process has an actor")
		}
	})
}

type receive func(ctx context.Context, msg any) error

func (f receive) Receive(ctx context.Context, msg any) error { return f(ctx, msg) }

func TestSpawn_afterShutdown(t *testing.T) {
	sys, err := actor.NewSystem(actor.Config{})
	if err != nil {
		t.Fatal(err)
	}
	sys.Shutdown(context.Background())
	if port, err := host.Spawn(sys, plain{}, actor.SpawnOptions{}, nil); !errors.Is(err, actor.ErrShutdown) || port != (host.Port{}) {
		t.Errorf("Spawn after Shutdown = %v, %v; want ErrShutdown", port, err)
	}
}

// The limits that a host sets end a process, so it must be one that ends.
func TestSpawn_limitsNeedOverflowExit(t *testing.T) {
	sys, err := actor.NewSystem(actor.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Shutdown(context.Background())
	for _, o := range []host.Options{{MailboxBytes: 1}, {MaxLag: time.Second}, {Overflow: host.LeaveOutOldest}} {
		if _, err := host.Spawn(sys, plain{}, actor.SpawnOptions{}, &o); err == nil || !strings.Contains(err.Error(), "OverflowExit") {
			t.Errorf("Spawn with %+v: %v, want an error about OverflowExit", o, err)
		}
	}
}

// A host need not count what it leaves out.
func TestPort_LeaveOut_withoutOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := uint64(0)
		var port host.Port
		h := receiver{receive: func(context.Context, any) error {
			port.LeaveOut("")
			left = port.CaughtUp()
			return nil
		}}
		port, err := host.Spawn(newQuietSystem(t), h, actor.SpawnOptions{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		port.Start()
		port.PID().Send("x")
		synctest.Wait()
		if left != 1 {
			t.Errorf("CaughtUp = %d, want 1", left)
		}
		port.PID().Exit(actor.ErrKilled)
	})
}

// departing is a Host that is told of its end.
type departing struct {
	plain
	exited func(info actor.ProcessInfo, reason error)
	gone   func()
}

func (d departing) Exited(info actor.ProcessInfo, reason error) { d.exited(info, reason) }
func (d departing) Gone()                                       { d.gone() }

func TestHost_Exited(t *testing.T) {
	for name, misbehave := range map[string]func(){
		"returns": func() {},
		"panics":  func() { panic("in Exited") },
		"Goexit":  runtime.Goexit,
	} {
		for _, killed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, killed %t", name, killed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sys := newQuietSystem(t)
					var happened []string
					port, err := host.Spawn(sys, departing{exited: func(info actor.ProcessInfo, reason error) {
						happened = append(happened, fmt.Sprintf("Exited: %v, alive %t, label %s", reason, info.PID.Alive(), info.Label))
						misbehave()
					}, gone: func() { happened = append(happened, "Gone") }}, actor.SpawnOptions{Label: "host"}, nil)
					if err != nil {
						t.Fatal(err)
					}
					port.PID().OnExit(func(error) { happened = append(happened, "OnExit") })
					port.Start()
					reason := errBoom
					if killed {
						reason = actor.ErrKilled
					}
					go port.PID().Exit(reason)
					synctest.Wait()
					want := []string{fmt.Sprintf("Exited: %v, alive false, label host", reason), "OnExit", "Gone"}
					if !slices.Equal(happened, want) || port.PID().Alive() {
						t.Errorf("got %q, alive %t; want %q", happened, port.PID().Alive(), want)
					}
				})
			})
		}
	}
}

// scoped is a Host that comes from somewhere.
type scoped struct {
	plain
	values context.Context
	attrs  []slog.Attr
}

func (s scoped) Scope() (context.Context, []slog.Attr) { return s.values, s.attrs }
func (s scoped) Terminate(context.Context, error)      { panic("to be logged") }

type key struct{}

func TestHost_Scope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var buf lockedBuffer
		sys, err := actor.NewSystem(actor.Config{Logger: slog.New(slog.NewTextHandler(&buf, nil))})
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			name string
			host scoped
			want any
			log  string
		}{
			{"none", scoped{}, nil, "where=terminate"},
			{"both", scoped{values: context.WithValue(t.Context(), key{}, "value"), attrs: []slog.Attr{slog.Int("user", 7)}}, "value", "user=7 where=terminate"},
		} {
			var ctx context.Context
			port, err := host.Spawn(sys, initialized{test.host, &ctx}, actor.SpawnOptions{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			port.Start()
			if got := ctx.Value(key{}); got != test.want {
				t.Errorf("%s: ctx.Value = %v, want %v", test.name, got, test.want)
			}
			if self := actor.Self(ctx); self != port.PID() {
				t.Errorf("%s: Self = %v, want %v", test.name, self, port.PID())
			}
			buf.reset()
			port.PID().Exit(errBoom)
			synctest.Wait()
			if log := buf.String(); !strings.Contains(log, test.log) {
				t.Errorf("%s: the log of a panic in Terminate has no %q: %s", test.name, test.log, log)
			}
		}
		if err := sys.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// initialized keeps the ctx of its Init.
type initialized struct {
	scoped
	ctx *context.Context
}

func (i initialized) Init(ctx context.Context) error { *i.ctx = ctx; return nil }

// lockedBuffer is a log.
type lockedBuffer struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *lockedBuffer) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf.Reset()
}
