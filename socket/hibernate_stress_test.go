package socket_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/notify"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// TestStress_hibernation is sockets that fall asleep all the time while both sides talk: each client sees every echo and
// every message of the publishers once and in order, whatever woke whom. Over TLS records come in pieces, with key updates and
// with records that say nothing between them, and clients go with or without a close_notify.
func TestStress_hibernation(t *testing.T) {
	for transport, open := range map[string]func(testing.TB, socket.Config, func() websock.Handler) *site{
		"memory": memorySite, "tcp": tcpSite, "TLS 1.2": secureSite(tls.VersionTLS12), "TLS 1.3": secureSite(tls.VersionTLS13),
		"TLS by hand": secureSite(0),
	} {
		t.Run(transport, func(t *testing.T) {
			cfg := socket.Config{HibernateAfter: time.Millisecond, PingInterval: 3 * time.Millisecond, IdleTimeout: time.Minute}
			clients, messages := 32, 300
			switch {
			case testing.Short():
				messages = 60
			case os.Getenv("TROUPE_STRESS") != "":
				clients, messages = 100, 2000
				if raceEnabled() && strings.HasPrefix(transport, "TLS") {
					messages = 600
				}
			}
			site := open(t, cfg, func() websock.Handler { return &sequenced{} })
			var slept atomic.Int64
			watched := transport == "memory" || notify.Supported((*net.TCPConn)(nil)) // with the build tag troupe_nosyscalls TCP cannot be
			var wg sync.WaitGroup
			for i := range clients {
				wg.Go(func() {
					c := site.connect(rawclient.HandshakeOptions{})
					if err := talk(c, rand.New(rand.NewPCG(uint64(i), 1)), messages); err != nil {
						t.Errorf("client %d: %v", i, err)
					}
				})
			}
			stop := make(chan struct{})
			var published sync.WaitGroup
			published.Go(func() { // messages from elsewhere, at sockets asleep and awake
				for {
					for pid, info := range site.srv.Sockets() {
						if info.Hibernated {
							slept.Add(1)
						}
						pid.Send("tick")
					}
					select {
					case <-stop:
						return
					case <-time.After(200 * time.Microsecond):
					}
				}
			})
			wg.Wait()
			close(stop)
			published.Wait()
			if (slept.Load() > 0) != watched {
				t.Errorf("%d times a socket was seen asleep; connections can be watched: %t", slept.Load(), watched)
			}
			t.Logf("%d times a socket was asleep when a message was sent to it", slept.Load())
		})
	}
}

// sequenced echoes, and numbers what it pushes for messages of other processes.
type sequenced struct{ ticks uint32 }

func (*sequenced) Init(context.Context) websock.Result { return websock.OK() }

func (*sequenced) HandleIn(_ context.Context, m websock.Message) websock.Result {
	return websock.Push(m)
}

func (h *sequenced) HandleInfo(context.Context, any) websock.Result {
	h.ticks++
	return websock.Push(websock.Text(fmt.Sprintf("tick %d", h.ticks)))
}

// talk sends numbered messages, one or several at a time, whole or in pieces, with pings between them and pauses
// around the time after which a socket sleeps, and checks all that comes.
func talk(c *rawclient.Client, r *rand.Rand, messages int) error {
	var writeMu sync.Mutex
	write := func(f func() error) error {
		writeMu.Lock()
		defer writeMu.Unlock()
		return f()
	}
	sent := make(chan error, 1)
	go func() {
		defer close(sent)
		for n := 0; n < messages; {
			for range 1 + r.IntN(4) {
				p := binary.BigEndian.AppendUint32(nil, uint32(n))
				p = append(p, make([]byte, r.IntN(300))...)
				err := write(func() error {
					switch r.IntN(4) {
					case 0: // a fragment, a ping, the rest
						if err := c.Write(rawclient.Frame{Opcode: rawclient.OpBinary, Payload: p[:2]}); err != nil {
							return err
						}
						if err := c.Ping(nil); err != nil {
							return err
						}
						time.Sleep(time.Duration(r.IntN(1500)) * time.Microsecond)
						return c.Write(rawclient.Frame{Fin: true, Opcode: rawclient.OpContinuation, Payload: p[2:]})
					default:
						return c.Binary(p)
					}
				})
				if err != nil {
					sent <- err
					return
				}
				n++
			}
			time.Sleep(time.Duration(r.IntN(3000)) * time.Microsecond)
		}
	}()
	err := listen(c, messages, write)
	if err == nil {
		err = <-sent
	}
	c.Conn().Close()
	<-sent
	return err
}

// listen reads until all echoes have come.
func listen(c *rawclient.Client, messages int, write func(func() error) error) error {
	echoes, ticks := 0, 0
	for echoes < messages {
		op, p, err := c.ReadMessage()
		if err != nil {
			return fmt.Errorf("after %d echoes and %d ticks: %w", echoes, ticks, err)
		}
		switch op {
		case rawclient.OpPing:
			if err := write(func() error { return c.Pong(p) }); err != nil {
				return err
			}
		case rawclient.OpBinary:
			if n := int(binary.BigEndian.Uint32(p)); n != echoes {
				return fmt.Errorf("echo %d came, want %d", n, echoes)
			}
			echoes++
		case rawclient.OpText:
			ticks++
			if want := fmt.Sprintf("tick %d", ticks); string(p) != want {
				return fmt.Errorf("%q came, want %q", p, want)
			}
		}
	}
	return nil
}
