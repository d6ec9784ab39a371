package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/websock"
)

// quota is an error whose type is registered, errRoomFull a sentinel that is.
type quota struct{ User string }

func (q *quota) Error() string       { return "quota of " + q.User }
func (q *quota) ExitKind() exit.Kind { return exit.Normal }

var errRoomFull = errors.New("the room is full")

func errorTypes(_ int, _ *actor.System) cluster.Config {
	t := &cluster.Types{}
	cluster.Register[*quota](t, "quota")
	cluster.RegisterError(t, "full", errRoomFull)
	return cluster.Config{Types: t}
}

// Exit reasons, replies and messages that are errors keep what they are.
func TestErrors_across(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, Node: errorTypes})
		watcher := newInbox(t, c.System(0))
		for _, sent := range []error{
			actor.ErrNormal, actor.ErrShutdown, actor.ErrOverload, context.Canceled, errRoomFull, &quota{"ann"},
			fmt.Errorf("wrapped: %w", errRoomFull), fmt.Errorf("wrapped: %w", &quota{"ann"}),
			&websock.CloseError{Code: 4000, Reason: "why"}, fmt.Errorf("wrapped: %w", &websock.RemoteCloseError{Code: 1001}),
			&actor.PanicError{Value: "boom", Stack: []byte("stack")}, errors.New("foreign"),
		} {
			p := spawn(t, c.System(1), &behaviour{receive: func(ctx context.Context, _ any) error { actor.Reply(ctx, sent); return nil }}, actor.SpawnOptions{})
			away := c.At(0, p)
			_, reply := ask(away, "what?")
			actor.Monitor(watcher.ctx, away)
			away.Exit(sent)
			synctest.Wait()
			all := watcher.all()
			for what, got := range map[string]error{"the reply": reply, "the exit reason": all[len(all)-1].(actor.Down).Reason} {
				if got == nil {
					t.Errorf("%s %v came as nil", what, sent)
					continue
				}
				for _, is := range []error{actor.ErrNormal, actor.ErrShutdown, actor.ErrOverload, context.Canceled, errRoomFull} {
					if errors.Is(got, is) != errors.Is(sent, is) {
						t.Errorf("%s %v: errors.Is(%v) = %t, want %t", what, sent, is, errors.Is(got, is), errors.Is(sent, is))
					}
				}
				if a, b := exit.KindOf(got), exit.KindOf(sent); a != b {
					t.Errorf("%s %v: its kind is %v, want %v", what, sent, a, b)
				}
				same[*quota](t, what, sent, got)
				same[*websock.CloseError](t, what, sent, got)
				same[*websock.RemoteCloseError](t, what, sent, got)
				same[*actor.PanicError](t, what, sent, got)
				if !strings.Contains(got.Error(), sent.Error()) {
					t.Errorf("%s %v: its text is %v", what, sent, got)
				}
				if remote, ok := errors.AsType[*cluster.RemoteError](got); ok && remote.Node != "n0" && remote.Node != "n1" {
					t.Errorf("%s %v: it is of node %q", what, sent, remote.Node)
				}
			}
		}
	})
}

// same says when only one of two errors is an E, or their texts differ.
func same[E error](t *testing.T, what string, sent, got error) {
	t.Helper()
	a, okA := errors.AsType[E](sent)
	b, okB := errors.AsType[E](got)
	if okA != okB || okA && a.Error() != b.Error() {
		t.Errorf("%s %v: errors.As = %t (%v), want %t (%v)", what, sent, okB, b, okA, a)
	}
}

// A RemoteError says where it was made, also when a third node passes it on.
func TestRemoteError_passedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 3, Seed: 1})
		source := spawn(t, c.System(2), &behaviour{receive: func(ctx context.Context, _ any) error {
			actor.Reply(ctx, errors.New("made here"))
			return nil
		}}, actor.SpawnOptions{})
		relay := spawn(t, c.System(1), &behaviour{receive: func(ctx context.Context, msg any) error {
			_, err := actor.Call[any](ctx, c.At(1, source), msg)
			actor.Reply(ctx, err)
			return nil
		}}, actor.SpawnOptions{})
		v, err := ask(c.At(0, relay), 1)
		got, ok := err.(*cluster.RemoteError)
		if !ok || got.Node != "n2" || got.Text != "made here" || got.Error() != "made here (node n2)" {
			t.Errorf("Call = %#v, %v; want a RemoteError of n2", v, err)
		}
	})
}
