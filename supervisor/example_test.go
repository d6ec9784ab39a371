package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/supervisor"
)

// announce is a service that says when it starts and stops.
func announce(name string) supervisor.Service {
	return supervisor.ServiceFunc(func(ctx context.Context) error {
		fmt.Println("start", name)
		supervisor.Ready(ctx)
		<-ctx.Done()
		fmt.Println("stop", name)
		return nil
	})
}

// until serves s while f runs.
func until(s supervisor.Service, f func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- s.Serve(ctx) }()
	f(ctx)
	cancel()
	if err := <-served; err != nil {
		fmt.Println(err)
	}
}

func ExampleRun() {
	ctx, cancel := context.WithCancel(context.Background()) // in main: context.Background()
	err := supervisor.Run(ctx, supervisor.Config{Name: "shop"},
		supervisor.ChildSpec{ID: "db", Service: announce("db"), StartTimeout: 10 * time.Second},
		supervisor.ChildSpec{ID: "queue", Service: announce("queue"), StartTimeout: time.Second, Shutdown: time.Minute},
		supervisor.ChildSpec{ID: "done", Service: supervisor.ServiceFunc(func(context.Context) error {
			cancel() // as SIGTERM does
			return nil
		}), Restart: supervisor.Temporary},
	)
	fmt.Println("error:", err)
	// Output:
	// start db
	// start queue
	// stop queue
	// stop db
	// error: <nil>
}

// A probe looks at the whole tree, so the tree is made before the handler, and served after it.
func ExampleSupervisor_Run() {
	ctx, cancel := context.WithCancel(context.Background()) // in main: context.Background()
	mux := http.NewServeMux()
	ask := func() {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
		fmt.Print(w.Code, " ", w.Body)
	}
	shop, err := supervisor.New(
		supervisor.Config{Name: "shop", OnEvent: func(e supervisor.Event) {
			if e.Kind == supervisor.EventReady {
				ask()
				cancel() // as SIGTERM does
			}
		}},
		supervisor.ChildSpec{ID: "queue", Service: supervisor.ServiceFunc(func(ctx context.Context) error {
			supervisor.Ready(ctx)
			<-ctx.Done()
			return nil
		}), StartTimeout: time.Second},
	)
	if err != nil {
		panic(err)
	}
	mux.Handle("GET /readyz", supervisor.Probe(shop))
	ask()
	fmt.Println("error:", shop.Run(ctx))
	// Output:
	// 503 supervisor shop: the supervisor is not running
	// 200 ready
	// error: <nil>
}

func ExampleNew() {
	_, err := supervisor.New(supervisor.Config{Name: "main"},
		supervisor.ChildSpec{ID: "a", Service: announce("a")},
		supervisor.ChildSpec{ID: "a", Service: announce("b")},
	)
	fmt.Println(err)
	// Output:
	// supervisor main: child "a": ChildSpec.ID is given twice
}

func ExampleSupervisor_Serve() {
	inner, err := supervisor.New(supervisor.Config{Name: "workers", Strategy: supervisor.OneForAll},
		supervisor.ChildSpec{ID: "w1", Service: announce("w1"), StartTimeout: time.Second},
		supervisor.ChildSpec{ID: "w2", Service: announce("w2"), StartTimeout: time.Second},
	)
	if err != nil {
		panic(err)
	}
	up := make(chan struct{})
	outer, err := supervisor.New(supervisor.Config{Name: "main"},
		supervisor.ChildSpec{ID: "workers", Service: inner}, // trees nest
		supervisor.ChildSpec{ID: "last", Service: supervisor.ServiceFunc(func(ctx context.Context) error {
			close(up)
			<-ctx.Done()
			return nil
		})},
	)
	if err != nil {
		panic(err)
	}
	until(outer, func(context.Context) { <-up })
	// Output:
	// start w1
	// start w2
	// stop w2
	// stop w1
}

func ExampleReady() {
	cache := supervisor.ServiceFunc(func(ctx context.Context) error {
		fmt.Println("the cache is filled")
		supervisor.Ready(ctx)
		<-ctx.Done()
		return nil
	})
	up := make(chan struct{})
	s, err := supervisor.New(supervisor.Config{},
		supervisor.ChildSpec{ID: "cache", Service: cache, StartTimeout: time.Minute},
		supervisor.ChildSpec{ID: "server", Service: supervisor.ServiceFunc(func(ctx context.Context) error {
			fmt.Println("the server starts")
			close(up)
			<-ctx.Done()
			return nil
		})},
	)
	if err != nil {
		panic(err)
	}
	until(s, func(context.Context) { <-up })
	// Output:
	// the cache is filled
	// the server starts
}

func ExampleServiceFunc() {
	var tick supervisor.Service = supervisor.ServiceFunc(func(ctx context.Context) error {
		t := time.NewTicker(time.Millisecond)
		defer t.Stop()
		for n := 1; ; n++ {
			select {
			case <-t.C:
				fmt.Println("tick", n)
				if n == 3 {
					return nil
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	fmt.Println(tick.Serve(context.Background()))
	// Output:
	// tick 1
	// tick 2
	// tick 3
	// <nil>
}

// greeter answers each name with a greeting, and ends at one that is empty.
type greeter struct{}

func (greeter) Receive(ctx context.Context, msg any) error {
	if msg == "" {
		return errors.New("no name")
	}
	actor.Reply(ctx, fmt.Sprintf("hello %v", msg))
	return nil
}

func ExampleActor() {
	sys, err := actor.NewSystem(actor.Config{Logger: quiet})
	if err != nil {
		panic(err)
	}
	defer sys.Shutdown(context.Background())
	restarted := make(chan actor.PID)
	s, err := supervisor.New(supervisor.Config{Logger: quiet, OnEvent: func(e supervisor.Event) {
		if e.Kind == supervisor.EventReady {
			restarted <- e.PID
		}
	}}, supervisor.ChildSpec{ID: "greeter",
		Service: supervisor.Actor(sys, func() actor.Actor { return greeter{} }, actor.SpawnOptions{})})
	if err != nil {
		panic(err)
	}
	until(s, func(ctx context.Context) {
		first := <-restarted
		fmt.Println(actor.Call[string](ctx, first, "ann"))
		first.Send("") // it crashes, and is restarted with a new PID
		second := <-restarted
		fmt.Println(actor.Call[string](ctx, second, "bob"))
		fmt.Println(first.Alive(), s.Children()[0].PID == second)
	})
	// Output:
	// hello ann <nil>
	// hello bob <nil>
	// false true
}

func ExampleHTTP() {
	srv := &http.Server{Addr: "127.0.0.1:0", Handler: http.NotFoundHandler(), ReadHeaderTimeout: 5 * time.Second}
	addr := make(chan net.Addr, 1)
	web := supervisor.HTTP(srv, func(ctx context.Context) (net.Listener, error) { // nil does the same, silently
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", srv.Addr)
		if err == nil {
			addr <- l.Addr()
		}
		return l, err
	})
	s, err := supervisor.New(supervisor.Config{}, supervisor.ChildSpec{ID: "http", Service: web, Shutdown: 30 * time.Second})
	if err != nil {
		panic(err)
	}
	until(s, func(context.Context) {
		resp, err := http.Get("http://" + (<-addr).String())
		if err != nil {
			panic(err)
		}
		resp.Body.Close()
		fmt.Println(resp.Status)
		http.DefaultClient.CloseIdleConnections()
	})
	// Output:
	// 404 Not Found
}

// started is a Supervisor that runs, without children.
func started(f func(ctx context.Context, s *supervisor.Supervisor)) {
	up := make(chan struct{})
	s, err := supervisor.New(supervisor.Config{Name: "main", Logger: quiet}, supervisor.ChildSpec{ID: "first",
		Service: supervisor.ServiceFunc(func(ctx context.Context) error { close(up); <-ctx.Done(); return nil })})
	if err != nil {
		panic(err)
	}
	until(s, func(ctx context.Context) { <-up; f(ctx, s) })
}

func ExampleSupervisor_StartChild() {
	started(func(ctx context.Context, s *supervisor.Supervisor) {
		tenant := supervisor.ChildSpec{ID: "tenant-7", Service: announce("tenant-7"), StartTimeout: time.Second}
		fmt.Println(s.StartChild(ctx, tenant))
		fmt.Println(s.StartChild(ctx, tenant))
	})
	// Output:
	// start tenant-7
	// <nil>
	// supervisor main: child "tenant-7": a child of that ID is present: the child is running
	// stop tenant-7
}

func ExampleSupervisor_TerminateChild() {
	started(func(ctx context.Context, s *supervisor.Supervisor) {
		_ = s.StartChild(ctx, supervisor.ChildSpec{ID: "a", Service: announce("a"), StartTimeout: time.Second})
		fmt.Println(s.TerminateChild(ctx, "a"))
		fmt.Println(s.TerminateChild(ctx, "b"))
	})
	// Output:
	// start a
	// stop a
	// <nil>
	// supervisor main: child "b": no such child
}

func ExampleSupervisor_RestartChild() {
	started(func(ctx context.Context, s *supervisor.Supervisor) {
		_ = s.StartChild(ctx, supervisor.ChildSpec{ID: "a", Service: announce("a"), StartTimeout: time.Second})
		_ = s.TerminateChild(ctx, "a")
		fmt.Println(s.RestartChild(ctx, "a"))
	})
	// Output:
	// start a
	// stop a
	// start a
	// <nil>
	// stop a
}

func ExampleSupervisor_DeleteChild() {
	started(func(ctx context.Context, s *supervisor.Supervisor) {
		_ = s.StartChild(ctx, supervisor.ChildSpec{ID: "a", Service: announce("a"), StartTimeout: time.Second})
		fmt.Println(s.DeleteChild("a"))
		_ = s.TerminateChild(ctx, "a")
		fmt.Println(s.DeleteChild("a"))
	})
	// Output:
	// start a
	// supervisor main: child "a": the child is running
	// stop a
	// <nil>
}

func ExampleSupervisor_Children() {
	started(func(ctx context.Context, s *supervisor.Supervisor) {
		_ = s.StartChild(ctx, supervisor.ChildSpec{ID: "a", Service: announce("a"), StartTimeout: time.Second})
		_ = s.TerminateChild(ctx, "a")
		for _, c := range s.Children() {
			fmt.Println(c.ID, c.State, c.Restarts)
		}
	})
	// Output:
	// start a
	// stop a
	// first running 0
	// a stopped 0
}

func ExampleNewDynamic() {
	sys, err := actor.NewSystem(actor.Config{Logger: quiet})
	if err != nil {
		panic(err)
	}
	rooms, err := supervisor.NewDynamic(supervisor.DynamicConfig{Name: "rooms", MaxChildren: 2})
	if err != nil {
		panic(err)
	}
	up := make(chan struct{})
	s, err := supervisor.New(supervisor.Config{Name: "main"},
		supervisor.ChildSpec{ID: "actors", Service: sys},
		supervisor.ChildSpec{ID: "rooms", Service: rooms},
		supervisor.ChildSpec{ID: "last", Service: supervisor.ServiceFunc(func(ctx context.Context) error { close(up); <-ctx.Done(); return nil })},
	)
	if err != nil {
		panic(err)
	}
	until(s, func(context.Context) {
		<-up
		for range 3 {
			_, err := rooms.Spawn(context.Background(), "", sys, func() actor.Actor { return greeter{} }, actor.SpawnOptions{})
			fmt.Println(rooms.Count(), err)
		}
	})
	// Output:
	// 1 <nil>
	// 2 <nil>
	// 2 supervisor rooms: DynamicConfig.MaxChildren reached
}

// startedDynamic is a Dynamic that runs.
func startedDynamic(f func(ctx context.Context, d *supervisor.Dynamic, sys *actor.System)) {
	sys, err := actor.NewSystem(actor.Config{Logger: quiet})
	if err != nil {
		panic(err)
	}
	defer sys.Shutdown(context.Background())
	d, err := supervisor.NewDynamic(supervisor.DynamicConfig{Name: "rooms", Logger: quiet})
	if err != nil {
		panic(err)
	}
	started(func(ctx context.Context, s *supervisor.Supervisor) {
		if err := s.StartChild(ctx, supervisor.ChildSpec{ID: "rooms", Service: d}); err != nil {
			panic(err)
		}
		f(ctx, d, sys)
	})
}

func ExampleDynamic_Spawn() {
	startedDynamic(func(ctx context.Context, rooms *supervisor.Dynamic, sys *actor.System) {
		pid, err := rooms.Spawn(context.Background(), "", sys, func() actor.Actor { return greeter{} }, actor.SpawnOptions{Label: "lobby"})
		if err != nil {
			panic(err)
		}
		fmt.Println(actor.Call[string](ctx, pid, "ann"))
	})
	// Output:
	// hello ann <nil>
}

func ExampleDynamic_Start() {
	startedDynamic(func(ctx context.Context, d *supervisor.Dynamic, _ *actor.System) {
		game := supervisor.ServiceFunc(func(ctx context.Context) error { <-ctx.Done(); return nil })
		fmt.Println(d.Start(ctx, "game-1", game))
		fmt.Println(d.Start(ctx, "game-1", game))
	})
	// Output:
	// <nil>
	// supervisor rooms: child "game-1": a child of that ID is present
}

func ExampleDynamic_Stop() {
	startedDynamic(func(ctx context.Context, d *supervisor.Dynamic, sys *actor.System) {
		pid, err := d.Spawn(ctx, "", sys, func() actor.Actor { return greeter{} }, actor.SpawnOptions{})
		if err != nil {
			panic(err)
		}
		fmt.Println(d.Stop(ctx, pid.String()), pid.Alive(), d.Count())
	})
	// Output:
	// <nil> false 0
}

func ExampleDynamic_Children() {
	startedDynamic(func(ctx context.Context, d *supervisor.Dynamic, _ *actor.System) {
		_ = d.Start(ctx, "game-1", supervisor.ServiceFunc(func(ctx context.Context) error { <-ctx.Done(); return nil }))
		for c := range d.Children() {
			fmt.Println(c.ID, c.State)
		}
	})
	// Output:
	// game-1 running
}

func ExampleEvent() {
	n := 0
	s, err := supervisor.New(supervisor.Config{Name: "main", MaxRestarts: 1, Logger: quiet, OnEvent: func(e supervisor.Event) {
		fmt.Println(e.Supervisor, e.Child, e.Kind)
	}}, supervisor.ChildSpec{ID: "worker", Service: supervisor.ServiceFunc(func(context.Context) error {
		n++
		return fmt.Errorf("crash %d", n)
	})})
	if err != nil {
		panic(err)
	}
	fmt.Println(s.Serve(context.Background()))
	// Output:
	// main worker started
	// main worker ready
	// main worker exited
	// main worker restarted
	// main worker ready
	// main worker exited
	// main worker gave up
	// main  shutdown
	// supervisor main gave up: restarting "worker" would be more than Config.MaxRestarts 1 within 5s: crash 2
}

func ExampleIntensityError() {
	s, err := supervisor.New(supervisor.Config{MaxRestarts: -1, Logger: quiet}, supervisor.ChildSpec{ID: "worker",
		Service: supervisor.ServiceFunc(func(context.Context) error { return errCrash })})
	if err != nil {
		panic(err)
	}
	err = s.Serve(context.Background())
	var gaveUp *supervisor.IntensityError
	fmt.Println(errors.As(err, &gaveUp), gaveUp.Child, errors.Is(err, errCrash))
	// Output:
	// true worker true
}

// What a supervisor has done since it was made, for a metric or an alert.
func ExampleSupervisor_Stats() {
	failed := false
	tree, err := supervisor.New(supervisor.Config{Name: "shop", Logger: slog.New(slog.DiscardHandler)},
		supervisor.ChildSpec{ID: "queue", Service: supervisor.ServiceFunc(func(ctx context.Context) error {
			if !failed {
				failed = true
				return errors.New("no connection")
			}
			supervisor.Ready(ctx)
			<-ctx.Done()
			return nil
		})},
		supervisor.ChildSpec{ID: "last", Service: supervisor.ServiceFunc(func(ctx context.Context) error { <-ctx.Done(); return nil })})
	if err != nil {
		panic(err)
	}
	until(tree, func(ctx context.Context) {
		for tree.Stats().Restarts["queue"] == 0 {
			time.Sleep(time.Millisecond)
		}
	})
	st := tree.Stats()
	fmt.Println(st.Name, st.Children, st.Restarts["queue"], st.Restarts["last"], st.GaveUp)
	// Output: shop 2 1 0 0
}
