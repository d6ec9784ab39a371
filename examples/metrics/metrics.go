// Package metrics shows the numbers of an example to Prometheus, without its library: the text format is a few lines, and the
// examples are part of the main module, which depends on neither Prometheus nor OpenTelemetry. A program of yours uses
// promsocket or otelsocket, whose metrics these are.
package metrics

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/supervisor"
)

// Sources are what is watched, as in promsocket.Collector. Fields that are nil are left out. Names must differ. The fields must
// not be changed once it runs.
type Sources struct {
	Servers     []*socket.Server
	System      *actor.System
	Supervisors []Supervisor
	Registry    *registry.Registry
	Observer    http.Handler // an observer.Observer, at /observer/
}

// Supervisor is a *supervisor.Supervisor or a *supervisor.Dynamic.
type Supervisor interface{ Stats() supervisor.Stats }

// Listen listens on addr, which must be of this machine alone: the numbers are nobody else's business, and nothing asks who
// wants to know them.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if a, ok := l.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		l.Close()
		return nil, fmt.Errorf("metrics: %s is not a loopback address, such as 127.0.0.1:9100", addr)
	}
	return l, nil
}

// Handler answers GET /metrics, and what is below /observer/, to requests for a loopback host: a page of another site, whose name was made to mean this
// machine (DNS rebinding), gets 403.
func (s *Sources) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		if !loopback(r.Host) {
			http.Error(w, "ask for 127.0.0.1 or localhost", http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.Write(s.text())
	})
	mux.HandleFunc("/observer/", func(w http.ResponseWriter, r *http.Request) {
		if s.Observer == nil {
			http.NotFound(w, r)
			return
		}
		http.StripPrefix("/observer", s.Observer).ServeHTTP(w, r)
	})
	return mux
}

// loopback reports whether a Host field names this machine.
func loopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Child serves Handler at addr, a loopback address, and prints on out where that is. A tree starts it before what serves users:
// so it is stopped after that, and the drain can be watched.
func (s *Sources) Child(program, addr string, out io.Writer) supervisor.ChildSpec {
	server := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	listen := func(ctx context.Context) (net.Listener, error) {
		l, err := Listen(ctx, addr)
		if err == nil {
			fmt.Fprintf(out, "%s: numbers at http://%s/metrics\n", program, l.Addr())
			if s.Observer != nil {
				fmt.Fprintf(out, "%s: observer at http://%s/observer/\n", program, l.Addr())
			}
		}
		return l, err
	}
	return supervisor.ChildSpec{ID: "metrics", Service: supervisor.HTTP(server, listen), Shutdown: 2 * time.Second}
}

// Supervisors are those among children.
func Supervisors(children []supervisor.ChildSpec) (all []Supervisor) {
	for _, c := range children {
		if s, ok := c.Service.(Supervisor); ok {
			all = append(all, s)
		}
	}
	return all
}

func (s *Sources) text() []byte {
	e := newExposition()
	for _, srv := range s.Servers {
		st := srv.Stats()
		e.server(&st)
	}
	if s.System != nil {
		e.system(s.System.Stats())
	}
	for _, sup := range s.Supervisors {
		st := sup.Stats()
		e.supervised(&st)
	}
	if s.Registry != nil {
		st := s.Registry.Stats()
		e.count("troupe_registry_names", int64(st.Names))
		e.count("troupe_registry_groups", int64(st.Groups))
		e.count("troupe_registry_members", int64(st.Members))
		for group, st := range s.Registry.BroadcastStats() {
			e.histogram("troupe_broadcast_duration_seconds", st.Durations.Bounds, st.Durations.Counts, st.Durations.Sum, "troupe_group", group)
			e.histogram("troupe_broadcast_recipients", st.Recipients.Bounds, st.Recipients.Counts, st.Recipients.Sum, "troupe_group", group)
		}
	}
	return e.bytes()
}

func (e *exposition) server(st *socket.Stats) {
	name := st.Name
	e.count("troupe_socket_active", int64(st.Open-st.Asleep), "troupe_server", name, "troupe_socket_state", "awake")
	e.count("troupe_socket_active", int64(st.Asleep), "troupe_server", name, "troupe_socket_state", "asleep")
	for end, h := range st.Lifetimes {
		e.durations("troupe_socket_duration_seconds", &h, "troupe_server", name, "troupe_cause", end.Cause.String(),
			"troupe_close_code", strconv.Itoa(int(end.Code)))
	}
	for cause, n := range st.Closed {
		e.count("troupe_socket_ends_total", int64(n), "troupe_server", name, "troupe_cause", cause.String())
	}
	e.count("troupe_socket_upgrades_total", int64(st.Opened), "troupe_server", name, "http_response_status_code", "101", "troupe_refused", "")
	for r, n := range st.Refused {
		e.count("troupe_socket_upgrades_total", int64(n), "troupe_server", name, "http_response_status_code", strconv.Itoa(r.Status),
			"troupe_refused", r.Reason.String())
	}
	e.direction(name, "receive", &st.Read)
	e.direction(name, "transmit", &st.Written)
	e.durations("troupe_socket_rtt_seconds", &st.RoundTrips, "troupe_server", name)
	e.count("troupe_socket_mailbox_max", int64(st.MailboxMax), "troupe_server", name)
	e.add("troupe_socket_lag_max_seconds", "", st.LagMax.Seconds(), "troupe_server", name)
	e.count("troupe_socket_dropped_total", int64(st.Overflowed), "troupe_server", name, "troupe_dropped", "overflow")
	e.count("troupe_socket_dropped_total", int64(st.Dropped-st.Overflowed), "troupe_server", name, "troupe_dropped", "ended")
	for callback, h := range st.Callbacks {
		e.durations("troupe_callback_duration_seconds", &h, "troupe_server", name, "troupe_callback", callback)
	}
	e.count("troupe_socket_left_out_total", int64(st.LeftOut), "troupe_server", name)
	e.count("troupe_callback_stuck", int64(st.LongCallbacks), "troupe_server", name)
	left := 0
	if st.Draining {
		left = st.Open
	}
	e.count("troupe_drain_left", int64(left), "troupe_server", name)
	e.count("troupe_drain_killed_total", int64(st.DrainKilled), "troupe_server", name)
}

func (e *exposition) direction(name, direction string, c *socket.Counts) {
	bytes := int64(0)
	for _, f := range []struct {
		frame string
		n     socket.FrameCount
	}{
		{"text", c.Text}, {"binary", c.Binary}, {"continuation", c.Continuation}, {"ping", c.Ping}, {"pong", c.Pong}, {"close", c.Close},
	} {
		bytes += f.n.Bytes
		e.count("troupe_socket_frames_total", f.n.Frames, "troupe_server", name, "network_io_direction", direction, "troupe_frame", f.frame)
	}
	e.count("troupe_socket_io_bytes_total", bytes, "troupe_server", name, "network_io_direction", direction)
}

func (e *exposition) system(st actor.Stats) {
	e.count("troupe_process_active", int64(st.Processes))
	for kind, n := range st.Ended {
		e.count("troupe_process_exits_total", int64(n), "troupe_exit_kind", kind.String())
	}
	e.count("troupe_process_abandoned_total", int64(st.Abandoned))
	e.count("troupe_process_stuck", int64(st.Stuck))
	e.count("troupe_message_undelivered_total", int64(st.Undelivered))
}

func (e *exposition) supervised(st *supervisor.Stats) {
	for child, n := range st.Restarts {
		if child == "" {
			child = "dynamic"
		}
		e.count("troupe_supervisor_restarts_total", int64(n), "troupe_supervisor", st.Name, "troupe_child", child)
	}
	e.count("troupe_supervisor_gave_up_total", int64(st.GaveUp), "troupe_supervisor", st.Name)
}
