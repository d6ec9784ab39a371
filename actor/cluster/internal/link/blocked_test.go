package link_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor/cluster/internal/link"
	"github.com/troupe-dev/troupe/actor/cluster/internal/seednet"
)

// An engine without a network may hold Publish for seconds, as nats.go does while it connects. That is no pause of this
// process, which would be forgiven: a node that is gone is down in its time.
func TestMesh_publishBlocks(t *testing.T) {
	const held = 2 * time.Second
	for name, tt := range map[string]struct {
		err error
		max time.Duration
	}{
		"and fails":    {errors.New("no network"), 5*time.Second + held},
		"and succeeds": {nil, 5*time.Second + 2*held}, // once it may have been a pause
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := network(t, seednet.Config{Delay: time.Millisecond})
				var blocks atomic.Bool
				var a *node
				a = prepare(t, net, 1, func(o *link.Options) {
					o.Publish = func(to uint64, b []byte) error {
						if blocks.Load() {
							time.Sleep(held)
							return tt.err
						}
						return a.conn.Publish(to, b)
					}
				})
				a.run()
				start(t, net, 2, nil)
				wait(10 * time.Second)
				a.offer(2, "something that is not acknowledged")
				net.Kill(2)
				blocks.Store(true)
				since := time.Now()
				wait(time.Minute)
				blocks.Store(false)
				s := a.with(2)[0]
				if d := s.downAt.Sub(since); !s.ended || d > tt.max+10*time.Millisecond {
					t.Errorf("ended %v, after %v, with %v; want the end within %v", s.ended, d, s.reason, tt.max)
				}
			})
		})
	}
}
