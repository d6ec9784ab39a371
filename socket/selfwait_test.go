package socket_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// A Server's ends wait for its sockets, so a callback of one, or a child of it, that asks for one gets an error at once.
func TestServer_waitingForOneself(t *testing.T) {
	for name, end := range map[string]func(ctx context.Context, s *socket.Server) error{
		"Shutdown": func(ctx context.Context, s *socket.Server) error { return s.Shutdown(ctx) },
		"Drain":    func(ctx context.Context, s *socket.Server) error { return s.Drain(ctx, socket.Drain{}) },
		"Serve":    func(ctx context.Context, s *socket.Server) error { return s.Serve(ctx) },
	} {
		for who, call := range map[string]func(ctx context.Context, f func(ctx context.Context)){
			"a socket": func(ctx context.Context, f func(ctx context.Context)) { f(ctx) },
			"its child": func(ctx context.Context, f func(ctx context.Context)) {
				actor.Spawn(ctx, receiver{init: func(ctx context.Context) error { f(ctx); return nil }}, actor.SpawnOptions{})
			},
		} {
			bubble(t, name+" by "+who, func(t *testing.T) {
				r := serve(t, socket.Config{ShutdownTimeout: -1, IdleTimeout: -1, PingInterval: -1})
				c := r.dial(puppet())
				err := errors.New("it did not return")
				var took time.Duration
				c.pid.Send(do(func(ctx context.Context) websock.Result {
					call(ctx, func(ctx context.Context) {
						ctx, cancel := context.WithTimeout(ctx, time.Minute)
						defer cancel()
						start := time.Now()
						err = end(ctx, r.srv)
						took = time.Since(start)
					})
					return websock.OK()
				}))
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if err == nil || errors.Is(err, context.DeadlineExceeded) || took != 0 {
					t.Errorf("error %v after %v, want one at once", err, took)
				}
				if err := r.srv.Ready(); err != nil || !c.pid.Alive() {
					t.Errorf("Ready: %v, socket alive: %t; want nothing ended", err, c.pid.Alive())
				}
			})
		}
	}
}

// So does any process of the System that belongs to the Server.
func TestServer_Shutdown_byAProcessOfItsOwnSystem(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		srv, err := socket.New(socket.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Shutdown(context.Background())
		err = errors.New("it did not return")
		pid, spawnErr := srv.System().Spawn(context.Background(), receiver{receive: func(ctx context.Context, _ any) error {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			err = srv.Shutdown(ctx)
			return nil
		}}, actor.SpawnOptions{})
		if spawnErr != nil {
			t.Fatal(spawnErr)
		}
		pid.Send("shut down")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if err == nil || errors.Is(err, context.DeadlineExceeded) || srv.Ready() != nil {
			t.Errorf("error %v, Ready: %v; want an error at once, and nothing ended", err, srv.Ready())
		}
	})
}
