package peer_test

import (
	"net"
	"slices"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/load"
	"github.com/troupe-dev/troupe/docs/benchmarks/internal/peer"
)

// serve starts p on a real listener, as most of these servers need a descriptor.
func serve(t *testing.T, p peer.Peer, o peer.Options) (load.Target, peer.Broadcast) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	addr := ln.Addr().String()
	if o.TLS {
		if ln, err = peer.TLS(ln); err != nil {
			t.Fatal(err)
		}
	}
	broadcast, err := p.Serve(ln, o)
	if err != nil {
		t.Fatalf("%s: %v", p.Name, err)
	}
	return load.Target{
		Addr: addr, TLS: o.TLS, Raw: p.Raw, Deflate: o.Deflate, Hello: p.Hello, Wrapped: p.Hello != "",
		CPU: func() (time.Duration, error) { return 0, nil },
	}, broadcast
}

// here are the peers that run in this process. The others, Bun and nbio, are tried by the tests of the runner, in processes of
// their own.
func here() []peer.Peer {
	return slices.DeleteFunc(slices.Clone(peer.All), func(p peer.Peer) bool { return p.Serve == nil })
}

func TestPeers_echo(t *testing.T) {
	for _, p := range here() {
		if p.NoEcho {
			continue
		}
		for _, size := range []int{128, 16 << 10, 1 << 20} {
			target, _ := serve(t, p, peer.Options{})
			s, err := load.Echo{Conns: 2, InFlight: 2, Size: size, For: 10 * time.Millisecond}.Run(target)
			if err != nil {
				t.Errorf("%s, %d bytes: %d messages, %v", p.Name, size, s.Count, err)
			}
		}
		target, _ := serve(t, p, peer.Options{})
		if _, err := (load.Churn{Clients: 2, Size: 128, For: 10 * time.Millisecond}).Run(target); err != nil {
			t.Errorf("%s: connect, echo and close: %v", p.Name, err)
		}
	}
}

func TestPeers_broadcast(t *testing.T) {
	for _, p := range here() {
		for _, deflate := range []bool{false, true} {
			if deflate && p.NoDeflate {
				continue
			}
			target, broadcast := serve(t, p, peer.Options{Group: true, Deflate: deflate})
			s, err := load.Broadcast{Conns: 3, Size: 512, For: 10 * time.Millisecond, Send: broadcast}.Run(target)
			if err != nil || s.Count == 0 {
				t.Errorf("%s, deflate %t: %d deliveries, %v", p.Name, deflate, s.Count, err)
			}
		}
	}
}

func TestPeers_compressedEcho(t *testing.T) {
	for _, p := range here() {
		if p.NoEcho || p.NoDeflate {
			continue
		}
		target, _ := serve(t, p, peer.Options{Deflate: true})
		s, err := load.Echo{Conns: 3, InFlight: 1, Size: 2 << 10, For: 10 * time.Millisecond}.Run(target)
		if err != nil || s.Count == 0 {
			t.Errorf("%s: %d messages, %v", p.Name, s.Count, err)
		}
	}
}

func TestPeers_tls(t *testing.T) {
	memory := func() (int64, error) { return 0, nil }
	for _, p := range here() {
		if p.NoEcho || p.NoTLS {
			continue
		}
		target, _ := serve(t, p, peer.Options{TLS: true})
		s, err := load.Echo{Conns: 3, InFlight: 1, Size: 128, For: 10 * time.Millisecond}.Run(target)
		if err != nil || s.Count == 0 || s.Latency.Count() == 0 {
			t.Errorf("%s: %d messages, %v", p.Name, s.Count, err)
		}
		target, _ = serve(t, p, peer.Options{TLS: true, Group: true, Hibernate: 10 * time.Millisecond})
		if _, err := (load.Idle{Conns: 3, Size: 128, Quiet: 20 * time.Millisecond, Memory: memory}).Run(target); err != nil {
			t.Errorf("%s, idle: %v", p.Name, err)
		}
	}
}

func TestPeers_rooms(t *testing.T) {
	for _, p := range here() {
		if p.NoEcho || p.Raw {
			continue
		}
		target, _ := serve(t, p, peer.Options{Rooms: true})
		s, err := load.Rooms{Rooms: 3, Each: 4, Size: 128, For: 10 * time.Millisecond}.Run(target)
		if err != nil || s.Count == 0 {
			t.Errorf("%s: %d deliveries, %v", p.Name, s.Count, err)
		}
	}
}

func TestPeers_mix(t *testing.T) {
	for _, p := range here() {
		if p.NoEcho || p.Raw {
			continue
		}
		target, broadcast := serve(t, p, peer.Options{Group: true})
		mix := load.Mix{Conns: 5, Talkers: 2, Size: 128, Every: time.Millisecond, For: 20 * time.Millisecond, Send: broadcast}
		s, err := mix.Run(target)
		if err != nil || s.Latency.Count() == 0 || s.Cast.Count() == 0 {
			t.Errorf("%s: %d messages, %v", p.Name, s.Count, err)
		}
	}
}

func TestPeers_idle(t *testing.T) {
	for _, p := range here() {
		for _, deflate := range []bool{false, true} {
			if p.NoEcho || deflate && p.NoDeflate {
				continue
			}
			// Twice as long silent as it takes to hibernate: the message wakes it.
			target, _ := serve(t, p, peer.Options{Group: true, Deflate: deflate, Hibernate: 10 * time.Millisecond})
			memory := func() (int64, error) { return 0, nil }
			idle := load.Idle{Conns: 3, Size: 2 << 10, Quiet: 20 * time.Millisecond, Memory: memory}
			if _, err := idle.Run(target); err != nil {
				t.Errorf("%s, deflate %t: %v", p.Name, deflate, err)
			}
		}
	}
}
