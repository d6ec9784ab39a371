package sockettest_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

var errSick = errors.New("sick")

// service is a service that is told what to return, or to return when it is told to stop.
type service struct {
	end  chan error
	told chan struct{}
}

func newService() *service {
	return &service{end: make(chan error, 1), told: make(chan struct{})}
}

func (s *service) Serve(ctx context.Context) error {
	select {
	case err := <-s.end:
		return err
	case <-ctx.Done():
		close(s.told)
		return ctx.Err()
	}
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// tree is a Supervisor of one child.
func tree(t testing.TB, s supervisor.Service, start time.Duration) *supervisor.Supervisor {
	tree, err := supervisor.New(supervisor.Config{Name: "tree", MaxRestarts: -1}, supervisor.ChildSpec{ID: "child", Service: s, StartTimeout: start})
	if err != nil {
		t.Fatalf("supervisor.New: %v", err)
	}
	return tree
}

// The service runs while the test does, and is told to stop at its end.
func TestRun(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		s := newService()
		passes(t, func(t testing.TB) {
			sockettest.Run(t, tree(t, s, 0))
			if closed(s.told) {
				t.Errorf("the service was told to stop while the test runs")
			}
		})
		if !closed(s.told) {
			t.Error("after the test: the service was not told to stop")
		}
	})
}

// Run returns when the last child is ready.
func TestRun_ready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ready := false
		passes(t, func(t testing.TB) {
			sockettest.Run(t, tree(t, supervisor.ServiceFunc(func(ctx context.Context) error {
				time.Sleep(time.Minute)
				ready = true
				supervisor.Ready(ctx)
				<-ctx.Done()
				return nil
			}), time.Hour))
			if !ready {
				t.Errorf("Run has returned before the child was ready")
			}
		})
	})
}

func TestRun_stop(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		passes(t, func(t testing.TB) {
			s := newService()
			stop := sockettest.Run(t, s)
			if err := stop(); err != nil || !closed(s.told) {
				t.Errorf("stop: got %v, and the service was told: %v; want nil, true", err, closed(s.told))
			}
			if err := stop(); err != nil {
				t.Errorf("stop, again: got %v, want nil", err)
			}

			s = newService()
			stop = sockettest.Run(t, s)
			s.end <- nil
			if err := stop(); err != nil {
				t.Errorf("stop of a service that was done: got %v, want nil", err)
			}
		})
	})
	synctest.Test(t, func(t *testing.T) {
		passes(t, func(t testing.TB) {
			s := newService()
			stop := sockettest.Run(t, tree(t, s, 0))
			s.end <- errSick
			synctest.Wait()
			var gaveUp *supervisor.IntensityError
			if err := stop(); !errors.As(err, &gaveUp) || !errors.Is(err, errSick) {
				t.Errorf("stop of a tree that has given up: got %v, want an *IntensityError around %v", err, errSick)
			}
		})
	})
}

func TestRun_failures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failsWith(t, func(t testing.TB) {
			s := newService()
			sockettest.Run(t, s)
			s.end <- errSick
			synctest.Wait()
		}, "the service of "+t.Name()+" has ended: sick")
		failsWith(t, func(t testing.TB) {
			sockettest.Run(t, supervisor.ServiceFunc(func(ctx context.Context) error { <-ctx.Done(); panic("oops") }))
		}, "has ended: ", "oops")
		failsWith(t, func(t testing.TB) { sockettest.Run(t, nil) }, "Run: ", "ChildSpec.Service is nil")
		failsWith(t, func(t testing.TB) {
			sockettest.Run(t, tree(t, supervisor.ServiceFunc(func(context.Context) error { return errSick }), time.Second))
			t.Errorf("Run has returned, although the tree could not start")
		}, "Run: ", `"child"`, "sick")
		failsWith(t, func(t testing.TB) {
			release := make(chan struct{})
			t.Cleanup(func() { close(release) })
			sockettest.Run(t, supervisor.ServiceFunc(func(context.Context) error { <-release; return nil }))
		}, "has ended: ", "service of "+t.Name())
		failsWith(t, func(t testing.TB) {
			sockettest.Run(t, tree(t, newService(), 1000*time.Hour)) // it never says Ready
		}, "is not ready after 168h0m0s")
	})
}

// A Server drains at the end of the test.
func TestRun_server(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		passes(t, func(t testing.TB) {
			sys := sockettest.NewSystem(t)
			srv, err := socket.New(socket.Config{System: sys})
			if err != nil {
				t.Fatalf("socket.New: %v", err)
			}
			stop := sockettest.Run(t, srv)
			c, _ := sockettest.Dial(t, srv.Handler(func(*http.Request) (websock.Handler, error) { return echo(), nil }), nil)
			if err := stop(); err != nil {
				t.Errorf("stop: got %v, want nil", err)
			}
			c.WantClose(1001, "")
		})
	})
}

// The children of a Dynamic end with it.
func TestRun_dynamic(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		var reason error
		passes(t, func(t testing.TB) {
			rooms, err := supervisor.NewDynamic(supervisor.DynamicConfig{Name: "rooms"})
			if err != nil {
				t.Fatalf("NewDynamic: %v", err)
			}
			sockettest.Run(t, rooms)
			if err := rooms.Start(t.Context(), "room", supervisor.ServiceFunc(func(ctx context.Context) error {
				<-ctx.Done()
				reason = context.Cause(ctx)
				return nil
			})); err != nil {
				t.Errorf("Start: %v", err)
			}
		})
		if !errors.Is(reason, actor.ErrShutdown) {
			t.Errorf("after the test: the child was told %v, want ErrShutdown", reason)
		}
	})
}
