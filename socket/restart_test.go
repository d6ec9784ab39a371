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

// A Server below a supervisor that gives up is restarted with it: it drains at once, with 1012, and its System lives on.
// When nobody restarts the supervisor, or not in the end, the System ends with the tree.
func TestServer_belowASupervisorThatGivesUp(t *testing.T) {
	// begin serves an outer tree of an inner one of a sibling, which crashes each time that it is told to, and h's Server.
	begin := func(t *testing.T, h *site, outer supervisor.Config) (v *serving, crash chan error) {
		crash = make(chan error)
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
		outer.Name, outer.Logger = "outer", quiet
		tree, err := supervisor.New(outer, supervisor.ChildSpec{ID: "inner", Service: inner})
		if err != nil {
			t.Fatal(err)
		}
		return runService(t, tree), crash
	}
	drain := socket.Config{PingInterval: -1, IdleTimeout: -1, Drain: socket.Drain{Delay: time.Minute}}
	spawn := func(t *testing.T, h *site) actor.PID {
		pid, err := h.srv.System().Spawn(t.Context(), idle{}, actor.SpawnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
	gone := func(t *testing.T, c *rawclient.Client, code uint16) {
		t.Helper()
		wantClosed(t, c, code)
		c.Close(code, "")
		c.Conn().Close()
		synctest.Wait()
	}
	bubble(t, "and is restarted", func(t *testing.T) {
		h := ownSite(t, drain)
		v, crash := begin(t, h, supervisor.Config{})
		room := spawn(t, h)
		for range 3 {
			c := h.connect(rawclient.HandshakeOptions{})
			wantEcho(t, c, "hello")
			start := time.Now()
			crash <- errors.New("crash")
			gone(t, c, 1012)
			if took := time.Since(start); took > time.Second || !room.Alive() || h.srv.Ready() != nil {
				t.Fatalf("the restart took %v; what runs in the System is alive: %v; Ready: %v", took, room.Alive(), h.srv.Ready())
			}
		}
		v.stop(nil)
		<-v.done
		if v.err != nil || room.Alive() {
			t.Errorf("Serve: %v, and what runs in the System is alive: %v", v.err, room.Alive())
		}
	})
	bubble(t, "and is not restarted", func(t *testing.T) {
		h := ownSite(t, drain)
		v, crash := begin(t, h, supervisor.Config{MaxRestarts: -1})
		room, c, start := spawn(t, h), h.connect(rawclient.HandshakeOptions{}), time.Now()
		wantEcho(t, c, "hello")
		c.Conn().SetDeadline(time.Now().Add(time.Hour))
		crash <- errors.New("crash")
		gone(t, c, 1001)
		<-v.done
		if took := time.Since(start); took < time.Minute || room.Alive() {
			t.Errorf("the drain took %v, want Delay, 1 m, at least; what runs in the System is alive: %v", took, room.Alive())
		}
	})
	bubble(t, "and is not restarted in the end", func(t *testing.T) {
		h := ownSite(t, drain)
		v, crash := begin(t, h, supervisor.Config{Backoff: 2 * time.Minute, Within: time.Hour})
		room, c := spawn(t, h), h.connect(rawclient.HandshakeOptions{})
		wantEcho(t, c, "hello")
		crash <- errors.New("crash")
		gone(t, c, 1012)
		if !room.Alive() {
			t.Error("what runs in the System has ended, though the Server is to be restarted")
		}
		v.stop(nil)
		<-v.done
		if v.err != nil || room.Alive() {
			t.Errorf("Serve: %v, and what runs in the System is alive: %v", v.err, room.Alive())
		}
	})
}

// A tree that gives up while its Server waits to be started again ends the System of the Server's own.
func TestServer_ofATreeThatGivesUp(t *testing.T) {
	bubble(t, "after its sibling did not start again", func(t *testing.T) {
		h := ownSite(t, socket.Config{})
		crash, starts := make(chan error), 0
		sibling := supervisor.ServiceFunc(func(ctx context.Context) error {
			if starts++; starts > 1 {
				return errors.New("it does not start again")
			}
			supervisor.Ready(ctx)
			select {
			case err := <-crash:
				return err
			case <-ctx.Done():
				return nil
			}
		})
		tree, err := supervisor.New(supervisor.Config{Strategy: supervisor.OneForAll, Logger: quiet},
			supervisor.ChildSpec{ID: "sibling", Service: sibling, StartTimeout: time.Second},
			supervisor.ChildSpec{ID: "sockets", Service: h.srv})
		if err != nil {
			t.Fatal(err)
		}
		v := runService(t, tree)
		room, err := h.srv.System().Spawn(t.Context(), idle{}, actor.SpawnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		crash <- errors.New("crash")
		<-v.done
		var gaveUp *supervisor.IntensityError
		if !errors.As(v.err, &gaveUp) || room.Alive() {
			t.Errorf("Serve: %v, want an *IntensityError; what runs in the System is alive: %v", v.err, room.Alive())
		}
	})
}

// What was built on the System of a Server's own works as long as the Server, when that is shut down and served again.
// Only what ran in it has ended.
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
