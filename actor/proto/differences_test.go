package proto_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/proto"
	"github.com/troupe-dev/troupe/websock"
)

// The rows of docs/reference/protoactor-go.md that other tests do not hold.

// A Touch is a message like any other.
func TestDifferences_autoRespond(t *testing.T) {
	each(t, func(t *testing.T, h *house, m *member) {
		n, touch := h.native(), &protoactor.Touch{}
		h.do(n, func(ctx protoactor.Context) { ctx.Request(proto.PID(m.pid), touch) })
		m.want(t, "the process", touch)
		n.want(t, "responses")
	})
}

// batch is what protoactor's mailbox takes apart.
type batch struct{ list *[]any }

func (b batch) GetMessages() []any { return *b.list }

func TestDifferences_batch(t *testing.T) {
	each(t, func(t *testing.T, h *house, m *member) {
		n, b := h.native(), batch{&[]any{1, 2}}
		h.do(n, func(ctx protoactor.Context) { ctx.Send(proto.PID(m.pid), b) })
		m.want(t, "the process", b)
		h.in(m, func(ctx context.Context) { proto.Send(ctx, n.pid, b) })
		n.want(t, "the actor", 1, 2, b)
	})
}

// What protoactor's tracing middleware puts into headers does not arrive.
func TestDifferences_headers(t *testing.T) {
	bubble(t, "headers", func(t *testing.T, h *house) {
		headers := journal{}
		m := h.member(proto.WithReceiverMiddleware(actor.SpawnOptions{}, around(
			func(_ protoactor.ReceiverContext, env *protoactor.MessageEnvelope) { headers.add(len(env.Header)) })))
		env := &protoactor.MessageEnvelope{Message: "sent"}
		env.SetHeader("trace", "1")
		h.as.Root.Send(proto.PID(m.pid), env)
		m.want(t, "the process", "sent")
		headers.want(t, "headers", 0)
	})
}

// Terminated overtakes, Down does not.
func TestDifferences_order(t *testing.T) {
	each(t, func(t *testing.T, h *house, m *member) {
		n, watcher := h.native(), h.member(actor.SpawnOptions{})
		h.do(n, func(ctx protoactor.Context) { ctx.Watch(proto.PID(m.pid)) })
		h.in(watcher, func(ctx context.Context) { actor.Monitor(ctx, m.pid) })
		release := make(chan struct{})
		h.as.Root.Send(n.pid, act(func(protoactor.Context) { <-release }))
		h.in(m, func(ctx context.Context) {
			proto.Send(ctx, n.pid, "last words")
			watcher.pid.Send("last words")
		})
		m.pid.Exit(actor.ErrNormal)
		synctest.Wait()
		close(release)
		n.want(t, "the actor", ended{proto.PID(m.pid).Id, protoactor.TerminatedReason_Stopped}, "last words")
		watcher.want(t, "the process", "last words", down{m.pid, actor.ErrNormal})
	})
}

// An actor that fails is restarted by protoactor: its PID stays, and so does its proxy.
func TestDifferences_restart(t *testing.T) {
	bubble(t, "restart", func(t *testing.T, h *house) {
		n, m := h.native(), h.member(actor.SpawnOptions{})
		p := h.proxy(n)
		h.in(m, func(ctx context.Context) { actor.Monitor(ctx, p) })
		h.do(n, func(protoactor.Context) { panic("boom") })
		p.Send("after the failure")
		n.want(t, "the actor", "restarting", "after the failure")
		m.want(t, "the monitor")
	})
}

// What ends a process of Troupe's is not seen by protoactor's supervision: it is the end.
func TestDifferences_supervision(t *testing.T) {
	each(t, func(t *testing.T, h *house, m *member) {
		n := h.native()
		h.do(n, func(ctx protoactor.Context) { ctx.Watch(proto.PID(m.pid)) })
		m.pid.Send(run(func(context.Context) { panic("boom") }))
		n.want(t, "the watcher", ended{proto.PID(m.pid).Id, protoactor.TerminatedReason_Stopped})
		h.as.Root.Send(proto.PID(m.pid), "too late")
		h.dead.want(t, "dead letters", "too late")
	})
}

// System messages that a process has no use for are dead letters, and do nothing.
func TestDifferences_systemMessages(t *testing.T) {
	each(t, func(t *testing.T, h *house, m *member) {
		process, _ := h.as.ProcessRegistry.Get(proto.PID(m.pid))
		for _, msg := range []any{&protoactor.SuspendMailbox{}, &protoactor.Restart{}} {
			process.SendSystemMessage(proto.PID(m.pid), msg)
			m.pid.Send(fmt.Sprintf("after %T", msg))
		}
		m.want(t, "the process", "after *actor.SuspendMailbox", "after *actor.Restart")
		if got := types(h.dead.all()); got != "*actor.SuspendMailbox *actor.Restart " {
			t.Errorf("dead letters %s, want both", got)
		}
	})
}

func types(list []any) (s string) {
	for _, v := range list {
		s += fmt.Sprintf("%T ", v)
	}
	return s
}

// A Request of a message for the client is a Call: the handler decides.
func TestDifferences_requestOfAMessage(t *testing.T) {
	bubble(t, "message", func(t *testing.T, h *house) {
		n, m := h.native(), h.socket()
		h.do(n, func(ctx protoactor.Context) { ctx.Request(proto.PID(m.pid), websock.Text("hi")) })
		if got := m.all(); len(got) != 1 || fmt.Sprintf("%T", got[0]) != "websock.Message" {
			t.Errorf("HandleInfo has got %v, want the message", got)
		}
		m.conn.WantNothing(time.Second)
	})
}

// What actor.PID.Send does not deliver is no dead letter of protoactor's: it has said false.
func TestDifferences_deadLetters(t *testing.T) {
	each(t, func(t *testing.T, h *house, m *member) {
		m.pid.Exit(actor.ErrNormal)
		synctest.Wait()
		if m.pid.Send("too late") {
			t.Error("Send to the dead says true")
		}
		h.dead.want(t, "dead letters")
	})
}

// The EventStream calls its subscribers on the publisher's goroutine. A handler has itself sent what comes.
func TestDifferences_eventStream(t *testing.T) {
	type published struct{ n int }
	each(t, func(t *testing.T, h *house, m *member) {
		h.in(m, func(ctx context.Context) {
			self := actor.Self(ctx)
			s := h.as.EventStream.Subscribe(func(e any) {
				if e, ok := e.(published); ok {
					self.Send(e)
				}
			})
			self.OnExit(func(error) { h.as.EventStream.Unsubscribe(s) })
		})
		subscribed := h.as.EventStream.Length()
		h.as.EventStream.Publish(published{1})
		m.want(t, "the process", published{1})
		m.pid.Exit(actor.ErrNormal)
		synctest.Wait()
		if n := h.as.EventStream.Length(); n != subscribed-1 {
			t.Errorf("%d subscriptions after the end, want %d", n, subscribed-1)
		}
	})
}

// The program's sender middleware sees what goes to its actors; its spawn middleware does not see our processes.
func TestDifferences_rootMiddleware(t *testing.T) {
	bubble(t, "root", func(t *testing.T, h *house) {
		var sent journal
		var spawned atomic.Int64
		h.as.Root.WithSenderMiddleware(func(next protoactor.SenderFunc) protoactor.SenderFunc {
			return func(c protoactor.SenderContext, target *protoactor.PID, env *protoactor.MessageEnvelope) {
				if _, ok := env.Message.(string); ok {
					sent.add(env.Message)
				}
				next(c, target, env)
			}
		})
		h.as.Root.WithSpawnMiddleware(func(next protoactor.SpawnFunc) protoactor.SpawnFunc {
			return func(as *protoactor.ActorSystem, id string, props *protoactor.Props, parent protoactor.SpawnerContext) (*protoactor.PID, error) {
				spawned.Add(1)
				return next(as, id, props, parent)
			}
		})
		n := h.native()
		m := h.member(actor.SpawnOptions{})
		if got := spawned.Load(); got != 1 {
			t.Errorf("the spawn middleware has seen %d actors, want the native one", got)
		}
		h.in(m, func(ctx context.Context) {
			proto.Send(ctx, n.pid, "sent")
			proto.Request(ctx, n.pid, "requested")
			proto.Call[any](ctx, n.pid, "ask")
		})
		sent.want(t, "the sender middleware", "sent", "requested", "ask")
	})
}

// Futures of protoactor's work on processes: ReenterAfter and PipeTo.
func TestDifferences_futures(t *testing.T) {
	each(t, func(t *testing.T, h *house, m *member) {
		n := h.native()
		h.do(n, func(ctx protoactor.Context) {
			f := ctx.RequestFuture(proto.PID(m.pid), "ask", time.Second)
			ctx.ReenterAfter(f, func(v any, err error) { n.add(fmt.Sprintf("%v, %v", v, err)) })
		})
		n.want(t, "ReenterAfter", "answer, <nil>")
		h.as.Root.RequestFuture(n.pid, "ask", time.Second).PipeTo(proto.PID(m.pid))
		m.want(t, "PipeTo", "ask", "answer")
	})
}
