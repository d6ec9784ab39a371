//go:build unix

package socket_test

import (
	"bytes"
	"log/slog"
	"strings"
	"syscall"
	"testing"

	"github.com/troupe-dev/troupe/socket"
)

// More sockets than descriptors are a warning: at that limit nothing is accepted any more, the load balancer's probe
// neither, and nobody is told 503.
func TestNew_moreSocketsThanDescriptors(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	})
	const files = 200 // fewer than any machine allows
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: files, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	for sockets, warns := range map[int]bool{files: true, 10 * files: true, files - 1: false, 0: false} {
		var log bytes.Buffer
		s, err := socket.New(socket.Config{MaxSockets: sockets, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		want := []string{"level=WARN", "Config.MaxSockets", "descriptors=200"}
		for _, w := range want {
			if strings.Contains(log.String(), w) != warns {
				t.Errorf("MaxSockets %d with %d descriptors: got the log %q, want %q in it: %v", sockets, files, log.String(), w, warns)
			}
		}
	}
}
