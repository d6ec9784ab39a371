package socket_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/coder/websocket"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// The sockets are the last child, so they are the first to stop: HTTP still answers the probe, and refuses upgrades,
// while they are drained.
func ExampleServer_Serve() {
	sockets, err := socket.New(socket.Config{
		Drain: socket.Drain{
			Delay: 10 * time.Millisecond, // some seconds, for a real load balancer
			Close: websock.CloseDetail{Code: websock.CloseServiceRestart, Reason: "deploy"},
		},
		Logger: quiet,
	})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/ws", sockets.Handler(newEcho))
	mux.Handle("/ready", socket.Probe(sockets.Ready))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	listen := func(context.Context) (net.Listener, error) { return listener, nil }

	ctx, sigterm := context.WithCancel(context.Background())
	up, ended := make(chan struct{}), make(chan error)
	announce := supervisor.ServiceFunc(func(context.Context) error { close(up); return nil })
	go func() {
		ended <- supervisor.Run(ctx, supervisor.Config{Name: "chat", Logger: quiet},
			supervisor.ChildSpec{ID: "http", Service: supervisor.HTTP(&http.Server{Handler: mux}, listen)},
			supervisor.ChildSpec{ID: "sockets", Service: sockets},
			supervisor.ChildSpec{ID: "announce", Service: announce, Restart: supervisor.Temporary},
		)
	}()
	<-up

	client, _, err := websocket.Dial(ctx, "ws://"+listener.Addr().String()+"/ws", nil)
	if err != nil {
		panic(err)
	}
	sigterm()
	_, _, err = client.Read(context.Background())
	fmt.Println(websocket.CloseStatus(err))
	fmt.Println(<-ended)
	// Output:
	// StatusServiceRestart
	// <nil>
}

func ExampleServer_Drain() {
	sockets, _ := socket.New(socket.Config{Logger: quiet})
	server := httptest.NewServer(sockets.Handler(newEcho))
	defer server.Close()

	ctx := context.Background()
	client, _, err := websocket.Dial(ctx, server.URL, nil)
	if err != nil {
		panic(err)
	}
	for sockets.Count() == 0 { // a client has its 101 a moment before the server counts its socket
		time.Sleep(time.Millisecond)
	}
	closed := make(chan error)
	go func() {
		_, _, err := client.Read(ctx) // answers the Close frame, too
		closed <- err
	}()
	err = sockets.Drain(ctx, socket.Drain{
		Delay:    10 * time.Millisecond,  // readiness is off, so the load balancer looks elsewhere
		Over:     100 * time.Millisecond, // 50 sockets a step, evenly
		Batch:    50,
		Timeout:  20 * time.Second, // then those that are left are killed
		ComeBack: time.Second,      // the close reason says when to come back, each client another second
		OnProgress: func(p socket.DrainProgress) {
			fmt.Println(p.Stage, p.Closed, "of", p.Sockets)
		},
	})
	fmt.Println(err)
	fmt.Println(<-closed)

	_, resp, _ := websocket.Dial(ctx, server.URL, nil)
	fmt.Println(resp.Status, resp.Header.Get("Retry-After"))
	// Output:
	// delaying 0 of 0
	// closing 1 of 1
	// waiting 1 of 1
	// done 1 of 1
	// <nil>
	// failed to get reader: received close frame: status = StatusGoingAway and reason = "retry-after=1"
	// 503 Service Unavailable 1
}

func ExampleProbe() {
	sockets, _ := socket.New(socket.Config{Logger: quiet})
	database := func() error { return nil } // whatever else must be there
	server := httptest.NewServer(socket.Probe(sockets.Ready, database))
	defer server.Close()

	probe := func() {
		resp, err := http.Get(server.URL)
		if err != nil {
			panic(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		fmt.Printf("%d %s", resp.StatusCode, body)
	}
	probe()
	sockets.Drain(context.Background(), socket.Drain{})
	probe()
	http.DefaultClient.CloseIdleConnections()
	// Output:
	// 200 ready
	// 503 socket: the server is closed
}
