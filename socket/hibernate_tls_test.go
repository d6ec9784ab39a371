package socket_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/socket/internal/rawtls"
	"github.com/troupe-dev/troupe/websock"
)

// sleeps fails the test unless the only socket is in the state that is wanted, once all has come to rest.
func (h *site) sleeps(want bool) {
	h.t.Helper()
	synctest.Wait()
	info, err := h.srv.Info(h.idOf())
	if err != nil || info.Hibernated != want {
		h.t.Fatalf("Info: hibernated %t, error %v; want %t", info.Hibernated, err, want)
	}
}

// dozing returns the client of a socket over TLS that sleeps.
func dozing(t *testing.T, cfg socket.Config, version uint16, h websock.Handler) (*site, *rawclient.Client) {
	t.Helper()
	s := newSite(t, cfg)
	s.overTLSFor(s.sockets(func() websock.Handler { return h }), version)
	c := s.connect(rawclient.HandshakeOptions{})
	c.Conn().SetDeadline(time.Time{})
	wantEcho(t, c, "hello")
	s.sleeps(false)
	time.Sleep(16 * time.Second)
	s.sleeps(true)
	return s, c
}

// byHand is the client's side of TLS 1.3 by hand.
type byHand struct {
	*rawclient.Client
	secure *rawtls.Conn
	raw    *pipe.Conn
}

// dozingByHand is dozing with a client that can send any record.
func dozingByHand(t *testing.T, cfg socket.Config, h websock.Handler) (*site, *byHand) {
	t.Helper()
	s := newSite(t, cfg)
	ln := pipe.NewListener()
	s.onTLS(ln, s.sockets(func() websock.Handler { return h }))
	c := new(byHand)
	s.dial = func() (net.Conn, error) {
		conn, err := ln.Dial(t.Context())
		if err != nil {
			return nil, err
		}
		c.raw = conn.(*pipe.Conn)
		c.secure, err = rawtls.Client(conn)
		return c.secure, err
	}
	c.Client = s.connect(rawclient.HandshakeOptions{})
	c.Conn().SetDeadline(time.Time{})
	wantEcho(t, c.Client, "hello")
	time.Sleep(16 * time.Second)
	s.sleeps(true)
	return s, c
}

// message is the record of a text message in one frame.
func (c *byHand) message(s string) []byte {
	return c.secure.Seal(rawtls.ApplicationData, masked(text(s)))
}

func TestHibernate_TLS(t *testing.T) {
	quiet := socket.Config{PingInterval: -1, IdleTimeout: -1}
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		bubble(t, "a message wakes it, and it sleeps again, TLS "+name, func(t *testing.T) {
			s, c := dozing(t, quiet, version, echo())
			for _, n := range []int{1, 200, 20_000, 300_000} {
				p := make([]byte, n)
				background(t, func() { c.Binary(p) })
				wantMessage(t, c, rawclient.OpBinary, string(p))
				s.sleeps(true)
				wantEcho(t, c, "more")
				s.sleeps(false)
				time.Sleep(16 * time.Second)
				s.sleeps(true)
			}
			goodbye(t, c)
			s.wantEnds(1)
		})
		bubble(t, "pings and pongs let it sleep on, TLS "+name, func(t *testing.T) {
			s, c := dozing(t, socket.Config{}, version, echo())
			for range 10 {
				op, p, err := c.ReadMessage()
				if err != nil || op != rawclient.OpPing {
					t.Fatalf("got opcode %#x, error %v; want a ping", op, err)
				}
				c.Pong(p)
				s.sleeps(true)
				c.Ping([]byte("theirs"))
				wantMessage(t, c, rawclient.OpPong, "theirs")
				s.sleeps(true)
			}
			if info, _ := s.srv.Info(s.idOf()); info.RTT == 0 || info.Read.Pong.Frames != 10 {
				t.Errorf("Info: %+v, want an RTT and 10 pongs", info)
			}
			goodbye(t, c)
		})
		bubble(t, "messages of other processes reach the peer and let it sleep on, TLS "+name, func(t *testing.T) {
			s, c := dozing(t, quiet, version, puppet())
			s.idOf().Send(do(func(ctx context.Context) websock.Result {
				if !socket.Info(ctx).Hibernated {
					t.Errorf("awake in HandleInfo")
				}
				return websock.Push(websock.Text("news"))
			}))
			wantMessage(t, c, rawclient.OpText, "news")
			s.idOf().Send(websock.Text("more"))
			wantMessage(t, c, rawclient.OpText, "more")
			s.sleeps(true)
			goodbye(t, c)
		})
		bubble(t, "Exit, and the peer answers, TLS "+name, func(t *testing.T) {
			s, c := dozing(t, quiet, version, puppet())
			s.idOf().Exit(actor.ErrShutdown)
			wantClosed(t, c, 1001) // then io.EOF: a close_notify has come
			synctest.Wait()
			began := time.Now()
			c.Close(1001, "")
			s.wantEnds(1)
			if end := s.ends()[0]; end.Received == nil || end.Received.Code != 1001 || time.Since(began) != 0 {
				t.Errorf("%v after the peer's Close: received %v", time.Since(began), end.Received)
			}
		})
		bubble(t, "Exit, and the peer is silent, TLS "+name, func(t *testing.T) {
			s, _ := dozing(t, quiet, version, puppet())
			began := time.Now()
			s.idOf().Exit(actor.ErrShutdown)
			s.wantEnds(1)
			if d := time.Since(began); d < 5*time.Second || d > 6*time.Second {
				t.Errorf("TCP was closed after %v, want CloseTimeout", d)
			}
		})
		bubble(t, "a kill, TLS "+name, func(t *testing.T) {
			s, _ := dozing(t, quiet, version, puppet())
			began := time.Now()
			s.idOf().Exit(actor.ErrKilled)
			s.wantEnds(1)
			if d := time.Since(began); d != 0 {
				t.Errorf("TCP was closed after %v", d)
			}
		})
		bubble(t, "the peer closes TCP, TLS "+name, func(t *testing.T) {
			for name, leave := range map[string]func(c *tls.Conn){
				"without close_notify": func(c *tls.Conn) { c.NetConn().Close() },
				"with close_notify":    func(c *tls.Conn) { c.Close() },
			} {
				s, c := dozing(t, quiet, version, puppet())
				began := time.Now()
				leave(c.Conn().(*tls.Conn))
				s.wantEnds(1)
				if end := s.ends()[0]; !errors.Is(end.Reason, websock.ErrRemote) || !errors.Is(end.Reason, io.EOF) || time.Since(began) != 0 {
					t.Errorf("%s: %v after %v, want ErrRemote that wraps io.EOF, at once", name, end.Reason, time.Since(began))
				}
			}
		})
	}
	bubble(t, "records that come together are all read", func(t *testing.T) {
		s, c := dozingByHand(t, quiet, echo())
		c.raw.Write(slices.Concat(c.message("one"), c.message("two"), c.message("three")))
		for _, want := range []string{"one", "two", "three"} {
			wantMessage(t, c.Client, rawclient.OpText, want)
		}
		time.Sleep(16 * time.Second)
		s.sleeps(true)
		goodbye(t, c.Client)
	})
	bubble(t, "it sleeps inside a record, wherever that is cut", func(t *testing.T) {
		s, c := dozingByHand(t, quiet, echo())
		for range 3 {
			for _, b := range c.message("slow") {
				s.sleeps(true)
				c.raw.Write([]byte{b})
				time.Sleep(16 * time.Second)
			}
			wantMessage(t, c.Client, rawclient.OpText, "slow")
			s.sleeps(true)
		}
		goodbye(t, c.Client)
	})
	bubble(t, "a key update", func(t *testing.T) {
		s, c := dozingByHand(t, quiet, echo())
		for i := range 8 {
			c.secure.SendKeyUpdate(i&1 != 0, i&2 != 0)
			synctest.Wait()
			if i&4 != 0 {
				time.Sleep(16 * time.Second)
				s.sleeps(true)
			}
			s.idOf().Send(websock.Text("with another key"))
			wantMessage(t, c.Client, rawclient.OpText, "with another key")
			wantEcho(t, c.Client, "likewise")
			time.Sleep(16 * time.Second)
			s.sleeps(true)
		}
		goodbye(t, c.Client)
	})
	bubble(t, "records that say nothing", func(t *testing.T) {
		s, c := dozingByHand(t, quiet, echo())
		c.secure.SendAlert(false, rawtls.UserCanceled)
		c.raw.Write(c.secure.Seal(rawtls.ApplicationData, nil))
		time.Sleep(16 * time.Second)
		s.sleeps(true)
		wantEcho(t, c.Client, "something")
		goodbye(t, c.Client)
	})
	bubble(t, "the peer says close_notify, and reads on", func(t *testing.T) {
		s, c := dozingByHand(t, quiet, echo())
		c.secure.SendAlert(false, rawtls.CloseNotify)
		s.wantEnds(1)
		if end := s.ends()[0]; !errors.Is(end.Reason, websock.ErrRemote) || !errors.Is(end.Reason, io.EOF) {
			t.Errorf("exit reason: got %v, want ErrRemote that wraps io.EOF", end.Reason)
		}
	})
	bubble(t, "an alert", func(t *testing.T) {
		s, c := dozingByHand(t, quiet, echo())
		c.secure.SendAlert(true, rawtls.BadRecordMAC)
		s.wantEnds(1)
		if end := s.ends()[0]; !errors.Is(end.Reason, websock.ErrRemote) || !strings.Contains(end.Reason.Error(), "bad record MAC") {
			t.Errorf("exit reason: got %v, want ErrRemote, with the alert", end.Reason)
		}
	})
	bubble(t, "a bad record", func(t *testing.T) {
		s, c := dozingByHand(t, quiet, echo())
		record := c.message("x")
		record[len(record)-1]++
		c.raw.Write(record)
		s.wantEnds(1)
		if end := s.ends()[0]; !errors.Is(end.Reason, websock.ErrRemote) {
			t.Errorf("exit reason: got %v, want ErrRemote", end.Reason)
		}
	})
	bubble(t, "the end of TCP inside a record", func(t *testing.T) {
		s, c := dozingByHand(t, quiet, echo())
		c.raw.Write(c.message("never whole")[:20])
		time.Sleep(16 * time.Second)
		s.sleeps(true)
		c.raw.Close()
		s.wantEnds(1)
		if end := s.ends()[0]; !errors.Is(end.Reason, websock.ErrRemote) || !errors.Is(end.Reason, io.ErrUnexpectedEOF) {
			t.Errorf("exit reason: got %v, want ErrRemote that wraps io.ErrUnexpectedEOF", end.Reason)
		}
	})
	bubble(t, "a reset", func(t *testing.T) {
		s, c := dozingByHand(t, quiet, echo())
		c.raw.Reset()
		s.wantEnds(1)
		if end := s.ends()[0]; !errors.Is(end.Reason, websock.ErrRemote) {
			t.Errorf("exit reason: got %v, want ErrRemote", end.Reason)
		}
	})
	bubble(t, "the bytes of a record that does not end are no life: IdleTimeout goes on", func(t *testing.T) {
		s, c := dozingByHand(t, socket.Config{PingInterval: -1, IdleTimeout: time.Minute}, echo())
		began := time.Now()
		record := c.message(string(make([]byte, 100)))
		for _, b := range record[:100] {
			if _, err := c.raw.Write([]byte{b}); err != nil {
				break
			}
			time.Sleep(time.Second)
		}
		s.wantEnds(1)
		if d := time.Since(began); d < 40*time.Second || d > time.Minute {
			t.Errorf("ended after %v, want what was left of a minute", d)
		}
	})
	bubble(t, "asleep it has no goroutine, and a shutdown ends all", func(t *testing.T) {
		s := newSite(t, quiet)
		s.overTLS(s.sockets(func() websock.Handler { return puppet() }))
		var cs []*rawclient.Client
		for range 50 {
			c := s.connect(rawclient.HandshakeOptions{})
			c.Conn().SetDeadline(time.Time{})
			cs = append(cs, c)
		}
		synctest.Wait()
		awake := runtime.NumGoroutine()
		time.Sleep(16 * time.Second)
		synctest.Wait()
		if n := awake - runtime.NumGoroutine(); n < len(cs)-10 {
			t.Errorf("%d goroutines less for %d sockets that sleep", n, len(cs))
		}
		for _, c := range cs {
			background(t, func() { wantClosed(t, c, 1001); c.Close(1001, "") })
		}
		began := time.Now()
		if err := s.srv.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		s.wantEnds(len(cs))
		if d := time.Since(began); d != 0 {
			t.Errorf("ended after %v", d)
		}
	})
	bubble(t, "a connection of another type below TLS keeps it awake", func(t *testing.T) {
		s := newSite(t, quiet)
		ln := pipe.NewListener()
		s.onTLS(wrapping{ln}, s.sockets(func() websock.Handler { return echo() }))
		s.dial = func() (net.Conn, error) {
			conn, err := ln.Dial(t.Context())
			return clientOf(conn, tls.VersionTLS13), err
		}
		c := s.connect(rawclient.HandshakeOptions{})
		time.Sleep(40 * time.Second)
		s.sleeps(false)
		wantEcho(t, c, "hello")
		goodbye(t, c)
	})
}

// wrapping is a listener whose connections have a type of their own.
type wrapping struct{ net.Listener }

type wrapped struct{ net.Conn }

func (w wrapping) Accept() (net.Conn, error) {
	c, err := w.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return wrapped{c}, nil
}
