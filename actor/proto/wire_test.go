package proto_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/proto"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/sockettest"
)

// outlet is a process of protoactor's that writes down what it is sent, as it comes, and answers with what answer returns.
type outlet struct {
	journal
	h      *house
	pid    *protoactor.PID
	answer func(msg any) any // nil, and a nil: no answer

	watcher *protoactor.PID
}

func (h *house) outlet() *outlet {
	o := &outlet{h: h}
	o.pid, _ = h.as.ProcessRegistry.Add(o, h.as.ProcessRegistry.NextId())
	return o
}

func (o *outlet) SendUserMessage(_ *protoactor.PID, message any) {
	if message == nil {
		o.add("a nil, which an actor would spin on")
		return
	}
	_, msg, sender := protoactor.UnwrapEnvelope(message)
	if _, ok := msg.(*protoactor.PoisonPill); ok {
		msg = "poison"
	}
	o.add(fmt.Sprint(msg))
	if o.answer != nil && sender != nil {
		if v := o.answer(msg); v != nil {
			o.h.as.Root.Send(sender, v)
		}
	}
}

func (o *outlet) SendSystemMessage(_ *protoactor.PID, message any) {
	o.add(fmt.Sprintf("%T", message))
	if w, ok := message.(*protoactor.Watch); ok {
		o.watcher = w.Watcher
	}
}

func (o *outlet) Stop(*protoactor.PID) { o.add("Stop") }

// What goes out, message by message: nothing that an actor chokes on, and no watch that is left.
func TestOutlet(t *testing.T) {
	each(t, func(t *testing.T, h *house, m *member) {
		o := h.outlet()
		h.in(m, func(ctx context.Context) {
			proto.Send(ctx, o.pid, nil)
			proto.Request(ctx, o.pid, nil)
			proto.Call[any](ctx, o.pid, "silence")
		})
		time.Sleep(10 * time.Second) // the Call
		o.want(t, "what comes to the process", "<nil>", "<nil>", "silence", "*actor.Watch", "*actor.Unwatch")

		o = h.outlet()
		h.in(m, func(ctx context.Context) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			if _, err := proto.Call[any](ctx, o.pid, "never"); !errors.Is(err, context.Canceled) {
				t.Errorf("Call when ctx is done: %v, want context.Canceled", err)
			}
		})
		o.want(t, "a Call when ctx is done")

		o = h.outlet()
		o.answer = func(any) any { return "at once" }
		h.in(m, func(ctx context.Context) { proto.Call[any](ctx, o.pid, "ask") })
		o.want(t, "a Call that is answered before it watches", "ask")
	})
	bubble(t, "Proxy", func(t *testing.T, h *house) {
		o := h.outlet()
		p, err := proto.Proxy(h.sys, o.pid)
		if err != nil {
			t.Fatal(err)
		}
		p.Send(nil)
		synctest.Wait()
		o.answer = func(any) any { return &protoactor.DeadLetterResponse{} }
		if _, err := actor.Call[any](t.Context(), p, "ask"); !errors.Is(err, actor.ErrNoProcess) {
			t.Errorf("Call of the proxy when nobody is there any more: %v, want ErrNoProcess", err)
		}
		p.Exit(actor.ErrNormal) // what it stands for does not terminate
		time.Sleep(10 * time.Second)
		o.want(t, "what comes to the process", "*actor.Watch", "<nil>", "ask", "poison", "*actor.Unwatch", "Stop")

		o = h.outlet()
		if _, err := proto.Proxy(h.sys, o.pid); err != nil {
			t.Fatal(err)
		}
		if err := h.sys.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		o.want(t, "what comes to the process at a Shutdown", "*actor.Watch", "*actor.Unwatch")
	})
}

// How a Proxy ends by what protoactor says of the actor. It says nothing more to one that has terminated.
func TestProxy_reasons(t *testing.T) {
	for why, want := range map[protoactor.TerminatedReason]struct {
		is   error
		text string
	}{
		protoactor.TerminatedReason_Stopped:           {actor.ErrNormal, "has terminated"},
		protoactor.TerminatedReason_NotFound:          {actor.ErrNoProcess, "no such process"},
		protoactor.TerminatedReason_AddressTerminated: {nil, "is lost: AddressTerminated"},
	} {
		bubble(t, why.String(), func(t *testing.T, h *house) {
			o := h.outlet()
			p, err := proto.Proxy(h.sys, o.pid)
			if err != nil {
				t.Fatal(err)
			}
			reasons := h.wait(p)
			watcher, _ := h.as.ProcessRegistry.Get(o.watcher)
			watcher.SendSystemMessage(o.watcher, &protoactor.Terminated{Who: o.pid, Why: why})
			reason := <-reasons
			if want.is != nil && !errors.Is(reason, want.is) || !strings.Contains(fmt.Sprint(reason), want.text) {
				t.Errorf("the proxy has ended with %v, want %v, %q", reason, want.is, want.text)
			}
			o.want(t, "what comes to the process", "*actor.Watch")
		})
	}
}

// The values that Config.Context gives a socket may come from a callback that handles a Call. That is another process's.
func TestSender_ofAnotherCall(t *testing.T) {
	bubble(t, "Config.Context", func(t *testing.T, h *house) {
		room, n, m := h.member(actor.SpawnOptions{}), h.native(), &member{}
		type key struct{}
		var asked context.Context
		h.do(n, func(ctx protoactor.Context) {
			ctx.Request(proto.PID(room.pid), run(func(ctx context.Context) { asked = context.WithValue(ctx, key{}, "value") }))
		})
		m.pid = sockettest.Serve(t, socket.Config{
			System:  h.sys,
			Logger:  slog.New(slog.DiscardHandler),
			Context: func(*http.Request) context.Context { return asked },
		}, memberSocket{m}).PID
		h.in(m, func(ctx context.Context) {
			if v, s := ctx.Value(key{}), proto.Sender(ctx); v != "value" || s != nil {
				t.Errorf("in the socket: the value %v, and Sender %v; want the value, and nil", v, s)
			}
		})
		if s := proto.Sender(asked); !s.Equal(n.pid) {
			t.Errorf("Sender of the Call itself: %v, want %v", s, n.pid)
		}
	})
}

// Nothing is abandoned when a proxy's time is over, and the actor has not terminated.
func TestProxy_abandonsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log buffer
		h := newHouse(t, actor.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		o := h.outlet()
		p, err := proto.Proxy(h.sys, o.pid)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := actor.Inspect(p); err != nil || info.Label != "nonhost/"+o.pid.Id {
			t.Errorf("Inspect: %+v, %v; want a Label that names the actor", info, err)
		}
		p.Exit(actor.ErrNormal)
		time.Sleep(time.Minute)
		if s := log.String(); strings.Contains(s, "abandoned") {
			t.Errorf("the log says %s; want nothing of abandoned goroutines", s)
		}
	})
}
