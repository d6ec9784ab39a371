package socket_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/supervisor"
)

// A Server in a tree that restarts it drains at once, with 1012, and its System lives on, with all that was built on it.
func TestServer_restartedByATree(t *testing.T) {
	for name, strategy := range map[string]supervisor.Strategy{"OneForAll": supervisor.OneForAll, "RestForOne": supervisor.RestForOne} {
		bubble(t, name, func(t *testing.T) {
			h := ownSite(t, socket.Config{Drain: socket.Drain{Delay: time.Minute, Over: time.Minute}})
			sys := h.srv.System()
			room := supervisor.Actor(sys, func() actor.Actor { return idle{} }, actor.SpawnOptions{})
			other, err := sys.Spawn(t.Context(), idle{}, actor.SpawnOptions{})
			if err != nil {
				t.Fatal(err)
			}
			crash := make(chan error)
			sibling := supervisor.ServiceFunc(func(ctx context.Context) error {
				select {
				case err := <-crash:
					return err
				case <-ctx.Done():
					return nil
				}
			})
			tree, err := supervisor.New(supervisor.Config{Strategy: strategy, Logger: quiet},
				supervisor.ChildSpec{ID: "sibling", Service: sibling},
				supervisor.ChildSpec{ID: "room", Service: room},
				supervisor.ChildSpec{ID: "sockets", Service: h.srv})
			if err != nil {
				t.Fatal(err)
			}
			v := runService(t, tree)
			for range 2 {
				c := h.connect(rawclient.HandshakeOptions{})
				synctest.Wait()
				start := time.Now()
				crash <- errors.New("crash")
				wantClosed(t, c, 1012)
				c.Close(1012, "")
				c.Conn().Close()
				synctest.Wait()
				if took := time.Since(start); took > time.Second || v.over() {
					t.Fatalf("the restart took %v, and the tree has given up: %v", took, v.over())
				}
				if now := h.srv.System(); now != sys || !other.Alive() || h.srv.Ready() != nil {
					t.Fatalf("after the restart: the same System %v, what runs in it alive %v, Ready %v", now == sys, other.Alive(), h.srv.Ready())
				}
			}
			c := h.connect(rawclient.HandshakeOptions{})
			wantEcho(t, c, "hello")
			goodbye(t, c)
			v.stop(nil)
			<-v.done
			if v.err != nil || other.Alive() {
				t.Errorf("Serve: %v, and what runs in the System is alive: %v", v.err, other.Alive())
			}
		})
	}
}
