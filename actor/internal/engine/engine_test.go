package engine

import (
	"errors"
	"fmt"
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

// recorder is a Process that writes down what the engine does with it.
type recorder struct {
	Cell
	trespass func(what string)
	received int
	posted   []any
}

func (r *recorder) Receive() error       { r.received++; return errReceived }
func (r *recorder) Post(msg any)         { r.posted = append(r.posted, msg) }
func (r *recorder) Len() int             { return len(r.posted) }
func (r *recorder) Trespass(what string) { r.trespass(what) }

type fixture struct {
	*System
	trespasses []string
}

func newFixture() *fixture {
	f := &fixture{}
	f.System = New(Config{Trespass: f.trespass, Logger: slog.New(slog.DiscardHandler)})
	return f
}

func (f *fixture) trespass(what string) { f.trespasses = append(f.trespasses, what) }

func (f *fixture) spawn(t *testing.T, id string) *recorder {
	t.Helper()
	p := &recorder{trespass: f.trespass}
	if err := f.Spawn(id, p, &p.Cell); err != nil {
		t.Fatalf("Spawn(%q): %v", id, err)
	}
	return p
}

func TestSystem_lifeOfAProcess(t *testing.T) {
	f := newFixture()
	p := f.spawn(t, "1.a")
	if !f.Registered("1.a") {
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
	f.Remove("1.a")
	if f.Registered("1.a") {
		t.Errorf("registered after Remove")
	}
	p.Invoke() // a callback that outlives its process
	if p.received != 4 {
		t.Errorf("Invoke after Remove did not reach Receive")
	}
	f.Remove("1.a")
	if len(f.trespasses) != 0 {
		t.Errorf("trespasses %q, want none", f.trespasses)
	}
}

func TestSystem_Spawn_refusesAnIDInUse(t *testing.T) {
	f := newFixture()
	f.spawn(t, "1.a")
	p := &recorder{}
	if err := f.Spawn("1.a", p, &p.Cell); err == nil {
		t.Errorf("Spawn of an id in use: no error")
	}
}

func TestSystem_messagesByProtosOwnMeansArriveAsTheyAre(t *testing.T) {
	f := newFixture()
	p := f.spawn(t, "1.a")
	pid := f.proto.NewLocalPID("1.a")
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
		{"Stop", func(f *fixture, pid *proto.PID) { f.proto.Root.Stop(pid) }, "system message *actor.Stop"},
		{"Watch", func(f *fixture, pid *proto.PID) {
			ref, _ := f.proto.ProcessRegistry.GetLocal(pid.Id)
			ref.SendSystemMessage(pid, &proto.Watch{Watcher: pid})
		}, "system message *actor.Watch"},
		{"Failure", func(f *fixture, pid *proto.PID) {
			ref, _ := f.proto.ProcessRegistry.GetLocal(pid.Id)
			ref.SendSystemMessage(pid, &proto.Failure{Who: pid})
		}, "system message *actor.Failure"},
		{"a message to an unknown id", func(f *fixture, _ *proto.PID) {
			f.proto.Root.Send(f.proto.NewLocalPID("2.a"), "hi")
		}, "*actor.DeadLetterEvent"},
		{"a Stop to an unknown id", func(f *fixture, _ *proto.PID) {
			f.proto.Root.Stop(f.proto.NewLocalPID("2.a"))
		}, "*actor.DeadLetterEvent"},
		{"a message after Remove", func(f *fixture, pid *proto.PID) {
			f.Remove(pid.Id)
			f.proto.Root.Send(f.proto.NewLocalPID(pid.Id), "hi")
		}, "*actor.DeadLetterEvent"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture()
				f.spawn(t, "1.a")
				tt.do(f, f.proto.NewLocalPID("1.a"))
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
		id := fmt.Sprintf("%d.a", i)
		f.spawn(t, id)
		f.Remove(id)
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
	if !f.Registered("eventstream") {
		t.Error("proto's event stream is not in the registry any more")
	}
}
