package socket_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
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

// What was built on the System of a Server's own works as long as the Server: when an inner tree gives up and its parent
// restarts it, or when the Server is shut down and served again. Only what ran in it has ended.
func TestServer_ownSystemAgain(t *testing.T) {
	type built struct {
		t    *testing.T
		sys  *actor.System
		srv  *socket.Server
		reg  *registry.Registry
		seen []actor.PID
	}
	// room makes the room, which is to have its name and its group again, and not to be one of those before.
	room := func(s *built) {
		s.t.Helper()
		if s.srv.System() != s.sys {
			s.t.Fatal("System: another than before")
		}
		for _, pid := range s.seen {
			if pid.Alive() || pid.Send("x") || pid.Exit(actor.ErrNormal) {
				s.t.Errorf("%v, of before: it can be reached", pid)
			}
		}
		if n := s.reg.Count("rooms"); n != 0 {
			s.t.Errorf("%d members are left of before", n)
		}
		pid, err := s.reg.Ensure(s.t.Context(), "lobby", func(ctx context.Context) (actor.PID, error) {
			return s.sys.Spawn(ctx, idle{}, actor.SpawnOptions{})
		})
		if err != nil || !pid.Alive() || slices.Contains(s.seen, pid) {
			s.t.Fatalf("Ensure: got %v, %v, alive %v, want one that is not of %v", pid, err, pid.Alive(), s.seen)
		}
		if err := s.reg.Join("rooms", pid, nil); err != nil {
			s.t.Errorf("Join: %v", err)
		}
		if n := s.reg.Broadcast("rooms", "x"); n != 1 {
			s.t.Errorf("Broadcast: got %d, want 1", n)
		}
		s.seen = append(s.seen, pid)
	}
	begin := func(t *testing.T) (*built, *site) {
		h := ownSite(t, socket.Config{})
		return &built{t: t, srv: h.srv, sys: h.srv.System(), reg: registry.New(h.srv.System())}, h
	}
	talk := func(t *testing.T, h *site, end func()) {
		t.Helper()
		c := h.connect(rawclient.HandshakeOptions{})
		wantEcho(t, c, "hello")
		background(t, func() { wantClosed(t, c, 1001); c.Close(1001, ""); c.Conn().Close() })
		end()
		synctest.Wait()
	}
	bubble(t, "an inner tree gives up", func(t *testing.T) {
		s, h := begin(t)
		crash := make(chan error)
		sibling := supervisor.ServiceFunc(func(ctx context.Context) error {
			select {
			case err := <-crash:
				return err
			case <-ctx.Done():
				return nil
			}
		})
		inner, err := supervisor.New(supervisor.Config{Name: "inner", Logger: quiet, MaxRestarts: -1},
			supervisor.ChildSpec{ID: "sibling", Service: sibling}, supervisor.ChildSpec{ID: "sockets", Service: h.srv})
		if err != nil {
			t.Fatal(err)
		}
		outer, err := supervisor.New(supervisor.Config{Name: "outer", Logger: quiet}, supervisor.ChildSpec{ID: "inner", Service: inner})
		if err != nil {
			t.Fatal(err)
		}
		v := runService(t, outer)
		for range 3 {
			synctest.Wait()
			room(s)
			talk(t, h, func() { crash <- errors.New("crash") })
		}
		room(s)
		v.stop(nil)
		<-v.done
		if v.err != nil || s.seen[3].Alive() {
			t.Errorf("Serve: %v, and what runs in the System is alive: %v", v.err, s.seen[3].Alive())
		}
	})
	bubble(t, "Shutdown, then Serve", func(t *testing.T) {
		s, h := begin(t)
		for range 3 {
			v := runService(t, h.srv)
			room(s)
			talk(t, h, func() {
				if err := h.srv.Shutdown(t.Context()); err != nil {
					t.Errorf("Shutdown: %v", err)
				}
			})
			v.wantEnd(0)
		}
	})
	// A Serve that comes while a Shutdown is on its way opens the Server when that is over, not in between.
	bubble(t, "Serve during Shutdown", func(t *testing.T) {
		s, h := begin(t)
		slow := &actorFunc{terminate: func() { time.Sleep(3 * time.Second) }}
		pid, err := s.sys.Spawn(t.Context(), slow, actor.SpawnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		background(t, func() {
			if err := h.srv.Shutdown(t.Context()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		})
		synctest.Wait()
		v := runService(t, h.srv)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if err := h.srv.Ready(); !errors.Is(err, socket.ErrClosed) {
			t.Errorf("Ready while Shutdown waits for %v: got %v, want ErrClosed", pid, err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if err := h.srv.Ready(); err != nil {
			t.Errorf("Ready after Shutdown: %v", err)
		}
		room(s)
		talk(t, h, func() { v.stop(nil); <-v.done })
	})
	// What did not end in time does not come to life again, and does not hold up the next Serve.
	bubble(t, "with a callback that is stuck", func(t *testing.T) {
		s, h := begin(t)
		release := make(chan struct{})
		v := runService(t, h.srv)
		stuck, err := s.sys.Spawn(t.Context(), receiver{receive: func(context.Context, any) error { <-release; return nil }}, actor.SpawnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		stuck.Send("x")
		synctest.Wait()
		s.seen = append(s.seen, stuck)
		v.stop(nil)
		<-v.done
		v = runService(t, h.srv)
		room(s)
		close(release)
		synctest.Wait()
		if stuck.Alive() {
			t.Errorf("%v is alive again", stuck)
		}
		talk(t, h, func() { v.stop(nil); <-v.done })
		if v.err != nil {
			t.Errorf("Serve: %v", v.err)
		}
	})
}
