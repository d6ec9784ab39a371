package clustertest_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/actor/cluster/internal/seednet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// seeded is the seeded network as an engine.
type seeded struct{ net *seednet.Network }

func (e seeded) Open(_ context.Context, name string, self uint64, recv func([]byte)) (cluster.Conn, error) {
	return e.net.Open(name, self, recv)
}

// These run in real time, as engines do.

func TestEngine_overTheSeededNetwork(t *testing.T) {
	clustertest.Engine(t, func(t testing.TB) func() cluster.Engine {
		net := seednet.New(seednet.Config{Seed: 1})
		t.Cleanup(net.Close)
		return func() cluster.Engine { return seeded{net} }
	})
}

func TestEngine_overTCP(t *testing.T) {
	clustertest.Engine(t, func(testing.TB) func() cluster.Engine {
		net := &tcpNet{nodes: map[tcpNode]string{}}
		return func() cluster.Engine { return net }
	})
}
