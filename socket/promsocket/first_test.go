package promsocket_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/promsocket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// increases is what increase() of Prometheus sees between two scrapes of one program: a series that the first one does not have
// tells it nothing.
func increases(before, after []string) map[string]string {
	values := map[string]string{}
	for _, line := range before {
		series, value, _ := strings.Cut(line, " ")
		values[series] = value
	}
	grown := map[string]string{}
	for _, line := range after {
		series, value, _ := strings.Cut(line, " ")
		if was, ok := values[series]; ok && was != value {
			grown[series] = was + " to " + value
		}
	}
	return grown
}

// The first end of a kind, and the first restart of a child, is an increase: their series are there before, with 0.
func TestCollector_first(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := sockettest.NewSystem(t)
		srv, err := socket.New(socket.Config{Name: "chat", System: sys, Logger: discard})
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Shutdown(context.Background())
		h := srv.Handler(func(*http.Request) (websock.Handler, error) { return echo{}, nil })
		fail := make(chan error)
		child := supervisor.ServiceFunc(func(ctx context.Context) error {
			select {
			case err := <-fail:
				return err
			case <-ctx.Done():
				return nil
			}
		})
		tree, err := supervisor.New(supervisor.Config{Name: "shop", Logger: discard, MaxRestarts: 10}, supervisor.ChildSpec{ID: "queue", Service: child})
		if err != nil {
			t.Fatal(err)
		}
		games, err := supervisor.NewDynamic(supervisor.DynamicConfig{Name: "games", Logger: discard, Restart: supervisor.Permanent})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error)
		go func() { served <- tree.Serve(ctx) }()
		go func() { served <- games.Serve(ctx) }()
		defer func() {
			cancel()
			<-served
			<-served
		}()
		synctest.Wait()
		c := &promsocket.Collector{Servers: []*socket.Server{srv}, System: sys, Supervisors: []promsocket.Supervisor{tree, games}}
		for _, tt := range []struct {
			cause  func(t *testing.T)
			series []string
		}{
			{func(t *testing.T) {
				sockettest.Dial(t, h, httptest.NewRequest("GET", "/", nil))
				other(srv, actor.PID{}).Exit(actor.ErrKilled)
			}, []string{`troupe_socket_ends_total{troupe_cause="killed",troupe_server="chat"}`, `troupe_process_exits_total{troupe_exit_kind="abnormal"}`}},
			{func(t *testing.T) {
				sockettest.Dial(t, h, httptest.NewRequest("GET", "/", nil))
				other(srv, actor.PID{}).Send("panic")
			}, []string{`troupe_socket_ends_total{troupe_cause="panic",troupe_server="chat"}`}},
			{func(t *testing.T) { fail <- context.Canceled }, []string{`troupe_supervisor_restarts_total{troupe_child="queue",troupe_supervisor="shop"}`}},
			{func(t *testing.T) {
				if err := games.Start(t.Context(), "42", failing(1)); err != nil {
					t.Fatal(err)
				}
			}, []string{`troupe_supervisor_restarts_total{troupe_child="dynamic",troupe_supervisor="games"}`}},
		} {
			before := scrape(t, c)
			tt.cause(t)
			synctest.Wait()
			grown := increases(before, scrape(t, c))
			for _, series := range tt.series {
				if grown[series] != "0 to 1" {
					t.Errorf("%s: Prometheus sees an increase of %q, want 0 to 1; all that it sees: %v", series, grown[series], grown)
				}
			}
		}
	})
}

// TestAlerts: each series that the alerts of the page name by its labels is there before anything has happened. An alert on a series
// that is not there before its first event can be raised by the second one only, and at a deploy never.
func TestAlerts(t *testing.T) {
	srv, err := socket.New(socket.Config{Logger: discard})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Shutdown(context.Background())
	lines := scrape(t, &promsocket.Collector{Servers: []*socket.Server{srv}, System: srv.System()})
	page, err := os.ReadFile("../../docs/how-to/watch-a-service.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, f := range regexp.MustCompile(`(troupe_\w+)\{(\w+)=~?"([^"]*)"\}`).FindAllStringSubmatch(string(page), -1) {
		for value := range strings.SplitSeq(f[3], "|") {
			found++
			series := regexp.MustCompile(fmt.Sprintf(`^%s\{.*\b%s="%s"`, f[1], f[2], value))
			if !contains(lines, series) {
				t.Errorf("%s{%s=%q} is not there before the first one happens; the first scrape has\n%s", f[1], f[2], value, strings.Join(lines, "\n"))
			}
		}
	}
	if found < 3 {
		t.Errorf("the page names %d series by their labels, want at least 3", found)
	}
}

func contains(lines []string, series *regexp.Regexp) bool {
	for _, line := range lines {
		if series.MatchString(line) {
			return true
		}
	}
	return false
}
