package socket_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// counter counts words, and says how many there were when it is asked for its state.
type counter struct{ words int }

func (c *counter) Init(context.Context) websock.Result { return websock.OK() }

func (c *counter) HandleIn(_ context.Context, m websock.Message) websock.Result {
	c.words += len(strings.Fields(string(m.Data)))
	return websock.Push(websock.Text(fmt.Sprint(c.words)))
}

func (c *counter) HandleInfo(context.Context, any) websock.Result { return websock.OK() }

func (c *counter) Describe() any { return map[string]int{"words": c.words} }

// counters serves counters, to which connect returns a client, and its socket.
func counters(cfg socket.Config) (srv *socket.Server, connect func(websock.Handler) actor.PID, end func()) {
	cfg.Logger = slog.New(slog.DiscardHandler)
	opened := make(chan actor.PID, 1)
	cfg.OnEvent = func(e socket.Event) {
		if o, ok := e.(socket.Opened); ok {
			opened <- o.PID
		}
	}
	srv, err := socket.New(cfg)
	if err != nil {
		panic(err)
	}
	hs := httptest.NewServer(srv.Handler(func(*http.Request) (websock.Handler, error) { return &counter{}, nil }))
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	connect = func(h websock.Handler) actor.PID {
		d := &socket.Dialer{URL: hs.URL, Handler: func() websock.Handler { return h }, Config: socket.Config{Logger: cfg.Logger}}
		serving.Go(func() { d.Serve(ctx) })
		return <-opened
	}
	return srv, connect, func() {
		cancel()
		serving.Wait()
		srv.Shutdown(context.Background())
		hs.Close()
	}
}

// talker is a client that says something once it is told to, and tells of the answer.
type talker struct {
	pid     chan actor.PID
	answers chan string
}

func (c *talker) Init(ctx context.Context) websock.Result {
	c.pid <- actor.Self(ctx)
	return websock.OK()
}

func (c *talker) HandleIn(_ context.Context, m websock.Message) websock.Result {
	c.answers <- string(m.Data)
	return websock.OK()
}

func (c *talker) HandleInfo(context.Context, any) websock.Result { return websock.OK() }

// Look at what crosses one socket, while it does.
func ExampleServer_Tap() {
	srv, connect, end := counters(socket.Config{TapPayload: true})
	defer end()
	client := &talker{pid: make(chan actor.PID, 1), answers: make(chan string, 1)}
	pid := connect(client)

	shown := make(chan socket.TapEvent, 16)
	stop, err := srv.Tap(pid, func(e socket.TapEvent) { shown <- e })
	if err != nil {
		panic(err)
	}
	(<-client.pid).Send(websock.Text("three little words"))
	for range 2 {
		e := <-shown
		fmt.Printf("%v %v, %d bytes: %s\n", e.Direction, e.Opcode, e.Size, e.Payload)
	}
	stop()
	// Output:
	// in text, 18 bytes: three little words
	// out text, 1 bytes: 3
}

// Ask a handler for its state: it answers in its own process.
func ExampleServer_Describe() {
	srv, connect, end := counters(socket.Config{})
	defer end()
	client := &talker{pid: make(chan actor.PID, 1), answers: make(chan string, 1)}
	pid := connect(client)

	(<-client.pid).Send(websock.Text("three little words"))
	<-client.answers
	state, err := srv.Describe(context.Background(), pid)
	fmt.Println(state, err)
	// Output: map[words:3] <nil>
}

// What a socket did last, for a look at one that misbehaves. The log has it when a socket ends badly.
func ExampleServer_Recorded() {
	srv, connect, end := counters(socket.Config{Record: 1})
	defer end()
	client := &talker{pid: make(chan actor.PID, 1), answers: make(chan string, 1)}
	pid := connect(client)

	(<-client.pid).Send(websock.Text("three little words"))
	<-client.answers
	record, err := srv.Recorded(pid)
	if err != nil {
		panic(err)
	}
	for _, r := range record {
		fmt.Println(r.Sent, r.What, r.Size)
	}
	// Output:
	// false init 0
	// false text 18
	// true text 1
}
