package browser

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/observer"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// program is what is looked at. Its sockets are in memory, and real otherwise; the page comes over loopback, since a browser
// knows no other way.
type program struct {
	t      *testing.T
	sys    *actor.System
	chat   *socket.Server
	feed   *socket.Server
	reg    *registry.Registry
	rooms  *supervisor.Dynamic
	obs    *observer.Observer
	url    string
	access atomic.Uint32 // observer.Access
	down   atomic.Bool   // nothing is answered
	logs   *slog.Logger

	mu   sync.Mutex
	pids map[string]actor.PID // of sockets, by label
}

// guest is the handler of a socket: it answers with what it gets, and says what it knows.
type guest struct {
	p     *program
	label string
	known chan struct{} // closed when p knows its PID

	seen seen
}

// seen is what a guest knows.
type seen struct {
	Said int    `json:"said"`
	Last string `json:"last"`
}

func (g *guest) Init(ctx context.Context) websock.Result {
	actor.SetLabel(ctx, g.label)
	g.p.mu.Lock()
	g.p.pids[g.label] = actor.Self(ctx)
	g.p.mu.Unlock()
	close(g.known)
	room := fmt.Sprintf("room:%d", len(g.label)%7)
	if err := g.p.reg.Join(room, actor.Self(ctx), map[string]string{"as": "guest"}); err != nil {
		return websock.Stop(err)
	}
	if err := g.p.reg.Track("lobby", actor.Self(ctx), g.label, nil); err != nil {
		return websock.Stop(err)
	}
	return websock.OK()
}

func (g *guest) HandleIn(_ context.Context, msg websock.Message) websock.Result {
	g.seen.Said++
	g.seen.Last = string(msg.Data[:min(len(msg.Data), 200)])
	return websock.Push(msg)
}

func (g *guest) HandleInfo(_ context.Context, msg any) websock.Result {
	switch msg := msg.(type) {
	case websock.Message:
		return websock.Push(msg)
	case error:
		return websock.Stop(msg)
	}
	return websock.OK()
}

func (g *guest) Describe() any { return g.seen }

// room is a process that counts what it gets.
type room struct{ n int }

func (r *room) Receive(_ context.Context, msg any) error {
	r.n++
	if err, ok := msg.(error); ok {
		return err
	}
	return nil
}

// start makes the program, with a tree of about 200 nodes. It ends with the test.
func start(t *testing.T) *program {
	t.Helper()
	return startOn(t, nil, nil)
}

// startOn makes the program on a node of a cluster, which ends its System.
func startOn(t *testing.T, sys *actor.System, node *cluster.Node) *program {
	t.Helper()
	p := &program{t: t, sys: sys, logs: slog.New(slog.DiscardHandler), pids: make(map[string]actor.PID)}
	var err error
	must := func() {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	if p.sys == nil {
		p.sys, err = actor.NewSystem(actor.Config{Logger: p.logs})
		must()
	}
	p.reg = registry.New(p.sys)
	p.chat, err = socket.New(socket.Config{Name: "chat", System: p.sys, Logger: p.logs, MaxSockets: 20_000, Subject: subject, TapPayload: true, Record: 1, WriteTimeout: 5 * time.Minute})
	must()
	p.feed, err = socket.New(socket.Config{Name: "feed", System: p.sys, Logger: p.logs, Subject: subject})
	must()
	p.rooms, err = supervisor.NewDynamic(supervisor.DynamicConfig{Name: "rooms", Restart: supervisor.Permanent, Logger: p.logs})
	must()
	tree := p.tree()
	p.obs = observer.Handler(observer.Config{
		Servers: []*socket.Server{p.chat, p.feed}, System: p.sys, Registry: p.reg, Supervisors: []supervisor.Service{tree}, Node: node, Logger: p.logs,
		Authorize: func(*http.Request) (observer.Access, string) { return observer.Access(p.access.Load()), "ann" },
		Drain:     socket.Drain{Over: 12 * time.Second},
	})
	p.access.Store(uint32(observer.View))
	mux := http.NewServeMux()
	mux.Handle("/observer/", http.StripPrefix("/observer", p.obs))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.down.Load() {
			panic(http.ErrAbortHandler) // the connection is closed without an answer
		}
		mux.ServeHTTP(w, r)
	}))
	p.url = srv.URL + "/observer/"
	stop := sockettest.Run(t, tree)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		err := p.obs.Shutdown(ctx)
		srv.CloseClientConnections()
		srv.Close()
		for _, end := range []func(context.Context) error{p.feed.Shutdown, p.chat.Shutdown} {
			err = errors.Join(err, end(ctx))
		}
		err = errors.Join(err, stop())
		if node == nil {
			err = errors.Join(err, p.sys.Shutdown(ctx))
		}
		if err != nil {
			t.Errorf("end of the program: %v", err)
		}
	})
	for i := range 30 {
		_, err = p.rooms.Spawn(t.Context(), fmt.Sprintf("room-%02d", i), p.sys, func() actor.Actor { return &room{} }, actor.SpawnOptions{})
		must()
	}
	for i := range 30 {
		pid, ok := p.rooms.Whereis(fmt.Sprintf("room-%02d", i))
		if !ok {
			t.Fatalf("room %d is not there", i)
		}
		err = p.reg.Register(fmt.Sprintf("room:%d", i), pid, nil)
		must()
	}
	return p
}

func subject(r *http.Request) string { return r.URL.Query().Get("user") }

// tree is shards of workers, the rooms, and the servers.
func (p *program) tree() *supervisor.Supervisor {
	p.t.Helper()
	var shards []supervisor.ChildSpec
	for i := range 12 {
		var workers []supervisor.ChildSpec
		for j := range 14 {
			workers = append(workers, supervisor.ChildSpec{ID: fmt.Sprintf("worker-%02d", j),
				Service: supervisor.Actor(p.sys, func() actor.Actor { return &room{} }, actor.SpawnOptions{Label: fmt.Sprintf("worker-%d-%02d", i, j)})})
		}
		shards = append(shards, supervisor.ChildSpec{ID: fmt.Sprintf("shard-%d", i), Service: p.supervisor(supervisor.Config{Name: fmt.Sprintf("shard-%d", i)}, workers...)})
	}
	return p.supervisor(supervisor.Config{Name: "service", Strategy: supervisor.RestForOne},
		supervisor.ChildSpec{ID: "rooms", Service: p.rooms},
		supervisor.ChildSpec{ID: "shards", Service: p.supervisor(supervisor.Config{Name: "shards"}, shards...)},
		supervisor.ChildSpec{ID: "sockets", Service: p.chat},
		supervisor.ChildSpec{ID: "feed", Service: p.feed},
	)
}

func (p *program) supervisor(cfg supervisor.Config, children ...supervisor.ChildSpec) *supervisor.Supervisor {
	p.t.Helper()
	cfg.Logger = p.logs
	s, err := supervisor.New(cfg, children...)
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// dial makes a socket of a server.
func (p *program) dial(s *socket.Server, label, user string) *sockettest.Conn {
	p.t.Helper()
	r := httptest.NewRequest("GET", "/ws", nil)
	r.URL.RawQuery = "user=" + user
	g := &guest{p: p, label: label, known: make(chan struct{})}
	c, resp := sockettest.Dial(p.t, s.Handler(func(*http.Request) (websock.Handler, error) { return g, nil }), r)
	if c == nil {
		p.t.Fatalf("the upgrade was refused: %s", resp.Status)
	}
	<-g.known
	return c
}

// pid is that of the socket with a label.
func (p *program) pid(label string) actor.PID {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	pid, ok := p.pids[label]
	if !ok {
		p.t.Fatalf("there is no socket %.100q", label)
	}
	return pid
}
