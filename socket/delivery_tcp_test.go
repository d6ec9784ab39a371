package socket_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// What the kernels hold is all that an old price can be in: a client of TCP that does not read, and then reads all, gets that much and the
// newest price of each symbol, and with what was left out it adds up exactly. How large the kernel's buffers are is what this is
// about, so the connection is one of TCP.
func TestDelivery_overTCP(t *testing.T) {
	const size, symbols, received = 1 << 10, 3, 4 << 10
	for name, tt := range map[string]struct {
		buffer int // Config.SendBuffer
		most   int // bytes that may be on their way: several times what they are
	}{
		"by default": {0, 1 << 20},
		"16 KiB":     {16 << 10, 256 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			s := tcpSite(t, socket.Config{Logger: quiet, SendBuffer: tt.buffer}, func() websock.Handler { return &idleHandler{} })
			c := s.connect(rawclient.HandshakeOptions{})
			if err := c.Conn().(*net.TCPConn).SetReadBuffer(received); err != nil {
				t.Fatal(err)
			}
			pid, sent := onlyOf(s), 0
			for began := time.Now(); s.srv.Stats().LeftOut < 2*uint64(tt.most)/size; sent++ { // far more than fits
				p := make([]byte, size)
				binary.BigEndian.PutUint32(p, uint32(sent))
				if !pid.Send(websock.Binary(p).Deliver(websock.Delivery{Key: fmt.Sprint(sent % symbols)})) {
					t.Fatalf("price %d was refused", sent)
				}
				if sent%symbols == 0 {
					runtime.Gosched()
				}
				if time.Since(began) > patience {
					t.Fatalf("after %v and %d prices %d are left out", patience, sent, s.srv.Stats().LeftOut)
				}
			}
			if err := c.Conn().(*net.TCPConn).SetReadBuffer(1 << 20); err != nil { // a small one is slow
				t.Fatal(err)
			}
			got, last := 0, [symbols]int{-1, -1, -1}
			for ; last[0]+last[1]+last[2] < 3*sent-6; got++ { // the newest three have come: nothing follows
				_, p, err := c.ReadMessage()
				if err != nil {
					t.Fatalf("after %d prices: %v", got, err)
				}
				n := int(binary.BigEndian.Uint32(p))
				if n <= last[n%symbols] {
					t.Fatalf("price %d came after %d", n, last[n%symbols])
				}
				last[n%symbols] = n
			}
			if bytes := got * size; bytes > tt.most {
				t.Errorf("%d bytes of prices were on their way, want %d at most", bytes, tt.most)
			}
			t.Logf("of %d prices %d have come, %d bytes", sent, got, got*size)
			if err := c.Close(1000, ""); err != nil {
				t.Fatal(err)
			}
			s.wantEnds(1)
			cl := s.closed[0]
			if n := uint64(got) + cl.Lag.LeftOut; n != uint64(sent) || cl.Dropped != 0 || cl.Written.Binary.Frames != int64(got) {
				t.Errorf("of %d prices %d have come of %d written, %d are left out, %d dropped", sent, got, cl.Written.Binary.Frames, cl.Lag.LeftOut, cl.Dropped)
			}
		})
	}
}

// onlyOf is the only socket of s, which is about to be there.
func onlyOf(s *site) actor.PID {
	for began := time.Now(); time.Since(began) < patience; runtime.Gosched() {
		for pid := range s.srv.Sockets() {
			return pid
		}
	}
	s.t.Fatalf("after %v there is no socket", patience)
	return actor.PID{}
}
