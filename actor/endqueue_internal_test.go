package actor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// hangs is an actor whose Terminate takes some time.
type hangs struct{ terminate time.Duration }

func (hangs) Receive(context.Context, any) error { return nil }
func (h hangs) Terminate(context.Context, error) { time.Sleep(h.terminate) }
func (h hangs) String() string                   { return fmt.Sprint("Terminate takes ", h.terminate) }
func (h hangs) ends(shutdown time.Duration) (after time.Duration, killed bool) {
	return min(h.terminate, shutdown), h.terminate > shutdown
}

// TestEndQueue ends processes at random times, of which each takes as long as it likes, and says for each when it is dead. A few have a
// shutdown time of their own, so that there is more than one queue.
func TestEndQueue(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			sys, err := NewSystem(Config{ShutdownTimeout: 5 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error)
			queues := map[*endQueue]bool{}
			const n = 100
			for range n {
				// Odd and even, so that no Terminate returns at the moment of a kill.
				h, o := hangs{time.Duration(1+2*r.IntN(5000)) * time.Millisecond}, SpawnOptions{}
				shutdown := 5 * time.Second
				if r.IntN(5) == 0 {
					shutdown = 2 * time.Second
					o.Shutdown = shutdown
				}
				begins := time.Duration(r.IntN(20)) * 500 * time.Millisecond
				pid, err := sys.Spawn(t.Context(), h, o)
				if err != nil {
					t.Fatal(err)
				}
				queues[&pid.find().terms.ends] = true
				go func() {
					time.Sleep(begins)
					began := time.Now()
					pid.Exit(ErrNormal)
					reason, err := Wait(context.Background(), pid)
					after, killed := h.ends(shutdown)
					if took := time.Since(began); err != nil || took != after || errors.Is(reason, ErrKilled) != killed {
						done <- fmt.Errorf("%v, shutdown time %v: dead after %v with %v, %v", h, shutdown, took, reason, err)
						return
					}
					done <- nil
				}()
			}
			for range n {
				if err := <-done; err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
			}
			for q := range queues { // all that were in them are dead
				q.mu.Lock()
				if q.first != nil || q.last != nil || q.runs {
					t.Errorf("seed %d: a queue of the dead is not empty, or its timer runs", seed)
				}
				q.mu.Unlock()
			}
			time.Sleep(10 * time.Second) // the Terminates of the killed return
			if err := sys.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
