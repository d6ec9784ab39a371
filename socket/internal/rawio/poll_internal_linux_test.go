//go:build !troupe_nosyscalls

package rawio

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
)

// TestDescriptor_notWatched: what Go's poller does not take, as here a file, is closed, and every call says why.
func TestDescriptor_notWatched(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := duplicate(f.Fd())
	if err != nil {
		t.Fatal(err)
	}
	c := &Conn{Conn: &descriptor{fd: int32(fd)}, Settings: new(Settings)}
	for range 2 {
		_, read := c.Read(make([]byte, 1))
		write := new(Writer).Write(c, []byte("x"), nil)
		if !errors.Is(read, errNotWatched) || !errors.Is(write, errNotWatched) {
			t.Errorf("Read: %v, Write: %v", read, write)
		}
	}
	if err := c.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Close: %v", err)
	}
	var stat syscall.Stat_t
	if err := syscall.Fstat(fd, &stat); err != syscall.EBADF { //nolint:errorlint // itself
		t.Errorf("the descriptor is open: %v", err)
	}
}
