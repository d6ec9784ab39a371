package proto_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"
	client "github.com/coder/websocket"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/proto"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// An actor of protoactor and the client of a socket send each other this many messages at the same time.
const many = 100_000

// What each side keeps in flight. Protoactor's mailbox has no limit, so the handler asks at every window-th message, and waits;
// that of a socket has one, beyond which the socket ends, so the actor sends as many as are answered.
const window = 256

// TestMany runs over the loopback interface with a client that is not ours, since it is about everything between a
// protoactor mailbox and a TCP connection, and on the real clock. Nothing may be lost, and all must be in order.
func TestMany(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	h := newHouse(t, actor.Config{CallTimeout: -1})
	peer := &peer{done: make(chan error, 1)}
	pid := h.as.Root.Spawn(protoactor.PropsFromProducer(func() protoactor.Actor { return peer }))
	sockets, err := socket.New(socket.Config{System: h.sys, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(sockets.Handler(func(*http.Request) (websock.Handler, error) { return &relay{peer: pid}, nil }))
	defer srv.Close()
	defer sockets.Shutdown(ctx)
	c, _, err := client.Dial(ctx, "ws"+strings.TrimPrefix(srv.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()

	sent := make(chan error, 1)
	go func() { sent <- count(ctx, c) }()
	for want := range uint64(many) {
		_, p, err := c.Read(ctx)
		if err != nil {
			t.Fatalf("the client waits for message %d of %d: %v", want, many, err)
		}
		if got := binary.BigEndian.Uint64(p); got != want {
			t.Fatalf("the client has got message %d, want %d", got, want)
		}
	}
	if err := <-sent; err != nil {
		t.Fatalf("the client sends: %v", err)
	}
	select {
	case err := <-peer.done:
		if err != nil {
			t.Error(err)
		}
	case <-ctx.Done():
		t.Fatal("the actor has not got all messages of the client")
	}
	if dead := h.dead.all(); len(dead) > 0 {
		t.Errorf("%d dead letters, the first is %v; want none", len(dead), dead[0])
	}
}

// count sends the numbers from 0 on.
func count(ctx context.Context, c *client.Conn) error {
	for i := range uint64(many) {
		if err := c.Write(ctx, client.MessageBinary, number(i)); err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
	}
	return nil
}

func number(i uint64) []byte { return binary.BigEndian.AppendUint64(nil, i) }

type (
	connected struct{ socket *protoactor.PID } // from the handler: begin
	numbered  uint64                           // a message of the client to the actor, or the other way round
	handled   struct{}                         // the answer to one
)

// relay is the handler: it passes the client's messages on to the actor, and the actor's to the client.
type relay struct {
	peer *protoactor.PID
	n    int
}

func (r *relay) Init(ctx context.Context) websock.Result {
	proto.Send(ctx, r.peer, connected{proto.PID(actor.Self(ctx))})
	return websock.OK()
}

func (r *relay) HandleIn(ctx context.Context, msg websock.Message) websock.Result {
	n := numbered(binary.BigEndian.Uint64(msg.Data))
	if r.n++; r.n%window != 0 {
		proto.Send(ctx, r.peer, n)
		return websock.OK()
	}
	// Now the actor handles all of them, and TCP keeps the client waiting.
	if _, err := proto.Call[handled](ctx, r.peer, n); err != nil {
		return websock.Stop(err)
	}
	return websock.OK()
}

func (r *relay) HandleInfo(ctx context.Context, msg any) websock.Result {
	n, ok := msg.(numbered)
	if !ok {
		return websock.Stop(fmt.Errorf("got %T", msg))
	}
	actor.Reply(ctx, handled{})
	return websock.Push(websock.Binary(number(uint64(n))))
}

// peer is the actor.
type peer struct {
	socket         *protoactor.PID
	sent, answered uint64
	got            uint64
	done           chan error // cap 1
}

func (p *peer) Receive(ctx protoactor.Context) {
	switch m := ctx.Message().(type) {
	case connected:
		p.socket = m.socket
		p.send(ctx)
	case handled:
		p.answered++
		p.send(ctx)
	case numbered:
		if uint64(m) != p.got {
			p.fail(fmt.Errorf("the actor has got message %d, want %d", m, p.got))
		}
		if p.got++; p.got == many {
			p.fail(nil)
		}
		if ctx.Sender() != nil {
			ctx.Respond(handled{})
		}
	case *protoactor.DeadLetterResponse:
		p.fail(fmt.Errorf("the socket has not taken message %d", p.answered))
	}
}

// send sends as many as the window allows.
func (p *peer) send(ctx protoactor.Context) {
	for ; p.sent < many && p.sent-p.answered < window; p.sent++ {
		ctx.Request(p.socket, numbered(p.sent))
	}
}

func (p *peer) fail(err error) {
	select {
	case p.done <- err:
	default:
	}
}
