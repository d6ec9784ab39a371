//go:build !troupe_nosyscalls

package wire_test

import (
	"crypto/tls"
	"net"
	"testing"
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
