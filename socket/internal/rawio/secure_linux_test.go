//go:build !troupe_nosyscalls

package rawio_test

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/troupe-dev/troupe/socket/internal/rawio"
)

// own is a connection of which it is not known whether something has come.
type own struct{ net.Conn }

// TestArrived: what the connection below TLS has, be it bytes or an end, can be seen before it is read. No handshake is needed.
func TestArrived(t *testing.T) {
	for name, ends := range ends {
		t.Run(name, func(t *testing.T) {
			near, far := ends(t)
			defer near.Close()
			defer far.Close()
			c := open(tls.Server(far, &tls.Config{}), 0)
			wants := func(when string, c *rawio.Conn, want bool) {
				t.Helper()
				if got := c.Arrived(); got != want {
					t.Errorf("%s: got %t, want %t", when, got, want)
				}
			}
			wants("nothing has come", c, false)
			wants("without TLS", open(far, 0), true)
			wants("below TLS something of another type", open(tls.Server(own{far}, &tls.Config{}), 0), true)
			near.Write([]byte{1})
			wants("a byte has come", c, true)
			far.Read(make([]byte, 8))
			wants("it was read", c, false)
			near.Close()
			wants("the end", c, true)
			far.Close()
			wants("closed", c, true)
		})
	}
}
