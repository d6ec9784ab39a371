package socket_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/socket/internal/rawtls"
	"github.com/troupe-dev/troupe/websock"
)

// secureSite opens sites over TLS and TCP for clients with this version of TLS; 0: by hand, with all that may come between
// two messages.
func secureSite(version uint16) func(testing.TB, socket.Config, func() websock.Handler) *site {
	return func(t testing.TB, cfg socket.Config, newHandler func() websock.Handler) *site {
		t.Helper()
		h := newSite(t, cfg)
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatalf("Listen: %v", err)
		}
		h.onTLS(ln, h.sockets(newHandler))
		var clients atomic.Uint64
		h.dial = func() (net.Conn, error) {
			conn, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				return nil, err
			}
			torn := &torn{Conn: conn, rand: rand.New(rand.NewPCG(clients.Add(1), 2))}
			if version != 0 {
				return clientOf(torn, version), nil
			}
			c, err := rawtls.Client(torn)
			return &rekeyed{c, rand.New(rand.NewPCG(clients.Add(1), 3)), true}, err
		}
		return h
	}
}

// torn is a connection whose writes often reach the peer in pieces, with pauses in which a socket falls asleep.
type torn struct {
	net.Conn
	rand *rand.Rand
}

func (c *torn) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		end := len(p)
		if c.rand.IntN(2) == 0 {
			end = n + 1 + c.rand.IntN(len(p)-n)
		}
		var m int
		m, err = c.Conn.Write(p[n:end])
		if n += m; n < len(p) && c.rand.IntN(8) == 0 {
			time.Sleep(time.Duration(c.rand.IntN(1500)) * time.Microsecond)
		}
	}
	return n, err
}

// rekeyed sends key updates, and records that say nothing, between what is written.
type rekeyed struct {
	*rawtls.Conn
	rand *rand.Rand
	asks bool // for new keys of the server, too
}

func (c *rekeyed) Write(p []byte) (int, error) {
	var err error
	switch c.rand.IntN(6) {
	case 0, 1:
		err = c.SendKeyUpdate(c.asks && c.rand.IntN(2) == 0, c.rand.IntN(2) == 0)
	case 2:
		err = c.SendAlert(false, rawtls.UserCanceled)
	case 3:
		err = c.SendNothing()
	}
	if err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// TestStress_secureEnds is sockets over TLS that fall asleep all the time and get broadcasts, until their peers leave in all
// ways there are, inside a record, too, and those that stay are drained: each peer has seen the broadcasts in order and
// without a gap, whoever stayed has seen all and the Close frame, and each socket ends once.
func TestStress_secureEnds(t *testing.T) {
	rounds, each := 2, 48
	if os.Getenv("TROUPE_STRESS") != "" {
		rounds, each = 20, 200
		if raceEnabled() {
			rounds, each = 5, 100
		}
	}
	for round := range rounds {
		h := secureSite(0)(t, socket.Config{HibernateAfter: time.Millisecond, PingInterval: 5 * time.Millisecond}, func() websock.Handler { return plain{echo()} })
		var clients sync.WaitGroup
		var gone atomic.Int64
		seen := make([]int, each) // the last broadcast; of those that have left: 0
		staying := 0
		for i := range each {
			c := h.connect(rawclient.HandshakeOptions{})
			leaves := i%8 + 1
			if leaves > 6 {
				leaves = 0
				staying++
				// After a close_notify crypto/tls cannot answer a key update, and then reads nothing more.
				c.Conn().(*rekeyed).asks = false
			}
			clients.Go(func() {
				last, err := listenUntil(c, leaves)
				if leaves > 0 {
					gone.Add(1)
				} else {
					seen[i] = last
				}
				if err != nil {
					t.Errorf("round %d, peer %d, which leaves in way %d, after broadcast %d: %v", round, i, leaves, last, err)
				}
			})
		}
		h.waitForCount(t, each)
		sent := 0
		for sent < 100 || gone.Load() < int64(each-staying) {
			sent++
			m := websock.Prepare(websock.Text(fmt.Sprint(sent)))
			for pid := range h.srv.Sockets() {
				pid.Send(m)
			}
			h.yield()
			if sent%10 == 0 {
				time.Sleep(2 * time.Millisecond)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if err := h.srv.Drain(ctx, socket.Drain{Over: -1}); err != nil {
			t.Errorf("round %d: Drain: %v", round, err)
		}
		cancel()
		clients.Wait()
		h.wantEnds(each)
		for i, last := range seen {
			if last != 0 && last != sent {
				t.Errorf("round %d, peer %d, which stayed: the last broadcast was %d, want %d", round, i, last, sent)
			}
		}
		if t.Failed() {
			return
		}
	}
}

// listenUntil reads broadcasts, and leaves after some of them: in one of the ways 1 to 6, or 0, with the answer to the server's
// Close frame.
func listenUntil(c *rawclient.Client, leaves int) (last int, err error) {
	secure := c.Conn().(*rekeyed).Conn
	defer secure.Close()
	stay := 5 + rand.IntN(80)
	for {
		op, p, err := c.ReadMessage()
		switch {
		case err != nil:
			return last, err
		case op == rawclient.OpPing:
			if err := c.Pong(p); err != nil {
				return last, err
			}
			continue
		case op == rawclient.OpClose && leaves == 0 && codeOf(p) == 1001:
			c.Close(1001, "")
			if _, err := c.ReadFrame(); err != io.EOF { //nolint:errorlint // never wrapped
				return last, fmt.Errorf("after the Close: %w", err)
			}
			return last, nil
		case op != rawclient.OpText || string(p) != fmt.Sprint(last+1):
			return last, fmt.Errorf("got opcode %#x, %.40q, want broadcast %d", op, p, last+1)
		}
		if last++; leaves == 0 || last < stay {
			continue
		}
		switch raw := secure.Conn.(*torn); leaves {
		case 1: // the end of TCP, without a close_notify
		case 2:
			return last, secure.SendAlert(false, rawtls.CloseNotify)
		case 3:
			return last, secure.SendAlert(true, rawtls.BadRecordMAC)
		case 4: // inside a record
			_, err = raw.Conn.Write(secure.Seal(rawtls.ApplicationData, masked(text("never whole")))[:1+rand.IntN(30)])
		case 5:
			return last, raw.Conn.(*net.TCPConn).SetLinger(0)
		default: // a Close frame, and no patience for the answer
			err = c.Close(1000, "")
		}
		return last, err
	}
}
