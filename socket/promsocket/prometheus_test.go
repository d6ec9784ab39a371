package promsocket_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/promsocket"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// patience bounds what a test waits for. It is no statement about speed.
const patience = time.Minute

// The load: people in rooms, each of whom says so many things to all of the room.
const (
	people = 40
	rooms  = 4
	says   = 25
	heard  = people / rooms * says // by each
)

// member is somebody in a room, as in examples/chat.
type member struct {
	reg  *registry.Registry
	room string
}

func (m member) Init(ctx context.Context) websock.Result {
	if err := m.reg.Join(m.room, actor.Self(ctx), nil); err != nil {
		return websock.Stop(err)
	}
	return websock.Push(websock.Text("welcome"))
}

func (m member) HandleIn(_ context.Context, msg websock.Message) websock.Result {
	if string(msg.Data) == "panic" {
		panic("a bug that a message meets")
	}
	m.reg.Broadcast(m.room, websock.Prepare(msg))
	return websock.OK()
}

func (member) HandleInfo(context.Context, any) websock.Result { return websock.OK() }

// service has something of each metric.
type service struct {
	ended chan struct{} // one for each socket that has ended
	addr  string
}

// nobody is an Engine, and its Conn, on which no other node is.
type nobody struct{}

func (nobody) Open(context.Context, string, uint64, func([]byte)) (cluster.Conn, error) {
	return nobody{}, nil
}
func (nobody) Publish(uint64, []byte) error { return nil }
func (nobody) MaxDatagram() int             { return 64 << 10 }
func (nobody) Close() error                 { return nil }

func serve(t *testing.T) *service {
	t.Helper()
	sys, err := actor.NewSystem(actor.Config{Node: "web-1", Logger: discard})
	if err != nil {
		t.Fatal(err)
	}
	node, err := cluster.New(sys, cluster.Config{Engine: nobody{}, Logger: discard})
	if err != nil {
		t.Fatal(err)
	}
	reg := registry.New(sys)
	reg.MeasureBroadcasts(nil)
	// No pings: their bytes would come at times that no client counts.
	ended := make(chan struct{}, 2*people)
	sockets, err := socket.New(socket.Config{Name: "chat", System: sys, Logger: discard, PingInterval: -1, TimeCallbacks: true,
		OnClose: func(socket.Closed) { ended <- struct{}{} }})
	if err != nil {
		t.Fatal(err)
	}
	tree, err := supervisor.New(supervisor.Config{Name: "service", Logger: discard},
		supervisor.ChildSpec{ID: "cluster", Service: node},
		supervisor.ChildSpec{ID: "actors", Service: sys},
		supervisor.ChildSpec{ID: "queue", Service: failing(1)},
		supervisor.ChildSpec{ID: "sockets", Service: sockets})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- tree.Serve(ctx) }()

	metrics := prometheus.NewPedanticRegistry()
	metrics.MustRegister(&promsocket.Collector{
		Servers: []*socket.Server{sockets}, System: sys, Supervisors: []promsocket.Supervisor{tree}, Registry: reg,
		Nodes: []*cluster.Node{node}})
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.Handle("/ws/{room}", sockets.Handler(func(r *http.Request) (websock.Handler, error) {
		return member{reg, r.PathValue("room")}, nil
	}))
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("the tree has ended with %v", err)
		}
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	ready := func() bool {
		w := httptest.NewRecorder()
		supervisor.Probe(tree).ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
		return w.Code == http.StatusOK
	}
	for late := time.After(patience); !ready(); { // the children start one by one, on real goroutines
		select {
		case err := <-served:
			served <- err
			t.Fatalf("the tree has ended with %v", err)
		case <-late:
			t.Fatal("the tree does not become ready")
		case <-time.After(time.Millisecond):
		}
	}
	return &service{ended, server.Listener.Addr().String()}
}

// talker counts what it has sent and got: frames and bytes of text.
type talker struct {
	*websocket.Conn
	sent, got, sentBytes, gotBytes int
}

func (s *service) dial(ctx context.Context, room int, h http.Header) (*websocket.Conn, error) {
	c, _, err := websocket.Dial(ctx, fmt.Sprintf("ws://%s/ws/%d", s.addr, room), &websocket.DialOptions{HTTPHeader: h})
	return c, err
}

func (p *talker) say(ctx context.Context, text string) error {
	if err := p.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		return err
	}
	p.sent++
	p.sentBytes += len(text)
	return nil
}

func (p *talker) hear(ctx context.Context, times int) error {
	for range times {
		_, data, err := p.Read(ctx)
		if err != nil {
			return err
		}
		p.got++
		p.gotBytes += len(data)
	}
	return nil
}

// chat is the load, and what its clients have counted: of all of them together, and how many Close frames they have sent, each
// with a code and no more.
func (s *service) chat(t *testing.T) (total talker, closes int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	all := make([]*talker, people)
	for i := range all { // everybody is in the room before anybody speaks
		c, err := s.dial(ctx, i%rooms, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.CloseNow() }) // those who stay must be there when the numbers are asked for
		all[i] = &talker{Conn: c}
		if err := all[i].hear(ctx, 1); err != nil {
			t.Fatal(err)
		}
	}
	errs := make(chan error, 2*people)
	var wg sync.WaitGroup
	for i, p := range all {
		wg.Go(func() { errs <- p.hear(ctx, heard) })
		wg.Go(func() {
			for n := range says {
				if err := p.say(ctx, fmt.Sprintf("%d says for the %d. time: %s", i, n, strings.Repeat("x", 3*n))); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	// One meets a bug, a quarter leaves, the others stay.
	if err := all[0].say(ctx, "panic"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := all[0].Read(ctx); websocket.CloseStatus(err) != websocket.StatusInternalError { // and has answered it
		t.Fatalf("after a panic: %v", err)
	}
	closes++
	for _, p := range all[1 : 1+people/4] {
		if err := p.Close(websocket.StatusNormalClosure, ""); err != nil {
			t.Fatal(err)
		}
		closes++
	}
	if _, err := s.dial(ctx, 0, http.Header{"Origin": {"https://evil.example"}}); err == nil {
		t.Fatal("a foreign origin was let in")
	}
	for _, p := range all {
		total.sent += p.sent
		total.got += p.got
		total.sentBytes += p.sentBytes
		total.gotBytes += p.gotBytes
	}
	for range closes {
		select {
		case <-s.ended:
		case <-ctx.Done():
			t.Fatalf("%d sockets were closed, and not all have ended", closes)
		}
	}
	return total, closes
}

// scraper is a Prometheus.
type scraper struct {
	t    *testing.T
	addr string
}

const scraperConfig = `
global:
  scrape_interval: 200ms
  scrape_timeout: 200ms
  evaluation_interval: 1s
rule_files:
  - alerts.yaml
scrape_configs:
  - job_name: chat
    static_configs:
      - targets: [%q]
`

// scrapedAt starts a Prometheus that scrapes what is at addr, with the alerts of the page. It is killed with the test.
func scrapedAt(t *testing.T, path, addr string) *scraper {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"prometheus.yml": fmt.Sprintf(scraperConfig, addr), "alerts.yaml": alerts(t)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	own := l.Addr().String()
	l.Close() // Prometheus does not say which port it has chosen
	out := new(bytes.Buffer)
	cmd := exec.Command(path, "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+own)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		var exit *exec.ExitError
		if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
			t.Errorf("prometheus: %v", err)
		}
		if t.Failed() {
			t.Logf("prometheus:\n%s", out) // nobody writes to it any more
		}
	})
	p := &scraper{t, own}
	p.until("it is ready", func() string {
		resp, err := http.Get("http://" + own + "/-/ready")
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return resp.Status
		}
		return ""
	})
	return p
}

// until tries until problem returns "". Another program does not say when it is so far.
func (p *scraper) until(what string, problem func() string) {
	p.t.Helper()
	late := time.After(patience)
	for {
		found := problem()
		if found == "" {
			return
		}
		select {
		case <-late:
			p.t.Fatalf("Prometheus: waiting until %s: %s", what, found)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// query is the only value of an expression; ok is false when it has none.
func (p *scraper) query(expr string) (value float64, ok bool) {
	p.t.Helper()
	resp, err := http.Get("http://" + p.addr + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Status, Error string
		Data          struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		p.t.Fatalf("%s: %v", expr, err)
	}
	if answer.Status != "success" || len(answer.Data.Result) > 1 {
		p.t.Fatalf("%s: %+v, want one value", expr, answer)
	}
	if len(answer.Data.Result) == 0 {
		return 0, false
	}
	text, _ := answer.Data.Result[0].Value[1].(string)
	if value, err = strconv.ParseFloat(text, 64); err != nil {
		p.t.Fatalf("%s: %v", expr, err)
	}
	return value, true
}

// differs says that the only value of an expression is not the one that it should be.
func (p *scraper) differs(expr string, want int) string {
	p.t.Helper()
	if got, ok := p.query(expr); !ok || got != float64(want) {
		return fmt.Sprintf("it is %v (there is one: %v), want %d", got, ok, want)
	}
	return ""
}

// hasAll checks that each metric is there; without nodes and what is measured only when a program asks for it, if it has neither.
func (p *scraper) hasAll(all bool) {
	p.t.Helper()
	for _, m := range described() {
		name := m.name
		asked := strings.HasPrefix(name, "troupe_broadcast") || name == "troupe_callback_duration_seconds"
		if !all && (asked || slices.Contains(m.labels, "troupe_node")) {
			continue
		}
		if m.histogram {
			name += "_count"
		}
		p.until("Prometheus has "+name, func() string { // not for a moment after a scrape that took too long
			if _, ok := p.query("count(" + name + ")"); !ok {
				return "it has not"
			}
			return ""
		})
	}
}

// TestPrometheus has a real Prometheus scrape a chat under load, over real TCP, because what it reads is the point. When the load
// is over, each sum is what the clients have counted, each metric is there, and so is each alert.
func TestPrometheus(t *testing.T) {
	path := program(t, "prometheus")
	s := serve(t)
	p := scrapedAt(t, path, s.addr)
	total, closes := s.chat(t)
	if total.sent != people*says+1 || total.got != people*(1+heard) {
		t.Fatalf("clients have sent %d and got %d messages, want %d and %d", total.sent, total.got, people*says+1, people*(1+heard))
	}
	const code = 2 // bytes in a Close frame without a close reason
	for _, want := range []struct {
		expr  string
		value int
	}{
		{`up`, 1},
		{`sum(troupe_socket_active{troupe_server="chat"})`, people - closes},
		{`sum(troupe_socket_upgrades_total{http_response_status_code="101"})`, people},
		{`sum(troupe_socket_upgrades_total{http_response_status_code="403",troupe_refused="origin"})`, 1},
		{`sum(troupe_socket_frames_total{network_io_direction="receive",troupe_frame="text"})`, total.sent},
		{`sum(troupe_socket_frames_total{network_io_direction="transmit",troupe_frame="text"})`, total.got},
		{`sum(troupe_socket_frames_total{network_io_direction="receive",troupe_frame="close"})`, closes},
		{`sum(troupe_socket_frames_total{network_io_direction="transmit",troupe_frame="close"})`, closes},
		{`sum(troupe_socket_io_bytes_total{network_io_direction="receive"})`, total.sentBytes + code*closes},
		{`sum(troupe_socket_io_bytes_total{network_io_direction="transmit"})`, total.gotBytes + code*closes},
		{`sum(troupe_socket_duration_seconds_count)`, closes},
		{`sum(troupe_socket_duration_seconds_bucket{le="+Inf"})`, closes},
		{`sum(troupe_socket_duration_seconds_count{troupe_cause="panic",troupe_close_code="1011"})`, 1},
		{`sum(troupe_socket_dropped_total)`, 0},
		{`sum(troupe_process_exits_total{troupe_exit_kind="abnormal"})`, 1},
		{`sum(troupe_supervisor_restarts_total{troupe_supervisor="service",troupe_child="queue"})`, 1},
		{`sum(troupe_node_ready{troupe_node="web-1"})`, 1},
		{`sum(troupe_registry_groups)`, rooms},
		{`sum(troupe_registry_members)`, people - closes},
	} {
		p.until(fmt.Sprintf("%s is %d", want.expr, want.value), func() string { return p.differs(want.expr, want.value) })
	}
	p.hasAll(true)
	p.until("the alerts have been tried", func() string {
		resp, err := http.Get("http://" + p.addr + "/api/v1/rules")
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		var text bytes.Buffer
		if _, err := text.ReadFrom(resp.Body); err != nil {
			return err.Error()
		}
		if n := strings.Count(text.String(), `"health":"ok"`); n != 3 {
			return fmt.Sprintf("%d rules of 3 are well: %s", n, &text)
		}
		return ""
	})
}
