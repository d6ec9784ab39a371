package socket_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/coder/websocket"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// quiet keeps the line about every closed socket out of the examples.
var quiet = slog.New(slog.DiscardHandler)

// Echo sends back what it receives.
type Echo struct{}

func (Echo) Init(context.Context) websock.Result                            { return websock.OK() }
func (Echo) HandleIn(_ context.Context, msg websock.Message) websock.Result { return websock.Push(msg) }
func (Echo) HandleInfo(context.Context, any) websock.Result                 { return websock.OK() }

func newEcho(*http.Request) (websock.Handler, error) { return Echo{}, nil }

func ExampleNew() {
	sockets, err := socket.New(socket.Config{Logger: quiet})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/ws", sockets.Handler(newEcho))
	server := httptest.NewServer(mux)
	defer server.Close()

	ctx := context.Background()
	client, _, err := websocket.Dial(ctx, server.URL+"/ws", nil)
	if err != nil {
		panic(err)
	}
	client.Write(ctx, websocket.MessageText, []byte("hello"))
	_, text, _ := client.Read(ctx)
	fmt.Printf("%s\n", text)

	go client.Read(ctx)   // answers the Close frame
	sockets.Shutdown(ctx) // 1001 to every client
	_, _, err = client.Read(ctx)
	fmt.Println(sockets.Count(), err != nil)
	// Output:
	// hello
	// 0 true
}

func ExampleServer_Handler() {
	sockets, _ := socket.New(socket.Config{Logger: quiet})
	// newHandler is the place for authentication: it runs before the handshake.
	server := httptest.NewServer(sockets.Handler(func(r *http.Request) (websock.Handler, error) {
		if r.FormValue("token") != "secret" {
			return nil, &socket.UpgradeError{Status: http.StatusUnauthorized, Err: errors.New("no token")}
		}
		return Echo{}, nil
	}))
	defer server.Close()
	defer sockets.Shutdown(context.Background())

	ctx := context.Background()
	_, resp, err := websocket.Dial(ctx, server.URL, nil)
	fmt.Println(resp.Status, err != nil)
	client, resp, err := websocket.Dial(ctx, server.URL+"?token=secret", nil)
	fmt.Println(resp.Status, err != nil)
	client.Close(websocket.StatusNormalClosure, "")
	// Output:
	// 401 Unauthorized true
	// 101 Switching Protocols false
}

func ExampleServer_Upgrade() {
	sockets, _ := socket.New(socket.Config{Logger: quiet})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pid, err := sockets.Upgrade(w, r, Echo{})
		if err != nil {
			return // the client has its answer
		}
		pid.Send(websock.Text("you are " + r.FormValue("user"))) // at once, or from anywhere later
	}))
	defer server.Close()
	defer sockets.Shutdown(context.Background())

	ctx := context.Background()
	client, _, _ := websocket.Dial(ctx, server.URL+"?user=ann", nil)
	_, text, _ := client.Read(ctx)
	fmt.Printf("%s\n", text)
	client.Close(websocket.StatusNormalClosure, "")
	// Output: you are ann
}

// Clock tells the time to whoever asks, and whatever it is sent to its client.
type Clock struct{ Echo }

type chime struct{ hour int }

func (Clock) HandleInfo(_ context.Context, msg any) websock.Result {
	if t, ok := msg.(chime); ok {
		return websock.Push(websock.Text(fmt.Sprintf("it is %d o'clock", t.hour)))
	}
	return websock.OK()
}

// A socket's PID can be sent to from any goroutine: a websock.Message is written to its client, everything else reaches
// HandleInfo.
func Example_send() {
	sockets, _ := socket.New(socket.Config{Logger: quiet})
	pids := make(chan actor.PID, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if pid, err := sockets.Upgrade(w, r, Clock{}); err == nil {
			pids <- pid
		}
	}))
	defer server.Close()
	defer sockets.Shutdown(context.Background())

	ctx := context.Background()
	client, _, _ := websocket.Dial(ctx, server.URL, nil)
	pid := <-pids
	pid.Send(websock.Text("hello"))
	pid.Send(chime{hour: 3})
	for range 2 {
		_, text, _ := client.Read(ctx)
		fmt.Printf("%s\n", text)
	}
	pid.Exit(&websock.CloseError{Code: 4001, Reason: "signed in elsewhere"})
	_, _, err := client.Read(ctx)
	fmt.Println(websocket.CloseStatus(err))
	actor.Wait(ctx, pid)
	fmt.Println(pid.Send(chime{hour: 4}))
	// Output:
	// hello
	// it is 3 o'clock
	// StatusCode(4001)
	// false
}

// Whoami says what the server knows of its client.
type Whoami struct{ Echo }

func (Whoami) HandleIn(ctx context.Context, _ websock.Message) websock.Result {
	info := socket.Info(ctx)
	return websock.Push(websock.Text(fmt.Sprintf("%q: %d frames, %d bytes of text", info.Subprotocol,
		info.Read.Text.Frames, info.Read.Text.Bytes)))
}

func ExampleInfo() {
	sockets, _ := socket.New(socket.Config{Subprotocols: []string{"chat.v1"}, Logger: quiet})
	server := httptest.NewServer(sockets.Handler(func(*http.Request) (websock.Handler, error) { return Whoami{}, nil }))
	defer server.Close()
	defer sockets.Shutdown(context.Background())

	ctx := context.Background()
	client, _, _ := websocket.Dial(ctx, server.URL, &websocket.DialOptions{Subprotocols: []string{"chat.v1"}})
	client.Write(ctx, websocket.MessageText, []byte("who am I?"))
	_, text, _ := client.Read(ctx)
	fmt.Printf("%s\n", text)
	client.Close(websocket.StatusNormalClosure, "")
	// Output: "chat.v1": 1 frames, 9 bytes of text
}

func ExampleServer_Sockets() {
	sockets, _ := socket.New(socket.Config{Logger: quiet})
	server := httptest.NewServer(sockets.Handler(newEcho))
	defer server.Close()
	defer sockets.Shutdown(context.Background())

	ctx := context.Background()
	client, _, _ := websocket.Dial(ctx, server.URL, nil)
	client.Write(ctx, websocket.MessageText, []byte("hello"))
	client.Read(ctx)
	for pid, info := range sockets.Sockets() {
		fmt.Println(pid == info.PID, info.Read.Text.Frames)
		pid.Exit(websock.ErrRestart) // 1012: come back
	}
	_, _, err := client.Read(ctx)
	fmt.Println(websocket.CloseStatus(err))
	// Output:
	// true 1
	// StatusServiceRestart
}

func ExampleConfig_onClose() {
	closed := make(chan socket.Closed, 1)
	sockets, _ := socket.New(socket.Config{
		OnClose: func(c socket.Closed) { closed <- c }, // must not block
		Logger:  quiet,
	})
	server := httptest.NewServer(sockets.Handler(newEcho))
	defer server.Close()
	defer sockets.Shutdown(context.Background())

	client, _, _ := websocket.Dial(context.Background(), server.URL, nil)
	client.Close(4000, "tab closed")
	c := <-closed
	fmt.Println(errors.Is(c.Reason, websock.ErrRemote), errors.Is(c.Reason, io.EOF))
	fmt.Println(c.Received.Code, c.Received.Reason)
	// Output:
	// true false
	// 4000 tab closed
}
