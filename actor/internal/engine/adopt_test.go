package engine

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"
)

func TestAdopt_leavesTheRestAlone(t *testing.T) {
	as := newActorSystem()
	rows, subscriptions, resolvers := len(as.ProcessRegistry.LocalPIDs.LocalPIDs), as.EventStream.Length(), len(as.ProcessRegistry.RemoteHandlers)
	log := as.Logger()
	f := &fixture{processes: map[uint64]*recorder{}}
	var err error
	f.System, err = Adopt(as, f.config(), func(_ *proto.PID, msg any) any { return msg })
	if err != nil {
		t.Fatal(err)
	}
	if n := len(as.ProcessRegistry.LocalPIDs.LocalPIDs); n != rows {
		t.Errorf("the registry has %d buckets after Adopt, want %d as before", n, rows)
	}
	if n := as.EventStream.Length(); n != subscriptions {
		t.Errorf("%d subscriptions after Adopt, want %d as before", n, subscriptions)
	}
	if n := len(as.ProcessRegistry.RemoteHandlers); n != resolvers+1 {
		t.Errorf("%d address resolvers after Adopt, want %d and one", n, resolvers)
	}
	if as.Logger() != log {
		t.Error("another Logger after Adopt")
	}

	// Ids that the program may have chosen itself.
	props := proto.PropsFromFunc(func(proto.Context) {})
	for _, id := range []string{"1", "$1"} {
		if _, err := as.Root.SpawnNamed(props, id); err != nil {
			t.Fatal(err)
		}
	}
	p := f.spawn(t, 1)
	as.Root.Send(f.entry(1), "to the entry")
	as.Root.Send(f.PID(1), "to the address")
	as.Root.Send(as.NewLocalPID("1"), "to the program's own")
	if want := []any{"to the entry", "to the address"}; !slices.Equal(p.posted, want) {
		t.Errorf("received %v, want %v", p.posted, want)
	}
	f.Remove(1)
	if f.Registered(1) {
		t.Error("registered after Remove")
	}
	if _, ok := as.ProcessRegistry.GetLocal("1"); !ok {
		t.Error("Remove has taken out the program's actor")
	}
}

func TestAdopt_twice(t *testing.T) {
	f := newAdopted(t)
	_, err := Adopt(f.proto, f.config(), f.answer)
	if err == nil || !strings.Contains(err.Error(), "has a System already") {
		t.Errorf("Adopt of an ActorSystem that has a System: %v, want an error that says so", err)
	}
	if n := len(f.proto.ProcessRegistry.RemoteHandlers); n != 1 {
		t.Errorf("%d address resolvers, want that of the first", n)
	}
}

func TestAnswerPID(t *testing.T) {
	f := newAdopted(t)
	p := f.spawn(t, 7)
	for _, asked := range []*proto.PID{proto.NewPID("nonhost", "parent/$1"), proto.NewPID("here:80", "a?b"), f.PID(8)} {
		p.posted = nil
		f.proto.Root.Send(AnswerPID(f.PID(7), asked), "answer")
		if len(p.posted) != 1 {
			t.Fatalf("asked %v: received %v, want one message", asked, p.posted)
		}
		if got := p.posted[0].([]any); got[0] != asked.Id || got[1] != "answer" {
			t.Errorf("asked %v: received %v, want the answer of %q", asked, got, asked.Id)
		}
	}
}

// wrapping puts the message into brackets.
func wrapping(next proto.ReceiverFunc) proto.ReceiverFunc {
	return func(c proto.ReceiverContext, env *proto.MessageEnvelope) {
		if s, ok := env.Message.(string); ok {
			env.Message = "[" + s + "]"
		}
		next(c, env)
	}
}

func TestMiddleware(t *testing.T) {
	f := newAdopted(t)
	var seen []any
	seeing := func(next proto.ReceiverFunc) proto.ReceiverFunc {
		return func(c proto.ReceiverContext, env *proto.MessageEnvelope) {
			seen = append(seen, env.Message)
			next(c, env)
		}
	}
	p, plain := f.spawn(t, 1, seeing, wrapping), f.spawn(t, 2)
	if kept := p.middleware().cell; kept != nil {
		t.Errorf("the middleware keeps %p, a process that it was spawned for", kept)
	}
	pill := &proto.PoisonPill{}
	for _, msg := range []any{"a", 1, nil, pill} {
		p.current = msg
		if err := p.Invoke(); err != errReceived {
			t.Errorf("Invoke of %v = %v, want what Handle returns", msg, err)
		}
	}
	if want := []any{"[a]", 1, nil, pill}; !slices.Equal(p.handled, want) {
		t.Errorf("handled %v, want %v", p.handled, want)
	}
	if len(seen) != 4 || !slices.Equal(seen[:3], []any{"a", 1, nil}) || seen[3] == any(pill) {
		t.Errorf("the middleware has seen %v, want the messages, and not the PoisonPill itself", seen)
	}
	if p.stopped != 0 {
		t.Error("proto has taken the message for its own")
	}
	if err := plain.Invoke(); err != errReceived || plain.received != 1 || len(seen) != 4 {
		t.Errorf("a process without middleware: Invoke = %v, received %d, seen %v", err, plain.received, seen)
	}
}

func TestMiddleware_needsTheProgramsActorSystem(t *testing.T) {
	f := newFixture()
	p := &recorder{fixture: f, num: 1}
	p.Use(NewMiddleware(wrapping))
	if err := f.Spawn(1, p, &p.Cell); err == nil || f.Registered(1) {
		t.Errorf("Spawn with middleware in Troupe's own ActorSystem = %v, registered %t; want an error", err, f.Registered(1))
	}
}

func TestReply(t *testing.T) {
	f := newAdopted(t)
	type got struct {
		v    any
		gone bool
	}
	for name, test := range map[string]struct {
		do   func(root *proto.RootContext, r *Reply)
		want []got
	}{
		"an answer": {func(root *proto.RootContext, r *Reply) { root.Send(r.PID(), "a") }, []got{{"a", false}}},
		"two": {func(root *proto.RootContext, r *Reply) {
			root.Send(r.PID(), "a")
			root.Send(r.PID(), "b")
		}, []got{{"a", false}}},
		"from afar": {func(root *proto.RootContext, r *Reply) {
			root.Send(proto.NewPID(r.PID().Address, r.PID().Id), "a")
		}, []got{{"a", false}}},
		"in an envelope": {func(root *proto.RootContext, r *Reply) {
			root.RequestWithCustomSender(r.PID(), "a", proto.NewPID("here", "somebody"))
		}, []got{{"a", false}}},
		"nobody": {func(root *proto.RootContext, r *Reply) {
			root.Send(r.PID(), &proto.DeadLetterResponse{})
		}, []got{{nil, true}}},
		"stopped": {func(root *proto.RootContext, r *Reply) {
			root.Stop(r.PID())
			root.Send(r.PID(), "a")
		}, nil},
		"dropped": {func(root *proto.RootContext, r *Reply) {
			r.Drop()
			root.Send(r.PID(), "a")
		}, nil},
	} {
		var all []got
		r := f.NewReply(func(v any, gone bool) {
			if gone {
				v = nil
			}
			all = append(all, got{v, gone})
		})
		if r.Over() {
			t.Errorf("%s: over at the start", name)
		}
		test.do(f.proto.Root, r)
		if !slices.Equal(all, test.want) || !r.Over() {
			t.Errorf("%s: answers %v, over %t; want %v, true", name, all, r.Over(), test.want)
		}
		if _, ok := f.proto.ProcessRegistry.GetLocal(r.PID().Id); ok {
			t.Errorf("%s: it is still in the registry", name)
		}
	}
}

// A program may have started protoactor's remote before, whose resolver takes every address.
func TestAdopt_resolverIsFirst(t *testing.T) {
	as := newActorSystem()
	as.ProcessRegistry.RegisterAddressResolver(func(*proto.PID) (proto.Process, bool) { return as.DeadLetter, true })
	f := &fixture{processes: map[uint64]*recorder{}}
	var err error
	if f.System, err = Adopt(as, f.config(), func(_ *proto.PID, msg any) any { return msg }); err != nil {
		t.Fatal(err)
	}
	p := f.spawn(t, 1)
	as.Root.Send(f.PID(1), "a")
	if len(p.posted) != 1 {
		t.Errorf("received %v, want the message", p.posted)
	}
}

// Of proto's system messages three may come to the entry of a process; the others are never sent to one.
func TestEntry_systemMessages(t *testing.T) { synctest.Test(t, testEntrySystemMessages) }

func testEntrySystemMessages(t *testing.T) {
	f := newAdopted(t)
	p := f.spawn(t, 1)
	entry, ok := f.proto.ProcessRegistry.Get(f.entry(1))
	if !ok {
		t.Fatal("the process has no entry")
	}
	_, watching := f.watcher("watcher")
	for _, msg := range []any{&proto.Watch{Watcher: watching}, &proto.Unwatch{Watcher: watching}, &proto.Stop{}} {
		entry.SendSystemMessage(f.entry(1), msg)
	}
	if len(f.trespasses) > 0 || p.watches != 0 || len(p.ended) != 1 || p.stopped != 1 {
		t.Errorf("reported %q, watched %d times, of which %d are not cancelled, stopped %d times; want nothing, 1, 0, 1",
			f.trespasses, len(p.ended), p.watches, p.stopped)
	}
	entry.SendSystemMessage(f.entry(1), &proto.Restart{})
	if want := []string{"system message *actor.Restart"}; !slices.Equal(f.trespasses, want) {
		t.Errorf("reported %q, want %q", f.trespasses, want)
	}
	time.Sleep(2 * time.Second) // the last one is a dead letter, too, which keeps a goroutine for a second
}

func (r *recorder) middleware() *Middleware { return r.invoker.(*seen).middleware }
