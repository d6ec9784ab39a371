package proto_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/proto"
)

// What handlers and actors of Troupe do with the PID of an actor of protoactor.

func (h *house) stopped() *native {
	h.t.Helper()
	n := h.native()
	if err := h.as.Root.StopFuture(n.pid).Wait(); err != nil {
		h.t.Fatal(err)
	}
	return n
}

func TestSend(t *testing.T) {
	each(t, func(t *testing.T, h *house, m *member) {
		n, gone := h.native(), h.stopped()
		var want []any
		for i := range 100 {
			want = append(want, i)
		}
		h.in(m, func(ctx context.Context) {
			for i := range 100 {
				if i%2 == 0 {
					proto.Send(ctx, n.pid, i)
				} else {
					proto.Request(ctx, n.pid, i)
				}
			}
			proto.Send(ctx, gone.pid, "to the dead")
		})
		n.want(t, "the actor", want...)
		h.dead.want(t, "dead letters", "to the dead")
	})
}

func TestRequest_answers(t *testing.T) {
	each(t, func(t *testing.T, h *house, m *member) {
		n, gone := h.native(), h.stopped()
		h.in(m, func(ctx context.Context) {
			proto.Request(ctx, n.pid, "ask")
			proto.Request(ctx, n.pid, "refuse")
			proto.Request(ctx, n.pid, "silence")
			proto.Request(ctx, gone.pid, "ask")
			proto.Request(ctx, n.pid, act(func(ctx protoactor.Context) { ctx.Respond(1); ctx.Respond(2) }))
		})
		want := map[*protoactor.PID][]proto.Answer{
			n.pid:    {{Value: "answer"}, {Err: refused{}}, {Value: 1}, {Value: 2}},
			gone.pid: {{Err: actor.ErrNoProcess}},
		}
		got := map[string][]proto.Answer{}
		for _, msg := range m.all() {
			a, ok := msg.(proto.Answer)
			if !ok {
				t.Fatalf("got %T, want an Answer", msg)
			}
			got[a.From.Id] = append(got[a.From.Id], a)
		}
		for from, want := range want {
			if len(got[from.Id]) != len(want) {
				t.Fatalf("answers of %v: %v, want %v", from, got[from.Id], want)
			}
			for i, a := range got[from.Id] {
				if !a.From.Equal(from) || a.Value != want[i].Value || !errors.Is(a.Err, want[i].Err) {
					t.Errorf("answer %d of %v: %v, want %v", i+1, from, a, want[i])
				}
			}
		}
	})
}

// The Sender of a Request is good for more than answers: it is an address of the process.
func TestRequest_sender(t *testing.T) {
	each(t, func(t *testing.T, h *house, m *member) {
		n := h.native()
		var sender *protoactor.PID
		h.in(m, func(ctx context.Context) {
			proto.Request(ctx, n.pid, act(func(ctx protoactor.Context) {
				sender = ctx.Sender()
				ctx.Watch(sender)
				ctx.Request(sender, "a question for an answer")
			}))
		})
		if p, ok := proto.ActorPID(h.sys, sender); !ok || p != m.pid {
			t.Errorf("ActorPID of the Sender %v = %v, %t; want %v", sender, p, ok, m.pid)
		}
		if got := m.all(); len(got) != 1 || got[0].(proto.Answer).Value != "a question for an answer" {
			t.Errorf("received %v, want the question, as an Answer", got)
		}
		h.as.Root.Poison(sender)
		n.want(t, "the watcher", ended{sender.Id, protoactor.TerminatedReason_Stopped})
		h.as.Root.Send(sender, "too late")
		h.dead.want(t, "dead letters", "too late")
	})
}

func TestCall(t *testing.T) {
	each(t, func(t *testing.T, h *house, m *member) {
		n, gone, other := h.native(), h.stopped(), h.member(actor.SpawnOptions{})
		registered := h.registered()
		late := make(chan *protoactor.PID, 1)
		for _, test := range []struct {
			name   string
			to     *protoactor.PID
			req    any
			within time.Duration // how long ctx has; 0: as long as the process
			want   string
			err    error
			text   string // of the error
		}{
			{name: "an answer", to: n.pid, req: "ask", want: "answer"},
			{name: "nil", to: n.pid, req: "nothing"},
			{name: "an error", to: n.pid, req: "refuse", err: refused{}},
			{name: "another type", to: n.pid, req: act(func(ctx protoactor.Context) { ctx.Respond(7) }), text: "the reply is int, want string"},
			{name: "the dead", to: gone.pid, req: "ask", err: actor.ErrNoProcess, text: gone.pid.Id},
			{name: "nobody", to: h.as.NewLocalPID("nobody"), req: "ask", err: actor.ErrNoProcess},
			{name: "no answer", to: n.pid, req: "silence", err: context.DeadlineExceeded, text: "Config.CallTimeout 5s"},
			{name: "no answer within the deadline", to: n.pid, req: "silence", within: time.Second, err: context.DeadlineExceeded},
			{name: "a deadline beyond CallTimeout", to: n.pid, within: 9 * time.Second, want: "answer", req: act(func(ctx protoactor.Context) {
				sender := ctx.Sender()
				time.AfterFunc(8*time.Second, func() { h.as.Root.Send(sender, "answer") })
			})},
			{name: "too late", to: n.pid, req: act(func(ctx protoactor.Context) { late <- ctx.Sender() }), within: time.Second, err: context.DeadlineExceeded},
			{name: "over before", to: n.pid, req: "ask", within: -1, err: context.DeadlineExceeded},
			{name: "a process of Troupe", to: proto.PID(other.pid), req: "ask", want: "answer"},
			{name: "itself", to: proto.PID(m.pid), req: "ask", text: "by itself"},
			{name: "a process of another boot", to: protoactor.NewPID("troupe:0123456789abcdef@local", "7"), req: "ask", err: actor.ErrNoProcess},
			{name: "terminates with it", to: h.native().pid, req: act(func(ctx protoactor.Context) { ctx.Stop(ctx.Self()) }), err: actor.ErrNoProcess},
			{name: "answers and terminates", to: h.native().pid,
				req: act(func(ctx protoactor.Context) { ctx.Respond("answer"); ctx.Stop(ctx.Self()) }), want: "answer"},
		} {
			var got string
			var err error
			m.pid.Send(run(func(ctx context.Context) {
				if test.within != 0 {
					var cancel func()
					ctx, cancel = context.WithTimeout(ctx, test.within)
					defer cancel()
				}
				got, err = proto.Call[string](ctx, test.to, test.req)
			}))
			time.Sleep(10 * time.Second)
			synctest.Wait()
			wrong := test.err == nil && test.text == "" && err != nil || !errors.Is(err, test.err) && test.err != nil
			if wrong || got != test.want || test.text != "" && (err == nil || !strings.Contains(err.Error(), test.text)) {
				t.Errorf("%s: %q, %v; want %q, %v %s", test.name, got, err, test.want, test.err, test.text)
			}
		}
		letters := len(h.dead.all())
		h.as.Root.Send(<-late, "too late")
		synctest.Wait()
		if n := len(h.dead.all()); n != letters {
			t.Errorf("a late answer is a dead letter: %v", h.dead.all()[letters:])
		}
		if n := h.registered(); n != registered {
			t.Errorf("%d processes in the registry after the Calls, want %d as before", n, registered)
		}
	})
}

// registered is how many processes protoactor's registry has; natives of the test among them.
func (h *house) registered() (n int) {
	synctest.Wait()
	for _, b := range h.as.ProcessRegistry.LocalPIDs.LocalPIDs {
		n += b.Count()
	}
	return n
}

func TestCall_withoutCallTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, actor.Config{CallTimeout: -1})
		n, m := h.native(), h.member(actor.SpawnOptions{})
		var got string
		var err error
		m.pid.Send(run(func(ctx context.Context) {
			got, err = proto.Call[string](ctx, n.pid, act(func(ctx protoactor.Context) {
				sender := ctx.Sender()
				time.AfterFunc(time.Hour, func() { h.as.Root.Send(sender, "answer") })
			}))
		}))
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if got != "answer" || err != nil {
			t.Errorf("Call that is answered after an hour: %q, %v; want the answer", got, err)
		}
	})
}

// A Call ends with its process.
func TestCall_whoseProcessIsKilled(t *testing.T) {
	bubble(t, "killed", func(t *testing.T, h *house) {
		n, m := h.native(), h.member(actor.SpawnOptions{})
		ended := make(chan error, 1)
		h.in(m, func(ctx context.Context) {
			_, err := proto.Call[any](ctx, n.pid, "silence")
			ended <- err
		})
		m.pid.Exit(actor.ErrKilled)
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Call of a process that is killed: %v, want context.Canceled", err)
		}
	})
}

// The Logger of the program does not fill up: a Call to the dead is one dead letter, and one to the living none.
func TestCall_deadLetters(t *testing.T) {
	bubble(t, "letters", func(t *testing.T, h *house) {
		n, m, gone := h.native(), h.member(actor.SpawnOptions{}), h.stopped()
		h.in(m, func(ctx context.Context) {
			proto.Call[any](ctx, n.pid, "ask")
			proto.Call[any](ctx, gone.pid, "to the dead")
			proto.Call[any](ctx, n.pid, act(func(ctx protoactor.Context) { ctx.Respond("last"); ctx.Stop(ctx.Self()) }))
		})
		h.dead.want(t, "dead letters", "to the dead")
	})
}
