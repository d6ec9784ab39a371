package host_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

func TestRefOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, err := actor.NewSystem(actor.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer sys.Shutdown(context.Background())
		var got []any
		pid, err := sys.Spawn(context.Background(), receive(func(_ context.Context, msg any) error {
			got = append(got, msg)
			return nil
		}), actor.SpawnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		ref, ok := host.RefOf(pid)
		if again, _ := host.RefOf(pid); !ok || ref != again {
			t.Errorf("RefOf of a living process: %v, %t, and then %v", ref, ok, again)
		}
		if !ref.Send("by its Ref") || !pid.Send("by its PID") {
			t.Error("Send to a living process: false")
		}
		synctest.Wait()
		if want := []any{"by its Ref", "by its PID"}; !slices.Equal(got, want) {
			t.Errorf("received %q, want %q", got, want)
		}
		pid.Exit(actor.ErrKilled)
		if ref.Send("late") || (host.Ref{}).Send("to nobody") {
			t.Error("Send to nobody: true")
		}
		for _, nobody := range []actor.PID{pid, {}} {
			if ref, ok := host.RefOf(nobody); ok || ref != (host.Ref{}) {
				t.Errorf("RefOf of %v: %v, %t", nobody, ref, ok)
			}
		}
	})
}
