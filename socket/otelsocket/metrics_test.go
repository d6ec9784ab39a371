package otelsocket_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/otelsocket"
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

// world has something of each number.
type world struct {
	servers     []*socket.Server
	sys         *actor.System
	supervisors []*supervisor.Supervisor
	reg         *registry.Registry
	nodes       []*cluster.Node
}

// idle is an actor that takes messages.
type idle struct{}

func (idle) Receive(context.Context, any) error { return nil }

// blocked does not return from HandleInfo.
type blocked struct {
	echo
	release chan struct{}
}

func (b blocked) HandleInfo(context.Context, any) websock.Result {
	<-b.release
	return websock.OK()
}

// inWorld runs f in a bubble, in which nothing moves meanwhile: a socket that sleeps and has answered a ping, one that has
// panicked, a request that was refused, three servers of one name, a socket that a drain has killed in the second, one that a drain
// waits for in the third, three broadcasts, a child that was restarted, a node that reaches one other and has lost another.
func inWorld(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{sys: sockettest.NewSystem(t)}
		for range 3 {
			srv, err := socket.New(socket.Config{Name: "chat\xff", System: w.sys, Logger: discard, PingInterval: 20 * time.Second, HibernateAfter: 10 * time.Second, TimeCallbacks: true})
			if err != nil {
				t.Fatal(err)
			}
			defer srv.Shutdown(context.Background())
			w.servers = append(w.servers, srv)
		}
		w.reg = registry.New(w.sys)
		w.reg.MeasureBroadcasts(func(group string) string { return strings.TrimPrefix(group, "nobody") })
		h := w.servers[0].Handler(func(r *http.Request) (websock.Handler, error) {
			if r.URL.Path == "/no" {
				return nil, &socket.UpgradeError{Status: 401}
			}
			return echo{}, nil
		})
		a, _ := sockettest.Dial(t, h, httptest.NewRequest("GET", "/", nil))
		a.Send(websock.Text("hello"))
		a.Want(websock.Text("hello"))
		b, _ := sockettest.Dial(t, h, httptest.NewRequest("GET", "/", nil))
		b.Send(websock.Binary([]byte{1, 2, 3}))
		b.Want(websock.Binary([]byte{1, 2, 3}))
		if refused, _ := sockettest.Dial(t, h, httptest.NewRequest("GET", "/no", nil)); refused != nil {
			t.Fatal("it was not refused")
		}
		synctest.Wait() // a client has its 101 a moment before the server has its socket
		for pid, info := range w.servers[0].Sockets() {
			w.reg.Join("room", pid, nil)
			if info.Read.Binary.Frames > 0 {
				pid.Send("panic")
			}
		}
		member, err := w.sys.Spawn(t.Context(), idle{}, actor.SpawnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		w.reg.Join("idle", member, nil)
		for _, group := range []string{"idle", "nobody", "nobody\xff"} { // of which the second is without a label
			w.reg.Broadcast(group, "x")
		}
		b.WantClose(1011, "")

		release, drained := make(chan struct{}), make(chan struct{}, 2)
		ctx, cancel := context.WithCancel(t.Context())
		for i, d := range []socket.Drain{{Timeout: 5 * time.Second}, {Delay: time.Hour}} {
			srv := w.servers[1+i]
			sockettest.Dial(t, srv.Handler(func(*http.Request) (websock.Handler, error) { return blocked{release: release}, nil }), nil)
			synctest.Wait()
			for pid := range srv.Sockets() {
				pid.Send("block")
				synctest.Wait()
				pid.Send(websock.Text("left out").Deliver(websock.Delivery{Volatile: true}))
			}
			synctest.Wait()
			go func() {
				srv.Drain(ctx, d)
				drained <- struct{}{}
			}()
		}
		defer func() {
			close(release)
			cancel()
			<-drained
			<-drained
		}()
		tree, err := supervisor.New(supervisor.Config{Name: "shop", Logger: discard},
			supervisor.ChildSpec{ID: "queue", Service: failing(2)})
		if err != nil {
			t.Fatal(err)
		}
		w.supervisors = append(w.supervisors, tree)
		serving, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- tree.Serve(serving) }()
		defer func() {
			stop()
			<-served
		}()
		nodes := clustertest.New(t, clustertest.Config{Delay: 10 * time.Millisecond})
		w.nodes = []*cluster.Node{nil, nodes.Node(0), nodes.Node(1), nodes.Node(0)}
		pid, err := nodes.System(1).Spawn(t.Context(), idle{}, actor.SpawnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		nodes.At(0, pid).Send("hello")
		nodes.At(0, pid).Send(make(chan int))
		nodes.Kill(2)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		nodes.Freeze(1)
		nodes.At(0, pid).Send("on its way")
		f(t, w)
	})
}

// failing is a child that fails so often.
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

func (w *world) metrics() *otelsocket.Metrics {
	m := &otelsocket.Metrics{Servers: w.servers, System: w.sys, Registry: w.reg, Nodes: w.nodes}
	for _, s := range w.supervisors {
		m.Supervisors = append(m.Supervisors, s)
	}
	return m
}

func (w *world) collector() *promsocket.Collector {
	c := &promsocket.Collector{Servers: w.servers, System: w.sys, Registry: w.reg, Nodes: w.nodes}
	for _, s := range w.supervisors {
		c.Supervisors = append(c.Supervisors, s)
	}
	return c
}

// series are the lines of a scrape, each with kind, labels, value and help, sorted. A label that is empty is none for Prometheus.
func series(t *testing.T, reg *prometheus.Registry) (all []string) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				if l.GetValue() != "" {
					labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
				}
			}
			slices.Sort(labels)
			all = append(all, fmt.Sprintf("%v %s{%s} %s # %s", f.GetType(), f.GetName(), strings.Join(labels, ","), value(m), f.GetHelp()))
		}
	}
	slices.Sort(all)
	return all
}

func value(m *dto.Metric) string {
	h := m.GetHistogram()
	if h == nil {
		return fmt.Sprint(m.GetGauge().GetValue() + m.GetCounter().GetValue()) // it has one of them
	}
	text := fmt.Sprintf("count %d sum %v", h.GetSampleCount(), h.GetSampleSum())
	for _, b := range h.GetBucket() {
		if n := fmt.Sprint(b.GetUpperBound()); n != "+Inf" { // which is the count, and may be left out
			text += fmt.Sprintf(" le %s %d", n, b.GetCumulativeCount())
		}
	}
	return text
}

// What OpenTelemetry's exporter for Prometheus makes of Metrics is what promsocket gives, name by name and value by value.
func TestMetrics_agreeWithPromsocket(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		want := prometheus.NewPedanticRegistry()
		if err := want.Register(w.collector()); err != nil {
			t.Fatal(err)
		}
		m := w.metrics()
		got := prometheus.NewRegistry()
		exporter, err := otelprom.New(otelprom.WithRegisterer(got), otelprom.WithoutScopeInfo(), otelprom.WithoutTargetInfo(), otelprom.WithProducer(m))
		if err != nil {
			t.Fatal(err)
		}
		mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter))
		defer mp.Shutdown(context.Background())
		stop, err := m.Register(mp)
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		ours, theirs := series(t, got), series(t, want)
		for _, s := range theirs {
			if !slices.Contains(ours, s) {
				t.Errorf("promsocket has, and otelsocket has not: %s", s)
			}
		}
		for _, s := range ours {
			if !slices.Contains(theirs, s) {
				t.Errorf("otelsocket has, and promsocket has not: %s", s)
			}
		}
		if len(theirs) < 90 {
			t.Errorf("there are only %d series: %q", len(theirs), theirs)
		}
	})
}

// collect is one collection, by name.
func collect(t *testing.T, reader sdkmetric.Reader) map[string]metricdata.Metrics {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	all := map[string]metricdata.Metrics{}
	for _, s := range rm.ScopeMetrics {
		for _, m := range s.Metrics {
			if _, ok := all[m.Name]; ok {
				t.Errorf("%s is there twice", m.Name)
			}
			all[m.Name] = m
		}
	}
	return all
}

// TestMetrics_listed: names, units and kinds as the comment of Metrics lists them, and no others.
func TestMetrics_listed(t *testing.T) {
	comment, err := commentOf("Metrics")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for line := range strings.Lines(comment) {
		if f := strings.Fields(line); strings.HasPrefix(line, "\ttroupe.") {
			listed = append(listed, strings.Join(f[:3], " "))
		}
	}
	inWorld(t, func(t *testing.T, w *world) {
		m := w.metrics()
		reader := sdkmetric.NewManualReader(sdkmetric.WithProducer(m))
		stop, err := m.Register(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		var got []string
		for name, m := range collect(t, reader) {
			got = append(got, name+" "+kind(m.Data)+" "+m.Unit)
			if m.Description == "" {
				t.Errorf("%s has no description", name)
			}
		}
		slices.Sort(got)
		slices.Sort(listed)
		if !slices.Equal(got, listed) {
			t.Errorf("the comment lists\n%q, a collection has\n%q", listed, got)
		}
	})
}

// Each cause, and each reason to refuse a request, is in the comment, whichever are added.
func TestMetrics_words(t *testing.T) {
	comment, err := commentOf("Metrics")
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

func kind(a metricdata.Aggregation) string {
	switch a := a.(type) {
	case metricdata.Sum[int64]:
		if a.IsMonotonic {
			return "counter"
		}
		return "updowncounter"
	case metricdata.Gauge[int64], metricdata.Gauge[float64]:
		return "gauge"
	case metricdata.Histogram[float64]:
		return "histogram"
	}
	return fmt.Sprintf("%T", a)
}

// A collection after stop has none of the instruments; the Producer works alone, too.
func TestMetrics_stop(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		m := w.metrics()
		reader := sdkmetric.NewManualReader(sdkmetric.WithProducer(m))
		stop, err := m.Register(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
		if err != nil {
			t.Fatal(err)
		}
		if n := len(collect(t, reader)); n != 43 {
			t.Errorf("a collection has %d metrics, want 43", n)
		}
		for range 2 {
			if err := stop(); err != nil {
				t.Errorf("stop: %v", err)
			}
		}
		got := collect(t, reader)
		if len(got) != 5 {
			t.Errorf("after stop a collection has %v, want the five histograms", got)
		}
		h, _ := got["troupe.socket.rtt"].Data.(metricdata.Histogram[float64])
		if len(h.DataPoints) != 3 || h.DataPoints[0].Count != 1 || h.Temporality != metricdata.CumulativeTemporality {
			t.Errorf("round trips are %+v; want one, of the first of three servers, cumulative", h)
		}
	})
}

// produce is a Producer.
type produce func()

func (p produce) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	p()
	return nil, nil
}

// total is the sum over all series of a counter, or how many values a histogram has.
func total(m metricdata.Metrics) (n uint64) {
	switch a := m.Data.(type) {
	case metricdata.Sum[int64]:
		for _, p := range a.DataPoints {
			n += uint64(p.Value)
		}
	case metricdata.Histogram[float64]:
		for _, p := range a.DataPoints {
			n += p.Count
		}
	}
	return n
}

// The servers are looked at once for a collection: what ends while it runs is in none of its numbers, and in all of the next.
func TestMetrics_oneMoment(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		m := w.metrics()
		reader := sdkmetric.NewManualReader(sdkmetric.WithProducer(produce(func() {
			for pid := range w.servers[0].Sockets() {
				pid.Exit(actor.ErrKilled)
			}
			synctest.Wait()
		})), sdkmetric.WithProducer(m))
		stop, err := m.Register(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []uint64{2, 3} {
			got := collect(t, reader)
			if ends, durations := total(got["troupe.socket.ends"]), total(got["troupe.socket.duration"]); ends != want || durations != want {
				t.Errorf("a collection has %d ends and %d durations, want %d of each", ends, durations, want)
			}
		}
		// What an observation has left is not kept for later.
		alone := sdkmetric.NewManualReader()
		again, err := m.Register(sdkmetric.NewMeterProvider(sdkmetric.WithReader(alone)))
		if err != nil {
			t.Fatal(err)
		}
		collect(t, alone)
		for range 2 {
			if err := errors.Join(again(), stop()); err != nil {
				t.Error(err)
			}
		}
		c, _ := sockettest.Dial(t, w.servers[0].Handler(func(*http.Request) (websock.Handler, error) { return echo{}, nil }), nil)
		c.Close(1000, "")
		synctest.Wait()
		if n := total(collect(t, reader)["troupe.socket.duration"]); n != 4 {
			t.Errorf("the Producer alone has %d durations, want 4", n)
		}
	})
}

// What a program has not switched on is nil, also in the lists.
func TestMetrics_nil(t *testing.T) {
	srv, err := socket.New(socket.Config{Logger: discard})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Shutdown(context.Background())
	tree, err := supervisor.New(supervisor.Config{Logger: discard})
	if err != nil {
		t.Fatal(err)
	}
	m := &otelsocket.Metrics{
		Servers:     []*socket.Server{nil, srv, nil},
		Supervisors: []otelsocket.Supervisor{nil, (*supervisor.Supervisor)(nil), (*supervisor.Dynamic)(nil), tree},
	}
	reader := sdkmetric.NewManualReader(sdkmetric.WithProducer(m))
	stop, err := m.Register(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	got := collect(t, reader)
	for name, want := range map[string]int{"troupe.socket.ends": len(srv.Stats().Closed), "troupe.supervisor.gave_up": 1, "troupe.process.exits": 0} {
		sum, _ := got[name].Data.(metricdata.Sum[int64])
		if n := len(sum.DataPoints); n != want {
			t.Errorf("%s has %d series, want %d", name, n, want)
		}
	}
}

// A MeterProvider that does nothing is no reason to fail.
func TestMetrics_noop(t *testing.T) {
	stop, err := new(otelsocket.Metrics).Register(noop.NewMeterProvider())
	if err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if all, err := new(otelsocket.Metrics).Produce(t.Context()); all != nil || err != nil {
		t.Errorf("empty Metrics have %v, %v", all, err)
	}
}
