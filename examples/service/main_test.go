package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// patience bounds what a broken service could make a test wait for. The tests run over real TCP, because the service
// with its listener and its signals is what they are about.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	code := m.Run()
	http.DefaultClient.CloseIdleConnections()
	// What is left is the test's own, and the one of os/signal that never ends. Goroutines that are about to return need a
	// moment, and nothing tells when they have.
	for end := time.Now().Add(5 * time.Second); code == 0 && runtime.NumGoroutine() > 2; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			fmt.Println("FAIL: goroutines are left")
			_ = pprof.Lookup("goroutine").WriteTo(os.Stdout, 1)
			code = 1
		}
	}
	os.Exit(code)
}

// atOnce are the arguments for a drain that loses no time.
var atOnce = []string{"-addr", "127.0.0.1:0", "-drain-delay", "0s", "-drain-over", "0s", "-tick", "5ms"}

// start runs the service in this process until the test ends, and returns its address and what ends it.
func start(t *testing.T, args ...string) (addr string, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, append(atOnce, args...), in)
		in.Close()
		done <- err
	}()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() { stop() })
	addr, _ = address(t, out)
	waitReady(t, addr)
	return addr, stop
}

// address reads the address from the first line of output, and passes the others on.
func address(t *testing.T, out io.Reader) (addr string, rest <-chan string) {
	t.Helper()
	r := bufio.NewReader(out)
	before := ""
	var found []string
	for found == nil {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("output: %q, %v; want the URL of the page", before+line, err)
		}
		before += line
		found = regexp.MustCompile(`http://([^/]+)/ \(socket`).FindStringSubmatch(line)
	}
	lines := make(chan string, 1)
	go func() {
		all, _ := io.ReadAll(r)
		lines <- before + string(all)
	}()
	return found[1], lines
}

// get returns status and body; 0 and the error when there is no answer.
func get(method, url string) (int, string) {
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		panic(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

// client is one visitor's browser.
type client struct {
	*websocket.Conn
	t *testing.T
}

func dial(t *testing.T, addr string) client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws://"+addr+"/ws", nil)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() { c.CloseNow() })
	return client{c, t}
}

func (c client) say(text string) {
	c.t.Helper()
	if err := c.Write(c.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatalf("say %q: %v", text, err)
	}
}

// next returns the next message for which is returns true.
func (c client) next(what string, is func(map[string]any) bool) map[string]any {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	for {
		_, data, err := c.Read(ctx)
		if err != nil {
			c.t.Fatalf("waiting for %s: %v", what, err)
		}
		var m map[string]any
		if err := json.Unmarshal(data, &m); err != nil {
			c.t.Fatalf("message %s: %v", data, err)
		}
		if is(m) {
			return m
		}
	}
}

func (c client) nextNote() string {
	c.t.Helper()
	return c.next("a note", func(m map[string]any) bool { return m["note"] != nil })["note"].(string)
}

// lives returns a condition that holds for counts of that life of the counter, from least on.
func lives(life, least float64) func(map[string]any) bool {
	return func(m map[string]any) bool {
		count, ok := m["count"].(float64)
		return ok && m["life"] == life && count >= least
	}
}

// closed reads to the end of the connection and returns the close frame.
func (c client) closed() (code int, reason string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for err == nil {
		_, _, err = c.Read(ctx)
	}
	var ce websocket.CloseError
	if !errors.As(err, &ce) {
		return 0, "", err
	}
	return int(ce.Code), ce.Reason, nil
}

// wantRestart checks that the client is told to come back within most seconds.
func (c client) wantRestart(who int, most int) {
	c.t.Helper()
	code, reason, err := c.closed()
	hint, ok := strings.CutPrefix(reason, "new version retry-after=")
	seconds, _ := strconv.Atoi(hint)
	if err != nil || code != 1012 || !ok || seconds < 1 || seconds > most {
		c.t.Errorf("client %d: closed with %d %q, %v; want 1012 and a retry-after from 1 to %d", who, code, reason, err, most)
	}
}

// until asks again until ok. From outside there is no other way to see how far a service is: probes are polled in
// real life, too.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still waiting for %s", what)
		}
	}
}

// waitReady waits until the whole tree is up; the address is known before.
func waitReady(t *testing.T, addr string) {
	t.Helper()
	until(t, "the service to be ready", func() bool {
		code, body := get("GET", "http://"+addr+"/readyz")
		if code != http.StatusOK && (code != http.StatusServiceUnavailable || !strings.HasPrefix(body, "supervisor ")) {
			t.Fatalf("probe while the service starts: %d %s", code, body)
		}
		return code == http.StatusOK
	})
}

// wantStatus waits for the status; a counter shows its count before its supervisor knows that it is ready.
func wantStatus(t *testing.T, addr, want string) {
	t.Helper()
	var body string
	defer func() {
		if t.Failed() {
			t.Logf("status:\n%s", body)
		}
	}()
	until(t, fmt.Sprintf("status %q", want), func() bool {
		_, body = get("GET", "http://"+addr+"/status")
		return strings.Contains(body, want)
	})
}

func TestService_showsTheCountToEverySocket(t *testing.T) {
	addr, _ := start(t)
	for range 3 {
		c := dial(t, addr)
		first := c.next("a count", lives(1, 0))["count"].(float64)
		c.next("a later count", lives(1, first+1))
	}
}

// A crash loses the count, and no socket.
func TestService_restartsTheCounter(t *testing.T) {
	addr, stop := start(t)
	clients := []client{dial(t, addr), dial(t, addr)}
	for life := range 3 {
		for _, c := range clients {
			c.next("a count", lives(float64(life+1), 2))
		}
		if code, body := get("POST", "http://"+addr+"/crash"); code != http.StatusNoContent {
			t.Fatalf("POST /crash: %d %s", code, body)
		}
	}
	for _, c := range clients {
		c.next("a count", lives(4, 0))
	}
	wantStatus(t, addr, "running, restarts: 3\nsockets: 2\n")
	for _, c := range clients {
		c.CloseNow()
	}
	if err := stop(); err != nil {
		t.Errorf("the end after 3 crashes: %v", err)
	}
}

// The fourth crash within 5 s is too much for the counter's supervisor. Its own supervisor restarts it.
func TestService_survivesItsWorkersSupervisor(t *testing.T) {
	addr, _ := start(t)
	c := dial(t, addr)
	for life := range 4 {
		c.next("a count", lives(float64(life+1), 0))
		if code, body := get("POST", "http://"+addr+"/crash"); code != http.StatusNoContent {
			t.Fatalf("POST /crash: %d %s", code, body)
		}
	}
	c.next("a count", lives(5, 1))
	wantStatus(t, addr, "running, restarts: 0\nsockets: 1\n") // a new start of the supervisor, which counts anew
}

// A service whose counter always crashes gives up, closes its sockets in order, and says why it ends.
func TestService_givesUp(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := run(ctx, append(atOnce, "-crash-every", "1"), io.Discard)
	if !errors.Is(err, errCrash) || !strings.Contains(err.Error(), "service") {
		t.Errorf("run with -crash-every 1: %v, want that the service gives up because of %q", err, errCrash)
	}
}

func TestService_jobs(t *testing.T) {
	addr, _ := start(t, "-max-jobs", "1")
	c, other := dial(t, addr), dial(t, addr)
	about := func(id any) func(map[string]any) bool {
		return func(m map[string]any) bool { return m["job"] != nil && (id == nil || m["job"] == id) }
	}
	for _, tt := range []struct{ ask, then, end string }{
		{"job", "", "finished"},
		{"bad job", "", "crashed"},
		{"job", "stop", "stopped"},
	} {
		c.say(tt.ask)
		started := c.next("a job", about(nil))
		if started["status"] != "started" {
			t.Fatalf("%s: %v, want it started", tt.ask, started)
		}
		if other.say("job"); other.nextNote() != "too many jobs, try again later" {
			t.Error("a second job with -max-jobs 1 was not refused")
		}
		if tt.then != "" {
			c.say(tt.then)
		}
		steps := 0
		for {
			m := c.next("the job's end", about(started["job"]))
			if m["status"] == tt.end {
				break
			}
			if m["status"] != nil {
				t.Fatalf("%s: %v, want %s", tt.ask, m, tt.end)
			}
			steps++
		}
		if tt.end == "finished" && steps != jobSteps {
			t.Errorf("a finished job reported %d steps, want %d", steps, jobSteps)
		}
	}
	c.say("job")
	c.next("a job", about(nil))
	c.CloseNow()
	other.next("no jobs", func(m map[string]any) bool { return m["jobs"] == 0.0 }) // the job ended with its socket
	if other.say("hello"); !strings.HasPrefix(other.nextNote(), "send ") {
		t.Error("an unknown message was not answered with what is known")
	}
}

func TestService_http(t *testing.T) {
	addr, _ := start(t, "-crash-route=false")
	for _, tt := range []struct {
		method, path string
		code         int
		body         string
	}{
		{"GET", "/", 200, "new WebSocket("},
		{"GET", "/healthz", 200, "alive"},
		{"GET", "/readyz", 200, "ready"},
		{"GET", "/status", 200, "counter "},
		{"GET", "/ws", 426, ""},
		{"GET", "/nowhere", 404, ""},
		{"POST", "/crash", 404, ""},
	} {
		if code, body := get(tt.method, "http://"+addr+tt.path); code != tt.code || !strings.Contains(body, tt.body) {
			t.Errorf("%s %s: %d %.80q, want %d with %q", tt.method, tt.path, code, body, tt.code, tt.body)
		}
	}
}

func TestService_drain(t *testing.T) {
	addr, stop := start(t, "-come-back", "7s")
	var clients []client
	for range 5 {
		clients = append(clients, dial(t, addr))
	}
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	for i, c := range clients {
		c.wantRestart(i, 7)
	}
	if err := <-ended; err != nil {
		t.Errorf("run: %v, want nil", err)
	}
}

func TestService_refusesBadArguments(t *testing.T) {
	for _, args := range [][]string{
		{"-nonsense"}, {"surplus"}, {"-addr", "nowhere:-1"}, {"-tick", "0s"}, {"-crash-every", "-1"}, {"-max-jobs", "-1"},
		{"-drain-delay", "-1s"}, {"-drain-batch", "-1"},
	} {
		if err := run(t.Context(), slices.Concat(atOnce, args), io.Discard); err == nil {
			t.Errorf("run(%q): no error", args)
		}
	}
}

// The numbers are at an address of their own; those of the supervisors are among them.
func TestService_metrics(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	watch := l.Addr().String()
	l.Close() // free, for the service
	addr, _ := start(t, "-metrics-addr", watch)
	dial(t, addr).next("a count", lives(1, 0))
	status, body := get("GET", "http://"+watch+"/metrics")
	if status != 200 {
		t.Fatalf("GET /metrics: %d %s", status, body)
	}
	for _, want := range []string{
		`troupe_socket_upgrades_total{troupe_server="service",http_response_status_code="101",troupe_refused=""} 1`,
		`troupe_supervisor_gave_up_total{troupe_supervisor="service"} 0`,
		`troupe_supervisor_gave_up_total{troupe_supervisor="workers"} 0`,
		`troupe_supervisor_gave_up_total{troupe_supervisor="jobs"} 0`,
	} {
		if !strings.Contains(body, "\n"+want+"\n") {
			t.Errorf("no line %s in\n%s", want, body)
		}
	}
	if _, body := get("GET", "http://"+watch+"/observer/api/v1/tree"); !strings.Contains(body, `"id":"counter","kind":"actor"`) {
		t.Errorf("the observer shows no counter in\n%s", body)
	}
	if status, _ := get("GET", "http://"+addr+"/observer/"); status == 200 {
		t.Errorf("/observer/ is at the public address, too")
	}
	if status, _ := get("GET", "http://"+addr+"/metrics"); status == 200 {
		t.Errorf("/metrics is at the public address, too")
	}
}
