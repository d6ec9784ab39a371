package socket_test

import (
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// forwardedFor is the address that the proxy in front of us has seen. A client can send an X-Forwarded-For of its own; what
// the proxy has written is the last element of the last line.
func forwardedFor(r *http.Request) netip.Addr {
	lines := r.Header.Values("X-Forwarded-For")
	if len(lines) == 0 {
		return netip.Addr{}
	}
	last := lines[len(lines)-1]
	addr, _ := netip.ParseAddr(strings.TrimSpace(last[strings.LastIndex(last, ",")+1:])) // zero when it is none
	return addr
}

// A server that takes 500 upgrades a second, and from one address two a second and 20 at once. It is behind a proxy.
func ExampleRate() {
	sockets, err := socket.New(socket.Config{
		UpgradeRate: socket.Rate{PerSecond: 500},
		PerAddress:  socket.Rate{PerSecond: 2, Burst: 20},
		Address:     forwardedFor,
		Logger:      slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	handler := sockets.Handler(func(*http.Request) (websock.Handler, error) {
		return nil, &socket.UpgradeError{Status: http.StatusUnauthorized} // nobody in this example
	})
	answers := map[int]int{}
	for range 25 {
		r := httptest.NewRequest("GET", "/ws", nil)
		r.Header = http.Header{
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
			"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
			"X-Forwarded-For": {"203.0.113.7"},
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		answers[w.Code]++
	}
	fmt.Println("asked the application:", answers[401], "times; too many:", answers[429])
	// Output: asked the application: 20 times; too many: 5
}
