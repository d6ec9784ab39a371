//go:build linux && (amd64 || arm64) && !msan && !asan && !troupe_nosyscalls

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

// TestConn_descriptorThatBlocks: whoever asks a connection's File for its Fd takes O_NONBLOCK off the connection, too.
// Reads and writes must not block even then, with a peer that is silent or does not read: those of which the scheduler
// is not told, and the longer ones.
func TestConn_descriptorThatBlocks(t *testing.T) {
	for name, tt := range map[string]struct{ messages, size int }{ // in one write
		"short": {1, 8 << 10}, "long": {5, 8 << 10}, "not copied": {1, 64 << 10},
	} {
		t.Run(name, func(t *testing.T) { testDescriptorThatBlocks(t, tt.messages, tt.size) })
	}
}

func testDescriptorThatBlocks(t *testing.T, messages, size int) {
	client, c := overTCP(t, wire.Options{MaxMessageSize: mb, WriteTimeout: 20 * time.Millisecond}, false, func(conn net.Conn) net.Conn {
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
	var err error
	for err == nil { // until the kernel takes no more
		for range messages {
			if err = c.Append(websock.Text(strings.Repeat("x", size))); err != nil {
				break // it flushes large ones itself
			}
		}
		if err == nil {
			err = c.Flush()
		}
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Flush: %v, want the end of WriteTimeout", err)
	}
}
