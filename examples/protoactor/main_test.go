package main

import (
	"bufio"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"go.uber.org/goleak"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/proto"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hall is the program without its main.
type hall struct {
	system          *protoactor.ActorSystem
	auction, checks *protoactor.PID
	proxy           actor.PID
	sockets         *socket.Server
	handler         http.Handler
}

func inHall(t *testing.T, f func(t *testing.T, h *hall)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &hall{system: newActorSystem()}
		sys, err := proto.NewSystem(h.system, actor.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		sockettest.Run(t, sys)
		h.auction = h.system.Root.Spawn(protoactor.PropsFromProducer(func() protoactor.Actor { return &auctioneer{} }))
		h.checks = h.system.Root.Spawn(newChecks(h.auction))
		if h.proxy, err = proto.Proxy(sys, h.auction); err != nil {
			t.Fatal(err)
		}
		if h.sockets, err = socket.New(socket.Config{System: sys, Logger: slog.New(slog.DiscardHandler)}); err != nil {
			t.Fatal(err)
		}
		sockettest.Run(t, h.sockets)
		h.handler = h.sockets.Handler(newBidder(h.checks, h.proxy))
		f(t, h)
		time.Sleep(time.Minute) // protoactor's dead letters keep a goroutine for a second
	})
}

func newActorSystem() *protoactor.ActorSystem {
	return protoactor.NewActorSystem(protoactor.WithLoggerFactory(func(*protoactor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
}

func (h *hall) enter(t *testing.T, name string) *sockettest.Conn {
	t.Helper()
	c, _ := sockettest.Dial(t, h.handler, httptest.NewRequest("GET", "/ws?name="+name, nil))
	return c
}

func TestAuction(t *testing.T) {
	inHall(t, func(t *testing.T, h *hall) {
		ann, bob := h.enter(t, "ann"), h.enter(t, "bob")
		ann.Send(websock.Text("much"))
		ann.Want(websock.Text("send an amount"))
		ann.Send(websock.Text("2000"))
		ann.Want(websock.Text("no: your limit is 1000"))
		ann.Send(websock.Text("100"))
		ann.Want(websock.Text("you lead with 100"))
		bob.Send(websock.Text("90"))
		bob.Want(websock.Text("no: ann has bid 100"))
		bob.Send(websock.Text("120"))
		bob.Want(websock.Text("you lead with 120"))
		ann.Want(websock.Text("bob bids 120"))
		bob.Drop() // Terminated comes to the auction, and bob's bid is gone
		ann.Want(websock.Text("somebody has left"))
		ann.Send(websock.Text("110"))
		ann.Want(websock.Text("you lead with 110"), websock.Text("ann bids 110"))
		h.system.Root.Stop(h.auction) // Down comes to the sockets
		ann.Want(websock.Text("sold to ann for 110"))
		ann.WantClose(1000, "sold")
	})
}

// Whoever asks an actor that is not there is told so.
func TestAuction_withoutRouter(t *testing.T) {
	inHall(t, func(t *testing.T, h *hall) {
		h.handler = h.sockets.Handler(newBidder(h.system.NewLocalPID("nobody"), h.proxy))
		ann := h.enter(t, "ann")
		ann.Send(websock.Text("100"))
		ann.WantClose(1013, "")
	})
}

// The whole program, over TCP: it listens, and ends in order when its ctx is done.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	listening := make(chan net.Addr, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, newActorSystem(), func(context.Context) (net.Listener, error) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err == nil {
				listening <- l.Addr()
			}
			return l, err
		})
	}()
	c, err := net.Dial("tcp", (<-listening).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := httptest.NewRequest("GET", "http://127.0.0.1/ws", nil)
	for k, v := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
		"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
		r.Header.Set(k, v)
	}
	if err := r.Write(c); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), r)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the answer is %v, %v; want 101", resp, err)
	}
	cancel()
	c.Close()
	if err := <-ended; err != nil {
		t.Errorf("run: %v, want nil", err)
	}
}

// oneImport stands before pieces of code on the page.
const oneImport = "import protoactor \"github.com/asynkron/protoactor-go/actor\"\n\n"

// The page shows the code as it is.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/how-to/inside-a-protoactor-go-program.md")
	if err != nil {
		t.Fatal(err)
	}
	var code string
	for _, name := range []string{"auction.go", "bidder.go", "checks.go", "main.go", "room.go", "window.go"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		code += string(text)
	}
	n := 0
	for i, block := range strings.Split(string(page), "\n```") {
		text, ok := strings.CutPrefix(block, "go")
		if !ok || i%2 == 0 {
			continue
		}
		n++
		_, text, _ = strings.Cut(text, "\n")
		text = strings.TrimPrefix(text, oneImport)
		for _, piece := range strings.Split(text, "\n\n") {
			if !strings.Contains(code, strings.TrimSpace(piece)) {
				t.Errorf("the page shows what is not in the program:\n%s", piece)
			}
		}
	}
	if n < 5 {
		t.Errorf("%d blocks of Go on the page, want at least 5: does the pattern still match?", n)
	}
}
