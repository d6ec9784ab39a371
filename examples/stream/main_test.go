package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/troupe-dev/troupe/examples/internal/program"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("os/signal.loop"), goleak.IgnoreTopFunction("os/signal.signal_recv"))
}

func start(t *testing.T, args ...string) (addr, watch string, stop func() error) {
	t.Helper()
	return program.Start(t, "stream", run, args...)
}

// browser is a page of the real program.
type browser struct {
	t *testing.T
	*websocket.Conn
}

func dial(t *testing.T, url string) browser {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), program.Patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	return browser{t, c}
}

func (b browser) say(text string) {
	b.t.Helper()
	if err := b.Write(b.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		b.t.Fatal(err)
	}
}

// until reads to the first message of that type, and returns it with the tokens before it.
func (b browser) until(typ string) (h heard, tokens int) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), program.Patience)
	defer cancel()
	for {
		_, data, err := b.Read(ctx)
		if err != nil {
			b.t.Fatalf("waiting for a message of type %q: %v", typ, err)
		}
		h = heard{}
		if err := json.Unmarshal(data, &h); err != nil {
			b.t.Fatalf("message %s: %v", data, err)
		}
		if h.Type == typ {
			return h, tokens
		}
		if h.Type == "token" {
			tokens++
		}
	}
}

// end reads to the end of the connection, and returns how it has ended.
func (b browser) end() (err error) {
	ctx, cancel := context.WithTimeout(b.t.Context(), program.Patience)
	defer cancel()
	for err == nil {
		_, _, err = b.Read(ctx)
	}
	return err
}

// A page on a slow network beside a fast one: both get all of their answers, and an answer can be stopped.
func TestStream_overTCP(t *testing.T) {
	addr, _, stop := start(t, "-rate", "1000", "-tokens", "60", "-come-back", "7s")
	fast, slow := dial(t, "ws://"+addr+"/ws"), dial(t, "ws://"+addr+"/ws?link=2000")
	for _, b := range []browser{fast, slow} {
		b.until("hello")
		b.say(`{"type":"ask","answer":1,"prompt":"hello"}`)
	}
	for _, b := range []browser{fast, slow} {
		if h, n := b.until("end"); h.How != "done" || h.Tokens != 60 || n != 60 {
			t.Errorf("got %+v after %d tokens, want it done after 60", h, n)
		}
	}
	slow.say(`{"type":"ask","answer":2,"prompt":"and another"}`)
	slow.until("token")
	slow.say(`{"type":"stop","answer":2}`)
	if h, n := slow.until("end"); h.How != "stopped" || h.Tokens != n+1 || n > 50 {
		t.Errorf("stopped at the first token: got %+v after %d more tokens", h, n)
	}

	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	hint := regexp.MustCompile(`^retry-after=[1-7]$`)
	for _, b := range []browser{fast, slow} {
		err := b.end()
		var ce websocket.CloseError
		if !errors.As(err, &ce) || ce.Code != websocket.StatusGoingAway || !hint.MatchString(ce.Reason) {
			t.Errorf("at the end of the program: %v, want close code 1001 with a hint when to come back", err)
		}
	}
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
}

func TestStream_page(t *testing.T) {
	addr, _, _ := start(t)
	for path, want := range map[string]string{
		"/": "Troupe stream", "/stream.js": "client.js", "/client.js": "class Connection", "/style.css": "prefers-reduced-motion", "/ready": "",
	} {
		status, header, body := program.Get(t, "http://"+addr+path)
		if status != 200 || !strings.Contains(body, want) {
			t.Errorf("GET %s: status %d, body %.80q, want 200 and %q in it", path, status, body, want)
		}
		if csp := header.Get("Content-Security-Policy"); path != "/ready" && !strings.Contains(csp, "default-src 'self'") {
			t.Errorf("GET %s: Content-Security-Policy is %q", path, csp)
		}
		if strings.Contains(body, "<style") || strings.Contains(body, " style=") || strings.Contains(body, "onclick=") {
			t.Errorf("GET %s: it has what its Content-Security-Policy forbids", path)
		}
	}
	if status, _, _ := program.Get(t, "http://"+addr+"/ws?link=no"); status != 400 {
		t.Errorf("a link of no speed: %d, want 400", status)
	}
}

// client.js is made to be copied, and this is a copy.
func TestStream_clientIsThatOfTheChat(t *testing.T) {
	ours, err := files.ReadFile("page/client.js")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := os.ReadFile("../chat/chat/page/client.js")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(ours, theirs) {
		t.Error("page/client.js differs from examples/chat/chat/page/client.js: copy that")
	}
}

func TestStream_refusesBadArguments(t *testing.T) {
	for _, args := range [][]string{
		{"-nonsense"}, {"surplus"}, {"-addr", "nowhere:-1"}, {"-come-back", "soon"}, {"-rate", "0"}, {"-rate", "1001"}, {"-tokens", "0"},
		{"-answers", "0"}, {"-answers", "65"}, {"-addr", "127.0.0.1:0", "-metrics-addr", ":0"},
	} {
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("run(%q): no error", args)
		}
	}
}

// The numbers are at an address of their own, of this machine alone.
func TestStream_metrics(t *testing.T) {
	addr, watch, _ := start(t)
	dial(t, "ws://"+addr+"/ws").until("hello")
	for url, want := range map[string]string{
		"http://" + watch + "/metrics":                 "\n" + `troupe_socket_upgrades_total{troupe_server="stream",http_response_status_code="101",troupe_refused=""} 1` + "\n",
		"http://" + watch + "/observer/api/v1/sockets": `"server":"stream"`,
	} {
		if status, _, body := program.Get(t, url); status != 200 || !strings.Contains(body, want) {
			t.Errorf("GET %s: %d, want 200 and %q in\n%s", url, status, want, body)
		}
	}
	for _, path := range []string{"/metrics", "/observer/"} {
		if status, _, _ := program.Get(t, "http://"+addr+path); status != 404 {
			t.Errorf("GET %s at the public address: %d, want 404", path, status)
		}
	}
}

func TestStream_sigterm(t *testing.T) {
	p := program.Build(t, "stream")
	b := dial(t, "ws://"+p.Addr+"/ws")
	b.say(`{"type":"ask","answer":1,"prompt":"hello"}`)
	b.until("token") // an answer is under way
	p.Terminate()
	err := b.end()
	if got := websocket.CloseStatus(err); got != websocket.StatusGoingAway {
		t.Errorf("at SIGTERM: %v, want close code 1001", err)
	}
	p.WantExit()
}
