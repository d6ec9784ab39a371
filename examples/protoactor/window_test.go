package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"

	protoactor "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/proto"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

// rows are more than a mailbox takes, 1,024.
const rows = 5_000

func newSystem(t *testing.T) (*protoactor.ActorSystem, *actor.System) {
	t.Helper()
	system := newActorSystem()
	sys, err := proto.NewSystem(system, actor.Config{})
	if err != nil {
		t.Fatal(err)
	}
	sockettest.Run(t, sys)
	return system, sys
}

func TestMeter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		system, sys := newSystem(t)
		got, asked := 0, 0
		store := system.Root.Spawn(protoactor.PropsFromFunc(func(ctx protoactor.Context) {
			if r, ok := ctx.Message().(reading); ok {
				if want := fmt.Sprint(got); string(r.data) != want {
					t.Errorf("reading %q, want %q", r.data, want)
				}
				got++
				if ctx.Sender() != nil {
					asked++
					ctx.Respond(handled{})
				}
			}
		}))
		c := sockettest.Serve(t, socket.Config{System: sys}, &meter{store: store})
		for i := range rows {
			c.Send(websock.Text(fmt.Sprint(i)))
		}
		synctest.Wait()
		if got != rows || asked != rows/window {
			t.Errorf("the actor has got %d readings, %d of them Requests; want %d and %d", got, asked, rows, rows/window)
		}
	})
}

func TestExport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		system, sys := newSystem(t)
		e := &export{}
		for i := range rows {
			e.rows = append(e.rows, row{fmt.Sprint(i)})
		}
		var pid *protoactor.PID
		c := sockettest.Serve(t, socket.Config{System: sys}, &table{exports: func(socket *protoactor.PID) {
			e.socket = socket
			pid = system.Root.Spawn(protoactor.PropsFromProducer(func() protoactor.Actor { return e }))
		}})
		for _, r := range e.rows {
			c.Want(websock.Text(r.text))
		}
		c.Drop()
		synctest.Wait()
		system.Root.Send(pid, "go on") // all is sent, so nothing is
		if err := system.Root.StopFuture(pid).Wait(); err != nil || e.sent != rows || e.answered != rows {
			t.Errorf("%d sent, %d answered, %v; want %d of each", e.sent, e.answered, err, rows)
		}
	})
}

type room struct{ got []any }

func (r *room) Receive(_ context.Context, msg any) error { r.got = append(r.got, msg); return nil }

func TestSpawnCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, sys := newSystem(t)
		var n atomic.Int64
		r := &room{}
		pid, err := spawnCounted(t.Context(), sys, r, &n)
		if err != nil {
			t.Fatal(err)
		}
		pid.Send("a")
		pid.Send("b")
		synctest.Wait()
		if n.Load() != 2 || len(r.got) != 2 {
			t.Errorf("%d counted, %d received; want 2 of each", n.Load(), len(r.got))
		}
	})
}
