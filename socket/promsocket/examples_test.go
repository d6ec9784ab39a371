package promsocket_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/examples/metrics"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/promsocket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// sorted are lines with their labels in order, which has no meaning. No label of this test has a comma in it.
func sorted(lines []string) []string {
	for i, line := range lines {
		name, rest, ok := strings.Cut(line, "{")
		if !ok {
			continue
		}
		labels, value, _ := strings.Cut(rest, "}")
		all := strings.Split(labels, ",")
		slices.Sort(all)
		lines[i] = name + "{" + strings.Join(all, ",") + "}" + value
	}
	slices.Sort(lines)
	return lines
}

// The examples, which depend on no library for it, say what the Collector says.
func TestCollector_asExamples(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := sockettest.NewSystem(t)
		srv, err := socket.New(socket.Config{Name: "a \"b\"\\", System: sys, Logger: discard, PingInterval: 20 * time.Second, TimeCallbacks: true})
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Shutdown(context.Background())
		reg := registry.New(sys)
		reg.MeasureBroadcasts(func(group string) string { return group })
		reg.Broadcast("", "nobody gets it")
		reg.Broadcast("nobody", "nobody gets it")
		tree, err := supervisor.New(supervisor.Config{Name: "shop", Logger: discard}, supervisor.ChildSpec{ID: "queue", Service: failing(2)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- tree.Serve(ctx) }()
		defer func() {
			cancel()
			<-served
		}()
		h := srv.Handler(func(r *http.Request) (websock.Handler, error) {
			if r.URL.Path == "/no" {
				return nil, &socket.UpgradeError{Status: 401}
			}
			return echo{}, nil
		})
		a, _ := sockettest.Dial(t, h, httptest.NewRequest("GET", "/", nil))
		pid := other(srv, actor.PID{})
		a.Send(websock.Text("hello"))
		a.Want(websock.Text("hello"))
		if refused, _ := sockettest.Dial(t, h, httptest.NewRequest("GET", "/no", nil)); refused != nil {
			t.Fatal("it was not refused")
		}
		b, _ := sockettest.Dial(t, h, httptest.NewRequest("GET", "/", nil))
		reg.Join("room", pid, nil)
		other(srv, pid).Send("panic")
		b.WantClose(1011, "")
		time.Sleep(30 * time.Second) // a has answered a ping
		synctest.Wait()

		want := scrape(t, &promsocket.Collector{Servers: []*socket.Server{srv}, System: sys, Supervisors: []promsocket.Supervisor{tree}, Registry: reg})
		w := httptest.NewRecorder()
		sources := &metrics.Sources{Servers: []*socket.Server{srv}, System: sys, Supervisors: []metrics.Supervisor{tree}, Registry: reg}
		sources.Handler().ServeHTTP(w, httptest.NewRequest("GET", "http://localhost/metrics", nil))
		var got []string
		for line := range strings.Lines(w.Body.String()) {
			if !strings.HasPrefix(line, "#") {
				got = append(got, strings.TrimSpace(line))
			}
		}
		if got, want := sorted(got), sorted(want); !slices.Equal(got, want) {
			t.Errorf("the examples have\n%s\nthe collector has\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if len(want) < 50 {
			t.Errorf("there are only %d lines", len(want))
		}
	})
}
