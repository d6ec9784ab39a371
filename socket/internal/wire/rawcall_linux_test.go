//go:build linux && (amd64 || arm64) && !race

package wire_test

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// TestConn_descriptorThatBlocks: whoever asks a connection's File for its Fd takes O_NONBLOCK off the connection, too. The
// calls that the scheduler does not know of must not block even then, with a peer that is silent or does not read.
func TestConn_descriptorThatBlocks(t *testing.T) {
	client, c := overTCP(t, wire.Options{MaxMessageSize: mb, WriteTimeout: 20 * time.Millisecond}, func(conn net.Conn) net.Conn {
		f, err := conn.(*net.TCPConn).File()
		if err != nil {
			t.Fatal(err)
		}
		f.Fd()
		f.Close()
		return conn
	})
	over := errors.New("over")
	first, ended := make(chan websock.Message, 1), make(chan error, 1)
	go func() {
		m, _ := c.Next()
		first <- m
		_, err := c.Next()
		ended <- err
	}()
	if err := client.Text("hello"); err != nil {
		t.Fatal(err)
	}
	if m := <-first; !m.Equal(websock.Text("hello")) {
		t.Fatalf("Next: %v, want hello", m)
	}
	c.Interrupt(over)
	if err := <-ended; err != over { //nolint:errorlint // itself
		t.Errorf("Next: %v, want what interrupted it", err)
	}
	for err := error(nil); ; err = errors.Join(c.Append(websock.Text(strings.Repeat("x", 8<<10))), c.Flush()) {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return // the kernel took no more
		}
		if err != nil {
			t.Fatalf("Flush: %v, want the end of WriteTimeout", err)
		}
	}
}
