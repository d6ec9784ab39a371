package socket_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// The numbers of a Server, for a page of your own. For Prometheus and OpenTelemetry the keys are few, whatever peers do.
func ExampleServer_Stats() {
	sockets, err := socket.New(socket.Config{Name: "chat", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	status := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		st := sockets.Stats()
		json.NewEncoder(w).Encode(map[string]any{
			"open": st.Open, "panics": st.Closed[socket.CausePanic], "lag_seconds": st.LagMax.Seconds(),
		})
	})

	// A request that is no handshake: somebody has opened the address of the sockets in a browser.
	chat := sockets.Handler(func(*http.Request) (websock.Handler, error) { return idleHandler{}, nil })
	chat.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/ws", nil))
	for refusal, n := range sockets.Stats().Refused {
		fmt.Println(n, refusal.Reason, refusal.Status)
	}
	w := httptest.NewRecorder()
	status.ServeHTTP(w, httptest.NewRequest("GET", "/status", nil))
	fmt.Print(w.Body)
	// Output:
	// 1 malformed 426
	// {"lag_seconds":0,"open":0,"panics":0}
}

// The cause of an end is one of thirteen words; the exit reason says more.
func ExampleCauseOf() {
	for _, reason := range []error{
		&websock.RemoteCloseError{Code: 1001},
		fmt.Errorf("idle: %w", websock.ErrTimeout),
		errors.New("no database"),
		actor.ErrKilled,
	} {
		fmt.Println(socket.CauseOf(reason))
	}
	// Output:
	// remote
	// timeout
	// error
	// killed
}

// What has ended is kept for a while, for whoever looks later.
func ExampleServer_LastClosed() {
	sockets, err := socket.New(socket.Config{LastClosed: 1000, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	for _, cl := range sockets.LastClosed() {
		fmt.Println(cl.Subject, "was there for", cl.Lifetime, "and left:", cl.Cause, cl.Reason)
	}
	// Output:
}
