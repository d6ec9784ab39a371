package socket_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// Events are what the log says, as values: here for those who are refused.
func ExampleConfig_onEvent() {
	sockets, err := socket.New(socket.Config{
		Logger: slog.New(slog.DiscardHandler),
		OnEvent: func(e socket.Event) {
			if r, ok := e.(socket.Refused); ok {
				fmt.Println(r.Path, "was refused:", r.Reason, r.Status)
			}
		},
	})
	if err != nil {
		panic(err)
	}
	chat := sockets.Handler(func(*http.Request) (websock.Handler, error) { return idleHandler{}, nil })
	chat.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/ws", nil)) // a browser's address bar
	sockets.Shutdown(context.Background())                                         // waits until OnEvent has returned
	// Output: /ws was refused: malformed 426
}
