package proto_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
	"github.com/troupe-dev/troupe/actor/proto"
)

// network is a host.Remote that writes down what it carries. It knows one process.
type network struct {
	journal
	knows  actor.PID
	silent bool             // Calls are not answered
	left   time.Duration    // how much of its time the last Call had
	down   chan func(error) // of Monitor; nil: the node is not connected
}

func (n *network) Send(to actor.PID, msg any) bool {
	if to != n.knows {
		return false
	}
	n.add(msg)
	return true
}

func (n *network) Exit(to actor.PID, reason error) bool { return n.Send(to, reason) }
func (n *network) Reachable(to actor.PID) bool          { return to == n.knows }

func (n *network) Call(to, _ actor.PID, req any, deadline time.Time, answer func(v any, err error)) func() {
	n.left = time.Until(deadline)
	switch {
	case !n.Send(to, req):
		answer(nil, actor.ErrNoProcess)
	case !n.silent:
		answer("answer", nil)
	}
	return func() {}
}

func (n *network) Monitor(to actor.PID, down func(error)) func() {
	switch {
	case to != n.knows:
		down(actor.ErrNoProcess)
	case n.down == nil:
		down(actor.ErrNodeDown)
	default:
		n.down <- down
	}
	return func() {}
}

// far is a house with a Remote, and the PIDs of a process of another node that it knows, and of one that it does not.
func far(t *testing.T, h *house) (n *network, known, unknown actor.PID) {
	t.Helper()
	n = &network{knows: host.PIDOf(h.sys, "other", 1, 7), down: make(chan func(error), 1)}
	if err := host.Attach(h.sys, n); err != nil {
		t.Fatal(err)
	}
	return n, n.knows, host.PIDOf(h.sys, "other", 1, 8)
}

// With a host.Remote, such as package cluster's, an actor reaches processes of other nodes as it does those of its own.
func TestAway(t *testing.T) {
	bubble(t, "messages", func(t *testing.T, h *house) {
		net, known, unknown := far(t, h)
		n := h.native()
		h.do(n, func(ctx protoactor.Context) {
			ctx.Send(proto.PID(known), "sent")
			ctx.Request(proto.PID(known), "asked")
			ctx.Stop(proto.PID(known))
			ctx.Poison(proto.PID(known))
			ctx.Send(proto.PID(unknown), "to nobody")
		})
		net.want(t, "the other node", "sent", "asked", actor.ErrShutdown, actor.ErrNormal)
		n.want(t, "the response", "answer")
		h.dead.want(t, "dead letters", "to nobody")
		_, err := h.as.Root.RequestFuture(proto.PID(unknown), "ask", time.Hour).Result()
		if !errors.Is(err, protoactor.ErrDeadLetter) {
			t.Errorf("RequestFuture of nobody: %v, want ErrDeadLetter", err)
		}
		net.silent = true
		start := time.Now()
		_, err = h.as.Root.RequestFuture(proto.PID(known), "ask", time.Hour).Result()
		if !errors.Is(err, protoactor.ErrTimeout) || time.Since(start) != time.Hour {
			t.Errorf("RequestFuture without an answer: %v after %v, want ErrTimeout after an hour", err, time.Since(start))
		}
		if net.left != 5*time.Second {
			t.Errorf("the Call had %v, want Config.CallTimeout, 5s", net.left)
		}
	})
	bubble(t, "from a process", func(t *testing.T, h *house) {
		_, known, unknown := far(t, h)
		h.in(h.member(actor.SpawnOptions{}), func(ctx context.Context) {
			if v, err := proto.Call[string](ctx, proto.PID(known), "ask"); v != "answer" || err != nil {
				t.Errorf("Call: %q, %v; want the answer", v, err)
			}
			if _, err := proto.Call[string](ctx, proto.PID(unknown), "ask"); !errors.Is(err, actor.ErrNoProcess) {
				t.Errorf("Call of nobody: %v, want ErrNoProcess", err)
			}
		})
		if p, err := proto.Proxy(h.sys, proto.PID(known)); p != known || err != nil {
			t.Errorf("Proxy: %v, %v; want the process itself", p, err)
		}
		if _, err := proto.Proxy(h.sys, proto.PID(unknown)); !errors.Is(err, actor.ErrNoProcess) {
			t.Errorf("Proxy of nobody: %v, want ErrNoProcess", err)
		}
	})
}

func TestAway_watch(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(net *network, watched actor.PID)
		want protoactor.TerminatedReason
	}{
		"it ends":       {func(net *network, _ actor.PID) { (<-net.down)(refused{}) }, protoactor.TerminatedReason_Stopped},
		"its node goes": {func(net *network, _ actor.PID) { (<-net.down)(actor.ErrNodeDown) }, protoactor.TerminatedReason_AddressTerminated},
		"it has ended":  {nil, protoactor.TerminatedReason_NotFound},
		"not connected": {nil, protoactor.TerminatedReason_AddressTerminated},
	} {
		bubble(t, name, func(t *testing.T, h *house) {
			net, watched, unknown := far(t, h)
			switch name {
			case "it has ended":
				watched = unknown
			case "not connected":
				net.down = nil
			}
			n := h.native()
			h.do(n, func(ctx protoactor.Context) { ctx.Watch(proto.PID(watched)) })
			if test.end != nil {
				n.want(t, "while it lives")
				test.end(net, watched)
				synctest.Wait()
			}
			n.want(t, "the watcher", ended{proto.PID(watched).Id, test.want})
			h.dead.want(t, "dead letters")
		})
	}
}
