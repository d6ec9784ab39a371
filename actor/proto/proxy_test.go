package proto_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/proto"
	"github.com/troupe-dev/troupe/registry"
)

func (h *house) proxy(n *native) actor.PID {
	h.t.Helper()
	p, err := proto.Proxy(h.sys, n.pid)
	if err != nil {
		h.t.Fatalf("Proxy: %v", err)
	}
	return p
}

func TestProxy_sends(t *testing.T) {
	bubble(t, "sends", func(t *testing.T, h *house) {
		n := h.native()
		p := h.proxy(n)
		var want []any
		for i := range 100 {
			if !p.Send(i) {
				t.Fatalf("Send of %d says false", i)
			}
			want = append(want, i)
		}
		n.want(t, "the actor", want...)
	})
}

func TestProxy_Call(t *testing.T) {
	bubble(t, "Call", func(t *testing.T, h *house) {
		n := h.native()
		p := h.proxy(n)
		registered := h.registered()
		if v, err := actor.Call[string](t.Context(), p, "ask"); v != "answer" || err != nil {
			t.Errorf("Call: %q, %v; want the answer", v, err)
		}
		if _, err := actor.Call[string](t.Context(), p, "refuse"); !errors.Is(err, refused{}) {
			t.Errorf("Call: %v, want the error that is the answer", err)
		}
		const calls = 2000 // nobody answers, and nobody waits any more: only the last few may be kept
		for range calls {
			if _, err := actor.Call[string](t.Context(), p, "silence"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Call without an answer: %v, want DeadlineExceeded", err)
			}
		}
		if n := h.registered() - registered; n > 100 {
			t.Errorf("after %d Calls that nobody waits for: %d more processes in the registry", calls, n)
		}
		open := make(chan error, 1)
		go func() {
			_, err := actor.Call[string](t.Context(), p, "silence")
			open <- err
		}()
		synctest.Wait()
		h.as.Root.Stop(n.pid)
		if err := <-open; !errors.Is(err, actor.ErrNoProcess) {
			t.Errorf("Call that is open when the actor terminates: %v, want ErrNoProcess", err)
		}
		synctest.Wait()
		if n := h.registered(); n != registered-3 { // the actor, the proxy, and what has watched for it
			t.Errorf("%d processes in the registry when all is over, want 3 less than %d", n, registered)
		}
	})
}

// The proxy ends when the actor does, in whatever way, and its monitors get Down.
func TestProxy_Monitor(t *testing.T) {
	for name, end := range map[string]func(h *house, n *native){
		"Stop":   func(h *house, n *native) { h.as.Root.Stop(n.pid) },
		"Poison": func(h *house, n *native) { h.as.Root.Poison(n.pid) },
		"itself": func(h *house, n *native) { h.do(n, func(ctx protoactor.Context) { ctx.Stop(ctx.Self()) }) },
		"after a failure": func(h *house, n *native) {
			h.do(n, func(protoactor.Context) { panic("boom") })
		},
		"its parent": func(h *house, n *native) { h.as.Root.Stop(protoactor.NewPID(n.pid.Address, "parent")) },
	} {
		bubble(t, name, func(t *testing.T, h *house) {
			n, m := &native{}, h.member(actor.SpawnOptions{})
			stopping := protoactor.NewOneForOneStrategy(1, time.Second, func(any) protoactor.Directive { return protoactor.StopDirective })
			parent := protoactor.PropsFromFunc(func(ctx protoactor.Context) {
				if _, ok := ctx.Message().(*protoactor.Started); ok {
					n.pid = ctx.Spawn(protoactor.PropsFromProducer(func() protoactor.Actor { return n }))
				}
			}, protoactor.WithSupervisor(stopping))
			if _, err := h.as.Root.SpawnNamed(parent, "parent"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			p := h.proxy(n)
			h.in(m, func(ctx context.Context) { actor.Monitor(ctx, p) })
			m.want(t, "while it lives")
			end(h, n)
			synctest.Wait()
			got := m.all()
			if len(got) != 1 {
				t.Fatalf("the monitor has got %v, want one Down", got)
			}
			if d, ok := got[0].(down); !ok || d.pid != p || !errors.Is(d.reason, actor.ErrNormal) {
				t.Errorf("the monitor has got %v, want Down of %v with ErrNormal", got[0], p)
			}
			if p.Send("too late") {
				t.Error("Send to the proxy says true")
			}
		})
	}
}

func TestProxy_ofTheDead(t *testing.T) {
	bubble(t, "dead", func(t *testing.T, h *house) {
		for name, pid := range map[string]*protoactor.PID{
			"stopped": h.stopped().pid, "nobody": h.as.NewLocalPID("nobody"), "nil": nil,
			"a dead process of Troupe": protoactor.NewPID("troupe:0123456789abcdef@local", "7"),
		} {
			if p, err := proto.Proxy(h.sys, pid); !errors.Is(err, actor.ErrNoProcess) || p != (actor.PID{}) {
				t.Errorf("%s: Proxy = %v, %v; want ErrNoProcess", name, p, err)
			}
		}
		n, m := h.native(), h.member(actor.SpawnOptions{})
		if p, err := proto.Proxy(h.sys, proto.PID(m.pid)); p != m.pid || err != nil {
			t.Errorf("Proxy of a process of Troupe = %v, %v; want that one", p, err)
		}
		if err := h.sys.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := proto.Proxy(h.sys, n.pid); !errors.Is(err, actor.ErrShutdown) {
			t.Errorf("Proxy after Shutdown: %v, want ErrShutdown", err)
		}
	})
}

// Exit of the proxy ends the actor, after what it was sent before, and the Down comes when the actor has terminated.
func TestProxy_Exit(t *testing.T) {
	reason := errors.New("kicked")
	bubble(t, "in order", func(t *testing.T, h *house) {
		n, other := h.native(), h.native()
		p := h.proxy(n)
		h.do(other, func(ctx protoactor.Context) { ctx.Watch(n.pid) })
		release := make(chan struct{})
		h.as.Root.Send(n.pid, act(func(protoactor.Context) { <-release }))
		p.Send("before")
		p.Exit(reason)
		synctest.Wait()
		other.want(t, "the watcher, while the actor is busy")
		if _, err := actor.Inspect(p); err != nil {
			t.Errorf("the proxy does not wait for the actor: %v", err)
		}
		reasons := h.wait(p)
		close(release)
		if got := <-reasons; got != reason {
			t.Errorf("the proxy has ended with %v, want %v", got, reason)
		}
		n.want(t, "the actor", "before")
		other.want(t, "the watcher", ended{n.pid.Id, protoactor.TerminatedReason_Stopped})
	})
	bubble(t, "too slowly", func(t *testing.T, h *house) {
		n := h.native()
		p := h.proxy(n)
		release := make(chan struct{})
		h.as.Root.Send(n.pid, act(func(protoactor.Context) { <-release }))
		p.Send("before")
		reasons := h.wait(p)
		p.Exit(reason)
		if got := <-reasons; !errors.Is(got, actor.ErrKilled) {
			t.Errorf("the proxy has ended with %v, want ErrKilled, after Config.ShutdownTimeout", got)
		}
		close(release)
		n.want(t, "the actor, which Stop ends before what waits") // protoactor: Stop overtakes
		if _, ok := h.as.ProcessRegistry.GetLocal(n.pid.Id); ok {
			t.Error("the actor lives")
		}
	})
	bubble(t, "kill", func(t *testing.T, h *house) {
		n := h.native()
		h.proxy(n).Exit(actor.ErrKilled)
		synctest.Wait()
		if _, ok := h.as.ProcessRegistry.GetLocal(n.pid.Id); ok {
			t.Error("the actor lives")
		}
	})
	bubble(t, "Shutdown", func(t *testing.T, h *house) {
		n := h.native()
		p := h.proxy(n)
		if err := h.sys.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if p.Alive() {
			t.Error("the proxy lives")
		}
		h.as.Root.Send(n.pid, "still there")
		n.want(t, "the actor", "still there")
	})
	bubble(t, "several", func(t *testing.T, h *house) {
		n := h.native()
		p, q := h.proxy(n), h.proxy(n)
		if p == q {
			t.Error("two proxies of one actor are the same process")
		}
		reasons := h.wait(q)
		p.Exit(reason)
		if got := <-reasons; !errors.Is(got, actor.ErrNormal) {
			t.Errorf("the other proxy has ended with %v, want ErrNormal", got)
		}
	})
}

// Names and groups work on proxies.
func TestProxy_registry(t *testing.T) {
	bubble(t, "registry", func(t *testing.T, h *house) {
		reg := registry.New(h.sys)
		n, m := h.native(), h.member(actor.SpawnOptions{})
		p := h.proxy(n)
		if err := reg.Register("legacy", p, nil); err != nil {
			t.Fatal(err)
		}
		reg.Join("all", p, "meta")
		reg.Join("all", m.pid, nil)
		if got, _, ok := reg.Whereis("legacy"); !ok || got != p {
			t.Errorf("Whereis = %v, %t; want the proxy", got, ok)
		}
		if sent := reg.Broadcast("all", "to all"); sent != 2 {
			t.Errorf("Broadcast reached %d, want 2", sent)
		}
		n.want(t, "the actor", "to all")
		m.want(t, "the process", "to all")
		h.as.Root.Stop(n.pid)
		synctest.Wait()
		if got, _, ok := reg.Whereis("legacy"); ok || reg.Count("all") != 1 {
			t.Errorf("after the end of the actor: Whereis = %v, and %d in the group; want nobody, and 1", got, reg.Count("all"))
		}
	})
}

// A proxy that goes leaves nothing with the actor.
func TestProxy_leavesNothing(t *testing.T) {
	bubble(t, "watchers", func(t *testing.T, h *house) {
		n := h.native()
		registered := h.registered()
		for i := range 100 {
			h.proxy(n)
			if i%10 == 0 {
				synctest.Wait()
			}
		}
		if got := h.registered(); got <= registered {
			t.Fatalf("%d processes in the registry with 100 proxies, want more than %d", got, registered)
		}
		if err := h.sys.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if got := h.registered(); got != registered {
			t.Errorf("%d processes in the registry after the proxies, want %d as before", got, registered)
		}
		h.dead.want(t, "dead letters")
		h.as.Root.Stop(n.pid)
		h.dead.want(t, "dead letters after the end of the actor, which nobody watches")
	})
}
