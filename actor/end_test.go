package actor_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
)

// TestEnd is section 3 of the design. A want without a prefix holds for every subject; "host:" and "child:" for one that
// has a host, or a parent.
func TestEnd(t *testing.T) {
	killed := actor.ErrKilled
	orderly := func(reason string) []string {
		return []string{
			"host: Ending: " + reason + ", child alive true",
			"child: shutdown",
			"Terminate: " + reason + ", 3s left, ctx <nil>, child alive false",
			"OnExit: " + reason + ", alive false, ctx <nil>",
			"Down at monitor: " + reason + ", Send false, Cause is it true",
			"child: Down at parent: " + reason + ", Send false, Cause is it true",
		}
	}
	// After a kill the child gets its Exit too, but nobody waits for it.
	atOnce := func(reason string) []string {
		return []string{
			"OnExit: " + reason + ", alive false, ctx <nil>",
			"Down at monitor: " + reason + ", Send false, Cause is it true",
			"child: Down at parent: " + reason + ", Send false, Cause is it true",
		}
	}
	tests := []struct {
		name   string
		before func(s *subject) // before it is spawned
		do     func(s *subject)
		reason func(error) bool
		want   []string
		only   string // "host", "child" or both
		stuck  string // the function in the stack that is logged
		kid    bool   // the child does not write
	}{
		{
			name:   "error returned",
			do:     func(s *subject) { s.pid.Send(do(func(context.Context) error { return errBoom })) },
			reason: is(errBoom), want: orderly("boom"),
		},
		{
			name:   "panic",
			do:     func(s *subject) { s.pid.Send(do(func(context.Context) error { panic("boom") })) },
			reason: isPanic("boom"), want: orderly("panic: boom"),
		},
		{
			name: "panic with an error, which does not make it that error",
			do:   func(s *subject) { s.pid.Send(do(func(context.Context) error { panic(errBoom) })) },
			reason: func(err error) bool {
				return isPanic(errBoom)(err) && !errors.Is(err, errBoom)
			},
			want: orderly("panic: boom"),
		},
		{
			name:   "Goexit",
			do:     func(s *subject) { s.pid.Send(do(func(context.Context) error { runtime.Goexit(); return nil })) },
			reason: func(err error) bool { return strings.Contains(err.Error(), "runtime.Goexit") },
			want:   orderly("panic: runtime.Goexit in a callback"),
		},
		{
			name:   "Exit",
			do:     func(s *subject) { s.pid.Exit(errBoom) },
			reason: is(errBoom), want: orderly("boom"),
		},
		{
			name:   "Exit with ErrNormal",
			do:     func(s *subject) { s.pid.Exit(actor.ErrNormal) },
			reason: is(actor.ErrNormal), want: orderly("normal"),
		},
		{
			name: "Exit from inside, what stands before is handled",
			do: func(s *subject) {
				s.pid.Send(do(func(ctx context.Context) error {
					s.pid.Send("before")
					s.pid.Exit(errBoom)
					s.pid.Send("behind")
					s.add("callback returns")
					return nil
				}))
			},
			reason: is(errBoom), want: append([]string{"callback returns", "handled before"}, orderly("boom")...),
		},
		{
			name: "a callback in progress finishes, Terminate has what is left of the time",
			do: func(s *subject) {
				s.pid.Send(do(func(context.Context) error { time.Sleep(2 * time.Second); s.add("callback returns"); return nil }))
				synctest.Wait()
				s.pid.Exit(errBoom)
				time.Sleep(2 * time.Second)
			},
			reason: is(errBoom),
			want: append([]string{"callback returns"}, replace(orderly("boom"),
				"3s left", "1s left")...),
		},
		{
			name:   "kill at rest",
			do:     func(s *subject) { s.pid.Exit(killed) },
			reason: is(killed), want: atOnce("killed"),
		},
		{
			name: "kill in a callback",
			do: func(s *subject) {
				s.occupy()
				s.pid.Send("behind")
				s.pid.Exit(killed)
			},
			reason: is(killed), want: atOnce("killed"), stuck: "stuckCallback",
		},
		{
			name: "kill from inside",
			do: func(s *subject) {
				s.pid.Send(do(func(context.Context) error { s.pid.Exit(killed); return errBoom }))
			},
			reason: is(killed), want: atOnce("killed"),
		},
		{
			name: "kill during Terminate",
			before: func(s *subject) {
				s.stick(&s.terminate)
			},
			do: func(s *subject) {
				s.pid.Exit(errBoom)
				synctest.Wait()
				s.pid.Exit(killed)
			},
			reason: is(killed), want: append(orderly("boom")[:3], atOnce("killed")...), stuck: "stuckCallback",
		},
		{
			name:   "System.Shutdown",
			do:     func(s *subject) { s.sys.Shutdown(context.Background()) },
			reason: is(actor.ErrShutdown), want: orderly("shutdown")[:4],
		},
		{
			name:   "the parent's end",
			do:     func(s *subject) { s.watcher.pid.Exit(errLost) },
			reason: is(actor.ErrShutdown), want: orderly("shutdown")[:4], only: "child",
		},
		{
			name:   "the parent's kill",
			do:     func(s *subject) { s.watcher.pid.Exit(killed) },
			reason: is(actor.ErrShutdown), want: orderly("shutdown")[:4], only: "child",
		},
		{
			name:   "overload",
			before: func(s *subject) { s.options.MailboxLimit, s.options.Overflow = 1, actor.OverflowExit },
			do: func(s *subject) {
				release := block(s.t, s.pid)
				s.pid.Send("waits")
				s.pid.Send("one too many")
				release()
			},
			reason: is(actor.ErrOverload), want: orderly("overload: more messages than the process can handle"),
		},
		{
			name: "Fail at rest", only: "host",
			do:     func(s *subject) { s.port.Fail(errLost) },
			reason: is(errLost), want: orderly("peer lost"),
		},
		{
			name: "Fail overtakes, also an Exit", only: "host",
			do: func(s *subject) {
				release := block(s.t, s.pid)
				s.pid.Send("waits")
				s.pid.Exit(errBoom)
				s.port.Fail(errLost)
				s.port.Fail(errors.New("a second one"))
				release()
			},
			reason: is(errLost), want: orderly("peer lost"),
		},
		{
			name:   "Init failure",
			before: func(s *subject) { s.initErr = errBoom },
			do:     func(*subject) {},
			reason: is(errBoom),
			// A host's actor decides for itself what there is to terminate; Spawn has told the parent.
			want: []string{
				"host: Ending: boom, child alive true",
				"child: shutdown",
				"host: Terminate: boom, 3s left, ctx <nil>, child alive false",
				"OnExit: boom, alive false, ctx <nil>",
				"Down at monitor: boom, Send false, Cause is it true",
			},
		},
		{
			name: "shutdown time over in a callback",
			do: func(s *subject) {
				s.occupy()
				s.pid.Exit(errBoom)
				time.Sleep(shutdownTime)
			},
			reason: wraps(killed), want: atOnce("killed (time over)"), stuck: "stuckCallback",
		},
		{
			name:   "shutdown time over in Ending",
			before: func(s *subject) { s.stick(&s.ending) },
			do: func(s *subject) {
				s.pid.Exit(errBoom)
				time.Sleep(shutdownTime)
			},
			reason: wraps(killed), only: "host", stuck: "stuckCallback",
			want: append([]string{"host: Ending: boom, child alive true"}, atOnce("killed (time over)")...),
		},
		{
			name:   "shutdown time over in Terminate",
			before: func(s *subject) { s.stick(&s.terminate) },
			do: func(s *subject) {
				s.pid.Exit(errBoom)
				time.Sleep(shutdownTime)
			},
			reason: wraps(killed), stuck: "stuckCallback",
			want: append(orderly("boom")[:3], atOnce("killed (time over)")...),
		},
		{
			name: "shutdown time over in children",
			before: func(s *subject) {
				released := make(chan struct{})
				s.release = func() { close(released) }
				s.child = &behaviour{terminate: func(context.Context, error) { <-released }}
				s.childOpts.Shutdown = -1
			},
			do: func(s *subject) {
				s.pid.Exit(errBoom)
				time.Sleep(shutdownTime)
			},
			reason: wraps(killed), kid: true,
			want: append([]string{"host: Ending: boom, child alive true"}, atOnce("killed (time over)")...),
		},
		{
			name: "panic and Goexit in Ending and Terminate change nothing",
			before: func(s *subject) {
				s.ending = func() { panic("in Ending") }
				s.terminate = func() { panic("in Terminate") }
			},
			do:     func(s *subject) { s.pid.Exit(errBoom) },
			reason: is(errBoom), want: orderly("boom"),
		},
		{
			name: "Goexit in Ending and Terminate change nothing",
			before: func(s *subject) {
				s.ending = runtime.Goexit
				s.terminate = runtime.Goexit
			},
			do:     func(s *subject) { s.pid.Exit(errBoom) },
			reason: is(errBoom), want: orderly("boom"),
		},
	}
	for _, tt := range tests {
		for _, kind := range []string{"host", "child"} {
			if tt.only != "" && tt.only != kind {
				continue
			}
			t.Run(tt.name+"/"+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sys, logs := newSystem(t, actor.Config{ShutdownTimeout: time.Minute})
					s := &subject{t: t, sys: sys, hosted: kind == "host"}
					if tt.before != nil {
						tt.before(s)
					}
					s.start()
					if kind == "child" && s.spawnErr != s.initErr {
						t.Errorf("Spawn: %v, want %v", s.spawnErr, s.initErr)
					}
					reasons := make(chan error, 1)
					if s.initErr == nil {
						reasons = make(chan error, 1)
						go func() { r, _ := actor.Wait(context.Background(), s.pid); reasons <- r }()
						synctest.Wait()
					} else {
						reasons <- context.Cause(s.ctx)
					}
					tt.do(s)
					synctest.Wait()
					time.Sleep(reported)
					synctest.Wait()

					got := s.all()
					unordered := !slices.Contains(tt.want, "child: shutdown")
					if unordered { // nobody waits for the child
						n := len(got)
						got = slices.DeleteFunc(got, func(e string) bool { return e == "child: shutdown" })
						if n == len(got) && !tt.kid {
							t.Errorf("the child did not end: %q", got)
						}
					}
					if want := wantFor(kind, tt.want); !slices.Equal(got, want) {
						t.Errorf("the end was\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
					}
					select {
					case r := <-reasons:
						if !tt.reason(r) {
							t.Errorf("exit reason %#v", r)
						}
					default:
						t.Errorf("the process has not ended")
						s.pid.Exit(killed) // or the test would wait for it
					}
					if s.pid.Send("hi") || s.pid.Alive() || s.pid.Exit(errBoom) || s.ctx.Err() == nil {
						t.Errorf("the process is not dead: Send %t, Alive %t, Exit %t, ctx %v", s.pid.Send("hi"), s.pid.Alive(),
							s.pid.Exit(errBoom), s.ctx.Err())
					}
					if s.onExits != 1 {
						t.Errorf("OnExit ran %d times, want once", s.onExits)
					}
					checkAbandoned(t, logs, s.pid, tt.stuck)
					if s.release != nil {
						s.release()
					}
					synctest.Wait()
					if after := s.all(); len(after) > len(s.all()) {
						t.Errorf("something happened after the end: %q", after)
					}
				})
			})
		}
	}
}

// checkAbandoned checks what is logged of a goroutine that was given up; none when function is empty.
func checkAbandoned(t *testing.T, logs *logs, pid actor.PID, function string) {
	t.Helper()
	abandoned := logs.find("its goroutine is abandoned")
	if function == "" {
		if len(abandoned) > 0 {
			t.Errorf("a goroutine was reported as abandoned, but no callback is stuck: %v", abandoned)
		}
		return
	}
	if len(abandoned) != 1 {
		t.Fatalf("%d goroutines reported as abandoned, want 1: %v", len(abandoned), abandoned)
	}
	a := abandoned[0].Attrs
	if a["pid"] != pid.String() || a["label"] != label || a["abandoned_goroutines"] != int64(1) {
		t.Errorf("abandoned goroutine: pid %v, label %v, abandoned_goroutines %v; want %v, %q, 1", a["pid"], a["label"],
			a["abandoned_goroutines"], pid, label)
	}
	if stack := fmt.Sprint(a["stack"]); !strings.Contains(stack, function) {
		t.Errorf("the stack of the abandoned goroutine does not name %s:\n%s", function, stack)
	}
}

func isPanic(value any) func(error) bool {
	return func(err error) bool {
		p, ok := err.(*actor.PanicError)
		return ok && p.Value == value && strings.Contains(string(p.Stack), "end_test.go")
	}
}

func replace(list []string, old, new string) []string {
	out := slices.Clone(list)
	for i := range out {
		out[i] = strings.Replace(out[i], old, new, 1)
	}
	return out
}

// wantFor picks what holds for one kind of subject.
func wantFor(kind string, list []string) []string {
	var out []string
	for _, e := range list {
		switch {
		case e == "child: shutdown": // the subject's own child
			out = append(out, e)
		case strings.HasPrefix(e, "host: "), strings.HasPrefix(e, "child: "):
			if rest, ok := strings.CutPrefix(e, kind+": "); ok {
				out = append(out, rest)
			}
		default:
			out = append(out, e)
		}
	}
	return out
}

func TestEnd_afterItNothingHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		in := newInbox(t, sys, actor.SpawnOptions{})
		other := newInbox(t, sys, actor.SpawnOptions{})
		in.pid.Exit(errBoom)
		synctest.Wait()

		if child, err := actor.Spawn(in.ctx, &behaviour{}, actor.SpawnOptions{}); !isNoProcess(err) || child != (actor.PID{}) {
			t.Errorf("Spawn: %v, %v; want ErrNoProcess", child, err)
		}
		actor.Monitor(in.ctx, other.pid).Stop()
		if actor.SendAfter(in.ctx, 0, "late").Stop() || actor.SendEvery(in.ctx, time.Second, "late").Stop() {
			t.Errorf("a timer of a dead process could be stopped")
		}
		actor.Async(in.ctx, func(context.Context) (int, error) { t.Errorf("Async ran"); return 0, nil }).Cancel()
		actor.SetLabel(in.ctx, "late")
		if got := actor.Self(in.ctx); got != in.pid {
			t.Errorf("Self = %v, want %v", got, in.pid)
		}
		if _, err := actor.Call[any](in.ctx, other.pid, "hi"); !errors.Is(err, context.Canceled) {
			t.Errorf("Call: %v, want context.Canceled", err)
		}
		if in.pid.Send("late") {
			t.Errorf("Send = true")
		}
		time.Sleep(time.Minute)
		if got := in.all(); len(got) != 0 {
			t.Errorf("received %v after the end", got)
		}
		if got := other.all(); len(got) != 0 {
			t.Errorf("the other received %v", got)
		}
	})
}

func TestTerminate_mayCallAndReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		db := spawn(t, sys, &behaviour{receive: func(ctx context.Context, msg any) error {
			actor.Reply(ctx, fmt.Sprint("saved ", msg))
			return nil
		}}, actor.SpawnOptions{})
		var saved string
		var from actor.From
		pid := spawn(t, sys, &behaviour{
			receive: func(ctx context.Context, _ any) error { from, _ = actor.Caller(ctx); return errBoom },
			terminate: func(ctx context.Context, _ error) {
				saved, _ = actor.Call[string](ctx, db, "state")
				from.Reply("last word")
			},
		}, actor.SpawnOptions{})
		got, err := actor.Call[string](context.Background(), pid, "hi")
		if got != "last word" || err != nil {
			t.Errorf("Call: %q, %v; want what Terminate replied", got, err)
		}
		if saved != "saved state" {
			t.Errorf("the Call in Terminate got %q", saved)
		}
	})
}

func TestTerminate_deadlineRunsFromTheExit(t *testing.T) {
	tests := []struct {
		name     string
		shutdown time.Duration // of the process; the System's is 7 s
		exitAt   time.Duration // before the callback returns; 0: the process decides
		want     string
	}{
		{"own decision", time.Second, 0, "1s"},
		{"System's default", 0, 0, "7s"},
		{"from the Exit on", 4 * time.Second, 3 * time.Second, "1s"},
		{"no limit", -1, 3 * time.Second, "none"},
		{"the longest", math.MaxInt64, 0, time.Duration(math.MaxInt64 - time.Minute).String()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys, _ := newSystem(t, actor.Config{ShutdownTimeout: 7 * time.Second})
				time.Sleep(time.Minute) // so that the longest time would overflow
				got := "Terminate did not run"
				pid := spawn(t, sys, &behaviour{terminate: func(ctx context.Context, _ error) {
					got = "none"
					if d, ok := ctx.Deadline(); ok {
						got = time.Until(d).String()
					}
				}}, actor.SpawnOptions{Shutdown: tt.shutdown})
				if tt.exitAt == 0 {
					pid.Send(do(func(context.Context) error { return errBoom }))
				} else {
					release := block(t, pid)
					pid.Exit(errBoom)
					time.Sleep(tt.exitAt)
					release()
				}
				synctest.Wait()
				if got != tt.want {
					t.Errorf("Shutdown %v: deadline in %s, want %s", tt.shutdown, got, tt.want)
				}
			})
		})
	}
}

func TestEnd_isLoggedByItsKind(t *testing.T) {
	tests := []struct {
		name   string
		reason error
		level  string
	}{
		{"normal", actor.ErrNormal, "DEBUG"},
		{"shutdown", actor.ErrShutdown, "DEBUG"},
		{"overload", actor.ErrOverload, "DEBUG"},
		{"abnormal", errBoom, "ERROR"},
		{"panic", &actor.PanicError{Value: "boom", Stack: []byte("the stack")}, "ERROR"},
		{"killed", actor.ErrKilled, "ERROR"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys, logs := newSystem(t, actor.Config{})
				pid := spawn(t, sys, &behaviour{}, actor.SpawnOptions{Label: "before"})
				pid.Send(do(func(ctx context.Context) error { actor.SetLabel(ctx, "room 7"); return nil }))
				synctest.Wait()
				pid.Exit(tt.reason)
				synctest.Wait()
				got := logs.find("process ended")
				if len(got) != 1 || got[0].Level.String() != tt.level || got[0].Attrs["pid"] != pid.String() ||
					got[0].Attrs["label"] != "room 7" || got[0].Attrs["exit_reason"] != tt.reason {
					t.Fatalf("Exit(%v): log %v, want one line at %s with pid, label and exit_reason", tt.reason, got, tt.level)
				}
				if stack := got[0].Attrs["stack"]; tt.name == "panic" && stack != "the stack" {
					t.Errorf("stack %v, want that of the panic", stack)
				}
			})
		})
	}
}

// reported is when a callback that does not return has been reported.
const reported = time.Second

func TestEnd_abandonedGoroutinesAreCountedUntilTheyReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, logs := newSystem(t, actor.Config{})
		var releases []func()
		stuck := func() {
			in := newInbox(t, sys, actor.SpawnOptions{})
			releases = append(releases, block(t, in.pid))
			in.pid.Exit(actor.ErrKilled)
		}
		stuck()
		time.Sleep(reported)
		stuck()
		time.Sleep(reported)
		releases[0]()
		releases[1]()
		synctest.Wait()
		stuck()
		defer releases[2]()
		time.Sleep(reported)
		stuck()
		releases[3]() // in time
		time.Sleep(reported)
		var counts []any
		for _, r := range logs.find("its goroutine is abandoned") {
			counts = append(counts, r.Attrs["abandoned_goroutines"])
		}
		if want := []any{int64(1), int64(2), int64(1)}; !slices.Equal(counts, want) {
			t.Errorf("abandoned goroutines %v, want %v", counts, want)
		}
	})
}
