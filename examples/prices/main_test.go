package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"regexp"
	"slices"
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
	return program.Start(t, "prices", run, args...)
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

// until reads to the first message for which is returns true.
func (b browser) until(what string, is func(heard) bool) heard {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), program.Patience)
	defer cancel()
	for {
		_, data, err := b.Read(ctx)
		if err != nil {
			b.t.Fatalf("waiting for %s: %v", what, err)
		}
		var h heard
		if err := json.Unmarshal(data, &h); err != nil {
			b.t.Fatalf("message %s: %v", data, err)
		}
		if is(h) {
			return h
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

func isHello(h heard) bool { return h.Type == "hello" }
func isPrice(h heard) bool { return h.Type == "price" }

// A tab on a slow network beside a fast one. The fast one sees how much is left out of the slow one, which stays, and which is told so
// when it has caught up.
func TestPrices_overTCP(t *testing.T) {
	addr, _, stop := start(t, "-rate", "500", "-halt", "1h", "-come-back", "7s")
	fast, slow := dial(t, "ws://"+addr+"/ws"), dial(t, "ws://"+addr+"/ws?link=3000")
	tab := slow.until("hello", isHello).Tab
	slowRow := func(h heard) int {
		return slices.IndexFunc(h.Tabs, func(r row) bool { return r.Tab == tab && r.LeftOut > 100 })
	}
	fast.until("a board with the slow tab", func(h heard) bool { return slowRow(h) >= 0 })
	slow.until("a price", isPrice)
	if err := slow.Write(t.Context(), websocket.MessageText, []byte(`{"type":"halt"}`)); err != nil {
		t.Fatal(err)
	}
	fast.until("the halt", func(h heard) bool { return h.Halted })
	if h := slow.until("that it has caught up", func(h heard) bool { return h.Type == "caught_up" }); h.LeftOut < 100 || h.LeftOut != h.Total {
		t.Errorf("the slow tab has caught up: %+v, want hundreds left out", h)
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

func TestPrices_page(t *testing.T) {
	addr, _, _ := start(t)
	for path, want := range map[string]string{
		"/": "Troupe prices", "/prices.js": "client.js", "/client.js": "class Connection", "/style.css": "color-scheme", "/ready": "",
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
func TestPrices_clientIsThatOfTheChat(t *testing.T) {
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

func TestPrices_refusesBadArguments(t *testing.T) {
	for _, args := range [][]string{
		{"-nonsense"}, {"surplus"}, {"-addr", "nowhere:-1"}, {"-come-back", "soon"}, {"-rate", "0"}, {"-rate", "1001"}, {"-halt", "0s"},
		{"-addr", "127.0.0.1:0", "-metrics-addr", ":0"},
	} {
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("run(%q): no error", args)
		}
	}
}

// The numbers are at an address of their own, of this machine alone.
func TestPrices_metrics(t *testing.T) {
	addr, watch, _ := start(t)
	dial(t, "ws://"+addr+"/ws").until("hello", isHello)
	for url, want := range map[string]string{
		"http://" + watch + "/metrics":                 "\n" + `troupe_socket_active{troupe_server="prices",troupe_socket_state="awake"} 1` + "\n",
		"http://" + watch + "/observer/api/v1/sockets": `"server":"prices"`,
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

func TestPrices_sigterm(t *testing.T) {
	p := program.Build(t, "prices")
	b := dial(t, "ws://"+p.Addr+"/ws")
	b.until("a price", isPrice)
	p.Terminate()
	err := b.end()
	if got := websocket.CloseStatus(err); got != websocket.StatusGoingAway {
		t.Errorf("at SIGTERM: %v, want close code 1001", err)
	}
	p.WantExit()
}
