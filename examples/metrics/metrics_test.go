package metrics_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/troupe-dev/troupe/examples/metrics"
	"github.com/troupe-dev/troupe/socket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Who may ask, and what for. That the text is right is held by a test of promsocket, which compares it with that of Prometheus'
// library.
func TestSources_Handler(t *testing.T) {
	srv, err := socket.New(socket.Config{Name: "a\"\n\\\xff", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Shutdown(context.Background())
	h := (&metrics.Sources{Servers: []*socket.Server{srv}}).Handler()
	for _, tt := range []struct {
		method, path, host string
		status             int
	}{
		{"GET", "/metrics", "127.0.0.1:9100", 200},
		{"GET", "/metrics", "localhost", 200},
		{"GET", "/metrics", "[::1]:9100", 200},
		{"GET", "/metrics", "evil.example:9100", 403},
		{"GET", "/metrics", "127.0.0.1.evil.example", 403},
		{"GET", "/metrics", "10.0.0.1:9100", 403},
		{"GET", "/metrics", "", 403},
		{"POST", "/metrics", "localhost", 405},
		{"GET", "/", "localhost", 404},
	} {
		r := httptest.NewRequest(tt.method, tt.path, nil)
		r.Host = tt.host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tt.status {
			t.Errorf("%s %s of %q: %d, want %d", tt.method, tt.path, tt.host, w.Code, tt.status)
		}
		if line := `troupe_socket_dropped_total{troupe_server="a\"\n\\` + "\uFFFD" + `",troupe_dropped="ended"} 0`; (tt.status == 200) != strings.Contains(w.Body.String(), line) {
			t.Errorf("%s %s of %q: line %s in the answer, or not, with status %d:\n%s", tt.method, tt.path, tt.host, line, tt.status, w.Body)
		}
	}
}

func TestListen(t *testing.T) {
	for addr, ok := range map[string]bool{"127.0.0.1:0": true, "localhost:0": true, ":0": false, "0.0.0.0:0": false} {
		l, err := metrics.Listen(t.Context(), addr)
		if l != nil {
			l.Close()
		}
		if (err == nil) != ok {
			t.Errorf("Listen(%q): %v, want an error: %v", addr, err, !ok)
		}
	}
}
