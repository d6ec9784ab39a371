package wire_test

import (
	"crypto/tls"
	"net"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/socket/internal/rawtls"
	"github.com/troupe-dev/troupe/socket/internal/wire"
)

func init() {
	inMemory := func(testing.TB) (net.Conn, net.Conn) {
		near, far := pipe.New(4 << 20)
		return near, far
	}
	transports["TLS 1.2 over memory"] = securely(tls.VersionTLS12, inMemory)
	transports["TLS 1.3 over memory"] = securely(tls.VersionTLS13, inMemory)
}

// certificate is a server's configuration.
func certificate(t testing.TB) *tls.Config {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	return server.TLS
}

// torn is a connection whose writes reach the peer in pieces: so the records of TLS do.
type torn struct {
	net.Conn
	pieces int
}

func (c *torn) Write(p []byte) (n int, err error) {
	for c.pieces++; n < len(p) && err == nil; {
		end := min(len(p), n+len(p)/(1+c.pieces%3)+1)
		var m int
		m, err = c.Conn.Write(p[n:end])
		n += m
		runtime.Gosched()
	}
	return n, err
}

// secure does the handshake of TLS between the ends of a connection.
func secure(t testing.TB, config *tls.Config, version uint16, near, far net.Conn) (client, server *tls.Conn) {
	t.Helper()
	client = tls.Client(&torn{Conn: near}, &tls.Config{InsecureSkipVerify: true, MaxVersion: version, DynamicRecordSizingDisabled: true}) //nolint:gosec // for tests
	server = tls.Server(far, config)
	var handshake sync.WaitGroup
	var failed error
	handshake.Go(func() { failed = client.Handshake() })
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	if handshake.Wait(); failed != nil {
		t.Fatal(failed)
	}
	return client, server
}

// securely joins a peer and a Conn over TLS, over what dial returns.
func securely(version uint16, dial func(testing.TB) (near, far net.Conn)) func(testing.TB, wire.Options, bool) (*rawclient.Client, *wire.Conn) {
	return func(t testing.TB, o wire.Options, deflate bool) (*rawclient.Client, *wire.Conn) {
		t.Helper()
		near, far := dial(t)
		client, server := secure(t, certificate(t), version, near, far)
		return over(t, client, server, o, deflate)
	}
}

// TestSuspend_tlsBuffers: a connection that leaves has nothing that it could deliver, wherever the records of its messages
// are cut, and a later Next goes on. One that is not patient leaves without being asked, and delivers first what TLS has
// read before: here the second and the third of three records that came together.
func TestSuspend_tlsBuffers(t *testing.T) {
	config := certificate(t)
	synctest.Test(t, func(t *testing.T) {
		near, far := pipe.New(1 << 20)
		server := tls.Server(far, config)
		var handshake sync.WaitGroup
		handshake.Go(func() { server.Handshake() })
		secure, err := rawtls.Client(near)
		if err != nil {
			t.Fatal(err)
		}
		handshake.Wait()
		_, c := over(t, near, server, wire.Options{MaxMessageSize: mb}, false)
		c.SetPatient(false)
		suspended := func(when string) {
			t.Helper()
			if m, err := c.Next(); err != wire.ErrSuspended {
				t.Fatalf("%s: Next: %q, %v, want ErrSuspended", when, m.Data, err)
			}
		}
		delivers := func(want string) {
			t.Helper()
			if m, err := c.Next(); err != nil || string(m.Data) != want {
				t.Fatalf("Next: %q, %v, want %q", m.Data, err, want)
			}
		}
		suspended("nothing was sent")
		seal := func(payload string) []byte { return secure.Seal(rawtls.ApplicationData, frame(fin, opText, payload)) }
		near.Write(join(seal("one"), seal("two"), seal("three")))
		for _, want := range []string{"one", "two", "three"} {
			delivers(want)
		}
		suspended("all was read")
		size := 2
		for cut := 1; cut < size; cut++ {
			record := seal("whole")
			size = len(record)
			near.Write(record[:cut])
			done := blocked(next(c))
			c.Suspend()
			if err := <-done; err != wire.ErrSuspended {
				t.Fatalf("%d of %d bytes of a record: Next: %v, want ErrSuspended", cut, size, err)
			}
			suspended("nothing more has come")
			near.Write(join(record[cut:], seal("more")))
			delivers("whole")
			delivers("more")
			suspended("all was read")
		}
		since := c.Activity().WaitingSince
		time.Sleep(time.Second)
		near.Write(secure.KeyUpdate(true, true)) // no message: it wakes and must be asked to leave again
		done := blocked(next(c))
		c.Suspend()
		if err := <-done; err != wire.ErrSuspended {
			t.Fatalf("a key update: Next: %v, want ErrSuspended", err)
		}
		if got := c.Activity().WaitingSince; got != since {
			t.Errorf("a key update: waits since %v, want since %v: no byte has come", got, since)
		}
		near.Write(seal("with the new key"))
		delivers("with the new key")
		near.Write(secure.Seal(rawtls.Alert, []byte{1, rawtls.CloseNotify}))
		if err := next(c)(); verdict(err) != "EOF" {
			t.Errorf("after a close_notify: Next: %v, want EOF", err)
		}
	})
}
