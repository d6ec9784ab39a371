package cluster

import (
	"log/slog"
	"sync"
	"testing"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// Whoever has found a session may begin something only after it has ended: no other test can stop it in between.
func TestSession_hasEnded(t *testing.T) {
	s := &session{}
	s.end()
	if id, err := s.beginMonitor(func(error) {}); err != actor.ErrNodeDown {
		t.Errorf("beginMonitor = %d, %v; want ErrNodeDown", id, err)
	}
	if id, err := s.beginCall(func(any, error) {}); err != host.ErrUnsent {
		t.Errorf("beginCall = %d, %v; want ErrNodeDown, of which Unhandled is true", id, err)
	}
}

// Whoever alarms on EventEngineLost without an EventEngineBack after it must get them in the order in which they happened, though
// any goroutine publishes.
func TestNode_published_inOrder(t *testing.T) {
	for range 200 {
		var mu sync.Mutex
		var kinds []EventKind
		log := host.NewLog(slog.New(slog.DiscardHandler))
		n := &Node{log: log, calls: host.NewCalls("OnEvent", log)}
		n.cfg.OnEvent = func(e Event) {
			mu.Lock()
			defer mu.Unlock()
			kinds = append(kinds, e.Kind)
		}
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for j := range 20 {
					if (i+j)%2 == 0 {
						n.published(nil)
					} else {
						n.published(errBroken)
					}
				}
			})
		}
		all.Wait()
		for tries := 0; !n.calls.Wait(t.Context()); tries++ { // it gives up when an event takes long by the clock
			if tries == 100 {
				t.Fatal("Wait says that events are left")
			}
		}
		n.end()
		for i, k := range kinds {
			if want := EventEngineLost + EventKind(i%2); k != want {
				t.Fatalf("event %d of %v is %v, want %v", i, kinds, k, want)
			}
		}
	}
}
