package engine

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errReceived = errors.New("received")

// recorder is a Process, and a Target, that writes down what the engine does with it. Its message is current.
type recorder struct {
	Cell
	fixture  *fixture
	num      uint64
	received int
	posted   []any // by Send and Ask
	stopped  int
	watches  int // that are not cancelled
	ended    []func(End)
	atOnce   *End   // Watch finds the end
	refuses  bool   // Watch finds it dead
	watching func() // is called by Watch

	current any
	asker   any
	handled []any
}

func (r *recorder) Receive() error             { r.received++; return errReceived }
func (r *recorder) Len() int                   { return len(r.posted) }
func (r *recorder) Trespass(what string)       { r.fixture.trespass(what) }
func (r *recorder) Address() (*System, uint64) { return r.fixture.System, r.num }

func (r *recorder) Send(msg any) bool { r.posted = append(r.posted, msg); return true }
func (r *recorder) Ask(msg, _ any, _ func(any, bool)) bool {
	return r.Send(msg)
}
func (r *recorder) Stop() bool   { r.stopped++; return true }
func (r *recorder) Poison() bool { r.stopped++; return true }
func (r *recorder) Watch(ended func(End)) (func(), bool) {
	if r.refuses {
		return func() {}, false
	}
	r.watches++
	r.ended = append(r.ended, ended)
	if r.atOnce != nil {
		ended(*r.atOnce)
	}
	if r.watching != nil {
		r.watching()
	}
	return func() { r.watches-- }, true
}

func (r *recorder) Due() (any, bool)           { return r.current, true }
func (r *recorder) Handle(msg any) error       { r.handled = append(r.handled, msg); return errReceived }
func (r *recorder) Asked() (any, Asker)        { return r.asker, nil }
func (r *recorder) Guard(f func() error) error { return f() }

type fixture struct {
	*System
	processes  map[uint64]*recorder
	away       map[string]*recorder // by Address and Id
	trespasses []string
}

func newFixture() *fixture {
	f := &fixture{processes: map[uint64]*recorder{}}
	f.System = New(f.config())
	return f
}

// newAdopted is a fixture in an ActorSystem of the program's own.
func newAdopted(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{processes: map[uint64]*recorder{}}
	var err error
	f.System, err = Adopt(newActorSystem(), f.config(), func(from *proto.PID, msg any) any { return []any{from.Id, msg} })
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func newActorSystem() *proto.ActorSystem {
	return proto.NewActorSystem(
		proto.WithLoggerFactory(func(*proto.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }),
		proto.WithDeadLetterRequestLogging(false), // to log one, proto starts a goroutine
	)
}

func (f *fixture) config() Config {
	return Config{Trespass: f.trespass, Find: f.lookUp, Away: f.lookAway, Address: "troupe:test", Logger: slog.New(slog.DiscardHandler)}
}

func (f *fixture) trespass(what string) { f.trespasses = append(f.trespasses, what) }

func (f *fixture) lookUp(num uint64) (Target, bool) {
	p := f.processes[num]
	return p, p != nil
}

func (f *fixture) lookAway(address, id string) (Target, bool) {
	p := f.away[address+" "+id]
	return p, p != nil
}

func (f *fixture) spawn(t *testing.T, num uint64, middleware ...proto.ReceiverMiddleware) *recorder {
	t.Helper()
	p := &recorder{fixture: f, num: num}
	if middleware != nil {
		p.Use(NewMiddleware(middleware...))
	}
	if err := f.Spawn(num, p, &p.Cell); err != nil {
		t.Fatalf("Spawn(%d): %v", num, err)
	}
	f.processes[num] = p
	return p
}

func TestSystem_lifeOfAProcess(t *testing.T) {
	f := newFixture()
	p := f.spawn(t, 1)
	if !f.Registered(1) {
		t.Errorf("not registered after Spawn")
	}
	for range 3 {
		if err := p.Invoke(); err != errReceived {
			t.Errorf("Invoke() = %v, want what Receive returns", err)
		}
	}
	if p.received != 3 {
		t.Errorf("3 invocations reached Receive %d times", p.received)
	}
	f.Remove(1)
	if f.Registered(1) {
		t.Errorf("registered after Remove")
	}
	p.Invoke() // a callback that outlives its process
	if p.received != 4 {
		t.Errorf("Invoke after Remove did not reach Receive")
	}
	f.Remove(1)
	if len(f.trespasses) != 0 {
		t.Errorf("trespasses %q, want none", f.trespasses)
	}
}

func TestSystem_Spawn_refusesAnIDInUse(t *testing.T) {
	f := newFixture()
	f.spawn(t, 1)
	p := &recorder{fixture: f}
	if err := f.Spawn(1, p, &p.Cell); err == nil {
		t.Errorf("Spawn of an id in use: no error")
	}
}

func TestSystem_messagesByProtosOwnMeansArriveAsTheyAre(t *testing.T) {
	f := newFixture()
	p := f.spawn(t, 1)
	pid := f.proto.NewLocalPID("1")
	f.proto.Root.Send(pid, "plain")
	f.proto.Root.Request(pid, "with a sender")
	f.proto.Root.Send(pid, &proto.MessageEnvelope{Message: "in an envelope"})
	if want := []any{"plain", "with a sender", "in an envelope"}; !slices.Equal(p.posted, want) {
		t.Errorf("posted %v, want %v", p.posted, want)
	}
	if p.received != 0 {
		t.Errorf("proto ran the actor on the sender's goroutine")
	}
}

// TestSystem_trespassIsDetected: it is by Trespass that the tests of package actor know that proto's own paths are never
// taken, so it must see each of them.
func TestSystem_trespassIsDetected(t *testing.T) {
	tests := []struct {
		name string
		do   func(f *fixture, pid *proto.PID)
		want string
	}{
		{"nothing", func(*fixture, *proto.PID) {}, ""},
		{"Stop", func(f *fixture, pid *proto.PID) { f.proto.Root.Stop(pid) }, ""}, // it is an Exit
		{"Failure", func(f *fixture, pid *proto.PID) {
			ref, _ := f.proto.ProcessRegistry.GetLocal(pid.Id)
			ref.SendSystemMessage(pid, &proto.Failure{Who: pid})
		}, "system message *actor.Failure, *actor.DeadLetterEvent"},
		{"Suspend", func(f *fixture, pid *proto.PID) {
			ref, _ := f.proto.ProcessRegistry.GetLocal(pid.Id)
			ref.SendSystemMessage(pid, &proto.SuspendMailbox{})
		}, "system message *actor.SuspendMailbox, *actor.DeadLetterEvent"},
		{"a message to an unknown id", func(f *fixture, _ *proto.PID) {
			f.proto.Root.Send(f.proto.NewLocalPID("2"), "hi")
		}, "*actor.DeadLetterEvent"},
		{"a Stop to an unknown id", func(f *fixture, _ *proto.PID) {
			f.proto.Root.Stop(f.proto.NewLocalPID("2"))
		}, "*actor.DeadLetterEvent"},
		{"a message after Remove", func(f *fixture, pid *proto.PID) {
			f.Remove(1)
			f.proto.Root.Send(f.proto.NewLocalPID(pid.Id), "hi")
		}, "*actor.DeadLetterEvent"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture()
				f.spawn(t, 1)
				tt.do(f, f.proto.NewLocalPID("1"))
				if got := strings.Join(f.trespasses, ", "); got != tt.want {
					t.Errorf("trespasses %q, want %q", got, tt.want)
				}
				time.Sleep(time.Minute) // proto's dead letters keep a goroutine for a while
			})
		})
	}
}

func TestNew_logsWarningsOnly(t *testing.T) {
	var b strings.Builder
	log := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s := New(Config{Trespass: func(string) {}, Logger: log})
	s.proto.Logger().Info("chatter")
	s.proto.Logger().With("k", 1).WithGroup("g").Info("chatter")
	s.proto.Logger().Warn("warning")
	if got := b.String(); strings.Contains(got, "chatter") || strings.Contains(got, "INFO") || !strings.Contains(got, "warning") {
		t.Errorf("log %q, want the warning only", got)
	}
}

func TestSystem_removedProcessesLeaveNothing(t *testing.T) {
	f := newFixture()
	for i := range 10_000 {
		f.spawn(t, uint64(i))
		f.Remove(uint64(i))
	}
	n := 0
	for _, bucket := range f.proto.ProcessRegistry.LocalPIDs.LocalPIDs {
		n += bucket.Count()
	}
	if want := 2; n > want { // dead letters and the event stream are proto's own
		t.Errorf("%d processes in the registry, want at most %d", n, want)
	}
}

func TestNew_registryIsSmall(t *testing.T) {
	f := newFixture()
	if b := f.proto.ProcessRegistry.LocalPIDs.LocalPIDs; len(b) != buckets || cap(b) != buckets {
		t.Errorf("%d buckets, %d kept, want %d", len(b), cap(b), buckets)
	}
	if _, ok := f.proto.ProcessRegistry.GetLocal("eventstream"); !ok {
		t.Error("proto's event stream is not in the registry any more")
	}
}

// Proto's remote says yes to every address, and so must come after ours.
func TestNew_resolverIsFirst(t *testing.T) {
	f := newFixture()
	f.proto.ProcessRegistry.RegisterAddressResolver(func(*proto.PID) (proto.Process, bool) { return f.proto.DeadLetter, true })
	for _, test := range []struct {
		pid  *proto.PID
		ours bool
	}{
		{f.PID(7), true},
		{proto.NewPID(f.address, "no number"), true},
		{proto.NewPID("elsewhere:80", "7"), false},
	} {
		ref, ok := f.proto.ProcessRegistry.Get(test.pid)
		if _, ours := ref.(*reached); ours != test.ours || !ok {
			t.Errorf("%v is found as %T, %t; want ours %t, true", test.pid, ref, ok, test.ours)
		}
	}
}
