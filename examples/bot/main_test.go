package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/coder/websocket"

	"github.com/troupe-dev/troupe/websock"
)

// chat is examples/chat as a process of its own, since it is a program, and is to be restarted. So the network is real.
type chat struct {
	cmd  *exec.Cmd
	addr string
}

func buildChat(t *testing.T) (bin string) {
	t.Helper()
	bin = filepath.Join(t.TempDir(), "chat")
	if out, err := exec.Command("go", "build", "-o", bin, "../chat").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

func startChat(t *testing.T, bin, addr string) *chat {
	t.Helper()
	c := &chat{cmd: exec.Command(bin, "-addr", addr, "-come-back", "1s")}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.cmd.Stderr = os.Stderr
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.cmd.Process.Kill() })
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("the chat ended without its address: %v", err)
		}
		if rest, ok := strings.CutPrefix(line, "chat: http://"); ok {
			c.addr, _, _ = strings.Cut(rest, "/")
			go io.Copy(io.Discard, r)
			return c
		}
	}
}

// stop ends the chat as a deploy would.
func (c *chat) stop(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Wait(); err != nil {
		t.Fatalf("the chat after SIGTERM: %v", err)
	}
}

// person is somebody in the lobby.
type person struct {
	t    *testing.T
	conn *websocket.Conn
}

func visitChat(t *testing.T, addr, name string) *person {
	t.Helper()
	conn, _, err := websocket.Dial(t.Context(), "ws://"+addr+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(-1)
	t.Cleanup(func() { conn.CloseNow() })
	p := &person{t, conn}
	p.send(request{Type: "hello", Name: name, Key: strings.Repeat(name, 16), Session: strings.Repeat(name, 16)})
	p.send(request{Type: "join", Room: "lobby"})
	return p
}

func (p *person) send(r request) {
	p.t.Helper()
	data, _ := json.Marshal(r)
	if err := p.conn.Write(p.t.Context(), websocket.MessageText, data); err != nil {
		p.t.Fatal(err)
	}
}

// until reads until an event is the one.
func (p *person) until(what string, is func(presence) bool) presence {
	p.t.Helper()
	for {
		_, data, err := p.conn.Read(p.t.Context())
		if err != nil {
			p.t.Fatalf("waiting for %s: %v", what, err)
		}
		var e presence
		if err := json.Unmarshal(data, &e); err != nil {
			p.t.Fatal(err)
		}
		if is(e) {
			return e
		}
	}
}

// presence is an event, with the fields that the bot does not look at.
type presence struct {
	event
	People, Joined []string
}

// ask waits until the bot is there, asks it, and returns its answer.
func (p *person) ask() string {
	p.t.Helper()
	p.until("the bot", func(e presence) bool {
		for _, name := range append(e.People, e.Joined...) {
			if name == "Bot" {
				return true
			}
		}
		return false
	})
	p.send(request{Type: "say", Text: "!seen"})
	return p.until("its answer", func(e presence) bool { return e.Type == "message" && e.Name == "Bot" }).Text
}

// TestBot_comesBack restarts the chat under the bot.
func TestBot_comesBack(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no SIGTERM on Windows")
	}
	bin := buildChat(t)
	c := startChat(t, bin, "127.0.0.1:0")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	out := &logged{t: t}
	go func() { ended <- run(ctx, []string{"-url", "ws://" + c.addr + "/ws"}, out) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	}()

	ann := visitChat(t, c.addr, "Ann")
	if got, want := ann.ask(), "I have seen 1 messages, in 1 visits."; got != want {
		t.Errorf("before the restart: got %q, want %q", got, want)
	}
	go func() { // answers the Close frame
		for {
			if _, _, err := ann.conn.Read(ctx); err != nil {
				return
			}
		}
	}()
	c.stop(t)
	c = startChat(t, bin, c.addr)
	if got, want := visitChat(t, c.addr, "Ann").ask(), "I have seen 2 messages, in 2 visits."; got != want {
		t.Errorf("after the restart: got %q, want %q", got, want)
	}
}

// TestBot_sentAway: a bot that was closed with a code of the application's own ends, with an error that says so.
func TestBot_sentAway(t *testing.T) {
	chat := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		conn.Close(4001, "you are banned")
	}))
	defer chat.Close()
	err := run(t.Context(), []string{"-url", chat.URL + "/ws"}, &logged{t: t})
	if closed, ok := errors.AsType[*websock.RemoteCloseError](err); !ok || closed.Code != 4001 {
		t.Errorf("run: got %v, want that the bot was sent away with 4001", err)
	}
}

// logged has the bot's log with the test's.
type logged struct{ t *testing.T }

func (l *logged) Write(p []byte) (int, error) {
	l.t.Logf("%s", p)
	return len(p), nil
}

// TestBot_reads: what the bot knows when it joins again.
func TestBot_reads(t *testing.T) {
	b := &bot{name: "Bot", room: "lobby"}
	texts := func(rs []request) (texts []string) {
		for _, r := range rs {
			texts = append(texts, r.Text)
		}
		return texts
	}
	said := func(id int64, name, text, ref string) event {
		return event{Type: "message", Room: "lobby", ID: id, Name: name, Text: text, Ref: ref}
	}
	check := func(what string, got []request, want ...string) {
		t.Helper()
		if got := texts(got); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
	}

	check("the history at the first join", b.joined("life 1", []event{said(1, "Ann", "!seen", "")}))
	check("a question", b.heard(said(2, "Ann", "!seen", "")), "I have seen 1 messages, in 1 visits.")
	check("one of another room", b.heard(event{Type: "message", Room: "attic", ID: 9, Name: "Ann", Text: "!seen"}))
	answer := b.waiting()[0]
	if j := b.join(); j.Life != "life 1" || j.After != 2 {
		t.Errorf("join after a loss: got %+v, want life 1 and what comes after 2", j)
	}
	again := b.joined("life 1", []event{said(2, "Ann", "!seen", ""), said(3, "Ann", "hello", "")})
	check("an answer that nobody has heard", again, "I have seen 1 messages, in 1 visits.")
	if again[0].Ref != answer.Ref {
		t.Errorf("it is said again with ref %q, want %q as before", again[0].Ref, answer.Ref)
	}
	check("its own message", b.heard(said(4, "Bot", answer.Text, answer.Ref)))
	check("all is heard", b.waiting())
	check("another life, with a question", b.joined("life 2", []event{said(1, "Ann", "!seen", "")}), "I have seen 3 messages, in 3 visits.")
}

func TestBot_refusesBadArguments(t *testing.T) {
	for _, args := range [][]string{{"-nonsense"}, {"surplus"}, {"-url", "ftp://x"}} {
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("run(%q): no error", args)
		}
	}
}
