//go:build !troupe_nosyscalls

package rawio_test

import (
	"net"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/rawio"
)

// TestConn_sendBuffer: how much the kernel takes for a peer that does not read. It is what this is about, so the connection is
// one of TCP. The peer's kernel takes what its own buffer holds, which has the same size each time.
func TestConn_sendBuffer(t *testing.T) {
	const received = 32 << 10
	taken := func(t *testing.T, sendBuffer int) (all, unsent int) {
		t.Helper()
		c, peer := connected(t)
		if err := peer.(*net.TCPConn).SetReadBuffer(received); err != nil {
			t.Fatal(err)
		}
		var conn rawio.Conn
		conn.Init(c, &rawio.Settings{Epoch: time.Now(), SendBuffer: sendBuffer})
		p := make([]byte, 4<<10)
		for {
			conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)) // what it takes it takes long before that
			n, err := c.Write(p)
			if all += n; err != nil {
				return all, conn.Unsent()
			}
		}
	}
	asItLikes, _ := taken(t, -1)
	byDefault, unsent := taken(t, 0)
	small, unsentOfSmall := taken(t, 16<<10)
	t.Logf("taken: %d as it likes; %d (%d unsent) by default; %d (%d unsent) with 16 KiB", asItLikes, byDefault, unsent, small, unsentOfSmall)
	if unsent > 256<<10 || byDefault > asItLikes {
		t.Errorf("by default the kernel has taken %d bytes, %d of them unsent, want at most 128 KiB unsent and what is being sent; as it likes %d",
			byDefault, unsent, asItLikes)
	}
	if unsentOfSmall > 48<<10 || small > byDefault {
		t.Errorf("with 16 KiB the kernel has taken %d bytes, %d of them unsent, want little more; by default %d", small, unsentOfSmall, byDefault)
	}
}

// connected is both ends of a connection of TCP.
func connected(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}
