package natsengine_test

import (
	"context"
	"testing"

	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/actor/cluster/natsengine"
	"github.com/troupe-dev/troupe/actor/cluster/natsengine/embedded"
)

func TestEngine_overAServer(t *testing.T) {
	clustertest.Engine(t, func(t testing.TB) func() cluster.Engine {
		e := newEngine(t, natsengine.Config{URL: startServer(t, 0, nil).ClientURL()})
		return func() cluster.Engine { return e }
	})
}

func TestEngine_overAnEmbeddedServer(t *testing.T) {
	clustertest.Engine(t, func(t testing.TB) func() cluster.Engine {
		s := embed(t, embedded.Config{})
		return s.Engine
	})
}

// TestEngine_overTwoEmbeddedServers: every second node is at the other server.
func TestEngine_overTwoEmbeddedServers(t *testing.T) {
	clustertest.Engine(t, func(t testing.TB) func() cluster.Engine {
		first := embed(t, embedded.Config{Listen: "127.0.0.1:0"})
		second := embed(t, embedded.Config{Listen: "127.0.0.1:0", Routes: []string{first.Addr()}})
		here, there := first, second
		return func() cluster.Engine {
			here, there = there, here
			return here.Engine()
		}
	})
}

// embed starts an embedded server, served until the end of the test.
func embed(t testing.TB, cfg embedded.Config) *embedded.Server {
	t.Helper()
	cfg.Logger = silent
	s, err := embedded.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}
