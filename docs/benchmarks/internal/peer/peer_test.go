package peer_test

import (
	"net"
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
	broadcast, err := p.Serve(ln, o)
	if err != nil {
		t.Fatalf("%s: %v", p.Name, err)
	}
	return load.Target{
		Addr: ln.Addr().String(), Raw: p.Raw, Deflate: o.Deflate, Hello: p.Hello, Wrapped: p.Hello != "",
		CPU: func() (time.Duration, error) { return 0, nil },
	}, broadcast
}

func TestPeers_echo(t *testing.T) {
	for _, p := range peer.All {
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
	for _, p := range peer.All {
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

func TestPeers_idle(t *testing.T) {
	for _, p := range peer.All {
		for _, deflate := range []bool{false, true} {
			if p.NoEcho || deflate && p.NoDeflate {
				continue
			}
			// Twice as long silent as it takes to hibernate: the message wakes it.
			target, _ := serve(t, p, peer.Options{Group: true, Deflate: deflate, Hibernate: 10 * time.Millisecond})
			idle := load.Idle{Conns: 3, Size: 2 << 10, Quiet: 20 * time.Millisecond, Memory: func() (int64, error) { return 0, nil }}
			if _, err := idle.Run(target); err != nil {
				t.Errorf("%s, deflate %t: %v", p.Name, deflate, err)
			}
		}
	}
}
