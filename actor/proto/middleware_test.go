package proto_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/proto"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/supervisor"
)

// around is middleware that runs f before the message goes on.
func around(f func(ctx protoactor.ReceiverContext, env *protoactor.MessageEnvelope)) protoactor.ReceiverMiddleware {
	return func(next protoactor.ReceiverFunc) protoactor.ReceiverFunc {
		return func(ctx protoactor.ReceiverContext, env *protoactor.MessageEnvelope) {
			f(ctx, env)
			next(ctx, env)
		}
	}
}

func TestWithReceiverMiddleware_seesTheUsersMessages(t *testing.T) {
	bubble(t, "messages", func(t *testing.T, h *house) {
		var seen journal
		o := proto.WithReceiverMiddleware(actor.SpawnOptions{Label: "room", MailboxLimit: 1000}, around(
			func(ctx protoactor.ReceiverContext, env *protoactor.MessageEnvelope) {
				seen.add(fmt.Sprintf("%T", env.Message))
				if ctx.ActorSystem() != h.as || ctx.Self() == nil {
					t.Errorf("ActorSystem %p, Self %v; want the program's, and an address", ctx.ActorSystem(), ctx.Self())
				}
			}))
		m, other, n := h.member(o), h.member(actor.SpawnOptions{}), h.native()
		if info, err := actor.Inspect(m.pid); err != nil || info.Label != "room" {
			t.Errorf("Inspect: %+v, %v; want the other options as they were", info, err)
		}
		m.pid.Send(run(func(ctx context.Context) {
			actor.Monitor(ctx, other.pid)
			actor.SendAfter(ctx, time.Second, "tick")
			actor.Async(ctx, func(context.Context) (int, error) { return 1, nil })
			proto.Request(ctx, n.pid, "ask")
		}))
		other.pid.Send("not seen")
		synctest.Wait()
		if v, err := actor.Call[string](t.Context(), m.pid, "ask"); v != "answer" || err != nil {
			t.Errorf("Call: %q, %v; want the answer", v, err)
		}
		other.pid.Exit(actor.ErrNormal)
		time.Sleep(2 * time.Second)
		h.as.Root.Send(proto.PID(m.pid), 7)
		synctest.Wait()
		got := seen.all()
		slices.SortFunc(got, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
		want := []any{"actor.Done[int]", "actor.Down", "int", "proto.Answer", "proto_test.run", "string", "string"}
		if !slices.Equal(got, want) {
			t.Errorf("the middleware has seen %v, want %v", got, want)
		}
	})
}

// Protoactor does something else with messages of its own types than to give them to the actor. To us they are messages.
func TestWithReceiverMiddleware_specialTypes(t *testing.T) {
	bubble(t, "special", func(t *testing.T, h *house) {
		var seen journal
		m := h.member(proto.WithReceiverMiddleware(actor.SpawnOptions{}, around(
			func(_ protoactor.ReceiverContext, env *protoactor.MessageEnvelope) { seen.add(env.Message) })))
		special := []any{
			&protoactor.PoisonPill{}, &protoactor.Stop{}, &protoactor.Touch{}, &protoactor.Restarting{}, &protoactor.Stopped{},
			&protoactor.Terminated{}, &protoactor.SuspendMailbox{}, protoactor.WrapEnvelope("in an envelope"),
		}
		for _, msg := range special {
			m.pid.Send(msg)
		}
		m.want(t, "the actor", special...)
		if got := seen.all(); len(got) != len(special) {
			t.Errorf("the middleware has seen %d messages, want %d", len(got), len(special))
		}
		for i, msg := range seen.all() {
			if msg == special[i] {
				t.Errorf("the middleware has seen %T as it is", msg)
			}
		}
	})
}

func TestWithReceiverMiddleware_sender(t *testing.T) {
	bubble(t, "sender", func(t *testing.T, h *house) {
		n := h.native()
		var senders []*protoactor.PID
		m := h.member(proto.WithReceiverMiddleware(actor.SpawnOptions{}, func(next protoactor.ReceiverFunc) protoactor.ReceiverFunc {
			return func(ctx protoactor.ReceiverContext, env *protoactor.MessageEnvelope) {
				senders = append(senders, env.Sender)
				if env.Message == "ask for me" { // nobody: that is no answer
					ctx.ActorSystem().Root.RequestWithCustomSender(h.as.NewLocalPID("nobody"), "?", env.Sender)
					env = &protoactor.MessageEnvelope{Message: "ask", Sender: env.Sender}
					next(ctx, env)
					return
				}
				if env.Message == "cached" {
					ctx.ActorSystem().Root.Send(env.Sender, "from the middleware")
					ctx.ActorSystem().Root.Send(env.Sender, "twice")
				}
				next(ctx, env)
			}
		}))
		registered := h.registered()
		if v, err := actor.Call[string](t.Context(), m.pid, "ask for me"); v != "answer" || err != nil {
			t.Errorf("Call that the middleware asks somebody else for: %q, %v; want the answer of the actor", v, err)
		}
		senders = nil
		if v, err := actor.Call[string](t.Context(), m.pid, "cached"); v != "from the middleware" || err != nil {
			t.Errorf("Call: %q, %v; want the answer of the middleware", v, err)
		}
		if v, err := actor.Call[string](t.Context(), m.pid, "ask"); v != "answer" || err != nil {
			t.Errorf("Call: %q, %v; want the answer of the actor", v, err)
		}
		if _, err := actor.Call[string](t.Context(), m.pid, "silence"); !errors.Is(err, actor.ErrNoReply) {
			t.Errorf("Call: %v, want ErrNoReply", err)
		}
		m.pid.Send("sent")
		h.do(n, func(ctx protoactor.Context) { ctx.Request(proto.PID(m.pid), "ask") })
		n.want(t, "the response", "answer")
		if len(senders) != 5 || senders[0] == nil || senders[3] != nil || !senders[4].Equal(n.pid) {
			t.Errorf("Senders %v, want one for each Call, none for what was sent, and who has asked", senders)
		}
		if got := h.registered(); got != registered {
			t.Errorf("%d processes in the registry, want %d as before", got, registered)
		}
	})
}

// What is no longer due when its turn comes is seen by nobody: a Down that was stopped, a broadcast after Leave.
func TestWithReceiverMiddleware_notDue(t *testing.T) {
	bubble(t, "not due", func(t *testing.T, h *house) {
		var seen journal
		m := h.member(proto.WithReceiverMiddleware(actor.SpawnOptions{}, around(
			func(_ protoactor.ReceiverContext, env *protoactor.MessageEnvelope) {
				seen.add(fmt.Sprintf("%T", env.Message))
			})))
		other, reg := h.member(actor.SpawnOptions{}), registry.New(h.sys)
		reg.Join("group", m.pid, nil)
		release := make(chan struct{})
		m.pid.Send(run(func(ctx context.Context) {
			ref := actor.Monitor(ctx, other.pid)
			other.pid.Exit(actor.ErrNormal)
			reg.Broadcast("group", "after Leave")
			<-release // both wait
			ref.Stop()
			reg.Leave("group", m.pid)
		}))
		synctest.Wait()
		close(release)
		m.want(t, "the actor")
		seen.want(t, "the middleware", "proto_test.run")
		reg.Join("group", m.pid, nil)
		reg.Broadcast("group", "a member again")
		m.want(t, "the actor", "a member again")
		seen.want(t, "the middleware", "proto_test.run", "string")
	})
}

// Middleware may change a message, leave it out and repeat it.
func TestWithReceiverMiddleware_decides(t *testing.T) {
	bubble(t, "decides", func(t *testing.T, h *house) {
		m := h.member(proto.WithReceiverMiddleware(actor.SpawnOptions{}, func(next protoactor.ReceiverFunc) protoactor.ReceiverFunc {
			return func(ctx protoactor.ReceiverContext, env *protoactor.MessageEnvelope) {
				switch env.Message {
				case "drop":
					return
				case "change":
					env = &protoactor.MessageEnvelope{Message: "changed", Sender: env.Sender}
				case "repeat":
					next(ctx, env)
				case "fails twice":
					next(ctx, &protoactor.MessageEnvelope{Message: stop{refused{}}})
					env = &protoactor.MessageEnvelope{Message: stop{actor.ErrNormal}}
				}
				next(ctx, env)
			}
		}))
		for _, msg := range []any{"drop", "change", "repeat", 1} {
			m.pid.Send(msg)
		}
		if _, err := actor.Call[any](t.Context(), m.pid, "drop"); !errors.Is(err, actor.ErrNoReply) {
			t.Errorf("Call that the middleware drops: %v, want ErrNoReply", err)
		}
		m.want(t, "the actor", "changed", "repeat", "repeat", 1)
		m.pid.Send("fails twice") // the first error counts
		m.want(t, "the actor", "changed", "repeat", "repeat", 1, refused{})
	})
}

// What goes wrong in middleware ends its process and no other.
func TestWithReceiverMiddleware_fails(t *testing.T) {
	for name, fail := range map[string]func(){"panic": func() { panic("boom") }, "Goexit": runtime.Goexit} {
		bubble(t, name, func(t *testing.T, h *house) {
			o := proto.WithReceiverMiddleware(actor.SpawnOptions{}, around(
				func(_ protoactor.ReceiverContext, env *protoactor.MessageEnvelope) {
					if env.Message == "fail" {
						fail()
					}
				}))
			m, other := h.member(o), h.member(o)
			reasons := h.wait(m.pid)
			if _, err := actor.Call[any](t.Context(), m.pid, "fail"); !errors.Is(err, actor.ErrNoProcess) {
				t.Errorf("Call: %v, want ErrNoProcess", err)
			}
			reason := <-reasons
			var panicked *actor.PanicError
			if !errors.As(reason, &panicked) {
				t.Errorf("the exit reason is %v, want a PanicError", reason)
			}
			synctest.Wait()
			if got := m.all(); len(got) != 1 || got[0] != any(reason) {
				t.Errorf("the actor has got %v, want Terminate with %v", got, reason)
			}
			other.pid.Send("goes on")
			other.want(t, "the other", "goes on")
		})
	}
}

// The functions are called once, for all processes; and it works wherever SpawnOptions are taken.
func TestWithReceiverMiddleware_everywhere(t *testing.T) {
	bubble(t, "everywhere", func(t *testing.T, h *house) {
		var seen journal
		made := 0
		o := proto.WithReceiverMiddleware(actor.SpawnOptions{}, func(next protoactor.ReceiverFunc) protoactor.ReceiverFunc {
			made++
			return func(ctx protoactor.ReceiverContext, env *protoactor.MessageEnvelope) {
				seen.add(env.Message)
				next(ctx, env)
			}
		})
		pids := map[string]actor.PID{"System.Spawn": h.member(o).pid}
		parent := h.member(actor.SpawnOptions{})
		h.in(parent, func(ctx context.Context) {
			pid, err := actor.Spawn(ctx, &member{}, o)
			if err != nil {
				t.Error(err)
			}
			pids["actor.Spawn"] = pid
		})
		dynamic, err := supervisor.NewDynamic(supervisor.DynamicConfig{Name: "rooms"})
		if err != nil {
			t.Fatal(err)
		}
		supervised := make(chan actor.PID, 1)
		newActor := func() actor.Actor { return &announced{pids: supervised} }
		tree, err := supervisor.New(supervisor.Config{Name: "tree"},
			supervisor.ChildSpec{ID: "rooms", Service: dynamic},
			supervisor.ChildSpec{ID: "worker", Service: supervisor.Actor(h.sys, newActor, o)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- tree.Serve(ctx) }()
		pids["supervisor.Actor"] = <-supervised
		synctest.Wait()
		if pids["Dynamic.Spawn"], err = dynamic.Spawn(ctx, "room", h.sys, func() actor.Actor { return &member{} }, o); err != nil {
			t.Fatal(err)
		}
		var want []any
		for name, pid := range pids {
			want = append(want, name)
			pid.Send(name)
			seen.want(t, name, want...)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if made != 1 {
			t.Errorf("the middleware was made %d times, want once", made)
		}
	})
}

// announced is a member that says who it is.
type announced struct {
	member
	pids chan<- actor.PID
}

func (a *announced) Init(ctx context.Context) error { a.pids <- actor.Self(ctx); return nil }

func TestWithReceiverMiddleware_needsNewSystem(t *testing.T) {
	sys, err := actor.NewSystem(actor.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	o := proto.WithReceiverMiddleware(actor.SpawnOptions{}, around(func(protoactor.ReceiverContext, *protoactor.MessageEnvelope) {}))
	if _, err := sys.Spawn(t.Context(), &member{}, o); err == nil || !strings.Contains(err.Error(), "proto.NewSystem") {
		t.Errorf("Spawn in a System of actor.NewSystem: %v, want an error that names proto.NewSystem", err)
	}
	if err := sys.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
