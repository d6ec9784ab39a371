package actor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/actor/host"
)

// fakeRemote is a host.Remote that writes down what it is asked and does what a test says.
type fakeRemote struct {
	journal[string]
	yes bool // what Send, Exit and Reachable return

	// answer and down are called by Call and Monitor, before these return, if they are set.
	answer func(answer func(v any, err error))
	down   func(down func(reason error))

	mu       sync.Mutex
	answers  []func(v any, err error)
	downs    []func(reason error)
	deadline time.Time
	from     actor.PID
}

func (r *fakeRemote) Send(to actor.PID, msg any) bool {
	r.add(fmt.Sprintf("send %v %v", num(to), msg))
	return r.yes
}

func (r *fakeRemote) Exit(to actor.PID, reason error) bool {
	r.add(fmt.Sprintf("exit %v %v", num(to), reason))
	return r.yes
}

func (r *fakeRemote) Reachable(to actor.PID) bool {
	r.add(fmt.Sprintf("reachable %v", num(to)))
	return r.yes
}

func (r *fakeRemote) Call(to, from actor.PID, req any, deadline time.Time, answer func(v any, err error)) (cancel func()) {
	r.add(fmt.Sprintf("call %v %v", num(to), req))
	r.mu.Lock()
	r.answers = append(r.answers, answer)
	r.deadline, r.from = deadline, from
	r.mu.Unlock()
	if r.answer != nil {
		r.answer(answer)
	}
	return func() { r.add(fmt.Sprintf("cancel call %v", num(to))) }
}

func (r *fakeRemote) Monitor(to actor.PID, down func(reason error)) (cancel func()) {
	r.add(fmt.Sprintf("monitor %v", num(to)))
	r.mu.Lock()
	r.downs = append(r.downs, down)
	r.mu.Unlock()
	if r.down != nil {
		r.down(down)
	}
	return func() { r.add(fmt.Sprintf("cancel monitor %v", num(to))) }
}

func num(p actor.PID) uint64 {
	_, _, n := host.Parts(p)
	return n
}

func (r *fakeRemote) want(t *testing.T, want ...string) {
	t.Helper()
	if got := r.all(); !slices.Equal(got, want) {
		t.Errorf("the Remote was asked %q, want %q", got, want)
	}
}

// newAway makes a System with a fakeRemote and the PID of a process of another node.
func newAway(t *testing.T, r *fakeRemote) (*actor.System, actor.PID) {
	t.Helper()
	sys, _ := newSystem(t, actor.Config{Node: "here"})
	if err := host.Attach(sys, r); err != nil {
		t.Fatalf("Attach: %v", err)
	}
	return sys, host.PIDOf(sys, "there", 7, 42)
}

func TestErrNodeDown(t *testing.T) {
	if !errors.Is(actor.ErrNodeDown, actor.ErrNoProcess) {
		t.Error("errors.Is(ErrNodeDown, ErrNoProcess) = false: what handles a process that is gone does not handle it")
	}
	if errors.Is(actor.ErrNoProcess, actor.ErrNodeDown) {
		t.Error("errors.Is(ErrNoProcess, ErrNodeDown) = true")
	}
	if got := exit.KindOf(fmt.Errorf("room: %w", actor.ErrNodeDown)); got != exit.Shutdown {
		t.Errorf("KindOf(ErrNodeDown) = %v, want %v", got, exit.Shutdown)
	}
}

func TestRemote_send(t *testing.T) {
	for _, yes := range []bool{true, false} {
		t.Run(fmt.Sprint(yes), func(t *testing.T) {
			r := &fakeRemote{yes: yes}
			_, away := newAway(t, r)
			if got := away.Send("hello"); got != yes {
				t.Errorf("Send = %t, want what the Remote says: %t", got, yes)
			}
			if got := away.Exit(errBoom); got != yes {
				t.Errorf("Exit = %t, want what the Remote says: %t", got, yes)
			}
			if got := away.Alive(); got != yes {
				t.Errorf("Alive = %t, want what the Remote says: %t", got, yes)
			}
			var nilError *actor.PanicError
			away.Exit(nilError)
			r.want(t, "send 42 hello", "exit 42 boom", "reachable 42", "exit 42 actor: the exit reason is a nil *actor.PanicError")
			mustPanic(t, "Exit(nil)", func() { away.Exit(nil) })
		})
	}
}

// What is of this node, in whatever boot, is not asked of another one: neither the living, nor the dead, nor those from before
// a restart.
func TestRemote_isNotAskedForThisNode(t *testing.T) { synctest.Test(t, testNotAsked) }

func testNotAsked(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r := &fakeRemote{yes: true}
	sys, away := newAway(t, r)
	alive := newInbox(t, sys, actor.SpawnOptions{})
	dead := newInbox(t, sys, actor.SpawnOptions{})
	dead.pid.Exit(actor.ErrKilled)
	for name, pid := range map[string]actor.PID{
		"the zero PID":        {},
		"a dead process":      dead.pid,
		"an earlier boot":     host.PIDOf(sys, "here", 7, 42),
		"an earlier, as text": mustParse(t, sys, "42.0000000000000007@here"),
	} {
		if pid.Send("x") || pid.Alive() || pid.Exit(errBoom) {
			t.Errorf("%s: Send, Alive or Exit = true, want false", name)
		}
		if _, err := actor.Call[any](ctx, pid, "x"); !errors.Is(err, actor.ErrNoProcess) || errors.Is(err, actor.ErrNodeDown) {
			t.Errorf("%s: Call = %v, want ErrNoProcess", name, err)
		}
		if _, err := actor.Wait(ctx, pid); !errors.Is(err, actor.ErrNoProcess) || errors.Is(err, actor.ErrNodeDown) {
			t.Errorf("%s: Wait = %v, want ErrNoProcess", name, err)
		}
		actor.Monitor(alive.ctx, pid)
		if _, ok := host.RefOf(pid); ok {
			t.Errorf("%s: RefOf found a process", name)
		}
	}
	if !alive.pid.Send("x") || !alive.pid.Alive() {
		t.Error("Send or Alive of a living process: false")
	}
	r.want(t)
	if _, ok := host.RefOf(away); ok {
		t.Error("RefOf found a process of another node")
	}
	if _, err := actor.Inspect(away); !errors.Is(err, actor.ErrNoProcess) {
		t.Errorf("Inspect of a process of another node: %v, want ErrNoProcess", err)
	}
	if _, ok := away.OnExit(func(error) {}); ok {
		t.Error("OnExit of a process of another node: true")
	}
}

func mustParse(t *testing.T, sys *actor.System, text string) actor.PID {
	t.Helper()
	pid, err := sys.ParsePID(text)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// Without a Remote all other nodes are as before.
func TestRemote_none(t *testing.T) {
	sys, _ := newSystem(t, actor.Config{})
	in := newInbox(t, sys, actor.SpawnOptions{})
	away := host.PIDOf(sys, "there", 7, 42)
	if away.Send("x") || away.Alive() || away.Exit(errBoom) {
		t.Error("Send, Alive or Exit = true without a Remote")
	}
	if _, err := actor.Call[any](context.Background(), away, "x"); !errors.Is(err, actor.ErrNoProcess) {
		t.Errorf("Call = %v, want ErrNoProcess", err)
	}
	if _, err := actor.Wait(context.Background(), away); !errors.Is(err, actor.ErrNoProcess) {
		t.Errorf("Wait = %v, want ErrNoProcess", err)
	}
	ref := actor.Monitor(in.ctx, away)
	actor.Call[any](context.Background(), in.pid, "flush")
	if got, want := in.all()[0], (actor.Down{Ref: ref, PID: away, Reason: actor.ErrNoProcess}); got != want {
		t.Errorf("Monitor brought %v, want %v", got, want)
	}
}

func TestRemote_call(t *testing.T) {
	tests := []struct {
		name string
		v    any
		err  error
		want string
		is   error // of the error; nil: none
	}{
		{"an answer", "yes", nil, "yes", nil},
		{"an error as the answer", errBoom, nil, "", errBoom},
		{"no process", nil, actor.ErrNoProcess, "", actor.ErrNoProcess},
		{"node down", nil, actor.ErrNodeDown, "", actor.ErrNodeDown},
		{"mailbox full", nil, actor.ErrMailboxFull, "", actor.ErrMailboxFull},
		{"no reply", nil, actor.ErrNoReply, "", actor.ErrNoReply},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &fakeRemote{answer: func(answer func(any, error)) { answer(tt.v, tt.err) }}
			_, away := newAway(t, r)
			got, err := actor.Call[string](context.Background(), away, "req")
			if got != tt.want || !errors.Is(err, tt.is) || (err == nil) != (tt.is == nil) {
				t.Errorf("Call = %q, %v; want %q, %v", got, err, tt.want, tt.is)
			}
			if tt.err != nil && !strings.Contains(err.Error(), away.String()) {
				t.Errorf("the error %q does not name %v", err, away)
			}
			r.want(t, "call 42 req")
		})
	}
	t.Run("the wrong type names both", func(t *testing.T) {
		_, away := newAway(t, &fakeRemote{answer: func(answer func(any, error)) { answer("seven", nil) }})
		_, err := actor.Call[int](context.Background(), away, "req")
		if err == nil || !strings.Contains(err.Error(), "the reply is string, want int") {
			t.Errorf("Call[int] = %v, want an error that names both types", err)
		}
	})
}

func TestRemote_callEndsInItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &fakeRemote{}
		sys, away := newAway(t, r)

		start := time.Now()
		_, err := actor.Call[any](context.Background(), away, "a")
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != 5*time.Second {
			t.Errorf("Call without a deadline = %v after %v, want DeadlineExceeded after Config.CallTimeout 5s", err, took)
		}
		if !r.deadline.Equal(start.Add(5 * time.Second)) {
			t.Errorf("the Remote got the deadline %v after the start, want 5s", r.deadline.Sub(start))
		}

		start = time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err = actor.Call[any](ctx, away, "b")
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
			t.Errorf("Call with a deadline = %v after %v, want DeadlineExceeded after 1s", err, took)
		}
		if !r.deadline.Equal(start.Add(time.Second)) {
			t.Errorf("the Remote got the deadline %v after the start, want 1s", r.deadline.Sub(start))
		}

		in := newInbox(t, sys, actor.SpawnOptions{})
		time.AfterFunc(time.Second, func() { in.pid.Exit(actor.ErrKilled) })
		if _, err := actor.Call[any](in.ctx, away, "c"); !errors.Is(err, context.Canceled) {
			t.Errorf("Call of a process that was killed = %v, want Canceled", err)
		}
		if r.from != in.pid {
			t.Errorf("the Remote got the caller %v, want %v", r.from, in.pid)
		}
		r.want(t, "call 42 a", "cancel call 42", "call 42 b", "cancel call 42", "call 42 c", "cancel call 42")
		for _, answer := range r.answers { // late ones do no harm
			answer("late", nil)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := &fakeRemote{}
		sys, _ := newSystem(t, actor.Config{CallTimeout: -1})
		if err := host.Attach(sys, r); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Hour, func() {
			r.mu.Lock()
			answer := r.answers[0]
			r.mu.Unlock()
			answer("yes", nil)
		})
		v, err := actor.Call[string](context.Background(), host.PIDOf(sys, "there", 7, 42), "a")
		if v != "yes" || err != nil || !r.deadline.IsZero() {
			t.Errorf("Call with CallTimeout -1 = %q, %v, deadline %v; want the answer of an hour later, and none", v, err, r.deadline)
		}
	})
}

func TestRemote_monitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &fakeRemote{}
		sys, away := newAway(t, r)
		in := newInbox(t, sys, actor.SpawnOptions{})
		a, b, c := actor.Monitor(in.ctx, away), actor.Monitor(in.ctx, away), actor.Monitor(in.ctx, away)
		b.Stop()
		b.Stop()
		r.downs[0](errBoom)
		r.downs[1](errBoom) // on its way already when it was stopped
		synctest.Wait()
		want := []any{actor.Down{Ref: a, PID: away, Reason: errBoom}}
		if got := in.all(); !slices.Equal(got, want) {
			t.Errorf("received %v, want %v", got, want)
		}
		a.Stop() // over: nothing to cancel
		release := block(t, in.pid)
		r.downs[2](actor.ErrNodeDown)
		c.Stop() // the Down waits in the mailbox
		release()
		synctest.Wait()
		if got := in.all(); !slices.Equal(got, want) {
			t.Errorf("after Stop with the Down in the mailbox: received %v, want %v", got, want)
		}
		r.want(t, "monitor 42", "monitor 42", "monitor 42", "cancel monitor 42", "cancel monitor 42")
	})
}

func TestRemote_monitorThatIsOverAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &fakeRemote{down: func(down func(error)) { down(actor.ErrNodeDown) }}
		sys, away := newAway(t, r)
		in := newInbox(t, sys, actor.SpawnOptions{})
		ref := actor.Monitor(in.ctx, away)
		synctest.Wait()
		if got, want := in.all(), []any{actor.Down{Ref: ref, PID: away, Reason: actor.ErrNodeDown}}; !slices.Equal(got, want) {
			t.Errorf("received %v, want %v", got, want)
		}
	})
}

// The monitors of a process end with it, also one that begins while the process ends.
func TestRemote_monitorEndsWithItsProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &fakeRemote{}
		sys, away := newAway(t, r)
		in := newInbox(t, sys, actor.SpawnOptions{})
		actor.Monitor(in.ctx, away)
		r.down = func(func(error)) { in.pid.Exit(actor.ErrKilled) }
		actor.Monitor(in.ctx, away)
		actor.Monitor(in.ctx, away) // dead
		r.want(t, "monitor 42", "monitor 42", "cancel monitor 42", "cancel monitor 42")
		for _, down := range r.downs {
			down(errBoom)
		}
	})
}

func TestRemote_wait(t *testing.T) {
	for _, tt := range []struct {
		name   string
		reason error // what the Remote says
		want   error // what Wait returns as the reason
		err    error
	}{
		{"ended", errBoom, errBoom, nil},
		{"ended normally", actor.ErrNormal, actor.ErrNormal, nil},
		{"no such process", actor.ErrNoProcess, nil, actor.ErrNoProcess},
		{"node down", actor.ErrNodeDown, nil, actor.ErrNodeDown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, away := newAway(t, &fakeRemote{down: func(down func(error)) { down(tt.reason) }})
			reason, err := actor.Wait(context.Background(), away)
			if reason != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("Wait = %v, %v; want %v, %v", reason, err, tt.want, tt.err)
			}
		})
	}
	t.Run("ctx done", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := &fakeRemote{}
			_, away := newAway(t, r)
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if _, err := actor.Wait(ctx, away); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Wait = %v, want DeadlineExceeded", err)
			}
			r.want(t, "monitor 42", "cancel monitor 42")
		})
	})
}
