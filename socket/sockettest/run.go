package sockettest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/supervisor"
)

// Run serves s for the length of the test: a [supervisor.Supervisor] or [supervisor.Dynamic], a [socket.Server], or any
// other service. It returns when s is ready: a Supervisor when its last child is ready, a service that does not report it
// when its Serve has been called.
//
//	rooms, err := supervisor.NewDynamic(supervisor.DynamicConfig{})
//	...
//	sockettest.Run(t, rooms)
//
// A t.Cleanup tells s to stop, as its supervisor would, and waits for it. The test fails when s ends with an error or a
// panic, then or before, and when it does not end. It is not restarted. When it ends with an error before it is ready,
// the test ends in Run.
//
// stop does the same earlier, and returns the error instead of failing the test. The error is nil when s has ended in
// order, even by itself. It is for a test of a drain, or of a tree that must give up. Further calls return the same error.
//
// Logs of s go where its own Logger sends them.
func Run(t testing.TB, s supervisor.Service) (stop func() error) {
	t.Helper()
	r := &run{id: "service of " + t.Name(), begun: make(chan struct{}), served: make(chan struct{})}
	root, err := supervisor.New(supervisor.Config{Name: "sockettest.Run", Logger: newLogger(t), OnEvent: r.event},
		supervisor.ChildSpec{ID: r.id, Service: s, Restart: supervisor.Temporary})
	if err != nil {
		t.Fatalf("sockettest: Run: %v", err)
	}
	ctx, end := context.WithCancel(context.Background())
	go func() {
		defer close(r.served)
		_ = root.Serve(ctx) // event has seen more than it returns
	}()
	told := false // the test has got the error, by stop or by Fatalf
	stop = sync.OnceValue(func() error {
		t.Helper()
		told = true
		end()
		wait(t, r.served, "the "+r.id)
		return r.result()
	})
	t.Cleanup(func() {
		t.Helper()
		byTest := told
		if err := stop(); err != nil && !byTest {
			t.Errorf("sockettest: the %s has ended: %v", r.id, err)
		}
	})
	if err := r.await(t); err != nil {
		told = true
		t.Fatalf("sockettest: Run: the %s has ended: %v", r.id, err)
	}
	return stop
}

// run is what Run knows of its service.
type run struct {
	id     string
	begun  chan struct{} // closed when the service is ready, or has ended
	served chan struct{} // closed when its supervisor has returned, after the last event

	mu    sync.Mutex
	ready bool
	ended error // why; nil: it runs
}

// event is told what happens to the service.
func (r *run) event(e supervisor.Event) {
	if e.Child != r.id {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.ready || r.ended != nil
	switch e.Kind {
	case supervisor.EventReady:
		r.ready = true
	case supervisor.EventExited, supervisor.EventAbandoned:
		r.ended = e.Reason
	}
	if !before && (r.ready || r.ended != nil) {
		close(r.begun)
	}
}

// await waits until the service is ready, or returns why it has ended.
func (r *run) await(t testing.TB) error {
	t.Helper()
	d := limit()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-r.begun:
	case <-timer.C:
		t.Fatalf("sockettest: Run: the %s is not ready after %v", r.id, d)
	}
	return r.result()
}

// result is the error with which the service has ended. It is nil while the service runs, and when it was told to end
// or was done by itself.
func (r *run) result() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended == actor.ErrNormal || r.ended == actor.ErrShutdown {
		return nil
	}
	return r.ended
}
