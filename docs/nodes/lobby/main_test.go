package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/troupe-dev/troupe/docs/nodes/internal/kit"
)

// TestMain is the program itself when a test has started it as one.
func TestMain(m *testing.M) {
	if os.Getenv("LOBBY_PROGRAM") != "" {
		if err := run(os.Args[1:]); err != nil {
			log.Fatal(err)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// start runs the program as a process until the end of the test, or end, which sends it a signal and waits for its end.
func start(t *testing.T, args ...string) (end func(os.Signal)) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "LOBBY_PROGRAM=1")
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines = append(lines, s.Text())
		}
		_ = cmd.Wait() // its end was wanted
	}()
	end = func(s os.Signal) {
		_ = cmd.Process.Signal(s) // it may have ended
		<-ended
	}
	t.Cleanup(func() {
		end(os.Kill)
		if t.Failed() {
			t.Logf("%q has printed:\n%s", args, strings.Join(lines, "\n"))
		}
	})
	return end
}

// visitor does what the page does.
type visitor struct {
	t        *testing.T
	at, name string
	cancel   context.CancelFunc
	ended    chan struct{}

	mu    sync.Mutex
	conn  *websocket.Conn // nil: it is not connected, or not welcomed
	node  string
	after int64
	here  map[string]bool
	heard []string
}

func visit(t *testing.T, at, name string) *visitor {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	v := &visitor{t: t, at: at, name: name, cancel: cancel, ended: make(chan struct{}), here: map[string]bool{}}
	go func() {
		defer close(v.ended)
		for ctx.Err() == nil {
			v.connect(ctx)
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-v.ended })
	v.until("is welcome", func() bool { return v.conn != nil })
	return v
}

func (v *visitor) connect(ctx context.Context) {
	conn, resp, err := websocket.Dial(ctx, fmt.Sprintf("ws://%s/ws?name=%s&after=%d", v.at, url.QueryEscape(v.name), v.after), nil)
	if resp != nil && resp.Body != nil {
		resp.Body.Close()
	}
	if err != nil {
		return
	}
	defer conn.CloseNow()
	for {
		_, data, err := conn.Read(ctx)
		v.mu.Lock()
		if err != nil {
			v.conn = nil
			v.mu.Unlock()
			return
		}
		v.take(conn, data)
		v.mu.Unlock()
	}
}

func (v *visitor) take(conn *websocket.Conn, data []byte) {
	var m struct {
		welcome
		change
		line
	}
	if err := json.Unmarshal(data, &m); err != nil {
		v.t.Errorf("the server sent %s", data)
	}
	if m.Node != "" {
		v.conn, v.node = conn, m.Node
	}
	if m.All != nil {
		clear(v.here)
	}
	for _, name := range append(m.All, m.Joined...) {
		v.here[name] = true
	}
	for _, name := range m.Left {
		delete(v.here, name)
	}
	if m.ID > v.after {
		v.after = m.ID
		v.heard = append(v.heard, m.From+": "+m.Text)
	}
}

func (v *visitor) until(what string, done func() bool) {
	v.t.Helper()
	kit.WaitFor(v.t, v.name+" "+what, func() bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		return done()
	})
}

// on is the node that v is on, or was at last.
func (v *visitor) on() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.node
}

// say says it when v has a connection.
func (v *visitor) say(text string) {
	v.t.Helper()
	v.until("can speak", func() bool {
		return v.conn != nil && v.conn.Write(context.Background(), websocket.MessageText, []byte(text)) == nil
	})
}

func (v *visitor) hears(line string) {
	v.t.Helper()
	v.until("hears "+line, func() bool { return slices.Contains(v.heard, line) })
}

func (v *visitor) sees(names ...string) {
	v.t.Helper()
	v.until(fmt.Sprint("sees ", names), func() bool { return v.conn != nil && slices.Equal(slices.Sorted(maps.Keys(v.here)), names) })
}

// TestLobby does what the tutorial has a reader do: three nodes and a front, as processes, three visitors, kill -9, and Ctrl-C.
func TestLobby(t *testing.T) {
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	var web, nats []string
	end := map[string]func(os.Signal){}
	for i := range 3 {
		web, nats = append(web, kit.FreeAddr(t)), append(nats, kit.FreeAddr(t))
		name := fmt.Sprint("lobby-", i+1)
		args := []string{"-name", name, "-addr", web[i], "-listen", nats[i]}
		if i > 0 {
			args = append(args, "-routes", strings.Join(nats[:i], ","))
		}
		end[name] = start(t, args...)
		kit.WaitFor(t, name+" serves", func() bool {
			resp, err := http.Get("http://" + web[i] + "/")
			if err == nil {
				resp.Body.Close()
			}
			return err == nil && resp.StatusCode == http.StatusOK
		})
	}
	at := kit.FreeAddr(t)
	start(t, "-addr", at, "-front", strings.Join(web, ","))
	kit.WaitFor(t, "the front serves", func() bool {
		resp, err := http.Get("http://" + at + "/")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil && resp.StatusCode == http.StatusOK
	})

	ann, bob := visit(t, at, "Ann"), visit(t, at, "Bob")
	if ann.on() == bob.on() {
		t.Fatalf("both are on %s", ann.on())
	}
	for _, v := range []*visitor{ann, bob} {
		v.sees("Ann", "Bob")
	}
	ann.say("hello Bob")
	bob.hears("Ann: hello Bob")
	bob.say("hello Ann")
	ann.hears("Bob: hello Ann")
	carl := visit(t, at, "Carl") // of the third node: what was said before comes from the room
	carl.hears("Bob: hello Ann")

	was := ann.on() // and the room's
	end[was](os.Kill)
	ann.until("is elsewhere", func() bool { return ann.conn != nil && ann.node != was })
	for _, v := range []*visitor{ann, bob, carl} {
		v.sees("Ann", "Bob", "Carl")
	}
	bob.say("still there?")
	for _, v := range []*visitor{ann, bob, carl} {
		v.hears("Bob: still there?")
	}

	was = bob.on()
	end[was](syscall.SIGTERM)
	bob.until("is elsewhere", func() bool { return bob.conn != nil && bob.node != was })
	for _, v := range []*visitor{ann, bob, carl} {
		v.sees("Ann", "Bob", "Carl")
	}
	carl.say("all on one node now")
	for _, v := range []*visitor{ann, bob, carl} {
		v.hears("Carl: all on one node now")
	}
}
