package actor

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestSendEvery_doesNotDrift: a timer fires late, as all do, and the ticks after it come at their time all the same.
func TestSendEvery_doesNotDrift(t *testing.T) {
	for _, tt := range []struct {
		late time.Duration // how late the tick of 100 ms fires
		next time.Duration // when the next one comes
	}{
		{0, 200 * time.Millisecond},
		{1, 200 * time.Millisecond},
		{time.Millisecond, 200 * time.Millisecond},
		{100*time.Millisecond - 1, 200 * time.Millisecond},
		{100 * time.Millisecond, 300 * time.Millisecond}, // that of 200 ms is this one
		{199 * time.Millisecond, 300 * time.Millisecond},
		{1234 * time.Millisecond, 1400 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := quietSystem(t, Config{})
			start := time.Now()
			var got []time.Duration // when the ticks come
			var timer Timer
			_, err := s.Spawn(context.Background(), &hook2{
				init:    func(ctx context.Context) { timer = SendEvery(ctx, 100*time.Millisecond, "tick") },
				receive: func(any) { got = append(got, time.Since(start)) },
			}, SpawnOptions{})
			if err != nil {
				t.Fatal(err)
			}
			// The scheduler takes its time. Nothing else can be late on the fake clock.
			timer.t.t.Stop()
			time.Sleep(100*time.Millisecond + tt.late)
			timer.t.fire()
			time.Sleep(2 * time.Second)
			timer.Stop()
			synctest.Wait()
			if len(got) < 3 || got[0] != 100*time.Millisecond+tt.late || got[1] != tt.next || got[2] != tt.next+100*time.Millisecond {
				t.Errorf("a tick %v late: ticks at %v, want them at %v, %v, %v and so on", tt.late, got,
					100*time.Millisecond+tt.late, tt.next, tt.next+100*time.Millisecond)
			}
		})
	}
}

type hook2 struct {
	init    func(ctx context.Context)
	receive func(msg any)
}

func (h *hook2) Init(ctx context.Context) error { h.init(ctx); return nil }

func (h *hook2) Receive(_ context.Context, msg any) error { h.receive(msg); return nil }
