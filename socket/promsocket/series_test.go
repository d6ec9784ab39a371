package promsocket_test

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/promsocket"
	"github.com/troupe-dev/troupe/socket/sockettest"
)

// seriesOf is how many series there are of each metric.
func seriesOf(t *testing.T, c *promsocket.Collector) map[string]int {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(c); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	n := map[string]int{}
	for _, f := range families {
		n[f.GetName()] = len(f.GetMetric())
	}
	return n
}

func sum(n map[string]int, but ...string) (all int) {
	for name, series := range n {
		for _, b := range but {
			if name == b {
				series = 0
			}
		}
		all += series
	}
	return all
}

// What the reference says of how many series there are is how many there are.
func TestCollector_series(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/metrics-and-events.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(page)), " ")
	check := func(what, pattern string, got int) {
		t.Helper()
		m := regexp.MustCompile(pattern).FindStringSubmatch(text)
		if m == nil {
			t.Errorf("%s: the page does not say how many there are, as %s", what, pattern)
			return
		}
		if said, _ := strconv.Atoi(m[1]); said != got {
			t.Errorf("%s: the page says %d, got %d", what, said, got)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		sys := sockettest.NewSystem(t)
		srv, err := socket.New(socket.Config{System: sys, Logger: discard, TimeCallbacks: true})
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Shutdown(t.Context())
		server := seriesOf(t, &promsocket.Collector{Servers: []*socket.Server{srv}})
		const active, duration, upgrades, rtt, callbacks = "troupe_socket_active", "troupe_socket_duration_seconds", "troupe_socket_upgrades_total",
			"troupe_socket_rtt_seconds", "troupe_callback_duration_seconds"
		check("active", "at most: ([0-9]+) of `active`;", server[active])
		check("causes", "histograms of `duration` \\(([0-9]+) causes", server["troupe_socket_ends_total"])
		check("the rest of a server", "; ([0-9]+) of the rest, and one histogram;", sum(server, active, duration, upgrades, rtt, callbacks))
		check("histograms of callbacks", "; ([0-9]+) histograms more with `TimeCallbacks`", server[callbacks])
		if server[rtt] != 1 {
			t.Errorf("%d series of %s, want the one histogram", server[rtt], rtt)
		}

		reg := registry.New(sys)
		check("a Registry", "A Registry has ([0-9]+),", sum(seriesOf(t, &promsocket.Collector{Registry: reg})))
		reg.MeasureBroadcasts(func(group string) string { return group })
		for i := range 100 {
			reg.Broadcast(strconv.Itoa(i), "x")
		}
		reg.Broadcast("", "x")
		check("labels of broadcasts", "for each label, ([0-9]+) of which there are at most", seriesOf(t, &promsocket.Collector{Registry: reg})["troupe_broadcast_recipients"])

		nodes := clustertest.New(t, clustertest.Config{Nodes: 2})
		check("a node", "A node has ([0-9]+):", sum(seriesOf(t, &promsocket.Collector{Nodes: []*cluster.Node{nodes.Node(0)}})))
	})
}
