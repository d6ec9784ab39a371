package proto_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"go.uber.org/goleak"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/proto"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is an ActorSystem of a program with a System in it.
type house struct {
	t    testing.TB
	as   *protoactor.ActorSystem
	sys  *actor.System
	dead journal // what has become a dead letter
}

func newHouse(t testing.TB, cfg actor.Config) *house {
	t.Helper()
	h := &house{t: t, as: newActorSystem()}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	var err error
	if h.sys, err = proto.NewSystem(h.as, cfg); err != nil {
		t.Fatalf("NewSystem(%+v): %v", cfg, err)
	}
	h.as.EventStream.Subscribe(func(e any) {
		if e, ok := e.(*protoactor.DeadLetterEvent); ok {
			h.dead.add(e.Message)
		}
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		if err := h.sys.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown at the end of the test: %v", err)
		}
	})
	return h
}

func newActorSystem() *protoactor.ActorSystem {
	return protoactor.NewActorSystem(protoactor.WithLoggerFactory(func(*protoactor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
}

// bubble runs f on a fake clock, with a house.
func bubble(t *testing.T, name string, f func(t *testing.T, h *house)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f(t, newHouse(t, actor.Config{}))
			time.Sleep(time.Minute) // protoactor's dead letters keep a goroutine for a second
		})
	})
}

// journal is a list that several goroutines write to.
type journal struct {
	mu   sync.Mutex
	list []any
}

func (j *journal) add(v any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.list = append(j.list, v)
}

func (j *journal) all() []any {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.list)
}

// want waits until nothing moves, and compares.
func (j *journal) want(t testing.TB, what string, want ...any) {
	t.Helper()
	synctest.Wait()
	if got := j.all(); !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// act is a message to an actor of protoactor that runs it.
type act func(ctx protoactor.Context)

// native is an actor of protoactor. It runs acts, answers "ask" and "refuse", and keeps all messages but those of protoactor's own.
type native struct {
	journal
	pid *protoactor.PID
}

func (n *native) Receive(ctx protoactor.Context) {
	switch m := ctx.Message().(type) {
	case act:
		m(ctx)
		return
	case *protoactor.Started, *protoactor.Stopping, *protoactor.Stopped:
		return
	case *protoactor.Restarting:
		n.add("restarting")
		return
	case *protoactor.Terminated:
		n.add(ended{m.Who.Id, m.Why})
		return
	case string:
		if answer, ok := answers[m]; ok {
			ctx.Respond(answer)
		}
	}
	n.add(ctx.Message())
}

// ended is a Terminated.
type ended struct {
	id  string
	why protoactor.TerminatedReason
}

type refused struct{}

func (refused) Error() string { return "refused" }

// answers are what a native answers.
var answers = map[string]any{"ask": "answer", "refuse": refused{}, "nothing": nil}

func (h *house) native() *native {
	n := &native{}
	n.pid = h.as.Root.Spawn(protoactor.PropsFromProducer(func() protoactor.Actor { return n }))
	return n
}

// do runs f in n, and waits until all is at rest.
func (h *house) do(n *native, f act) {
	h.t.Helper()
	h.as.Root.Send(n.pid, f)
	synctest.Wait()
}

// run is a message to a process of Troupe that runs it.
type run func(ctx context.Context)

// member is an actor of Troupe's, and a handler, which does as a native does.
type member struct {
	journal
	conn *sockettest.Conn
	pid  actor.PID
}

func (m *member) Receive(ctx context.Context, msg any) error {
	if err, ok := msg.(stop); ok {
		return err.reason
	}
	m.handle(ctx, msg)
	return nil
}

func (m *member) handle(ctx context.Context, msg any) {
	switch v := msg.(type) {
	case run:
		v(ctx)
		return
	case string:
		if answer, ok := answers[v]; ok {
			actor.Reply(ctx, answer)
		}
	case actor.Down:
		m.add(down{v.PID, v.Reason})
		return
	}
	m.add(msg)
}

// down is a Down without its Ref.
type down struct {
	pid    actor.PID
	reason error
}

// stop is a message that ends its receiver.
type stop struct{ reason error }

// Terminate implements actor.Terminator and websock.Terminator.
func (m *member) Terminate(_ context.Context, reason error) { m.add(reason) }

// memberSocket is a member as a handler.
type memberSocket struct{ *member }

func (m memberSocket) Init(context.Context) websock.Result { return websock.OK() }

func (m memberSocket) HandleIn(context.Context, websock.Message) websock.Result { return websock.OK() }

func (m memberSocket) HandleInfo(ctx context.Context, msg any) websock.Result {
	if err, ok := msg.(stop); ok {
		return websock.Stop(err.reason)
	}
	m.handle(ctx, msg)
	return websock.OK()
}

// member spawns one as a plain actor.
func (h *house) member(o actor.SpawnOptions) *member {
	h.t.Helper()
	m := &member{}
	var err error
	if m.pid, err = h.sys.Spawn(context.Background(), m, o); err != nil {
		h.t.Fatalf("Spawn: %v", err)
	}
	return m
}

// socket serves one as a socket.
func (h *house) socket() *member {
	h.t.Helper()
	m := &member{}
	m.conn = sockettest.Serve(h.t, socket.Config{System: h.sys, Logger: slog.New(slog.DiscardHandler)}, memberSocket{m})
	m.pid = m.conn.PID
	return m
}

// in runs f in m's process, and waits until all is at rest.
func (h *house) in(m *member, f run) {
	h.t.Helper()
	if !m.pid.Send(f) {
		h.t.Fatal("the process does not take a message")
	}
	synctest.Wait()
}

// wait yields the exit reason of p. It waits before it returns.
func (h *house) wait(p actor.PID) <-chan error {
	ended := make(chan error, 1)
	go func() {
		reason, err := actor.Wait(context.Background(), p)
		if err != nil {
			h.t.Errorf("Wait: %v", err)
		}
		ended <- reason
	}()
	synctest.Wait()
	return ended
}

// each runs f for a socket and for a plain actor.
func each(t *testing.T, f func(t *testing.T, h *house, m *member)) {
	t.Helper()
	bubble(t, "socket", func(t *testing.T, h *house) { f(t, h, h.socket()) })
	bubble(t, "actor", func(t *testing.T, h *house) { f(t, h, h.member(actor.SpawnOptions{})) })
}
