package cluster_test

import (
	"context"
	"encoding/binary"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/internal/link"
	"github.com/troupe-dev/troupe/actor/cluster/internal/seednet"
	"github.com/troupe-dev/troupe/actor/host"
)

// wait lets time pass on the fake clock, until everything has come to rest.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// ask is an actor.Call of a goroutine that is no process, with a minute's time.
func ask(to actor.PID, req any) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return actor.Call[any](ctx, to, req)
}

var discard = slog.New(slog.DiscardHandler)

// network is a seeded network that ends with the test.
func network(t testing.TB, cfg seednet.Config) *seednet.Network {
	t.Helper()
	net := seednet.New(cfg)
	t.Cleanup(net.Close)
	return net
}

// onNet is a network as an Engine. open, if set, changes each Conn.
type onNet struct {
	net  *seednet.Network
	open func(cluster.Conn) cluster.Conn
}

func (e onNet) Open(_ context.Context, name string, self uint64, recv func([]byte)) (cluster.Conn, error) {
	c, err := e.net.Open(name, self, recv)
	if err != nil || e.open == nil {
		return c, err
	}
	return e.open(c), err
}

// newSystem makes a System that ends with the test.
func newSystem(t testing.TB, name string) *actor.System {
	t.Helper()
	sys, err := actor.NewSystem(actor.Config{Node: name, Logger: discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sys.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown of %s: %v", name, err)
		}
	})
	return sys
}

// newNode makes a Node that does not run.
func newNode(t testing.TB, name string, cfg cluster.Config) *cluster.Node {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = discard
	}
	n, err := cluster.New(newSystem(t, name), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// serve serves a Node until stop is called, or the test ends.
func serve(t testing.TB, n *cluster.Node) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- n.Serve(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve = %v, want nil", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// stranger is a node of which the test plays everything above the link.
type stranger struct {
	peer atomic.Pointer[link.Peer] // of the last session
	got  journal[string]
	ends journal[error]
}

const strangerBoot = 0xfeed

// newStranger connects with the only other node of a network.
func newStranger(t testing.TB, net *seednet.Network, change func(*link.Options)) *stranger {
	t.Helper()
	s := &stranger{}
	var conn *seednet.Conn
	o := link.Options{
		Name: "stranger", Boot: strangerBoot, Window: 64 << 20,
		Publish: func(to uint64, b []byte) error { return conn.Publish(to, b) },
		Up:      func(p *link.Peer) { s.peer.Store(p) },
		Record:  func(_ *link.Peer, rec []byte, _ bool) { s.got.add(string(rec)) },
		Down:    func(_ *link.Peer, reason error) { s.ends.add(reason) },
	}
	if change != nil {
		change(&o)
	}
	m, err := link.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if conn, err = net.Open("troupe", strangerBoot, m.Receive); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); m.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	wait(time.Second)
	if s.peer.Load() == nil {
		t.Fatal("the stranger is not connected")
	}
	return s
}

// The kinds of records, as they are on the wire.
const (
	hello = 1 + iota
	send
	kill
	call
	answer
	fail
	cancelCall
	monitor
	demonitor
	down
	onChannel
)

// rec is a record of numbers, and what follows them.
func rec(kind byte, numbers ...uint64) []byte {
	b := []byte{kind}
	for _, n := range numbers {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

// with appends to a record.
func with(rec []byte, b ...byte) []byte { return append(rec, b...) }

// value is a string on the wire.
func value(s string) []byte { return append([]byte{16}, s...) }

// number is that of a process.
func number(p actor.PID) uint64 {
	_, _, num := host.Parts(p)
	return num
}

// boot is that of a System.
func boot(sys *actor.System) uint64 {
	_, b := host.Identity(sys)
	return b
}
