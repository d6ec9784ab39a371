//go:build !troupe_nosyscalls

package rawio

import (
	"crypto/tls"
	"io"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// TestWrite_overTLSDeadlineFollowsProgress: also where a write cannot be tried once more at its deadline, a peer that
// takes a part of what the kernel holds, and less than the third of it of which the kernel tells by itself, starts
// WriteTimeout anew.
func TestWrite_overTLSDeadlineFollowsProgress(t *testing.T) {
	server := httptest.NewUnstartedServer(nil) // for its certificate
	server.StartTLS()
	defer server.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	near.(*net.TCPConn).SetReadBuffer(32 << 10)
	accepted.(*net.TCPConn).SetWriteBuffer(2 << 20) // the kernel doubles it
	far := &watched{TCPConn: accepted.(*net.TCPConn), set: make(chan time.Time, 10_000)}
	client := tls.Client(near, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // a certificate of the test's
	secure := tls.Server(far, server.TLS)
	shaken := make(chan error, 1)
	go func() { shaken <- client.Handshake() }()
	if err := secure.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	c := new(Conn)
	c.Init(secure, &Settings{Epoch: time.Now(), WriteTimeout: time.Hour})
	var writing sync.WaitGroup
	writing.Go(func() { new(Writer).Write(c, make([]byte, 16<<20), nil) }) //nolint:errcheck,gosec // it ends with Close
	defer writing.Wait()
	defer accepted.Close()
	for range 4 {
		blocked := false
		for !blocked { // until the kernel takes no more
			select {
			case <-far.set:
			case <-time.After(300 * time.Millisecond): // on the kernel's clock; if it comes early, the test shows less
				blocked = true
			}
		}
		if _, err := io.CopyN(io.Discard, client, 300<<10); err != nil {
			t.Fatal(err)
		}
		far.next(t)
	}
}
