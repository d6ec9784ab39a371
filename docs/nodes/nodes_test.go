package nodes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/natsengine"
	"github.com/troupe-dev/troupe/docs/nodes/internal/kit"
	"github.com/troupe-dev/troupe/supervisor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var silent = slog.New(slog.DiscardHandler)

// newNode serves a node until the end of the test.
func newNode(t testing.TB, name, in string, engine cluster.Engine) *cluster.Node {
	t.Helper()
	sys, err := actor.NewSystem(actor.Config{Node: name, Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	n, err := cluster.New(sys, cluster.Config{Name: in, Engine: engine, Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- n.Serve(ctx) }()
	t.Cleanup(func() {
		if err := sys.Shutdown(context.Background()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
		if err := <-served; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	})
	return n
}

func peers(n *cluster.Node) (names []string) {
	for p := range n.Peers() {
		names = append(names, p.Node)
	}
	return names
}

type echo struct{}

func (echo) Receive(ctx context.Context, msg any) error {
	actor.Reply(ctx, msg)
	return nil
}

// talk makes a Call from one node to a process of another.
func talk(t testing.TB, from, to *cluster.Node) {
	t.Helper()
	pid, err := to.System().Spawn(context.Background(), echo{}, actor.SpawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	away, err := from.System().ParsePID(pid.String())
	if err != nil {
		t.Fatal(err)
	}
	kit.WaitFor(t, fmt.Sprintf("%s is connected to %s", away.Node(), peers(from)), away.Alive)
	ctx, cancel := context.WithTimeout(context.Background(), kit.Patience)
	defer cancel()
	if got, err := actor.Call[string](ctx, away, "hello"); got != "hello" || err != nil {
		t.Errorf("Call = %q, %v", got, err)
	}
}

// TestAcrossMachines: embedded servers with TLS and a password, at an address that others reach.
func TestAcrossMachines(t *testing.T) {
	dir := t.TempDir()
	kit.Certificates(t, dir)
	start := func(name, password string, routes ...string) (addr string, n *cluster.Node) {
		_, port, _ := net.SplitHostPort(kit.FreeAddr(t))
		s, err := acrossMachines(":"+port, routes, dir, password)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan error, 1)
		go func() { served <- s.Serve(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-served; err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		return "127.0.0.1:" + port, newNode(t, name, "", s.Engine())
	}
	at, a := start("a", "secret")
	_, stranger := start("stranger", "guessed", at)
	_, b := start("b", "secret", at)
	talk(t, a, b)
	talk(t, b, a)
	if got := peers(stranger); len(got) > 0 {
		t.Errorf("a server with another password has found %q", got)
	}
	if _, err := acrossMachines(":0", nil, dir, ""); err == nil {
		t.Error("it starts without a password")
	}
}

// TestOutOfProbe: without NATS a tree with a node is not ready, unless the node is left out of the probe.
func TestOutOfProbe(t *testing.T) {
	engine, err := natsengine.New(natsengine.Config{URL: "nats://" + kit.FreeAddr(t)})
	if err != nil {
		t.Fatal(err)
	}
	for want, spec := range map[int]func(*cluster.Node) supervisor.ChildSpec{
		http.StatusServiceUnavailable: func(n *cluster.Node) supervisor.ChildSpec { return supervisor.ChildSpec{ID: "node", Service: n} },
		http.StatusOK:                 outOfProbe,
	} {
		sys, err := actor.NewSystem(actor.Config{Node: "alone", Logger: silent})
		if err != nil {
			t.Fatal(err)
		}
		node, err := cluster.New(sys, cluster.Config{Engine: engine, Logger: silent})
		if err != nil {
			t.Fatal(err)
		}
		app, err := supervisor.New(supervisor.Config{Name: "app", Logger: silent}, spec(node), supervisor.ChildSpec{ID: "system", Service: sys})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- app.Serve(ctx) }()
		kit.WaitFor(t, fmt.Sprintf("the probe says %d", want), func() bool {
			if err := node.Ready(); err == nil || strings.Contains(err.Error(), "not served") {
				return false
			}
			w := httptest.NewRecorder()
			supervisor.Probe(app).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
			return w.Code == want
		})
		cancel()
		<-ended
	}
}
