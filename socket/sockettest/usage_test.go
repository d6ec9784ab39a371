package sockettest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// This file is the code of docs/how-to/test-a-handler.md.

type guest struct{ name string }

type (
	expired struct{}
	renamed struct{ name string }
)

func (g *guest) Init(ctx context.Context) websock.Result {
	actor.SendAfter(ctx, time.Hour, expired{})
	return websock.Push(websock.Text("welcome, " + g.name))
}

func (g *guest) HandleIn(ctx context.Context, msg websock.Message) websock.Result {
	return websock.Push(websock.Text(g.name + ": " + string(msg.Data)))
}

func (g *guest) HandleInfo(ctx context.Context, msg any) websock.Result {
	switch msg := msg.(type) {
	case renamed:
		g.name = msg.name
	case expired:
		return websock.Close(4000, "one hour is over")
	}
	return websock.OK()
}

func TestGuest_renamed(t *testing.T) {
	ctx, _ := sockettest.NewProcess(t, sockettest.NewSystem(t))
	g := &guest{name: "ann"}

	g.HandleInfo(ctx, renamed{"bea"})
	got := g.HandleIn(ctx, websock.Text("hi"))

	want := websock.Text("bea: hi")
	if len(got.Push) != 1 || !got.Push[0].Equal(want) || got.Stop != nil {
		t.Errorf("HandleIn after renamed: got %+v, want a push of %v", got, want)
	}
}

func TestGuest_expires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, process := sockettest.NewProcess(t, sockettest.NewSystem(t))
		g := &guest{name: "ann"}

		g.Init(ctx)
		msg := process.Next() // an hour later
		got := g.HandleInfo(ctx, msg)
		if !errors.Is(got.Stop, websock.ErrNormal) {
			t.Errorf("HandleInfo(%T): got %+v, want a normal end", msg, got)
		}
	})
}

func TestGuest(t *testing.T) {
	c := sockettest.Serve(t, socket.Config{}, &guest{name: "ann"})
	c.Want(websock.Text("welcome, ann"))

	c.Send(websock.Text("hi"))
	c.Want(websock.Text("ann: hi"))

	c.PID.Send(renamed{"bea"})
	c.PID.Send(websock.Text("you are bea now"))
	c.Want(websock.Text("you are bea now"))

	c.Close(websock.CloseNormal, "good night")
	c.WantClose(websock.CloseNormal, "")
}

func TestGuest_oneHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sockettest.Serve(t, socket.Config{}, &guest{name: "ann"})
		c.Want(websock.Text("welcome, ann"))
		c.WantNothing(time.Hour)
		c.WantClose(4000, "one hour is over")
	})
}

func TestGuest_silence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sockettest.Serve(t, socket.Config{IdleTimeout: time.Minute}, &guest{name: "ann"})
		c.IgnorePings()
		c.Want(websock.Text("welcome, ann"))
		time.Sleep(time.Minute)
		c.WantClose(websock.CloseProtocolError, "")
	})
}

func guests(sockets *socket.Server) http.Handler {
	return sockets.Handler(func(r *http.Request) (websock.Handler, error) {
		name := r.FormValue("name")
		if name == "" {
			return nil, &socket.UpgradeError{Status: http.StatusUnauthorized}
		}
		return &guest{name: name}, nil
	})
}

func TestGuests(t *testing.T) {
	sockets, err := socket.New(socket.Config{System: sockettest.NewSystem(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sockets.Shutdown(context.Background()) })

	c, _ := sockettest.Dial(t, guests(sockets), httptest.NewRequest("GET", "/ws?name=ann", nil))
	c.Want(websock.Text("welcome, ann"))

	c, resp := sockettest.Dial(t, guests(sockets), nil)
	body, err := io.ReadAll(resp.Body)
	if c != nil || resp.StatusCode != http.StatusUnauthorized || err != nil {
		t.Errorf("without a name: got %s: %s, want 401", resp.Status, body)
	}
}

func TestGuest_rawBytes(t *testing.T) {
	c := sockettest.Serve(t, socket.Config{}, &guest{name: "ann"})
	c.Want(websock.Text("welcome, ann"))

	fragments := []byte{
		0x01, 0x81, 0, 0, 0, 0, 'h', // text, more to come, masked with zeroes
		0x80, 0x81, 0, 0, 0, 0, 'i', // continuation, the last one
	}
	c.SendRaw(fragments)
	c.Want(websock.Text("ann: hi"))

	c.SendRaw([]byte{0x81, 0x02, 'h', 'i'}) // not masked: RFC 6455 section 5.1 forbids it
	c.WantClose(websock.CloseProtocolError, "")
}

func TestGuest_connectionLost(t *testing.T) {
	sys := sockettest.NewSystem(t)
	ctx, process := sockettest.NewProcess(t, sys)
	c := sockettest.Serve(t, socket.Config{System: sys}, &guest{name: "ann"})

	actor.Monitor(ctx, c.PID)
	c.Drop()

	msg := process.Next()
	if down, ok := msg.(actor.Down); !ok || !errors.Is(down.Reason, websock.ErrRemote) {
		t.Errorf("after Drop: got %v, want Down with ErrRemote", msg)
	}
}

func TestGuest_doesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := sockettest.NewSystem(t)
		ctx, process := sockettest.NewProcess(t, sys)
		c := sockettest.Serve(t, socket.Config{System: sys, MailboxLimit: 8}, &guest{name: "ann"})
		actor.Monitor(ctx, c.PID)

		c.Pause(1000)
		for range 100 {
			c.PID.Send(websock.Text(strings.Repeat("news ", 1000)))
			synctest.Wait()
		}

		msg := process.Next()
		if down, ok := msg.(actor.Down); !ok || !errors.Is(down.Reason, websock.ErrOverload) {
			t.Errorf("after a flood: got %v, want Down with ErrOverload", msg)
		}
	})
}

func TestGuest_calls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := sockettest.NewServer(t)
		sockettest.Run(t, &socket.Dialer{
			URL:     srv.URL,
			HTTP:    srv.HTTP,
			Handler: func() websock.Handler { return &guest{name: "ann"} },
		})

		srv.Accept().SendRaw([]byte("SSH-2.0-OpenSSH_9.2\r\n")) // somebody else's port
		srv.Accept().Refuse(http.StatusServiceUnavailable, http.Header{"Retry-After": {"30"}})
		srv.WantNothing(30 * time.Second)

		c := srv.Accept().Upgrade(nil)
		c.Want(websock.Text("welcome, ann"))
		c.Drop()
		srv.Accept().Upgrade(nil).Want(websock.Text("welcome, ann"))
	})
}

func TestGuest_inATree(t *testing.T) {
	sys := sockettest.NewSystem(t)
	rooms, err := supervisor.NewDynamic(supervisor.DynamicConfig{Name: "rooms"})
	if err != nil {
		t.Fatal(err)
	}
	sockets, err := socket.New(socket.Config{System: sys})
	if err != nil {
		t.Fatal(err)
	}
	tree, err := supervisor.New(supervisor.Config{Name: "chat"},
		supervisor.ChildSpec{ID: "rooms", Service: rooms},
		supervisor.ChildSpec{ID: "sockets", Service: sockets},
	)
	if err != nil {
		t.Fatal(err)
	}
	stop := sockettest.Run(t, tree)

	c, _ := sockettest.Dial(t, guests(sockets), httptest.NewRequest("GET", "/ws?name=ann", nil))
	c.Want(websock.Text("welcome, ann"))
	if err := stop(); err != nil { // as SIGTERM does; without it, at the end of the test
		t.Errorf("the tree has ended with %v", err)
	}
	c.WantClose(websock.CloseGoingAway, "")
}

// TestHowTo holds the page to this file, which runs.
func TestHowTo(t *testing.T) {
	page, err := os.ReadFile("../../docs/how-to/test-a-handler.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("usage_test.go")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```go\n")[1:]
	if len(blocks) == 0 {
		t.Error("the page has no Go block")
	}
	for _, b := range blocks {
		b, _, _ = strings.Cut(b, "```")
		if !bytes.Contains(code, []byte(b)) {
			t.Errorf("this block of the page is not in usage_test.go:\n%s", b)
		}
	}
}
