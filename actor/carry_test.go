package actor_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// traceKey is the key of what the Systems of these tests carry: a string.
type traceKey struct{}

func withTrace(ctx context.Context, trace string) context.Context {
	return context.WithValue(ctx, traceKey{}, trace)
}

func traceOf(ctx context.Context) string {
	trace, _ := ctx.Value(traceKey{}).(string)
	return trace
}

// carrying is a Config that carries the trace.
func carrying() actor.Config {
	return actor.Config{
		Carry: func(ctx context.Context) any {
			if trace := traceOf(ctx); trace != "" {
				return trace
			}
			return nil
		},
		Fetch: func(ctx context.Context, carried any) context.Context {
			return withTrace(ctx, carried.(string)+">")
		},
	}
}

// follower notes what it receives, with the trace that came along.
type follower struct{ journal[string] }

func (f *follower) Init(ctx context.Context) error {
	f.add("init " + traceOf(ctx))
	return nil
}

func (f *follower) Receive(ctx context.Context, msg any) error {
	if run, ok := msg.(do); ok {
		return run(ctx)
	}
	f.add(fmt.Sprintf("%T %s", msg, traceOf(ctx)))
	actor.Reply(ctx, traceOf(ctx))
	return nil
}

// TestCarry: each way from a ctx to a callback, with a trace and without.
func TestCarry(t *testing.T) {
	for name, way := range map[string]struct {
		do      func(t *testing.T, ctx context.Context, sys *actor.System, f *follower, pid actor.PID)
		got     string // what the follower has noted, with the trace "a"
		without string // and without one
	}{
		"Send": {do: func(t *testing.T, ctx context.Context, _ *actor.System, _ *follower, pid actor.PID) {
			if !actor.Send(ctx, pid, 1) {
				t.Error("Send = false")
			}
		}, got: "int a>", without: "int "},
		"Call": {do: func(t *testing.T, ctx context.Context, _ *actor.System, _ *follower, pid actor.PID) {
			trace, err := actor.Call[string](ctx, pid, 1)
			if want := traceOf(ctx); err != nil || want != "" && trace != want+">" {
				t.Errorf("the callee answers %q, %v; want the trace %q", trace, err, want+">")
			}
		}, got: "int a>", without: "int "},
		"SendWait": {do: func(t *testing.T, ctx context.Context, _ *actor.System, _ *follower, pid actor.PID) {
			if err := actor.SendWait(ctx, pid, 1); err != nil {
				t.Errorf("SendWait: %v", err)
			}
		}, got: "int a>", without: "int "},
		"SendAfter": {do: func(_ *testing.T, ctx context.Context, _ *actor.System, _ *follower, pid actor.PID) {
			pid.Send(do(func(own context.Context) error {
				actor.SendAfter(withTrace(own, traceOf(ctx)), time.Second, 1)
				return nil
			}))
			time.Sleep(time.Second)
		}, got: "int a>", without: "int "},
		"SendEvery carries nothing": {do: func(_ *testing.T, ctx context.Context, _ *actor.System, _ *follower, pid actor.PID) {
			pid.Send(do(func(own context.Context) error {
				actor.SendEvery(withTrace(own, traceOf(ctx)), time.Second, 1)
				return nil
			}))
			time.Sleep(time.Second)
			synctest.Wait()
			pid.Exit(actor.ErrNormal)
		}, got: "int ", without: "int "},
		"PID.Send carries nothing": {do: func(_ *testing.T, _ context.Context, _ *actor.System, _ *follower, pid actor.PID) {
			pid.Send(1)
		}, got: "int ", without: "int "},
		"Spawn": {do: func(t *testing.T, ctx context.Context, sys *actor.System, f *follower, _ actor.PID) {
			f.add("a child")
			if _, err := sys.Spawn(ctx, f, actor.SpawnOptions{}); err != nil {
				t.Error(err)
			}
		}, got: "a child, init a>", without: "a child, init "},
		"Async": {do: func(_ *testing.T, ctx context.Context, _ *actor.System, f *follower, pid actor.PID) {
			pid.Send(do(func(own context.Context) error {
				actor.Async(withTrace(own, traceOf(ctx)), func(ctx context.Context) (int, error) {
					f.add("task " + traceOf(ctx))
					return 1, nil
				})
				return nil
			}))
		}, got: "task a, actor.Done[int] a>", without: "task , actor.Done[int] "},
	} {
		for _, trace := range []string{"a", ""} {
			t.Run(fmt.Sprintf("%s, trace %q", name, trace), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sys, _ := newSystem(t, carrying())
					f := &follower{}
					pid := spawn(t, sys, f, actor.SpawnOptions{})
					ctx := context.Background()
					if trace != "" {
						ctx = withTrace(ctx, trace)
					}
					way.do(t, ctx, sys, f, pid)
					synctest.Wait()
					want := way.got
					if trace == "" {
						want = way.without
					}
					if got := strings.Join(f.all()[1:], ", "); got != want {
						t.Errorf("got %q, want %q", got, want)
					}
				})
			})
		}
	}
}

// What is carried shows nowhere but in the ctx: not as the message of Inspect, of the log, of an event.
func TestCarry_isNotTheMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := carrying()
		var events journal[actor.Event]
		cfg.OnEvent = events.add
		sys, logs := newSystem(t, cfg)
		ctx := withTrace(t.Context(), "a")
		pid := spawn(t, sys, &behaviour{}, actor.SpawnOptions{})
		release := make(chan struct{})
		actor.Send(ctx, pid, do(func(context.Context) error { <-release; return nil }))
		synctest.Wait()
		if info, err := actor.Inspect(pid); err != nil || info.Handling != "actor_test.do" {
			t.Errorf("Inspect says that it handles %q, %v; want actor_test.do", info.Handling, err)
		}
		actor.Send(ctx, pid, 1)
		pid.Exit(actor.ErrKilled)
		close(release)
		if actor.Send(ctx, pid, 2) || actor.Send(ctx, actor.PID{}, 3) {
			t.Error("Send to a dead process, or to nobody = true")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		total := 0
		for _, e := range events.all() {
			if u, ok := e.(actor.Undelivered); ok {
				total += u.Count
				if u.Type != "int" {
					t.Errorf("the event says that a %s reached nobody, want int", u.Type)
				}
			}
		}
		lines := logs.find("message reached nobody")
		if total != 2 || len(lines) != 2 {
			t.Errorf("%d messages in events, %d lines; want 2: one waited, one came too late", total, len(lines))
		}
		for _, l := range lines {
			if l.Attrs["type"] != "int" {
				t.Errorf("the log says that a %v reached nobody, want int", l.Attrs["type"])
			}
		}
	})
}

// A Carry or Fetch that panics, or returns nil, costs what was to be carried and nothing else.
func TestCarry_thatPanics(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*actor.Config)
		lines  int
	}{
		"Carry panics":      {func(c *actor.Config) { c.Carry = func(context.Context) any { panic("as asked") } }, 1},
		"Fetch panics":      {func(c *actor.Config) { c.Fetch = func(context.Context, any) context.Context { panic("as asked") } }, 1},
		"Fetch returns nil": {func(c *actor.Config) { c.Fetch = func(context.Context, any) context.Context { return nil } }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := carrying()
				tt.change(&cfg)
				sys, logs := newSystem(t, cfg)
				f := &follower{}
				pid := spawn(t, sys, f, actor.SpawnOptions{})
				synctest.Wait()
				logs.mu.Lock()
				logs.list = nil // Spawn has asked Carry, too
				logs.mu.Unlock()
				actor.Send(withTrace(t.Context(), "a"), pid, 1)
				synctest.Wait()
				if got, want := strings.Join(f.all()[1:], ", "), "int "; got != want || !pid.Alive() {
					t.Errorf("got %q, alive %t; want %q and alive", got, pid.Alive(), want)
				}
				if got := logs.find("panic in a callback"); len(got) != tt.lines {
					t.Errorf("%d lines about a panic, want %d: %v", len(got), tt.lines, got)
				}
			})
		})
	}
}

// marshals is something carried whose text is wanted for another node.
type marshals func() ([]byte, error)

func (m marshals) MarshalText() ([]byte, error) { return m() }

// A MarshalText that panics, on whatever goroutine sends, costs what was to be carried and nothing else.
func TestCarry_marshalTextThatPanics(t *testing.T) { synctest.Test(t, testMarshalTextThatPanics) }

func testMarshalTextThatPanics(t *testing.T) {
	r := &fakeRemote{yes: true, answer: func(answer func(v any, err error)) { answer("yes", nil) }}
	var carry any
	cfg := carrying()
	cfg.Carry = func(context.Context) any { return carry }
	cfg.Node = "here"
	sys, logs := newSystem(t, cfg)
	if err := host.Attach(sys, r); err != nil {
		t.Fatal(err)
	}
	away := host.PIDOf(sys, "there", 7, 42)
	carry = marshals(func() ([]byte, error) { panic("as asked") })
	if !actor.Send(t.Context(), away, "sent") {
		t.Error("Send = false")
	}
	if v, err := actor.Call[string](t.Context(), away, "called"); v != "yes" || err != nil {
		t.Errorf("Call = %q, %v; want the answer", v, err)
	}
	r.want(t, "send 42 sent", "call 42 called")
	synctest.Wait()
	lines := logs.find("panic in a callback")
	if len(lines) != 2 || lines[0].Attrs["callback"] != "MarshalText of what Config.Carry has returned" {
		t.Errorf("got %d lines about a panic, want 2 that name MarshalText: %v", len(lines), lines)
	}
}

// A hosted process, such as a socket, has the trace in its ctx, too.
func TestCarry_toAHostedProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, carrying())
		var got journal[string]
		h := &hosted{behaviour: behaviour{receive: func(ctx context.Context, msg any) error {
			got.add(fmt.Sprint(msg, traceOf(ctx)))
			return nil
		}}}
		port, err := host.Spawn(sys, h, actor.SpawnOptions{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		port.Start()
		actor.Send(withTrace(t.Context(), "a"), port.PID(), "first ")
		synctest.Wait()
		port.PID().Send("second ")
		synctest.Wait()
		if want := "first a>, second "; strings.Join(got.all(), ", ") != want {
			t.Errorf("got %q, want %q", got.all(), want)
		}
	})
}

func TestNewSystem_carryAlone(t *testing.T) {
	for _, change := range []func(*actor.Config){func(c *actor.Config) { c.Carry = nil }, func(c *actor.Config) { c.Fetch = nil }} {
		cfg := carrying()
		change(&cfg)
		if sys, err := actor.NewSystem(cfg); err == nil || !strings.Contains(err.Error(), "Config.Carry") {
			t.Errorf("NewSystem = %v, %v; want an error that names Config.Carry", sys, err)
		}
	}
}

// Without a Carry, Send with a ctx costs no allocation that PID.Send does not cost.
func TestSend_withoutCarry(t *testing.T) {
	sys, _ := newSystem(t, actor.Config{})
	in := newInbox(t, sys, actor.SpawnOptions{MailboxLimit: -1})
	release := block(t, in.pid)
	defer release()
	ctx, msg := withTrace(t.Context(), "a"), any("message")
	plain := testing.AllocsPerRun(1000, func() { in.pid.Send(msg) })
	with := testing.AllocsPerRun(1000, func() { actor.Send(ctx, in.pid, msg) })
	if with > plain {
		t.Errorf("actor.Send allocates %v times, PID.Send %v", with, plain)
	}
}
