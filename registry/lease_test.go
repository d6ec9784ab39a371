package registry_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
)

// While one node starts its rooms another node comes or goes, and so some names have another owner: nobody starts a second room.
func TestEnsure_cluster_nodeComesOrGoes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before func(c *registries)
		change func(c *registries)
	}{
		{"it comes", func(c *registries) { c.Stop(3) }, func(c *registries) { c.Restart(3); c.Connect() }},
		{"it goes", nil, func(c *registries) { c.Stop(3) }},
		{"it is lost", nil, func(c *registries) { c.Kill(3); time.Sleep(7 * time.Second) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, clustertest.Config{Nodes: 4, Seed: 1, Delay: 5 * time.Millisecond}, nil)
				if tt.before != nil {
					tt.before(c)
				}
				settle()
				s, query := &starts{}, make(chan struct{})
				const n = 40
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				var wg sync.WaitGroup
				begun := make([]int, n) // by the first node, then by the second
				ensure := func(i int) {
					for k := range n {
						name := fmt.Sprint("room ", k)
						spawn := s.on(c, i, name)
						wg.Go(func() {
							pid, err := c.regs[i].Ensure(ctx, name, func(ctx context.Context) (actor.PID, error) {
								s.mu.Lock()
								begun[k]++
								s.mu.Unlock()
								<-query
								return spawn(ctx)
							})
							if err != nil || pid == (actor.PID{}) {
								t.Errorf("Ensure %q on node %d = %v, %v", name, i, pid, err)
							}
						})
					}
				}
				ensure(0)
				settle()
				tt.change(c)
				settle()
				ensure(1)
				settle()
				close(query)
				wg.Wait()
				settle()
				two := 0
				for _, times := range begun {
					if times != 1 {
						two++
					}
				}
				if two > 0 || len(s.started) != n {
					t.Errorf("%d of %d rooms were started by two nodes at once, %d processes in all", two, n, len(s.started))
				}
				for i := range 3 {
					if n := c.regs[i].Leases(); n != 0 {
						t.Errorf("node %d keeps %d leases", i, n)
					}
				}
			})
		})
	}
}
