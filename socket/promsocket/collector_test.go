package promsocket_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/promsocket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// echo panics when it is told to.
type echo struct{}

func (echo) Init(context.Context) websock.Result            { return websock.OK() }
func (echo) HandleInfo(context.Context, any) websock.Result { panic("boom") }
func (echo) HandleIn(_ context.Context, m websock.Message) websock.Result {
	return websock.Push(m)
}

var discard = slog.New(slog.DiscardHandler)

// scrape is what Prometheus gets, without comments.
func scrape(t *testing.T, c *promsocket.Collector) (lines []string) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry() // checks what a registry does not
	if err := reg.Register(c); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("a scrape answers %d: %s", w.Code, w.Body)
	}
	for line := range strings.Lines(w.Body.String()) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

func want(t *testing.T, lines []string, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !slices.Contains(lines, w) {
			t.Errorf("no line %s in\n%s", w, strings.Join(lines, "\n"))
		}
	}
}

func TestCollector_sockets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := sockettest.NewSystem(t)
		srv, err := socket.New(socket.Config{Name: "chat", System: sys, Logger: discard, PingInterval: 20 * time.Second, HibernateAfter: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Shutdown(context.Background())
		reg := registry.New(sys)
		h := srv.Handler(func(r *http.Request) (websock.Handler, error) {
			if r.URL.Path == "/no" {
				return nil, &socket.UpgradeError{Status: 401}
			}
			return echo{}, nil
		})
		c := &promsocket.Collector{Servers: []*socket.Server{srv}, System: sys, Registry: reg}
		a, _ := sockettest.Dial(t, h, httptest.NewRequest("GET", "/", nil))
		pidA := other(srv, actor.PID{})
		b, _ := sockettest.Dial(t, h, httptest.NewRequest("GET", "/", nil))
		pidB := other(srv, pidA)
		if refused, _ := sockettest.Dial(t, h, httptest.NewRequest("GET", "/no", nil)); refused != nil {
			t.Fatal("it was not refused")
		}
		if err := reg.Register("a", pidA, nil); err != nil {
			t.Fatal(err)
		}
		reg.Join("room", pidA, nil)
		reg.Join("room", pidB, nil)
		a.Send(websock.Text("hello"))
		a.Want(websock.Text("hello"))
		pidB.Send("panic")
		b.WantClose(1011, "")
		synctest.Wait()
		time.Sleep(30 * time.Second) // a sleeps, and has answered a ping
		synctest.Wait()
		want(t, scrape(t, c),
			`troupe_socket_active{troupe_server="chat",troupe_socket_state="asleep"} 1`,
			`troupe_socket_active{troupe_server="chat",troupe_socket_state="awake"} 0`,
			`troupe_socket_duration_seconds_count{troupe_cause="panic",troupe_close_code="1011",troupe_server="chat"} 1`,
			`troupe_socket_duration_seconds_bucket{troupe_cause="panic",troupe_close_code="1011",troupe_server="chat",le="0.1"} 1`,
			`troupe_socket_duration_seconds_bucket{troupe_cause="panic",troupe_close_code="1011",troupe_server="chat",le="86400"} 1`,
			`troupe_socket_duration_seconds_bucket{troupe_cause="panic",troupe_close_code="1011",troupe_server="chat",le="+Inf"} 1`,
			`troupe_socket_upgrades_total{http_response_status_code="101",troupe_refused="",troupe_server="chat"} 2`,
			`troupe_socket_upgrades_total{http_response_status_code="401",troupe_refused="handler",troupe_server="chat"} 1`,
			`troupe_socket_frames_total{network_io_direction="receive",troupe_frame="text",troupe_server="chat"} 1`,
			`troupe_socket_frames_total{network_io_direction="transmit",troupe_frame="text",troupe_server="chat"} 1`,
			`troupe_socket_frames_total{network_io_direction="transmit",troupe_frame="ping",troupe_server="chat"} 1`,
			`troupe_socket_frames_total{network_io_direction="receive",troupe_frame="pong",troupe_server="chat"} 1`,
			`troupe_socket_frames_total{network_io_direction="transmit",troupe_frame="close",troupe_server="chat"} 1`,
			`troupe_socket_io_bytes_total{network_io_direction="transmit",troupe_server="chat"} 15`,
			`troupe_socket_rtt_seconds_count{troupe_server="chat"} 1`,
			`troupe_socket_mailbox_max{troupe_server="chat"} 0`,
			`troupe_socket_lag_max_seconds{troupe_server="chat"} 0`,
			`troupe_socket_dropped_total{troupe_dropped="ended",troupe_server="chat"} 0`,
			`troupe_socket_dropped_total{troupe_dropped="overflow",troupe_server="chat"} 0`,
			`troupe_socket_left_out_total{troupe_server="chat"} 0`,
			`troupe_process_active 1`,
			`troupe_process_exits_total{troupe_exit_kind="abnormal"} 1`,
			`troupe_process_abandoned_total 0`,
			`troupe_process_stuck 0`,
			`troupe_message_undelivered_total 0`,
			`troupe_registry_names 1`,
			`troupe_registry_groups 1`,
			`troupe_registry_members 1`,
		)
	})
}

// stubborn is a handler whose HandleInfo takes its time.
type stubborn struct{ echo }

func (stubborn) HandleInfo(context.Context, any) websock.Result {
	time.Sleep(time.Minute)
	return websock.OK()
}

// A callback that takes long, and a drain that waits for it, and then no more.
func TestCollector_drain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := sockettest.NewSystem(t)
		srv, err := socket.New(socket.Config{Name: "chat", System: sys, Logger: discard})
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Shutdown(context.Background())
		c := &promsocket.Collector{Servers: []*socket.Server{srv}, System: sys}
		numbers := func(stuck, left, killed int) {
			t.Helper()
			synctest.Wait()
			want(t, scrape(t, c), fmt.Sprintf(`troupe_callback_stuck{troupe_server="chat"} %d`, stuck),
				fmt.Sprintf(`troupe_drain_left{troupe_server="chat"} %d`, left), fmt.Sprintf(`troupe_drain_killed_total{troupe_server="chat"} %d`, killed))
		}
		sockettest.Dial(t, srv.Handler(func(*http.Request) (websock.Handler, error) { return stubborn{}, nil }), nil)
		numbers(0, 0, 0)
		other(srv, actor.PID{}).Send("a job")
		time.Sleep(2 * time.Second)
		numbers(1, 0, 0)
		other(srv, actor.PID{}).Send(websock.Text("left out").Deliver(websock.Delivery{Volatile: true}))
		want(t, scrape(t, c), `troupe_socket_left_out_total{troupe_server="chat"} 1`, `troupe_socket_dropped_total{troupe_dropped="overflow",troupe_server="chat"} 0`)
		drained := make(chan error, 1)
		go func() { drained <- srv.Drain(context.Background(), socket.Drain{Timeout: 10 * time.Second}) }()
		time.Sleep(5 * time.Second)
		numbers(1, 1, 0)
		<-drained
		numbers(0, 0, 1)
		time.Sleep(time.Minute) // what was abandoned returns
	})
}

// What is measured when it is asked for, and else is not there; and what an overload has cost.
func TestCollector_measured(t *testing.T) {
	for _, on := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			sys := sockettest.NewSystem(t)
			srv, err := socket.New(socket.Config{Name: "chat", System: sys, Logger: discard, TimeCallbacks: on, MailboxLimit: 2, SlowCallback: -1})
			if err != nil {
				t.Fatal(err)
			}
			defer srv.Shutdown(context.Background())
			reg := registry.New(sys)
			if on {
				reg.MeasureBroadcasts(func(group string) string { return group[:4] })
			}
			c := &promsocket.Collector{Servers: []*socket.Server{srv}, Registry: reg}
			sockettest.Dial(t, srv.Handler(func(*http.Request) (websock.Handler, error) { return stubborn{}, nil }), nil)
			pid := other(srv, actor.PID{})
			reg.Join("room:1", pid, nil)
			reg.Broadcast("room:1", "a minute's work")
			time.Sleep(2 * time.Minute)
			for range 2 {
				reg.Broadcast("room:1", "a minute's work")
			}
			reg.Broadcast("room:2", "nobody gets it")
			synctest.Wait()
			for range 3 {
				pid.Send("one of them is too many")
			}
			time.Sleep(2 * time.Minute)
			lines := scrape(t, c)
			want(t, lines,
				`troupe_socket_dropped_total{troupe_dropped="overflow",troupe_server="chat"} 4`,
				`troupe_socket_dropped_total{troupe_dropped="ended",troupe_server="chat"} 0`)
			if !on {
				for _, line := range lines {
					if strings.HasPrefix(line, "troupe_callback_duration") || strings.HasPrefix(line, "troupe_broadcast") {
						t.Errorf("not measured, and there is %s", line)
					}
				}
				return
			}
			want(t, lines,
				`troupe_callback_duration_seconds_count{troupe_callback="Init",troupe_server="chat"} 1`,
				`troupe_callback_duration_seconds_bucket{troupe_callback="Init",troupe_server="chat",le="1e-05"} 1`,
				`troupe_callback_duration_seconds_count{troupe_callback="HandleInfo",troupe_server="chat"} 2`,
				`troupe_callback_duration_seconds_bucket{troupe_callback="HandleInfo",troupe_server="chat",le="5"} 0`,
				`troupe_callback_duration_seconds_sum{troupe_callback="HandleInfo",troupe_server="chat"} 120`,
				`troupe_callback_duration_seconds_count{troupe_callback="HandleIn",troupe_server="chat"} 0`,
				`troupe_broadcast_duration_seconds_count{troupe_group="room"} 4`,
				`troupe_broadcast_recipients_bucket{troupe_group="room",le="0"} 1`,
				`troupe_broadcast_recipients_bucket{troupe_group="room",le="1"} 4`,
				`troupe_broadcast_recipients_sum{troupe_group="room"} 3`)
		})
	}
}

// other is a socket of srv that is not pid. A client has its 101 a moment before the server has its socket.
func other(srv *socket.Server, pid actor.PID) actor.PID {
	synctest.Wait()
	for p := range srv.Sockets() {
		if p != pid {
			return p
		}
	}
	return actor.PID{}
}

// failing is a child that fails as often as it is told.
func failing(times int) supervisor.Service {
	return supervisor.ServiceFunc(func(ctx context.Context) error {
		if times > 0 {
			times--
			return io.ErrUnexpectedEOF
		}
		<-ctx.Done()
		return nil
	})
}

func TestCollector_supervisors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree, err := supervisor.New(supervisor.Config{Name: "shop", Logger: discard},
			supervisor.ChildSpec{ID: "queue\xff", Service: failing(2)})
		if err != nil {
			t.Fatal(err)
		}
		games, err := supervisor.NewDynamic(supervisor.DynamicConfig{Name: "shop", Logger: discard, Restart: supervisor.Permanent, MaxRestarts: 1})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error)
		go func() { served <- tree.Serve(ctx) }()
		go func() { served <- games.Serve(ctx) }()
		synctest.Wait()
		games.Start(t.Context(), "42", failing(5))
		synctest.Wait()
		want(t, scrape(t, &promsocket.Collector{Supervisors: []promsocket.Supervisor{tree, games}}),
			"troupe_supervisor_restarts_total{troupe_child=\"queue\uFFFD\",troupe_supervisor=\"shop\"} 2",
			`troupe_supervisor_gave_up_total{troupe_supervisor="shop"} 0`,
			`troupe_supervisor_restarts_total{troupe_child="dynamic",troupe_supervisor="shop-2"} 1`,
			`troupe_supervisor_gave_up_total{troupe_supervisor="shop-2"} 1`,
		)
		cancel()
		<-served
		<-served
	})
}

// Nodes, elements that are nil, and two of one name; what was counted is still there when the other node has gone.
func TestCollector_nodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := clustertest.New(t, clustertest.Config{Nodes: 2, Delay: 10 * time.Millisecond})
		n := nodes.Node(0)
		pid, err := nodes.System(1).Spawn(t.Context(), idle{}, actor.SpawnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if !nodes.At(0, pid).Send("hello") || nodes.At(0, pid).Send(make(chan int)) {
			t.Fatal("a string was not sent, or a channel was")
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		c := &promsocket.Collector{Nodes: []*cluster.Node{nil, n, n, nil}}
		st := n.Stats()
		want(t, scrape(t, c),
			`troupe_node_ready{troupe_node="n0"} 1`,
			`troupe_node_up{troupe_node="n0"} 1`,
			`troupe_node_up{troupe_node="n0-2"} 1`,
			`troupe_node_ups_total{troupe_node="n0"} 1`,
			`troupe_node_downs_total{troupe_down="left",troupe_node="n0"} 0`,
			`troupe_node_downs_total{troupe_down="lost",troupe_node="n0"} 0`,
			`troupe_node_engine_lost_total{troupe_node="n0"} 0`,
			`troupe_link_resets_total{troupe_node="n0"} 0`,
			`troupe_link_records_total{network_io_direction="transmit",troupe_node="n0"} 2`,
			`troupe_link_records_total{network_io_direction="receive",troupe_node="n0"} 1`,
			fmt.Sprintf(`troupe_link_io_bytes_total{network_io_direction="transmit",troupe_node="n0"} %d`, st.BytesOut),
			fmt.Sprintf(`troupe_link_io_bytes_total{network_io_direction="receive",troupe_node="n0"} %d`, st.BytesIn),
			`troupe_link_refused_total{troupe_node="n0"} 0`,
			`troupe_link_resent_total{troupe_node="n0"} 0`,
			`troupe_link_unencodable_total{troupe_node="n0"} 1`,
			`troupe_link_undecodable_total{troupe_node="n0"} 0`,
			`troupe_link_undelivered_total{troupe_node="n0"} 0`,
			fmt.Sprintf(`troupe_link_rtt_max_seconds{troupe_node="n0"} %v`, st.RTTMax.Seconds()),
			`troupe_link_in_use_bytes{troupe_node="n0"} 0`,
			`troupe_link_window_bytes{troupe_node="n0"} 3.3554432e+07`,
		)
		nodes.Kill(1)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		want(t, scrape(t, c),
			`troupe_node_up{troupe_node="n0"} 0`,
			`troupe_node_downs_total{troupe_down="lost",troupe_node="n0"} 1`,
			`troupe_link_records_total{network_io_direction="transmit",troupe_node="n0"} 2`,
			`troupe_link_window_bytes{troupe_node="n0"} 0`,
		)
	})
}

// idle is an actor that takes messages.
type idle struct{}

func (idle) Receive(context.Context, any) error { return nil }

// Two servers of one name do not make a scrape fail.
func TestCollector_sameNames(t *testing.T) {
	var c promsocket.Collector
	for range 3 {
		srv, err := socket.New(socket.Config{Logger: discard})
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Shutdown(context.Background())
		c.Servers = append(c.Servers, srv)
	}
	want(t, scrape(t, &c),
		`troupe_socket_mailbox_max{troupe_server="sockets"} 0`,
		`troupe_socket_mailbox_max{troupe_server="sockets-2"} 0`,
		`troupe_socket_mailbox_max{troupe_server="sockets-3"} 0`)
	if lines := scrape(t, new(promsocket.Collector)); len(lines) > 0 {
		t.Errorf("an empty Collector has %q", lines)
	}
}

// What a program has not switched on is nil, also in the lists.
func TestCollector_nil(t *testing.T) {
	srv, err := socket.New(socket.Config{Logger: discard})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Shutdown(context.Background())
	tree, err := supervisor.New(supervisor.Config{Logger: discard})
	if err != nil {
		t.Fatal(err)
	}
	c := &promsocket.Collector{
		Servers:     []*socket.Server{nil, srv, nil},
		Supervisors: []promsocket.Supervisor{nil, (*supervisor.Supervisor)(nil), (*supervisor.Dynamic)(nil), tree},
	}
	want(t, scrape(t, c),
		`troupe_socket_dropped_total{troupe_dropped="overflow",troupe_server="sockets"} 0`,
		`troupe_socket_left_out_total{troupe_server="sockets"} 0`,
		`troupe_supervisor_gave_up_total{troupe_supervisor="supervisor"} 0`)
}

// TestCollector_listed: the comment of Collector lists each metric, with its kind and its labels, and no other.
func TestCollector_listed(t *testing.T) {
	comment, err := commentOf("Collector")
	if err != nil {
		t.Fatal(err)
	}
	listed := regexp.MustCompile(`(?m)^\ttroupe_\w+`).FindAllString(comment, -1)
	for i := range listed {
		listed[i] = strings.TrimSpace(listed[i])
	}
	descs := make(chan *prometheus.Desc, 100)
	new(promsocket.Collector).Describe(descs)
	close(descs)
	var described []string
	for d := range descs {
		name := regexp.MustCompile(`fqName: "(\w+)"`).FindStringSubmatch(d.String())[1]
		described = append(described, name)
		for _, label := range regexp.MustCompile(`\w+`).FindAllString(regexp.MustCompile(`variableLabels: \{([^}]*)\}`).FindStringSubmatch(d.String())[1], -1) {
			if !strings.Contains(comment, label) {
				t.Errorf("%s has the label %s, which the comment does not name", name, label)
			}
		}
	}
	slices.Sort(listed)
	slices.Sort(described)
	if !slices.Equal(listed, described) {
		t.Errorf("the comment lists\n%q, Describe\n%q", listed, described)
	}
	for file, all := range map[string]bool{"reference/metrics-and-events.md": true, "how-to/watch-a-service.md": false} {
		page, err := os.ReadFile("../../docs/" + file)
		if err != nil {
			t.Fatal(err)
		}
		var named []string
		for _, name := range regexp.MustCompile(`troupe_(socket|callback|drain|process|message|supervisor|registry|broadcast|node|link)_\w+`).FindAllString(string(page), -1) {
			if name = strings.TrimSuffix(name, "_count"); name != "troupe_socket_state" {
				named = append(named, name)
			}
		}
		slices.Sort(named)
		named = slices.Compact(named)
		for _, name := range named {
			if !slices.Contains(described, name) {
				t.Errorf("%s names %s, which is no metric", file, name)
			}
		}
		if all && len(named) != len(described) {
			t.Errorf("%s names\n%q of\n%q", file, named, described)
		}
	}
}

// Each cause, and each reason to refuse a request, is in the comment, whichever are added.
func TestCollector_words(t *testing.T) {
	comment, err := commentOf("Collector")
	if err != nil {
		t.Fatal(err)
	}
	lists := func(word string) bool { return regexp.MustCompile(`\b` + word + `[,;\n]`).MatchString(comment) }
	for c := socket.Cause(0); !strings.HasPrefix(c.String(), "Cause("); c++ {
		if !lists(c.String()) {
			t.Errorf("the comment does not name the cause %s", c)
		}
	}
	for r := socket.RefuseReason(0); !strings.HasPrefix(r.String(), "RefuseReason("); r++ {
		if !lists(r.String()) {
			t.Errorf("the comment does not name %s, for which requests are refused", r)
		}
	}
	srv, err := socket.New(socket.Config{Logger: discard, TimeCallbacks: true})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Shutdown(context.Background())
	for callback := range srv.Stats().Callbacks {
		if !lists(callback) {
			t.Errorf("the comment does not name the callback %s", callback)
		}
	}
}

// The numbers of a program, for Prometheus.
func Example() {
	sys, err := actor.NewSystem(actor.Config{})
	if err != nil {
		panic(err)
	}
	defer sys.Shutdown(context.Background())
	sockets, err := socket.New(socket.Config{Name: "chat", System: sys, Logger: discard})
	if err != nil {
		panic(err)
	}

	metrics := prometheus.NewRegistry() // or prometheus.DefaultRegisterer
	metrics.MustRegister(&promsocket.Collector{Servers: []*socket.Server{sockets}, System: sys})
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "troupe_socket_active") {
			fmt.Print(line)
		}
	}
	// Output:
	// troupe_socket_active{troupe_server="chat",troupe_socket_state="asleep"} 0
	// troupe_socket_active{troupe_server="chat",troupe_socket_state="awake"} 0
}
