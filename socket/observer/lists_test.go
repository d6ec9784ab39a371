package observer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/observer"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// TestSockets: each order, what is found, how many.
func TestSockets(t *testing.T) {
	bubble(t, "lists", func(t *testing.T) {
		r := newRig(t, nil)
		pids := make(map[string]actor.PID)
		for i, user := range []string{"ann", "bob", "eve"} {
			c, pid := r.dial("room "+user, "user="+user)
			pids[user] = pid
			c.Send(websock.Text(strings.Repeat("x", []int{10, 1000, 100}[i])))
			c.Next()
			time.Sleep(time.Minute / 10) // of the fake clock: they have ages
		}
		for query, want := range map[string][]string{
			"sort=age":                          {"ann", "bob", "eve"},
			"sort=age&order=asc":                {"eve", "bob", "ann"},
			"sort=bytes":                        {"bob", "eve", "ann"},
			"sort=read":                         {"bob", "eve", "ann"},
			"sort=written&limit=1":              {"bob"},
			"sort=idle":                         {"ann", "bob", "eve"},
			"":                                  {"ann", "bob", "eve"}, // by lag: none has any, so the oldest first
			"limit=0":                           nil,
			"q=BOB":                             {"bob"},
			"q=room":                            {"ann", "bob", "eve"},
			"q=pipe:":                           {"ann", "bob", "eve"},
			"q=nobody":                          nil,
			"q=" + pids["eve"].String():         {"eve"},
			"server=chat&sort=age":              {"ann", "bob", "eve"},
			"q=room+ann&server=chat&sort=rtt":   {"ann"},
			"sort=mailbox&order=asc&limit=1000": {"eve", "bob", "ann"},
		} {
			v := r.get("sockets?" + query)
			if got := v.column("subject"); !slices.Equal(got, want) {
				t.Errorf("sockets?%s: got %q, want %q", query, got, want)
			}
			if v.num("of") != 3 || v.num("looked") != 3 || v.yes("sampled") {
				t.Errorf("sockets?%s: got of %v, looked %v, sampled %v; want 3, 3, false", query, v["of"], v["looked"], v["sampled"])
			}
		}
		for query, code := range map[string]string{
			"sort=color": "bad_request", "order=up": "bad_request", "limit=1001": "bad_request", "limit=-1": "bad_request", "limit=x": "bad_request",
			"q=" + strings.Repeat("q", 257): "bad_request", "server=other": "not_found",
		} {
			resp := r.ask("GET", "/api/v1/sockets?"+query, "", nil)
			r.wantError(resp.StatusCode, code, resp)
			if resp.StatusCode < 400 || resp.StatusCode > 404 {
				t.Errorf("sockets?%s: got %d", query, resp.StatusCode)
			}
		}
		row := r.get("sockets?q=ann").list("rows")[0]
		if row.str("pid") != pids["ann"].String() || row.str("server") != "chat" || row.str("label") != "room ann" ||
			row.in("read").num("bytes") != 10 || row.in("written").num("frames") != 1 || row.str("address") == "" {
			t.Errorf("row of ann: got %v", row)
		}
	})
}

// TestSockets_lag: the socket that misbehaves comes first, and says how far it is behind.
func TestSockets_lag(t *testing.T) {
	bubble(t, "stuck", func(t *testing.T) {
		r := newRig(t, nil)
		r.dial("well", "user=well")
		_, pid := r.dial("stuck", "user=stuck")
		r.dial("well too", "user=well")
		release := make(chan struct{})
		pid.Send(func(context.Context) websock.Result { <-release; return websock.OK() })
		synctest.Wait()
		for range 5 {
			pid.Send("more")
		}
		pid.Send(websock.Text("left out").Deliver(websock.Delivery{Volatile: true}))
		time.Sleep(3 * time.Second)
		v := r.get("sockets?limit=1")
		row := v.list("rows")[0]
		if row.str("subject") != "stuck" || row.in("lag").num("messages") != 5 || row.in("lag").num("left_out") != 1 || row.in("lag").num("age_ms") < 3000 || row.num("mailbox") != 5 {
			t.Errorf("first row: got %v, want the stuck socket with 5 messages, the oldest 3 s old, and one that was left out", row)
		}
		p := r.get("process/" + pid.String())
		if p.num("for_ms") != 3000 || !strings.Contains(p.str("handling"), "func") || p.in("socket").str("label") != "stuck" {
			t.Errorf("process: got for_ms %v, handling %v, socket %v", p["for_ms"], p["handling"], p["socket"])
		}
		running := r.get("processes?sort=running&kind=socket&limit=1").list("rows")[0]
		if running.str("pid") != pid.String() || running.str("server") != "chat" {
			t.Errorf("processes by running: got %v, want the stuck socket", running)
		}
		o := r.get("overview").list("servers")[0]
		if o.num("mailbox_max") != 5 || o.num("left_out") != 1 || o.num("dropped") != 0 || o.num("lag_max_ms") < 3000 || o.num("open") != 3 || o.num("long_callbacks") != 1 || o.yes("draining") {
			t.Errorf("overview: got %v", o)
		}
		close(release)
	})
}

// TestSample: a sweep that is too dear stops, and says so.
func TestSample(t *testing.T) {
	bubble(t, "by number", func(t *testing.T) {
		r := newRig(t, nil)
		r.obs.SetBudget(4, time.Minute, 0, 256)
		for i := range 6 {
			r.dial(fmt.Sprintf("s%d", i), "")
			r.reg.Join(fmt.Sprintf("g%d", i), r.spawn(fmt.Sprintf("p%d", i)), nil)
		}
		for _, tt := range []struct {
			path string
			of   float64
		}{{"sockets", 6}, {"processes?kind=all", 12}, {"groups", 6}} {
			v := r.get(tt.path)
			if !v.yes("sampled") || v.num("of") != tt.of || v.num("looked") != 4 || v.num("matched") != 4 || len(v.list("rows")) != 4 {
				t.Errorf("%s: got sampled %v, of %v, looked %v, matched %v, %d rows; want true, %v, 4, 4, 4", tt.path, v["sampled"], v["of"],
					v["looked"], v["matched"], len(v.list("rows")), tt.of)
			}
		}
		r.obs.SetBudget(6, time.Minute, 0, 256)
		if v := r.get("sockets"); v.yes("sampled") {
			t.Errorf("6 of 6 sockets: got sampled, want not")
		}
	})
	bubble(t, "by time", func(t *testing.T) {
		r := newRig(t, nil)
		for i := range 600 {
			r.reg.Join(fmt.Sprintf("g%d", i), r.spawn(""), nil)
		}
		r.obs.SetBudget(1000, -1, 0, 256)
		for _, path := range []string{"groups", "processes"} {
			if v := r.get(path); !v.yes("sampled") || v.num("looked") != 255 || v.num("of") != 600 {
				t.Errorf("%s: got sampled %v, looked %v, of %v; want true, 255, 600", path, v["sampled"], v["looked"], v["of"])
			}
		}
	})
	bubble(t, "every server is in it", func(t *testing.T) {
		sys, err := actor.NewSystem(actor.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer sys.Shutdown(context.Background())
		other, err := socket.New(socket.Config{Name: "chat", System: sys})
		if err != nil {
			t.Fatal(err)
		}
		defer other.Shutdown(context.Background())
		r := newRig(t, func(cfg *observer.Config, _ *socket.Config) { cfg.Servers = []*socket.Server{other} })
		r.obs.SetBudget(4, time.Minute, 0, 256)
		for range 10 {
			r.dial("one", "")
		}
		first := r.srv
		r.srv = other
		r.dial("two", "")
		r.srv = first
		synctest.Wait() // the labels are set
		labels := r.get("sockets").column("label")
		if !slices.Contains(labels, "two") || !slices.Contains(labels, "one") {
			t.Errorf("labels: got %q, want sockets of both servers", labels)
		}
		if got := r.get("sockets?server=chat-2").column("label"); !slices.Equal(got, []string{"two"}) {
			t.Errorf("sockets of chat-2: got %q, want two", got)
		}
	})
}

// spawn makes a process.
func (r *rig) spawn(label string) actor.PID {
	r.t.Helper()
	pid, err := r.sys.Spawn(context.Background(), plain{}, actor.SpawnOptions{Label: label})
	if err != nil {
		r.t.Fatal(err)
	}
	return pid
}

// plain is an actor that ends with an error that is sent to it, and carries out a func.
type plain struct{}

func (plain) Receive(ctx context.Context, msg any) error {
	switch msg := msg.(type) {
	case error:
		return msg
	case func(context.Context):
		msg(ctx)
	}
	return nil
}

func TestRegistry(t *testing.T) {
	bubble(t, "lists", func(t *testing.T) {
		r := newRig(t, nil)
		ann, bob := r.spawn("ann"), r.spawn("bob")
		room := "room/1?x=ä&y"
		must(t, r.reg.Register("user:ann", ann, map[string]int{"age": 7}))
		r.reg.Join(room, ann, 1)
		r.reg.Join(room, bob, "two")
		r.reg.Join("small", bob, nil)
		r.reg.Track("lobby", ann, "ann", map[string]string{"device": "phone"})
		r.reg.Track("lobby", bob, "ann", "laptop")
		if v := r.get("groups"); !slices.Equal(v.column("name"), []string{room, "small"}) || v.list("rows")[0].num("members") != 2 {
			t.Errorf("groups: got %v", v)
		}
		if v := r.get("groups?sort=name&order=desc"); !slices.Equal(v.column("name"), []string{"small", room}) {
			t.Errorf("groups by name, descending: got %v", v.column("name"))
		}
		if v := r.get("names?q=ANN"); !slices.Equal(v.column("pid"), []string{ann.String()}) || v.list("rows")[0].str("node") != "local" {
			t.Errorf("names: got %v", v)
		}
		if v := r.get("presence"); !slices.Equal(v.column("name"), []string{"lobby"}) || v.list("rows")[0].num("keys") != 1 {
			t.Errorf("presence: got %v", v)
		}
		v := r.get("group?name=room%2F1%3Fx%3D%C3%A4%26y")
		if v.num("of") != 2 || len(v.list("rows")) != 2 {
			t.Errorf("group: got %v, want two members", v)
		}
		for _, row := range v.list("rows") {
			want := map[string]any{"ann": 1.0, "bob": "two"}[row.str("label")]
			if got := row.in("meta")["json"]; got != want {
				t.Errorf("meta of %s: got %v, want %v", row.str("label"), got, want)
			}
		}
		topic := r.get("topic?name=lobby").list("rows")
		if len(topic) != 1 || topic[0].str("key") != "ann" || len(topic[0].list("metas")) != 2 {
			t.Errorf("topic: got %v, want ann with two metas", topic)
		}
		r.wantError(404, "not_found", r.ask("GET", "/api/v1/group?name=nobody", "", nil))
		r.wantError(404, "not_found", r.ask("GET", "/api/v1/topic?name=nobody", "", nil))
		p := r.get("process/" + ann.String())
		kinds := []string{}
		for _, reg := range p.list("registrations") {
			kinds = append(kinds, reg.str("kind")+" "+reg.str("name")+" "+reg.str("key"))
		}
		slices.Sort(kinds)
		if want := []string{"member " + room + " ", "name user:ann ", "presence lobby ann"}; !slices.Equal(kinds, want) {
			t.Errorf("registrations of ann: got %q, want %q", kinds, want)
		}
		if v := r.get("overview").in("registry"); v.num("names") != 1 || v.num("groups") != 2 || v.num("members") != 3 || v.num("present") != 1 {
			t.Errorf("overview: got %v", v)
		}
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestExits(t *testing.T) {
	bubble(t, "lists", func(t *testing.T) {
		r := newRig(t, nil)
		c, gone := r.dial("leaves", "user=ann")
		c.Close(4001, "bye")
		c.WantClose(4001, "")
		time.Sleep(time.Second)
		_, bad := r.dial("panics", "user=bob")
		bad.Send(func(context.Context) websock.Result { panic("boom") })
		time.Sleep(time.Second)
		worker := r.spawn("worker")
		worker.Send(errors.New("no disk"))
		time.Sleep(time.Second)
		v := r.get("exits")
		if got, want := v.column("cause"), []string{"error", "panic", "remote"}; !slices.Equal(got, want) {
			t.Errorf("causes, the newest first: got %q, want %q", got, want)
		}
		rows := v.list("rows")
		if rows[0].str("reason") != "no disk" || rows[0].str("actor") != "observer_test.plain" || rows[0].str("kind") != "abnormal" {
			t.Errorf("worker: got %v", rows[0])
		}
		if rows[1].str("subject") != "bob" || !strings.Contains(rows[1].str("reason"), "boom") || rows[1].in("sent").num("code") != 1011 {
			t.Errorf("bob: got %v", rows[1])
		}
		if rows[2].in("received").num("code") != 4001 || rows[2].in("received").str("reason") != "bye" || rows[2].str("server") != "chat" {
			t.Errorf("ann: got %v", rows[2])
		}
		if got := r.get("exits?cause=panic").column("pid"); !slices.Equal(got, []string{bad.String()}) {
			t.Errorf("exits?cause=panic: got %q", got)
		}
		if got := r.get("exits?q=disk").column("pid"); !slices.Equal(got, []string{worker.String()}) {
			t.Errorf("exits?q=disk: got %q", got)
		}
		for _, pid := range []actor.PID{gone, bad, worker} {
			p := r.get("process/" + pid.String())
			if p["alive"] != false || p.in("exit").str("pid") != pid.String() {
				t.Errorf("process that has ended: got %v", p)
			}
		}
		r.wantError(404, "gone", r.ask("GET", "/api/v1/process/99999.0123456789abcdef@local", "", nil))
		r.wantError(404, "elsewhere", r.ask("GET", "/api/v1/process/1.0123456789abcdef@other", "", nil))
		r.wantError(400, "bad_request", r.ask("GET", "/api/v1/process/x", "", nil))
		escaped := strings.NewReplacer("@", "%40", ".", "%2E").Replace(bad.String())
		r.want(200, r.ask("GET", "/api/v1/process/"+escaped, "", nil))
	})
}

func TestTree(t *testing.T) {
	bubble(t, "tree", func(t *testing.T) {
		var dyn *supervisor.Dynamic
		var root *supervisor.Supervisor
		var sys *actor.System
		r := newRig(t, func(cfg *observer.Config, _ *socket.Config) {
			var err error
			sys = cfg.System
			dyn, err = supervisor.NewDynamic(supervisor.DynamicConfig{Name: "rooms"})
			must(t, err)
			below, err := supervisor.New(supervisor.Config{Name: "workers", Strategy: supervisor.OneForAll}, supervisor.ChildSpec{
				ID: "counter", Service: supervisor.Actor(sys, func() actor.Actor { return plain{} }, actor.SpawnOptions{Label: "counts"}),
			})
			must(t, err)
			root, err = supervisor.New(supervisor.Config{Name: "service"},
				supervisor.ChildSpec{ID: "workers", Service: below}, supervisor.ChildSpec{ID: "rooms", Service: dyn},
				supervisor.ChildSpec{ID: "other", Service: supervisor.ServiceFunc(func(ctx context.Context) error { <-ctx.Done(); return nil })})
			must(t, err)
			cfg.Supervisors = []supervisor.Service{root}
		})
		ctx, stop := context.WithCancel(context.Background())
		served := make(chan error, 1)
		go func() { served <- root.Serve(ctx) }()
		synctest.Wait()
		for i := range 250 {
			_, err := dyn.Spawn(ctx, fmt.Sprintf("room %d", i), sys, func() actor.Actor { return plain{} }, actor.SpawnOptions{})
			must(t, err)
		}
		counter := func() object { return r.get("tree").list("roots")[0].list("children")[0].list("children")[0] }
		pid, err := sys.ParsePID(counter().str("pid"))
		must(t, err)
		pid.Send(func(ctx context.Context) {
			if _, err := actor.Spawn(ctx, plain{}, actor.SpawnOptions{Label: "helper"}); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		v := r.get("tree")
		top := v.list("roots")[0]
		if top.str("kind") != "supervisor" || top.str("name") != "service" || top.str("strategy") != "one_for_one" || len(top.list("children")) != 3 {
			t.Errorf("root: got kind %v, name %v, strategy %v, %d children", top["kind"], top["name"], top["strategy"], len(top.list("children")))
		}
		workers, rooms, other := top.list("children")[0], top.list("children")[1], top.list("children")[2]
		if workers.str("strategy") != "one_for_all" || workers.str("id") != "workers" || workers.str("state") != "running" {
			t.Errorf("workers: got %v", workers)
		}
		if rooms.str("kind") != "dynamic" || len(rooms.list("children")) != 200 || rooms.num("more") != 50 {
			t.Errorf("rooms: got kind %v, %d children, more %v; want dynamic, 200, 50", rooms["kind"], len(rooms.list("children")), rooms["more"])
		}
		if other.str("kind") != "service" || other.str("type") != "supervisor.ServiceFunc" {
			t.Errorf("other: got kind %v, type %v", other["kind"], other["type"])
		}
		c := counter()
		if c.str("kind") != "actor" || c.str("type") != "observer_test.plain" || c.str("label") != "counts" || c.str("restart") != "permanent" ||
			len(c.list("children")) != 1 || c.list("children")[0].str("label") != "helper" || c.list("children")[0].str("kind") != "process" {
			t.Errorf("counter: got %v", c)
		}
		pid.Send(errors.New("no disk"))
		time.Sleep(time.Second)
		c = counter()
		if c.num("restarts") != 1 || c.str("last") != "no disk" || c.str("last_kind") != "abnormal" || c.str("pid") == pid.String() {
			t.Errorf("counter after a crash: got %v", c)
		}
		for _, s := range r.get("overview").list("supervisors") {
			if want := map[string]float64{"workers": 1}[s.str("name")]; s.num("restarts") != want {
				t.Errorf("restarts of %s: got %v, want %v", s.str("name"), s["restarts"], want)
			}
		}
		r.obs.SetBudget(10, time.Minute, 0, 256)
		if v := r.get("tree"); !v.yes("cut") || v.num("nodes") != 10 {
			t.Errorf("tree with a budget of 10: got cut %v, nodes %v", v["cut"], v["nodes"])
		}
		stop()
		must(t, <-served)
	})
}

// TestServers_ofTwoSystems: what is listed can be opened, tapped and kicked, whatever System its Server has.
func TestServers_ofTwoSystems(t *testing.T) {
	bubble(t, "two", func(t *testing.T) {
		other, err := socket.New(socket.Config{Name: "other", Logger: slog.New(slog.DiscardHandler)}) // with a System of its own
		must(t, err)
		t.Cleanup(func() {
			if err := other.Shutdown(context.Background()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		})
		r := newRig(t, func(cfg *observer.Config, s *socket.Config) {
			mayAct(cfg, s)
			cfg.Servers = []*socket.Server{other}
		})
		first := r.srv
		r.srv = other
		c, pid := r.dial("far", "")
		r.srv = first
		synctest.Wait() // the label is set
		path := "process/" + pid.String()
		if v := r.get("sockets").list("rows"); len(v) != 1 || v[0].str("pid") != pid.String() {
			t.Fatalf("sockets: got %v, want the one of the other Server", v)
		}
		if v := r.get(path); !v.yes("alive") || v.str("label") != "far" || v.in("socket").str("server") != "other" {
			t.Errorf("%s: got %v, want a living socket of the other Server", path, v)
		}
		page := r.mustLive()
		say(page, map[string]string{"op": "tap", "pid": pid.String()})
		if v := nextOf(t, page, "tapped"); v.str("pid") != pid.String() {
			t.Errorf("tap: got %v", v)
		}
		r.post(path+"/send", `{"text":"hello"}`)
		c.Want(websock.Text("hello"))
		r.post(path+"/kick", `{"code":4003}`)
		c.WantClose(4003, "")
		synctest.Wait()
		if v := r.get(path); v.yes("alive") || v.in("exit").str("server") != "other" {
			t.Errorf("%s after its end: got %v, want its exit", path, v)
		}
		r.wantError(404, "gone", r.ask("GET", "/api/v1/process/1.0123456789abcdef@local", "", nil))
	})
}
