package observer_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/socket/observer"
)

// TestNodes: what the observer says of links and of all of them together is what the node says, in a cluster of which a node is lost.
func TestNodes(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 4, Seed: 1, Delay: 10 * time.Millisecond})
		node := c.Node(0)
		r := &rig{t: t, sys: c.System(0), logs: new(logs)}
		r.obs = observer.Handler(observer.Config{System: r.sys, Node: node, Logger: slog.New(slog.DiscardHandler)})
		t.Cleanup(func() { must(t, r.obs.Shutdown(context.Background())) })
		pid, err := c.System(1).Spawn(t.Context(), plain{}, actor.SpawnOptions{})
		must(t, err)
		c.At(0, pid).Send("hello")
		c.At(0, pid).Send(make(chan int)) // cannot cross
		time.Sleep(30 * time.Second)      // round trips are known
		check := func(when string, want ...string) {
			t.Helper()
			synctest.Wait()
			v := r.get("nodes")
			if !v.yes("ready") || v.str("error") != "" || v.str("name") != node.Stats().Name {
				t.Errorf("%s: got %v, want a node that is ready", when, v)
			}
			rows := map[string]object{}
			var names []string
			for _, row := range v.list("rows") {
				rows[row.str("node")] = row
				names = append(names, row.str("node"))
			}
			slices.Sort(names)
			if !slices.Equal(names, want) {
				t.Errorf("%s: got links to %q, want %q", when, names, want)
			}
			for p := range node.Peers() {
				row := rows[p.Node]
				got := fmt.Sprint(row["boot"], row.num("rtt_ms"), row.num("window"), row.num("records_in"), row.num("records_out"), row.num("bytes_in"), row.num("bytes_out"))
				if want := fmt.Sprint(p.Boot, float64(p.RTT.Microseconds())/1e3, float64(p.Window), float64(p.RecordsIn), float64(p.RecordsOut), float64(p.BytesIn), float64(p.BytesOut)); got != want {
					t.Errorf("%s: the link to %s: got %s, want %s", when, p.Node, got, want)
				}
			}
			st, n := node.Stats(), r.get("overview").in("nodes")
			for name, want := range map[string]uint64{
				"up": uint64(st.Up), "ups": st.Ups, "left": st.Left, "lost": st.Lost, "resets": st.Resets, "engine_lost": st.EngineLost,
				"records_in": st.RecordsIn, "records_out": st.RecordsOut, "bytes_in": st.BytesIn, "bytes_out": st.BytesOut, "refused": st.Refused,
				"resent": st.Resent, "unencodable": st.Unencodable, "undecodable": st.Undecodable, "undelivered": st.Undelivered,
				"in_use": uint64(st.InUse), "window": uint64(st.Window),
			} {
				if got := n.num(name); got != float64(want) {
					t.Errorf("%s: %s of the overview: got %v, want %d", when, name, got, want)
				}
			}
			if got, want := n.num("rtt_max_ms"), float64(st.RTTMax.Microseconds())/1e3; got != want || got == 0 {
				t.Errorf("%s: the longest round trip: got %v ms, want %v", when, got, want)
			}
		}
		check("all are up", "n1", "n2", "n3")
		if n := r.get("overview").in("nodes"); n.num("unencodable") != 1 || n.num("bytes_out") == 0 || n.num("lost") != 0 {
			t.Errorf("all are up: got %v", n)
		}
		c.Kill(2)
		time.Sleep(time.Minute)
		check("one is lost", "n1", "n3")
		if n := r.get("overview").in("nodes"); n.num("lost") != 1 || n.num("ups") != 3 || n.num("up") != 2 {
			t.Errorf("one is lost: got %v", n)
		}
	})
}
