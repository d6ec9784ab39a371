package proto_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/proto"
	"github.com/troupe-dev/troupe/websock"
)

// What actors of protoactor do with the address of a process.

func TestSend_toASocketsClient(t *testing.T) {
	bubble(t, "text", func(t *testing.T, h *house) {
		n, m := h.native(), h.socket()
		h.do(n, func(ctx protoactor.Context) {
			ctx.Send(proto.PID(m.pid), websock.Text("hi"))
			ctx.Send(proto.PID(m.pid), "to the handler")
		})
		m.conn.Want(websock.Text("hi"))
		m.want(t, "HandleInfo", "to the handler")
	})
}

func TestRequest(t *testing.T) {
	each(t, func(t *testing.T, h *house, m *member) {
		n := h.native()
		asked := make(chan *protoactor.PID, 1)
		var from actor.PID
		h.do(n, func(ctx protoactor.Context) {
			ctx.Request(proto.PID(m.pid), run(func(ctx context.Context) {
				asked <- proto.Sender(ctx)
				f, _ := actor.Caller(ctx)
				from = f.PID()
				f.Reply("response")
			}))
			ctx.Request(proto.PID(m.pid), "ask")
			ctx.Request(proto.PID(m.pid), "refuse")
			ctx.Request(proto.PID(m.pid), "nothing")
			ctx.Request(proto.PID(m.pid), "silence")
		})
		n.want(t, "responses", "response", "answer", refused{}, nil)
		if sender := <-asked; !sender.Equal(n.pid) || from != (actor.PID{}) {
			t.Errorf("Sender = %v, From.PID = %v; want %v, and no process", sender, from, n.pid)
		}
		h.in(m, func(ctx context.Context) {
			if s := proto.Sender(ctx); s != nil {
				t.Errorf("Sender of what was sent: %v, want nil", s)
			}
		})
		go actor.Call[any](t.Context(), m.pid, run(func(ctx context.Context) {
			if s := proto.Sender(ctx); s != nil {
				t.Errorf("Sender of an actor.Call: %v, want nil", s)
			}
			actor.Reply(ctx, nil)
		}))
		synctest.Wait()
		h.dead.want(t, "dead letters")
	})
}

func TestRequestFuture(t *testing.T) {
	each(t, func(t *testing.T, h *house, m *member) {
		pid := proto.PID(m.pid)
		later := run(func(ctx context.Context) {
			from, _ := actor.Caller(ctx)
			time.AfterFunc(time.Second, func() { from.Reply("later") })
		})
		for _, test := range []struct {
			msg  any
			want any
			err  error
		}{
			{"ask", "answer", nil},
			{later, "later", nil},
			{"silence", nil, protoactor.ErrTimeout},
			{stop{actor.ErrNormal}, nil, protoactor.ErrDeadLetter}, // it ends without an answer
			{"ask", nil, protoactor.ErrDeadLetter},
		} {
			v, err := h.as.Root.RequestFuture(pid, test.msg, 5*time.Second).Result()
			if v != test.want || !errors.Is(err, test.err) {
				t.Errorf("RequestFuture of %v: %v, %v; want %v, %v", test.msg, v, err, test.want, test.err)
			}
		}
	})
}

func TestWatch(t *testing.T) {
	each(t, func(t *testing.T, h *house, m *member) {
		n, other, pid := h.native(), h.native(), proto.PID(m.pid)
		h.do(n, func(ctx protoactor.Context) { ctx.Watch(pid); ctx.Watch(pid) }) // once, however often
		h.do(other, func(ctx protoactor.Context) { ctx.Watch(pid); ctx.Unwatch(pid) })
		n.want(t, "while it lives")
		m.pid.Exit(errors.New("whatever"))
		n.want(t, "at its end", ended{pid.Id, protoactor.TerminatedReason_Stopped})
		other.want(t, "after Unwatch")
		h.do(other, func(ctx protoactor.Context) { ctx.Watch(proto.PID(m.pid)) })
		other.want(t, "of the dead", ended{pid.Id, protoactor.TerminatedReason_NotFound})
		who, ok := proto.ActorPID(h.sys, pid)
		if !ok || who != m.pid {
			t.Errorf("ActorPID of the Who = %v, %t; want %v", who, ok, m.pid)
		}
	})
}

func TestStop(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(ctx protoactor.Context, pid *protoactor.PID)
		want error
	}{
		"Stop":   {func(ctx protoactor.Context, pid *protoactor.PID) { ctx.Stop(pid) }, actor.ErrShutdown},
		"Poison": {func(ctx protoactor.Context, pid *protoactor.PID) { ctx.Poison(pid) }, actor.ErrNormal},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, h *house, m *member) {
				n, pid := h.native(), proto.PID(m.pid)
				h.do(n, func(ctx protoactor.Context) {
					ctx.Send(pid, "before")
					test.end(ctx, pid)
					ctx.Send(pid, "after")
				})
				m.want(t, "the process", "before", test.want)
				h.dead.want(t, "dead letters", "after")
				if m.conn != nil {
					code := map[string]websock.CloseCode{"Stop": 1001, "Poison": 1000}[name]
					m.conn.WantClose(code, "")
				}
			})
		})
	}
}

// What reaches nobody is a dead letter of the ActorSystem.
func TestDeadLetters(t *testing.T) {
	bubble(t, "full", func(t *testing.T, h *house) {
		n, m := h.native(), h.member(actor.SpawnOptions{MailboxLimit: 2})
		release := make(chan struct{})
		m.pid.Send(run(func(context.Context) { <-release }))
		synctest.Wait()
		h.do(n, func(ctx protoactor.Context) {
			for i := range 4 {
				ctx.Send(proto.PID(m.pid), i)
			}
		})
		close(release)
		m.want(t, "the process", 0, 1)
		h.dead.want(t, "dead letters", 2, 3)
	})
	bubble(t, "another System's", func(t *testing.T, h *house) {
		other := newHouse(t, actor.Config{})
		m := other.member(actor.SpawnOptions{})
		h.as.Root.Send(proto.PID(m.pid), "to another ActorSystem")
		_, err := h.as.Root.RequestFuture(proto.PID(m.pid), "a question", time.Second).Result()
		if !errors.Is(err, protoactor.ErrDeadLetter) {
			t.Errorf("RequestFuture: %v, want ErrDeadLetter", err)
		}
		h.dead.want(t, "dead letters", "to another ActorSystem", "a question")
		m.want(t, "the process")
	})
}

// A process has an entry in the registry, too, when nobody hosts it; what comes there is treated alike.
func TestEntry(t *testing.T) {
	bubble(t, "entry", func(t *testing.T, h *house) {
		var entry *protoactor.PID
		m := h.member(proto.WithReceiverMiddleware(actor.SpawnOptions{}, func(next protoactor.ReceiverFunc) protoactor.ReceiverFunc {
			return func(ctx protoactor.ReceiverContext, env *protoactor.MessageEnvelope) {
				if entry == nil { // written once: the test reads it while more messages come
					entry = ctx.Self()
				}
				next(ctx, env)
			}
		}))
		h.in(m, func(context.Context) {})
		if p, ok := proto.ActorPID(h.sys, entry); !ok || p != m.pid {
			t.Errorf("ActorPID of the entry %v = %v, %t; want %v", entry, p, ok, m.pid)
		}
		n := h.native()
		h.do(n, func(ctx protoactor.Context) {
			ctx.Watch(entry)
			ctx.Send(entry, "sent")
			ctx.Request(entry, "ask")
		})
		m.want(t, "the process", "sent", "ask")
		n.want(t, "the response", "answer")
		h.as.Root.Stop(entry)
		m.want(t, "the process", "sent", "ask", actor.ErrShutdown)
		n.want(t, "the end", "answer", ended{entry.Id, protoactor.TerminatedReason_Stopped})
		h.as.Root.Send(entry, "too late")
		h.dead.want(t, "dead letters", "too late")
	})
}

// Messages of one actor to one process keep their order, whatever they are.
func TestOrder_fromProtoactor(t *testing.T) {
	each(t, func(t *testing.T, h *house, m *member) {
		n := h.native()
		var want []any
		h.do(n, func(ctx protoactor.Context) {
			for i := range 300 {
				if i%3 == 0 {
					ctx.Request(proto.PID(m.pid), i)
				} else {
					ctx.Send(proto.PID(m.pid), i)
				}
				want = append(want, i)
			}
		})
		m.want(t, fmt.Sprintf("%d messages", len(want)), want...)
	})
}
