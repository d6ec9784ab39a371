//go:build !troupe_nosyscalls

package wire_test

import (
	"crypto/tls"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/socket/internal/wire"
)

// Elsewhere it is not known whether bytes have come for a connection over TLS.
func init() {
	transports["TLS 1.2"] = securely(tls.VersionTLS12, dialTCP)
	transports["TLS 1.3"] = securely(tls.VersionTLS13, dialTCP)
}

func dialTCP(t testing.TB) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}

// TestSuspended_holdsNoBufferOfTLS: crypto/tls keeps the buffer of its largest record, and that of the handshake, for as long
// as a connection lives. They go when it is suspended, with versions of Go whose crypto/tls was looked at: see rawio's
// secure_go126.go.
func TestSuspended_holdsNoBufferOfTLS(t *testing.T) {
	if v := runtime.Version(); !strings.HasPrefix(v, "go1.26") {
		t.Skipf("%s: the buffers stay", v)
	}
	const n = 100
	config := certificate(t)
	near, far := make([]*tls.Conn, n), make([]net.Conn, n)
	for i := range n {
		a, b := dialTCP(t)
		near[i], far[i] = secure(t, config, tls.VersionTLS13, a, b)
		defer a.Close()
	}
	input := frame(fin, opText, str(12_000))
	got := idleBytes(t, wire.Options{MaxMessageSize: mb, Level: 6}, false, far, func(i int) {
		go near[i].Write(input) // in more than one piece
	})
	t.Logf("TLS: %d bytes more than after its handshake", got)
	if got > idleTarget && !raceEnabled {
		t.Errorf("a connection that was suspended after a message of 12 KB holds %d bytes more than after its handshake, want at most %d", got, idleTarget)
	}
}
