package rawtls_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"testing"

	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawtls"
)

// connect returns a client, and a server of crypto/tls that echoes until its Read fails; failed gets why.
func connect(t *testing.T) (c *rawtls.Conn, raw net.Conn, failed <-chan error) {
	t.Helper()
	ts := httptest.NewUnstartedServer(nil) // for its certificate
	ts.StartTLS()
	t.Cleanup(ts.Close)
	near, far := pipe.New(1 << 20)
	why := make(chan error, 1)
	go func() {
		s := tls.Server(far, ts.TLS)
		defer s.Close()
		p := make([]byte, 64<<10)
		for {
			n, err := s.Read(p)
			if err == nil {
				_, err = s.Write(p[:n])
			}
			if err != nil {
				why <- err
				return
			}
		}
	}()
	c, err := rawtls.Client(near)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	return c, near, why
}

func wantEcho(t *testing.T, c *rawtls.Conn, p []byte) {
	t.Helper()
	got := make([]byte, len(p))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, p) {
		t.Fatalf("got %.60q, %v; want %.60q", got, err, p)
	}
}

func TestConn(t *testing.T) {
	c, raw, failed := connect(t)
	for _, n := range []int{1, 100, 16 << 10, 100_000} {
		p := bytes.Repeat([]byte{'x'}, n)
		if _, err := c.Write(p); err != nil {
			t.Fatal(err)
		}
		wantEcho(t, c, p)
	}
	for i := range 8 {
		if err := c.SendKeyUpdate(i&1 != 0, i&2 != 0); err != nil {
			t.Fatal(err)
		}
		c.Write([]byte("with other keys"))
		wantEcho(t, c, []byte("with other keys"))
	}
	for _, b := range append(c.KeyUpdate(true, false), c.Seal(rawtls.ApplicationData, []byte("slow"))...) {
		raw.Write([]byte{b})
	}
	wantEcho(t, c, []byte("slow"))
	c.SendAlert(false, rawtls.UserCanceled) // ignored by crypto/tls
	raw.Write(c.Seal(rawtls.ApplicationData, nil))
	c.Write([]byte("then this"))
	wantEcho(t, c, []byte("then this"))
	c.SendAlert(false, rawtls.CloseNotify)
	if err := <-failed; err != io.EOF {
		t.Errorf("after a close_notify the server reads %v, want EOF", err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("after the server's close_notify: %d, %v, want EOF", n, err)
	}
}

func TestConn_alert(t *testing.T) {
	c, _, failed := connect(t)
	c.SendAlert(true, rawtls.BadRecordMAC)
	var op *net.OpError
	if err := <-failed; !errors.As(err, &op) || op.Op != "remote error" {
		t.Errorf("the server reads %v, want a remote error", err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the server's end: no error")
	}
}

func TestConn_endWithoutCloseNotify(t *testing.T) {
	c, raw, failed := connect(t)
	raw.Close()
	if err := <-failed; err != io.EOF {
		t.Errorf("the server reads %v, want EOF, as crypto/tls has it between two records", err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("a closed connection can be read")
	}
}
