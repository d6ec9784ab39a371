package host_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// late is a Deferred that says at its turn what it holds then; nil: nothing.
type late struct {
	msg   any
	asked []actor.PID
}

func (l *late) Due(to actor.PID) (any, bool) {
	l.asked = append(l.asked, to)
	return l.msg, l.msg != nil
}

func (l *late) Content() any { return "late" }

// A Deferred says what it is when its turn has come, in mailbox order, to an actor and to a hosted process alike.
func TestRef_Defer(t *testing.T) {
	for _, hosted := range []bool{false, true} {
		t.Run(map[bool]string{false: "actor", true: "hosted"}[hosted], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys, err := actor.NewSystem(actor.Config{Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				defer sys.Shutdown(context.Background())
				var got []any
				var handling string
				a := receive(func(ctx context.Context, msg any) error {
					if f, ok := msg.(func()); ok {
						f()
						return nil
					}
					info, _ := actor.Inspect(actor.Self(ctx))
					handling = info.Handling
					got = append(got, msg)
					return nil
				})
				var pid actor.PID
				if hosted {
					port, err := host.Spawn(sys, receiver{receive: a}, actor.SpawnOptions{MailboxLimit: 4}, nil)
					if err != nil {
						t.Fatal(err)
					}
					pid = port.PID()
					port.Start()
				} else if pid, err = sys.Spawn(context.Background(), a, actor.SpawnOptions{MailboxLimit: 4}); err != nil {
					t.Fatal(err)
				}
				ref, _ := host.RefOf(pid)
				release, entered := make(chan struct{}), make(chan struct{})
				pid.Send(func() { close(entered); <-release })
				<-entered
				changed, taken, notice := &late{msg: "before"}, &late{msg: "taken back"}, &late{msg: "notice"}
				for i, ok := range []bool{ref.Send(1), ref.Defer(changed), ref.Defer(taken), ref.Send(2)} {
					if !ok {
						t.Errorf("message %d of 4 is refused", i+1)
					}
				}
				if ref.Defer(&late{msg: "beyond the limit"}) {
					t.Error("Defer to a full mailbox: true")
				}
				if !ref.Notify(notice) {
					t.Error("Notify to a full mailbox: false")
				}
				changed.msg, taken.msg = "changed", nil
				close(release)
				synctest.Wait()
				if want := []any{1, "changed", 2, "notice"}; !slices.Equal(got, want) {
					t.Errorf("received %v, want %v", got, want)
				}
				if want := []actor.PID{pid}; !slices.Equal(taken.asked, want) || !slices.Equal(changed.asked, want) {
					t.Errorf("Due was asked for %v and %v, want once each for %v", changed.asked, taken.asked, want)
				}
				if handling != "string" {
					t.Errorf("Inspect says that %q is handled, want the content's type", handling)
				}
				pid.Exit(actor.ErrKilled)
				if ref.Defer(changed) || ref.Notify(changed) || (host.Ref{}).Defer(changed) || (host.Ref{}).Notify(changed) {
					t.Error("Defer or Notify to nobody: true")
				}
			})
		})
	}
}

// Unhandled is said of a Call that no callback was given, and of no other.
func TestUnhandled(t *testing.T) {
	stop := errors.New("stop")
	answers := receive(func(ctx context.Context, msg any) error {
		if f, ok := msg.(func(context.Context) error); ok {
			return f(ctx)
		}
		return nil
	})
	tests := []struct {
		name string
		call func(ctx context.Context, pid actor.PID) error
		want bool
	}{
		{"gone before", func(ctx context.Context, pid actor.PID) error {
			pid.Exit(actor.ErrKilled)
			_, err := actor.Call[any](ctx, pid, "request")
			return err
		}, true},
		{"ends before its turn", func(ctx context.Context, pid actor.PID) error {
			entered, release := make(chan struct{}), make(chan struct{})
			pid.Send(func(context.Context) error { close(entered); <-release; return stop })
			<-entered
			failed := make(chan error)
			go func() {
				_, err := actor.Call[any](ctx, pid, "request")
				failed <- err
			}()
			synctest.Wait()
			close(release)
			return <-failed
		}, true},
		{"ends while it is handled", func(ctx context.Context, pid actor.PID) error {
			_, err := actor.Call[any](ctx, pid, func(context.Context) error { return stop })
			return err
		}, false},
		{"ends after its callback", func(ctx context.Context, pid actor.PID) error {
			_, err := actor.Call[any](ctx, pid, func(ctx context.Context) error {
				actor.Caller(ctx)
				actor.Self(ctx).Exit(stop)
				return nil
			})
			return err
		}, false},
		{"no reply", func(ctx context.Context, pid actor.PID) error {
			_, err := actor.Call[any](ctx, pid, "request")
			return err
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys, err := actor.NewSystem(actor.Config{Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				defer sys.Shutdown(context.Background())
				pid, err := sys.Spawn(context.Background(), answers, actor.SpawnOptions{})
				if err != nil {
					t.Fatal(err)
				}
				err = tt.call(t.Context(), pid)
				if err == nil || host.Unhandled(err) != tt.want || tt.want && !errors.Is(err, actor.ErrNoProcess) {
					t.Errorf("the Call failed with %v, of which Unhandled says %t, want %t", err, host.Unhandled(err), tt.want)
				}
			})
		})
	}
	if host.Unhandled(nil) || host.Unhandled(actor.ErrNoProcess) {
		t.Error("Unhandled of no Call: true")
	}
}
