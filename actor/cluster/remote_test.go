package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/actor/cluster/internal/seednet"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/actor/host"
	"github.com/troupe-dev/troupe/websock"
)

// A PID from a database is as good as one from a message. It never comes to mean a process of another boot.
func TestPID_fromText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1})
		in := newInbox(t, c.System(1))
		text := in.pid.String()
		pid, err := c.System(0).ParsePID(text)
		if err != nil {
			t.Fatal(err)
		}
		if !pid.Alive() || !pid.Send("hi") || c.System(0).Owns(pid) || pid != c.At(0, in.pid) {
			t.Errorf("%v from text does not reach the process", pid)
		}
		back, err := c.System(1).ParsePID(pid.String())
		if err != nil || back != in.pid {
			t.Errorf("back at its node it is %v, %v; want %v", back, err, in.pid)
		}
		synctest.Wait()
		if got := in.all(); !slices.Equal(got, []any{"hi"}) {
			t.Errorf("received %v, want hi", got)
		}
		c.Restart(1)
		c.Connect()
		next := newInbox(t, c.System(1))
		if a, b := number(pid), number(next.pid); a != b {
			t.Fatalf("the test wants the process of the new boot to have the number of the old one: %d and %d", a, b)
		}
		if pid.Alive() || pid.Send("to the old boot") || pid.Exit(actor.ErrShutdown) {
			t.Error("a PID of an earlier boot is alive")
		}
		if _, err := ask(pid, 1); !errors.Is(err, actor.ErrNodeDown) {
			t.Errorf("Call of a PID of an earlier boot = %v, want ErrNodeDown", err)
		}
		wait(10 * time.Second)
		if got := next.all(); len(got) > 0 || !next.pid.Alive() {
			t.Errorf("the process of the new boot got %v", got)
		}
		own, err := c.System(1).ParsePID(text) // at its own node nobody is asked
		if err != nil || own.Alive() || own.Send(1) {
			t.Errorf("at its own node a PID of an earlier boot: %v, alive %t", err, own.Alive())
		}
		if _, err := ask(own, 1); !errors.Is(err, actor.ErrNoProcess) || errors.Is(err, actor.ErrNodeDown) {
			t.Errorf("there a Call = %v, want ErrNoProcess", err)
		}
	})
}

// Wait returns the exit reason of a process of another node, or that its node is lost.
func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, Delay: 5 * time.Millisecond})
		type result struct{ reason, err error }
		waitFor := func(p actor.PID) chan result {
			ch := make(chan result, 1)
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
				defer cancel()
				reason, err := actor.Wait(ctx, p)
				ch <- result{reason, err}
			}()
			return ch
		}
		in := newInbox(t, c.System(1))
		away := c.At(0, in.pid)
		ends := waitFor(away)
		wait(time.Second)
		away.Exit(&websock.CloseError{Code: 4001, Reason: "bye"})
		r := <-ends
		var closed *websock.CloseError
		if !errors.As(r.reason, &closed) || closed.Code != 4001 || r.err != nil {
			t.Errorf("Wait = %v, %v; want the CloseError", r.reason, r.err)
		}
		if r := <-waitFor(away); !errors.Is(r.err, actor.ErrNoProcess) || errors.Is(r.err, actor.ErrNodeDown) {
			t.Errorf("Wait for a process that is gone = %v, %v; want ErrNoProcess", r.reason, r.err)
		}
		lost := waitFor(c.At(0, newInbox(t, c.System(1)).pid))
		wait(time.Second)
		c.Kill(1)
		if r := <-lost; !errors.Is(r.err, actor.ErrNodeDown) {
			t.Errorf("Wait for a process of a node that was killed = %v, %v; want ErrNodeDown", r.reason, r.err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		c.Restart(1)
		c.Connect()
		if reason, err := actor.Wait(ctx, c.At(0, newInbox(t, c.System(1)).pid)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait for a process that lives = %v, %v; want its time to end", reason, err)
		}
	})
}

// ErrKilled overtakes what waits in the mailbox, ends a callback that does not return, and Terminate does not run. A
// function of OnExit that takes its time keeps nobody else.
func TestExit_killed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1})
		release, terminated := make(chan struct{}), false
		stuck := spawn(t, c.System(1), &behaviour{
			receive:   func(context.Context, any) error { <-release; return nil },
			terminate: func(context.Context, error) { terminated = true },
		}, actor.SpawnOptions{})
		stuck.OnExit(func(error) { <-release })
		watcher, other := newInbox(t, c.System(0)), newInbox(t, c.System(1))
		away := c.At(0, stuck)
		ref := actor.Monitor(watcher.ctx, away)
		away.Send(1)
		away.Send(2)
		synctest.Wait()
		if !away.Exit(fmt.Errorf("no use: %w", actor.ErrKilled)) {
			t.Error("Exit = false, want true")
		}
		for range 100 {
			away.Exit(actor.ErrKilled)
		}
		c.At(0, other.pid).Send("is not kept")
		synctest.Wait()
		if got := other.all(); !slices.Equal(got, []any{"is not kept"}) {
			t.Errorf("while a function of OnExit runs, another process received %v", got)
		}
		close(release)
		wait(time.Second)
		got := watcher.all()
		if len(got) != 1 {
			t.Fatalf("the watcher received %v, want one Down", got)
		}
		if d := got[0].(actor.Down); d.Ref != ref || !errors.Is(d.Reason, actor.ErrKilled) || exit.KindOf(d.Reason) != exit.KindOf(actor.ErrKilled) {
			t.Errorf("the watcher received %v, want a Down with ErrKilled", d)
		}
		if terminated {
			t.Error("Terminate has run")
		}
	})
}

// quota is an error whose type is registered, errRoomFull a sentinel that is.
type quota struct{ User string }

func (q *quota) Error() string       { return "quota of " + q.User }
func (q *quota) ExitKind() exit.Kind { return exit.Normal }

var errRoomFull = errors.New("the room is full")

func errorTypes(_ int, _ *actor.System) cluster.Config {
	t := &cluster.Types{}
	cluster.Register[*quota](t, "quota")
	cluster.RegisterError(t, "full", errRoomFull)
	return cluster.Config{Types: t}
}

// Exit reasons, replies and messages that are errors keep what they are.
func TestErrors_across(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, Node: errorTypes})
		watcher := newInbox(t, c.System(0))
		for _, sent := range []error{
			actor.ErrNormal, actor.ErrShutdown, actor.ErrOverload, context.Canceled, errRoomFull, &quota{"ann"},
			fmt.Errorf("wrapped: %w", errRoomFull), fmt.Errorf("wrapped: %w", &quota{"ann"}),
			&websock.CloseError{Code: 4000, Reason: "why"}, fmt.Errorf("wrapped: %w", &websock.RemoteCloseError{Code: 1001}),
			&actor.PanicError{Value: "boom", Stack: []byte("stack")}, errors.New("foreign"),
		} {
			p := spawn(t, c.System(1), &behaviour{receive: func(ctx context.Context, _ any) error { actor.Reply(ctx, sent); return nil }}, actor.SpawnOptions{})
			away := c.At(0, p)
			_, reply := ask(away, "what?")
			actor.Monitor(watcher.ctx, away)
			away.Exit(sent)
			synctest.Wait()
			all := watcher.all()
			for what, got := range map[string]error{"the reply": reply, "the exit reason": all[len(all)-1].(actor.Down).Reason} {
				if got == nil {
					t.Errorf("%s %v came as nil", what, sent)
					continue
				}
				for _, is := range []error{actor.ErrNormal, actor.ErrShutdown, actor.ErrOverload, context.Canceled, errRoomFull} {
					if errors.Is(got, is) != errors.Is(sent, is) {
						t.Errorf("%s %v: errors.Is(%v) = %t, want %t", what, sent, is, errors.Is(got, is), errors.Is(sent, is))
					}
				}
				if a, b := exit.KindOf(got), exit.KindOf(sent); a != b {
					t.Errorf("%s %v: its kind is %v, want %v", what, sent, a, b)
				}
				same[*quota](t, what, sent, got)
				same[*websock.CloseError](t, what, sent, got)
				same[*websock.RemoteCloseError](t, what, sent, got)
				same[*actor.PanicError](t, what, sent, got)
				if !strings.Contains(got.Error(), sent.Error()) {
					t.Errorf("%s %v: its text is %v", what, sent, got)
				}
				if remote, ok := errors.AsType[*cluster.RemoteError](got); ok && remote.Node != "n0" && remote.Node != "n1" {
					t.Errorf("%s %v: it is of node %q", what, sent, remote.Node)
				}
			}
		}
	})
}

// same says when only one of two errors is an E, or their texts differ.
func same[E error](t *testing.T, what string, sent, got error) {
	t.Helper()
	a, okA := errors.AsType[E](sent)
	b, okB := errors.AsType[E](got)
	if okA != okB || okA && a.Error() != b.Error() {
		t.Errorf("%s %v: errors.As = %t (%v), want %t (%v)", what, sent, okB, b, okA, a)
	}
}

// A RemoteError says where it was made, also when a third node passes it on.
func TestRemoteError_passedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 3, Seed: 1})
		source := spawn(t, c.System(2), &behaviour{receive: func(ctx context.Context, _ any) error {
			actor.Reply(ctx, errors.New("made here"))
			return nil
		}}, actor.SpawnOptions{})
		relay := spawn(t, c.System(1), &behaviour{receive: func(ctx context.Context, msg any) error {
			_, err := actor.Call[any](ctx, c.At(1, source), msg)
			actor.Reply(ctx, err)
			return nil
		}}, actor.SpawnOptions{})
		v, err := ask(c.At(0, relay), 1)
		got, ok := err.(*cluster.RemoteError)
		if !ok || got.Node != "n2" || got.Text != "made here" || got.Error() != "made here (node n2)" {
			t.Errorf("Call = %#v, %v; want a RemoteError of n2", v, err)
		}
	})
}

// point does not cross by its default: its fields are not exported, so there are functions.
type point struct{ x, y byte }

type known struct {
	Text string
	Who  actor.PID
}

// A message that is not known at the other node, or is broken there, is lost, told of and counted; a Call gets an error at
// once. What comes before and after arrives.
func TestUndecodable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ev := &events{}
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, Node: func(i int, _ *actor.System) cluster.Config {
			types := &cluster.Types{}
			cluster.RegisterFunc(types, "point", func(b []byte, p point) ([]byte, error) { return append(b, p.x, p.y), nil },
				func(b []byte) (point, error) {
					if b[1] == 0 {
						panic("no")
					}
					if b[0] == 0 {
						return point{}, errors.New("x is 0")
					}
					return point{b[0], b[1]}, nil
				})
			if i == 0 {
				cluster.Register[known](types, "known")
				return cluster.Config{Types: types}
			}
			return cluster.Config{Types: types, OnEvent: ev.add}
		}})
		echo := &journal[any]{}
		p := spawn(t, c.System(1), &behaviour{receive: func(ctx context.Context, msg any) error {
			echo.add(msg)
			actor.Reply(ctx, msg)
			return nil
		}}, actor.SpawnOptions{})
		away := c.At(0, p)
		ev.want(t, "node up n0")
		for _, msg := range []any{"before", known{Text: "?"}, point{0, 1}, point{1, 0}, known{}, point{1, 2}, "after"} {
			if !away.Send(msg) {
				t.Errorf("Send(%v) = false, want true", msg)
			}
		}
		synctest.Wait()
		if got, want := echo.all(), []any{"before", point{1, 2}, "after"}; !slices.Equal(got, want) {
			t.Errorf("received %v, want %v", got, want)
		}
		ev.want(t, "node up n0", `undecodable n0 "known"`, `undecodable n0 "point"`, `undecodable n0 "point"`, `undecodable n0 "known"`)
		for i, want := range []string{"no type of this name is registered here", "x is 0", "panics: no"} {
			if err := ev.all()[i+1].Err; !strings.Contains(err.Error(), want) {
				t.Errorf("the event says %v, want %q", err, want)
			}
		}
		for info := range c.Node(1).Peers() {
			if info.Undecodable != 4 {
				t.Errorf("Peers says %+v, want 4 undecodable", info)
			}
		}
		start := time.Now()
		if v, err := ask(away, known{}); err == nil || !strings.Contains(err.Error(), "known") || time.Since(start) > time.Second {
			t.Errorf("Call with a type that is not known there = %v, %v after %v; want an error at once that names it", v, err, time.Since(start))
		}
		if v, err := ask(away, make(chan int)); err == nil || !strings.Contains(err.Error(), "chan int") {
			t.Errorf("Call with a channel = %v, %v; want an error that names the type", v, err)
		}
		replies := spawn(t, c.System(0), &behaviour{receive: func(ctx context.Context, msg any) error {
			if msg == "chan" {
				actor.Reply(ctx, make(chan int))
			} else {
				actor.Reply(ctx, known{})
			}
			return nil
		}}, actor.SpawnOptions{})
		if v, err := ask(c.At(1, replies), "known"); err == nil || !strings.Contains(err.Error(), "known") {
			t.Errorf("Call with a reply that is not known here = %v, %v; want an error that names it", v, err)
		}
		if v, err := ask(c.At(1, replies), "chan"); err == nil || !strings.Contains(err.Error(), "chan int") {
			t.Errorf("Call with a reply that cannot be encoded = %v, %v; want an error that names it", v, err)
		}
	})
}

// PIDs in messages belong to whoever gets them, also those of a third node.
func TestPID_inMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 3, Seed: 1, Node: func(int, *actor.System) cluster.Config {
			types := &cluster.Types{}
			cluster.Register[known](types, "known")
			return cluster.Config{Types: types}
		}})
		forward := spawn(t, c.System(1), &behaviour{receive: func(_ context.Context, msg any) error {
			m := msg.(known)
			if !m.Who.Send(m) {
				t.Errorf("Send to %v of a message = false", m.Who)
			}
			return nil
		}}, actor.SpawnOptions{})
		ins := []*inbox{newInbox(t, c.System(0)), newInbox(t, c.System(1)), newInbox(t, c.System(2))}
		for _, in := range ins {
			c.At(0, forward).Send(known{"hi", c.At(0, in.pid)})
		}
		wait(time.Second)
		for i, in := range ins {
			if got := in.all(); len(got) != 1 || got[0] != (known{"hi", in.pid}) {
				t.Errorf("node %d received %v, want a message with its own PID %v", i, got, in.pid)
			}
		}
	})
}

// The callee knows its caller, who may be of a third node, or nobody.
func TestCall_caller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 3, Seed: 1})
		callers := &journal[actor.PID]{}
		callee := spawn(t, c.System(1), &behaviour{receive: func(ctx context.Context, msg any) error {
			from, _ := actor.Caller(ctx)
			callers.add(from.PID())
			from.Reply(1)
			return nil
		}}, actor.SpawnOptions{})
		here, third := newInbox(t, c.System(0)), newInbox(t, c.System(2))
		if _, err := actor.Call[int](here.ctx, c.At(0, callee), 1); err != nil {
			t.Error(err)
		}
		if _, err := ask(c.At(0, callee), 1); err != nil {
			t.Error(err)
		}
		host.Ask(c.At(0, callee), c.At(0, third.pid), 1, time.Time{}, func(any, error) {})
		synctest.Wait()
		if got, want := callers.all(), []actor.PID{c.At(1, here.pid), {}, c.At(1, third.pid)}; !slices.Equal(got, want) {
			t.Errorf("the callers were %v, want %v", got, want)
		}
	})
}

// Call says what it says at one node: no reply, full mailbox, the end of the callee, the time.
func TestCall_fails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, Delay: time.Millisecond})
		release := make(chan struct{})
		handled := &journal[any]{}
		callee := c.At(0, spawn(t, c.System(1), &behaviour{receive: func(ctx context.Context, msg any) error {
			handled.add(msg)
			switch msg {
			case "wait":
				<-release
			case "end":
				return actor.ErrNormal
			case "boom":
				panic("boom")
			}
			return nil
		}}, actor.SpawnOptions{MailboxLimit: 2}))
		if _, err := ask(callee, "no reply"); !errors.Is(err, actor.ErrNoReply) {
			t.Errorf("Call without a reply = %v, want ErrNoReply", err)
		}
		callee.Send("wait")
		synctest.Wait()
		wait(time.Second)
		short, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := actor.Call[any](short, callee, "in time"); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("Call with a time = %v after %v, want DeadlineExceeded after 1s", err, time.Since(start))
		}
		wait(time.Second)
		callee.Send("fills it")
		if _, err := ask(callee, "full"); !errors.Is(err, actor.ErrMailboxFull) {
			t.Errorf("Call of a process whose mailbox is full = %v, want ErrMailboxFull", err)
		}
		close(release)
		wait(time.Second)
		if _, err := ask(callee, "end"); !errors.Is(err, actor.ErrNoReply) && !errors.Is(err, actor.ErrNoProcess) {
			t.Errorf("Call of a process that ends = %v, want ErrNoReply or ErrNoProcess", err)
		}
		if _, err := ask(callee, "gone"); !errors.Is(err, actor.ErrNoProcess) {
			t.Errorf("Call of a process that has ended = %v, want ErrNoProcess", err)
		}
		if got, want := handled.all(), []any{"no reply", "wait", "fills it", "end"}; !slices.Equal(got, want) {
			t.Errorf("handled %v, want %v: what was cancelled or refused is not", got, want)
		}
	})
}

// A long answer waits for the window, or the caller is told: the session goes on.
func TestCall_longAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const window, size, calls = 256 << 10, 100 << 10, 20
		ev := &events{}
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, Delay: time.Millisecond, Node: func(int, *actor.System) cluster.Config {
			return cluster.Config{Window: window, MaxMessage: 128 << 10, OnEvent: ev.add}
		}})
		callee := c.At(0, spawn(t, c.System(1), &behaviour{receive: func(ctx context.Context, msg any) error {
			actor.Reply(ctx, make([]byte, size))
			return nil
		}}, actor.SpawnOptions{}))
		results := make(chan error, calls)
		for range calls {
			host.Ask(callee, actor.PID{}, 1, time.Time{}, func(v any, err error) {
				if b, ok := v.([]byte); err == nil && (!ok || len(b) != size) {
					err = fmt.Errorf("the answer is %.20v", v)
				}
				results <- err
			})
		}
		wait(10 * time.Second)
		came, refused := 0, 0
		for range calls {
			switch err := <-results; {
			case err == nil:
				came++
			case errors.Is(err, actor.ErrNoReply) && strings.Contains(err.Error(), "no room for the reply"):
				refused++
			default:
				t.Errorf("Call = %v, want the answer or that the window had no room", err)
			}
		}
		if came == 0 || refused == 0 {
			t.Errorf("%d answers came and %d were refused, want some of both", came, refused)
		}
		if slices.ContainsFunc(ev.kinds(), func(k string) bool { return strings.HasPrefix(k, "node down") }) {
			t.Errorf("events %q: the session has ended", ev.kinds())
		}
	})
}

// A message longer than MaxMessage is refused and told of; one as long as that crosses, over many datagrams.
func TestSend_maxMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 3 << 20
		ev := &events{}
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, Loss: 0.05, Delay: time.Millisecond, Node: func(int, *actor.System) cluster.Config {
			return cluster.Config{MaxMessage: most, OnEvent: ev.add}
		}})
		in := newInbox(t, c.System(1))
		away := c.At(0, in.pid)
		if !away.Send("before") || !away.Send(make([]byte, most-1)) {
			t.Error("Send of a message of MaxMessage = false, want true")
		}
		if away.Send(make([]byte, most)) || away.Send(websock.Binary(make([]byte, most))) || away.Send(strings.Repeat("x", most)) {
			t.Error("Send of a message longer than MaxMessage = true, want false")
		}
		away.Send("after")
		wait(time.Minute)
		got := in.all()
		if len(got) != 3 || got[0] != "before" || len(got[1].([]byte)) != most-1 || got[2] != "after" {
			t.Errorf("%d messages arrived, want 3", len(got))
		}
		if got := ev.kinds(); fmt.Sprint(got) != "[node up n1 node up n0 refused []uint8 refused websock.Message refused string]" &&
			fmt.Sprint(got) != "[node up n0 node up n1 refused []uint8 refused websock.Message refused string]" {
			t.Errorf("events %q", got)
		}
	})
}

// Two nodes with a different MaxMessage: what was taken arrives, what does not arrive was refused and told of at the sender.
func TestSend_differentMaxMessage(t *testing.T) {
	sizes := []int{1, 10 << 10, 16<<10 - 1, 16 << 10, 20 << 10, 60 << 10, 69 << 10, 72 << 10, 74 << 10, 100 << 10, 1<<20 - 1, 1 << 20}
	for _, tt := range []struct{ from, to, arrive int }{
		{1 << 20, 16 << 10, 72<<10 + 512}, // a record has room for 73,792 bytes, whatever MaxMessage is
		{16 << 10, 1 << 20, 16<<10 - 1},
		{1 << 20, 99 << 10, 100 << 10},
	} {
		t.Run(fmt.Sprintf("%d to %d", tt.from, tt.to), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ev := &events{}
				c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, Node: func(i int, _ *actor.System) cluster.Config {
					if i == 0 {
						return cluster.Config{MaxMessage: tt.from, OnEvent: ev.add}
					}
					return cluster.Config{MaxMessage: tt.to}
				}})
				got := make(chan int, 1)
				away := c.At(0, spawn(t, c.System(1), &behaviour{receive: func(ctx context.Context, msg any) error {
					switch m := msg.(type) {
					case string:
						got <- len(m)
					case []byte:
						actor.Reply(ctx, len(m))
					}
					return nil
				}}, actor.SpawnOptions{}))
				ev.forget()
				for _, size := range sizes {
					sent := away.Send(strings.Repeat("x", size))
					answer, err := ask(away, make([]byte, size))
					wait(time.Second)
					arrived := 0
					select {
					case arrived = <-got:
					default:
					}
					told := fmt.Sprint(ev.kinds())
					ev.forget()
					if size > tt.arrive {
						if sent || arrived != 0 || err == nil || told != "[refused string refused []uint8]" {
							t.Errorf("%d bytes: Send = %t, %d arrived, Call = %v, %v, told %s; want it refused", size, sent, arrived, answer, err, told)
						}
					} else if !sent || arrived != size || err != nil || answer != size || told != "[]" {
						t.Errorf("%d bytes: Send = %t, %d arrived, Call = %v, %v, told %s; want it taken and delivered", size, sent, arrived, answer, err, told)
					}
				}
				for p := range c.Node(1).Peers() {
					if p.Undecodable != 0 {
						t.Errorf("%d messages were lost after they had been taken", p.Undecodable)
					}
				}
			})
		})
	}
}

// Watch: the nodes that are up, then what comes and goes, in order; a node that is going when Watch is called is not told of.
func TestNode_Watch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 3, Seed: 1})
		in := newInbox(t, c.System(0))
		c.Node(0).Watch(in.pid)
		c.Node(0).Watch(in.pid)                       // twice is once
		c.Node(0).Watch(newInbox(t, c.System(1)).pid) // of another System: nothing
		c.Node(0).Watch(actor.PID{})
		dead := newInbox(t, c.System(0))
		dead.pid.Exit(actor.ErrNormal)
		synctest.Wait()
		c.Node(0).Watch(dead.pid)
		synctest.Wait()
		news := func() (text []string) {
			for _, m := range in.all() {
				switch m := m.(type) {
				case cluster.NodeUp:
					text = append(text, "up "+m.Node)
				case cluster.NodeDown:
					text = append(text, fmt.Sprint("down ", m.Node, " ", m.Reason == actor.ErrShutdown))
				default:
					text = append(text, fmt.Sprint(m))
				}
			}
			return text
		}
		got := news()
		slices.Sort(got)
		if !slices.Equal(got, []string{"up n1", "up n2"}) {
			t.Fatalf("at first %q, want up n1, up n2", got)
		}
		in.forget()
		c.Restart(1)
		c.Connect()
		c.Kill(2)
		wait(10 * time.Second)
		if got, want := news(), []string{"down n1 true", "up n1", "down n2 false"}; !slices.Equal(got, want) {
			t.Errorf("then %q, want %q", got, want)
		}
	})
}

// Whoever begins to watch while a node goes is not told of the end of what it was not told the beginning of; and whoever was
// is told before the node can be up anew.
func TestNode_Watch_whileANodeGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var during *inbox
		r := &replica{}
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, Start: func(i int, n *cluster.Node) {
			ch := cluster.Channel(&replica{})
			if i == 0 {
				ch = downHook{r, func() { n.Watch(during.pid) }} // the session is over, and its NodeDown not told yet
			}
			if _, err := n.Channel("test", ch); err != nil {
				t.Fatal(err)
			}
		}})
		during = newInbox(t, c.System(0))
		before := newInbox(t, c.System(0))
		c.Node(0).Watch(before.pid)
		wait(time.Second)
		c.Cut(0, 1)
		wait(10 * time.Second)
		c.Heal(0, 1)
		c.Connect()
		wait(time.Second)
		var got []string
		for _, m := range during.all() {
			got = append(got, fmt.Sprintf("%T", m))
		}
		if want := []string{"cluster.NodeUp", "cluster.NodeDown", "cluster.NodeUp"}; !slices.Equal(got, want) && !slices.Equal(got, want[2:]) {
			t.Errorf("who began while the node went was told %q, want each NodeDown after its NodeUp", got)
		}
		got = nil
		for _, m := range before.all() {
			got = append(got, fmt.Sprintf("%T", m))
		}
		if want := []string{"cluster.NodeUp", "cluster.NodeDown", "cluster.NodeUp"}; !slices.Equal(got, want) {
			t.Errorf("who watched before was told %q, want %q", got, want)
		}
	})
}

// downHook calls f in Down.
type downHook struct {
	*replica
	f func()
}

func (h downHook) Down(p *cluster.Peer) { h.f(); h.replica.Down(p) }

// A process that does not handle its news ends.
func TestNode_Watch_limit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := network(t, seednet.Config{})
		a, b := newNode(t, "a", cluster.Config{Engine: onNet{net: net}}), newNode(t, "b", cluster.Config{Engine: onNet{net: net}})
		serve(t, a)
		release := make(chan struct{})
		slow := spawn(t, a.System(), &behaviour{receive: func(context.Context, any) error { <-release; return nil }}, actor.SpawnOptions{})
		a.Watch(slow)
		var reason error
		slow.OnExit(func(r error) { reason = r })
		sessions := 0
		for slow.Alive() && sessions < 2100 { // an up and a down each
			stop := serve(t, b)
			wait(time.Second)
			stop()
			synctest.Wait()
			sessions++
		}
		if sessions != 2048 && sessions != 2049 { // one message is being handled
			t.Errorf("the process has ended after %d sessions, want 2,049", sessions)
		}
		close(release)
		synctest.Wait()
		if !errors.Is(reason, actor.ErrOverload) {
			t.Errorf("then the process has ended with %v, want ErrOverload", reason)
		}
	})
}

// A kill overtakes what was sent before it, and nothing that is sent after it overtakes the kill.
func TestExit_killKeepsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, Delay: time.Millisecond})
		for range 100 {
			in := newInbox(t, c.System(1))
			away := c.At(0, in.pid)
			away.Send("before")
			away.Exit(actor.ErrKilled)
			away.Send("after")
			wait(100 * time.Millisecond)
			if slices.Contains(in.all(), "after") {
				t.Fatalf("a process received %v, of which one was sent after the kill", in.all())
			}
		}
	})
}
