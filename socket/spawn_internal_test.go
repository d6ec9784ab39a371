package socket

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/websock"
)

type nobody struct{}

func (nobody) Init(context.Context) websock.Result                      { return websock.OK() }
func (nobody) HandleIn(context.Context, websock.Message) websock.Result { return websock.OK() }
func (nobody) HandleInfo(context.Context, any) websock.Result           { return websock.OK() }

// TestSpawn_killedMeanwhile: a System that is shut down without patience ends the process of a socket before the socket
// knows it. It is for the race detector.
func TestSpawn_killedMeanwhile(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	impatient, cancel := context.WithCancel(context.Background())
	cancel()
	for range 200 {
		sys, err := actor.NewSystem(actor.Config{Logger: log})
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(Config{System: sys, Logger: log})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					c, err := s.spawn(nobody{})
					if err != nil {
						return
					}
					c.mu.Lock()
					if c.reason != nil && c.label != "" {
						t.Errorf("label %q of a socket without one", c.label)
					}
					c.mu.Unlock()
				}
			})
		}
		sys.Shutdown(impatient)
		wg.Wait()
		sys.Shutdown(impatient) // what was spawned meanwhile
	}
}
