package host_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// nowhere is a Remote that reaches nothing.
type nowhere struct{}

func (nowhere) Send(actor.PID, any) bool   { return false }
func (nowhere) Exit(actor.PID, error) bool { return false }
func (nowhere) Reachable(actor.PID) bool   { return false }
func (nowhere) Call(_, _ actor.PID, _ any, _ time.Time, answer func(any, error)) func() {
	answer(nil, actor.ErrNodeDown)
	return func() {}
}
func (nowhere) Monitor(_ actor.PID, down func(error)) func() {
	down(actor.ErrNodeDown)
	return func() {}
}

func newSystem(t *testing.T) *actor.System {
	t.Helper()
	sys, err := actor.NewSystem(actor.Config{Node: "here", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sys.Shutdown(context.Background()) })
	return sys
}

func spawn(t *testing.T, sys *actor.System, f receive, o actor.SpawnOptions) actor.PID {
	t.Helper()
	pid, err := sys.Spawn(context.Background(), f, o)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestAttach_once(t *testing.T) {
	sys := newSystem(t)
	if err := host.Attach(sys, nowhere{}); err != nil {
		t.Errorf("the first Attach: %v", err)
	}
	if err := host.Attach(sys, nowhere{}); err == nil {
		t.Error("the second Attach: no error")
	}
}

func TestPIDOf(t *testing.T) {
	sys := newSystem(t)
	local := spawn(t, sys, func(context.Context, any) error { return nil }, actor.SpawnOptions{})
	for _, text := range []string{local.String(), "42.000000000000000a@there:4000", "1.ffffffffffffffff@here", "nobody"} {
		want, err := sys.ParsePID(text)
		if err != nil {
			t.Fatal(err)
		}
		node, boot, num := host.Parts(want)
		if got := host.ValidNode(node); got != (want != actor.PID{}) {
			t.Errorf("ValidNode(%q) = %t", node, got)
		}
		if got := host.PIDOf(sys, node, boot, num); got != want {
			t.Errorf("PIDOf(%q, %x, %d) = %v, want %v", node, boot, num, got, want)
		}
	}
	node, boot := host.Identity(sys)
	if _, b, _ := host.Parts(local); node != "here" || boot != b {
		t.Errorf("Identity = %q, %x; want those of %v", node, boot, local)
	}
	for _, node := range []string{"", "a b", "a@b", string(make([]byte, 256))} {
		if got := host.PIDOf(sys, node, 1, 1); got != (actor.PID{}) {
			t.Errorf("PIDOf(%q, 1, 1) = %v, want nobody", node, got)
		}
		if host.ValidNode(node) {
			t.Errorf("ValidNode(%q) = true, want false", node)
		}
	}
	if got := host.PIDOf(sys, "there", 1, 0); got != (actor.PID{}) {
		t.Errorf(`PIDOf("there", 1, 0) = %v, want nobody`, got)
	}
}

// Kill ends a process as Exit with ErrKilled does, and waits neither for its callback nor for what runs at its end.
func TestKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := newSystem(t)
		release := make(chan struct{})
		handled := 0
		p := spawn(t, sys, func(context.Context, any) error { handled++; <-release; return nil }, actor.SpawnOptions{})
		p.OnExit(func(error) { <-release })
		p.Send(1)
		p.Send(2)
		synctest.Wait()
		if !host.Kill(p, actor.ErrKilled) {
			t.Error("Kill = false, want true")
		}
		if p.Send(3) || p.Alive() {
			t.Error("after Kill the process takes messages")
		}
		reasons := make(chan error, 1)
		host.Watch(p, func(reason error) { reasons <- reason })
		synctest.Wait()
		select {
		case r := <-reasons:
			t.Errorf("the process is dead with %v while a function of OnExit runs", r)
		default:
		}
		close(release)
		if r := <-reasons; r != actor.ErrKilled {
			t.Errorf("the exit reason is %v, want ErrKilled", r)
		}
		synctest.Wait()
		if host.Kill(p, actor.ErrKilled) || host.Kill(actor.PID{}, actor.ErrKilled) {
			t.Error("Kill of a dead process, or of nobody = true, want false")
		}
		if handled != 1 {
			t.Errorf("%d messages were handled, want the first", handled)
		}
		plain := spawn(t, sys, func(context.Context, any) error { return nil }, actor.SpawnOptions{})
		host.Kill(plain, actor.ErrKilled)
		if host.Kill(plain, actor.ErrKilled) {
			t.Error("a process without OnExit is not dead when Kill returns")
		}
	})
}

// asked is what an Ask was answered.
type asked struct {
	v   any
	err error
}

func ask(to, from actor.PID, req any, deadline time.Time) (*[]asked, func()) {
	got := &[]asked{}
	return got, host.Ask(to, from, req, deadline, func(v any, err error) { *got = append(*got, asked{v, err}) })
}

func TestAsk(t *testing.T) {
	boom := errors.New("boom")
	synctest.Test(t, func(t *testing.T) {
		sys := newSystem(t)
		from := host.PIDOf(sys, "there", 7, 42)
		echo := spawn(t, sys, func(ctx context.Context, msg any) error {
			if caller, ok := actor.Caller(ctx); !ok || caller.PID() != from {
				t.Errorf("Caller = %v, %t; want %v", caller.PID(), ok, from)
			}
			actor.Reply(ctx, msg)
			return nil
		}, actor.SpawnOptions{})
		silent := spawn(t, sys, func(context.Context, any) error { return nil }, actor.SpawnOptions{})
		ends := spawn(t, sys, func(ctx context.Context, msg any) error { return boom }, actor.SpawnOptions{})
		later := spawn(t, sys, func(ctx context.Context, msg any) error {
			caller, _ := actor.Caller(ctx)
			time.AfterFunc(time.Minute, func() { caller.Reply("late") })
			return nil
		}, actor.SpawnOptions{})
		dead := spawn(t, sys, func(context.Context, any) error { return nil }, actor.SpawnOptions{})
		dead.Exit(actor.ErrKilled)
		full := spawn(t, sys, func(ctx context.Context, _ any) error { <-ctx.Done(); return nil }, actor.SpawnOptions{MailboxLimit: 1})
		full.Send("in progress")
		synctest.Wait()
		full.Send("waits")
		defer full.Exit(actor.ErrKilled)
		const none = time.Duration(0)
		for _, tt := range []struct {
			name   string
			to     actor.PID
			req    any
			within time.Duration // 0: no deadline
			want   asked
		}{
			{"an answer", echo, "yes", time.Hour, asked{"yes", nil}},
			{"an answer without a deadline", echo, "yes", none, asked{"yes", nil}},
			{"an error as the answer", echo, boom, none, asked{boom, nil}},
			{"a nil answer", echo, nil, none, asked{nil, nil}},
			{"no reply", silent, 1, time.Hour, asked{nil, actor.ErrNoReply}},
			{"the callee ends", ends, 1, time.Hour, asked{nil, actor.ErrNoProcess}},
			{"a dead process", dead, 1, time.Hour, asked{nil, actor.ErrNoProcess}},
			{"nobody", actor.PID{}, 1, time.Hour, asked{nil, actor.ErrNoProcess}},
			{"a full mailbox", full, 1, time.Hour, asked{nil, actor.ErrMailboxFull}},
			{"later", later, 1, 2 * time.Minute, asked{"late", nil}},
			{"too late", later, 1, time.Second, asked{nil, context.DeadlineExceeded}},
			{"a deadline that has passed", later, 1, -time.Second, asked{nil, context.DeadlineExceeded}},
		} {
			deadline := time.Time{}
			if tt.within != none {
				deadline = time.Now().Add(tt.within)
			}
			got, cancel := ask(tt.to, from, tt.req, deadline)
			time.Sleep(5 * time.Minute)
			synctest.Wait()
			cancel()
			if len(*got) != 1 || (*got)[0].v != tt.want.v || !errors.Is((*got)[0].err, tt.want.err) ||
				((*got)[0].err == nil) != (tt.want.err == nil) {
				t.Errorf("%s: answered %v, want %v once", tt.name, *got, tt.want)
			}
		}
	})
}

func TestAsk_cancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := newSystem(t)
		var handled []any
		var caller actor.From
		started, release := make(chan struct{}), make(chan struct{})
		pid := spawn(t, sys, func(ctx context.Context, msg any) error {
			handled = append(handled, msg)
			caller, _ = actor.Caller(ctx)
			if msg == "first" {
				close(started)
				<-release
			}
			return nil
		}, actor.SpawnOptions{})
		first, cancelFirst := ask(pid, actor.PID{}, "first", time.Time{})
		<-started
		second, cancelSecond := ask(pid, actor.PID{}, "second", time.Now().Add(time.Hour))
		cancelFirst()
		cancelSecond()
		cancelSecond()
		if caller.Waiting() || caller.Reply("late") {
			t.Error("Waiting or Reply = true after cancel")
		}
		close(release)
		synctest.Wait()
		if want := []any{"first"}; !slices.Equal(handled, want) {
			t.Errorf("the callee handled %v, want %v: nobody waits for the second", handled, want)
		}
		pid.Exit(actor.ErrKilled)
		if len(*first)+len(*second) > 0 {
			t.Errorf("answers after cancel: %v, %v", *first, *second)
		}
	})
}

// An Ask to another node goes to the Remote.
func TestAsk_away(t *testing.T) {
	sys := newSystem(t)
	if err := host.Attach(sys, nowhere{}); err != nil {
		t.Fatal(err)
	}
	got, _ := ask(host.PIDOf(sys, "there", 7, 42), actor.PID{}, 1, time.Time{})
	if len(*got) != 1 || (*got)[0].err != actor.ErrNodeDown {
		t.Errorf("answered %v, want what the Remote says: %v", *got, actor.ErrNodeDown)
	}
}

// askedLater is a Remote that keeps the answer of a Call.
type askedLater struct {
	nowhere
	answer    func(any, error)
	cancelled int
}

func (r *askedLater) Call(_, _ actor.PID, _ any, _ time.Time, answer func(any, error)) func() {
	r.answer = answer
	return func() { r.cancelled++ }
}

// An Ask to another node ends in its time, whatever the Remote does, and is answered once.
func TestAsk_awayInItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, r := newSystem(t), &askedLater{}
		if err := host.Attach(sys, r); err != nil {
			t.Fatal(err)
		}
		away := host.PIDOf(sys, "there", 7, 42)
		late, _ := ask(away, actor.PID{}, 1, time.Now().Add(time.Second))
		time.Sleep(time.Second)
		synctest.Wait()
		r.answer("late", nil)
		if len(*late) != 1 || (*late)[0].err != context.DeadlineExceeded || r.cancelled != 1 {
			t.Errorf("answered %v, cancelled %d times; want DeadlineExceeded once, cancelled once", *late, r.cancelled)
		}
		early, cancel := ask(away, actor.PID{}, 1, time.Now().Add(time.Second))
		r.answer("early", nil)
		cancel()
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(*early) != 1 || (*early)[0].v != "early" || r.cancelled != 1 {
			t.Errorf("answered %v, cancelled %d times; want early once, and no more cancelled", *early, r.cancelled)
		}
		none, cancel := ask(away, actor.PID{}, 1, time.Now().Add(time.Second))
		cancel()
		r.answer("after cancel", nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(*none) != 0 || r.cancelled != 2 {
			t.Errorf("answered %v, cancelled %d times; want none, cancelled once more", *none, r.cancelled)
		}
	})
}

func TestWatch(t *testing.T) {
	boom := errors.New("boom")
	synctest.Test(t, func(t *testing.T) {
		sys := newSystem(t)
		if err := host.Attach(sys, nowhere{}); err != nil {
			t.Fatal(err)
		}
		watch := func(p actor.PID) (*[]error, func()) {
			got := &[]error{}
			return got, host.Watch(p, func(reason error) { *got = append(*got, reason) })
		}
		pid := spawn(t, sys, func(context.Context, any) error { return boom }, actor.SpawnOptions{})
		first, _ := watch(pid)
		stopped, cancel := watch(pid)
		cancel()
		cancel()
		pid.Send("end")
		synctest.Wait()
		dead, _ := watch(pid)
		away, _ := watch(host.PIDOf(sys, "there", 7, 42))
		for _, tt := range []struct {
			name string
			got  []error
			want []error
		}{
			{"until the end", *first, []error{boom}},
			{"cancelled", *stopped, nil},
			{"a dead process", *dead, []error{actor.ErrNoProcess}},
			{"of another node", *away, []error{actor.ErrNodeDown}},
		} {
			if !slices.Equal(tt.got, tt.want) {
				t.Errorf("%s: told %v, want %v", tt.name, tt.got, tt.want)
			}
		}
	})
}
