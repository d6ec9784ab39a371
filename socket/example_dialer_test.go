package socket_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// Greeter says hello to a server, and leaves when it has got an answer.
type Greeter struct{}

func (Greeter) Init(context.Context) websock.Result { return websock.Push(websock.Text("hello")) }

func (Greeter) HandleIn(_ context.Context, msg websock.Message) websock.Result {
	fmt.Printf("the server says %s\n", msg.Data)
	return websock.Close(websock.CloseNormal, "")
}

func (Greeter) HandleInfo(context.Context, any) websock.Result { return websock.OK() }

func ExampleDialer() {
	sockets, _ := socket.New(socket.Config{Logger: quiet})
	defer sockets.Shutdown(context.Background())
	server := httptest.NewServer(sockets.Handler(newEcho))
	defer server.Close()

	dialer := &socket.Dialer{
		URL:     server.URL, // ws:// and wss:// as well
		Handler: func() websock.Handler { return Greeter{} },
		Header: func(context.Context) (http.Header, error) { // before each attempt
			return http.Header{"Authorization": {"Bearer " + "a fresh token"}}, nil
		},
		Config: socket.Config{Logger: quiet},
	}
	// In a program a supervisor calls Serve:
	//	supervisor.ChildSpec{ID: "server", Service: dialer, Restart: supervisor.Transient, Shutdown: dialer.ShutdownTime()}
	// It returns here, because the handler has ended the connection with 1000.
	err := dialer.Serve(context.Background())
	fmt.Println(err)
	// Output:
	// the server says hello
	// <nil>
}

func ExampleDialer_PID() {
	dialer := &socket.Dialer{URL: "ws://chat.example/ws", Handler: func() websock.Handler { return Greeter{} }}
	// Serve would connect it. Until then, and between two connections, there is nobody to send to.
	if pid, ok := dialer.PID(); ok {
		pid.Send("for HandleInfo")
	} else {
		fmt.Println("not connected")
	}
	// Output: not connected
}

func ExampleBackoff() {
	dialer := socket.Dialer{
		URL:     "wss://chat.example/ws",
		Handler: func() websock.Handler { return Greeter{} },
		Backoff: socket.Backoff{
			Max: 5 * time.Minute, // a device that nobody waits for
			Retry: func(err error) bool {
				refused, ok := errors.AsType[*socket.UpgradeError](err)
				return socket.ComesBack(err) && !(ok && refused.Status == http.StatusForbidden)
			},
		},
	}
	fmt.Println(dialer.Backoff.Retry(&socket.UpgradeError{Status: http.StatusForbidden}))
	fmt.Println(dialer.Backoff.Retry(&socket.UpgradeError{Status: http.StatusBadGateway}))
	// Output:
	// false
	// true
}

func ExampleComesBack() {
	for _, code := range []websock.CloseCode{websock.CloseNormal, websock.CloseServiceRestart, websock.ClosePolicyViolation, 4001} {
		fmt.Println(code, socket.ComesBack(&websock.RemoteCloseError{Code: code}))
	}
	// Output:
	// 1000 Normal Closure false
	// 1012 Service Restart true
	// 1008 Policy Violation false
	// 4001 false
}
