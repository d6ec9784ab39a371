package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/troupe-dev/troupe/examples/internal/program"
)

func start(t *testing.T, args ...string) (addr, watch string, stop func() error) {
	t.Helper()
	return program.Start(t, "chat", run, args...)
}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("os/signal.loop"), goleak.IgnoreTopFunction("os/signal.signal_recv"))
}

// message has what these tests look at of all that the server says.
type message struct{ Type, Name, Text string }

// visit connects as a page does and enters the lobby.
func visit(t *testing.T, addr, name string) *websocket.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), program.Patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws://"+addr+"/ws", &websocket.DialOptions{CompressionMode: websocket.CompressionNoContextTakeover})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	key := strings.Repeat(name, 16)
	send(t, c, map[string]string{"type": "hello", "name": name, "key": key, "session": key})
	send(t, c, map[string]string{"type": "join", "room": "lobby"})
	read(t, c, "joined")
	return c
}

func send(t *testing.T, c *websocket.Conn, request map[string]string) {
	t.Helper()
	data, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Write(t.Context(), websocket.MessageText, data); err != nil {
		t.Fatal(err)
	}
}

// read is the next message of that type.
func read(t *testing.T, c *websocket.Conn, typ string) (m message) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), program.Patience)
	defer cancel()
	for m.Type != typ {
		_, data, err := c.Read(ctx)
		if err != nil {
			t.Fatalf("waiting for a message of type %q: %v", typ, err)
		}
		m = message{}
		if err := json.Unmarshal(data, &m); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// end reads to the end of the connection, and returns how it has ended.
func end(t *testing.T, c *websocket.Conn) (err error) {
	ctx, cancel := context.WithTimeout(t.Context(), program.Patience)
	defer cancel()
	for err == nil {
		_, _, err = c.Read(ctx)
	}
	return err
}

func TestChat_overTCP(t *testing.T) {
	addr, _, stop := start(t, "-come-back", "7s")
	ann, bob := visit(t, addr, "Ann"), visit(t, addr, "Bob")
	text := strings.Repeat("a long one ", 80) // so long that it is compressed
	send(t, ann, map[string]string{"type": "say", "text": text})
	for _, c := range []*websocket.Conn{ann, bob} {
		if m := read(t, c, "message"); m.Name != "Ann" || m.Text != strings.TrimSpace(text) {
			t.Errorf("got %+v, want Ann's long message", m)
		}
	}

	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	hint := regexp.MustCompile(`^retry-after=[1-7]$`)
	for _, c := range []*websocket.Conn{ann, bob} {
		err := end(t, c)
		var ce websocket.CloseError
		if !errors.As(err, &ce) || ce.Code != websocket.StatusGoingAway || !hint.MatchString(ce.Reason) {
			t.Errorf("at the end of the program: %v, want close code 1001 with a hint when to come back", err)
		}
	}
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
}

func TestChat_page(t *testing.T) {
	addr, _, _ := start(t)
	for path, want := range map[string]string{
		"/": "Troupe chat", "/chat.js": "client.js", "/client.js": "class Connection", "/style.css": "prefers-reduced-motion", "/ready": "",
	} {
		if status, _, body := program.Get(t, "http://"+addr+path); status != 200 || !strings.Contains(body, want) {
			t.Errorf("GET %s: status %d, body %.80q, want 200 and %q in it", path, status, body, want)
		}
	}
}

func TestChat_refusesBadArguments(t *testing.T) {
	for _, args := range [][]string{{"-nonsense"}, {"surplus"}, {"-addr", "nowhere:-1"}, {"-come-back", "soon"}} {
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("run(%q): no error", args)
		}
	}
}

func TestChat_sigterm(t *testing.T) {
	p := program.Build(t, "chat")
	ann := visit(t, p.Addr, "Ann")
	p.Terminate()
	err := end(t, ann)
	if got := websocket.CloseStatus(err); got != websocket.StatusGoingAway {
		t.Errorf("at SIGTERM: %v, want close code 1001", err)
	}
	p.WantExit()
}

// The numbers are at an address of their own, of this machine alone.
func TestChat_metrics(t *testing.T) {
	addr, watch, _ := start(t)
	c := visit(t, addr, "ann")
	defer c.CloseNow()
	for url, want := range map[string]string{
		"http://" + watch + "/metrics":                 "\n" + `troupe_socket_upgrades_total{troupe_server="chat",http_response_status_code="101",troupe_refused=""} 1` + "\n",
		"http://" + addr + "/metrics":                  "404",
		"http://" + watch + "/observer/api/v1/sockets": `"server":"chat"`,
		"http://" + watch + "/observer/":               "<!doctype html>",
		"http://" + addr + "/observer/":                "404",
	} {
		if status, _, body := program.Get(t, url); !strings.Contains(fmt.Sprintln(status)+body, want) {
			t.Errorf("GET %s: %d, want %q in\n%s", url, status, want, body)
		}
	}
	if err := run(t.Context(), []string{"-addr", "127.0.0.1:0", "-metrics-addr", ":0"}, io.Discard); err == nil {
		t.Error("it shows its numbers to everybody")
	}
}
