package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/supervisor"
)

func TestSupervisor_Children(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sys, err := actor.NewSystem(actor.Config{Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		defer sys.Shutdown(t.Context())
		below, err := supervisor.New(supervisor.Config{Name: "below", Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		a := newService()
		room := supervisor.Actor(sys, newWorker, actor.SpawnOptions{Shutdown: 7 * time.Second})
		r := serve(t, supervisor.Config{Strategy: supervisor.RestForOne},
			spec("below", below, supervisor.Permanent),
			spec("room", room, supervisor.Transient),
			supervisor.ChildSpec{ID: "a", Service: a, Shutdown: supervisor.Infinity})
		if got := r.Strategy(); got != supervisor.RestForOne {
			t.Errorf("Strategy() = %v", got)
		}
		start := time.Now()
		children := func() map[string]supervisor.ChildInfo {
			synctest.Wait()
			m := map[string]supervisor.ChildInfo{}
			for _, c := range r.Children() {
				m[c.ID] = c
			}
			return m
		}
		is := func(when, id string, got supervisor.ChildInfo, want supervisor.ChildInfo) {
			t.Helper()
			want.ID, want.PID, want.State, want.Restarts = id, got.PID, got.State, got.Restarts
			if got.Kind != want.Kind || got.Restart != want.Restart || got.Shutdown != want.Shutdown || !got.Since.Equal(want.Since) ||
				!errors.Is(got.Last, want.Last) || (want.Last == nil) != (got.Last == nil) || !got.LastAt.Equal(want.LastAt) {
				t.Errorf("%s, %s:\ngot  %+v\nwant %+v", when, id, got, want)
			}
		}
		all := children()
		is("at first", "below", all["below"], supervisor.ChildInfo{Kind: supervisor.KindSupervisor, Restart: supervisor.Permanent, Shutdown: supervisor.Infinity, Since: start})
		is("at first", "room", all["room"], supervisor.ChildInfo{Kind: supervisor.KindActor, Restart: supervisor.Transient, Shutdown: 7 * time.Second, Since: start})
		is("at first", "a", all["a"], supervisor.ChildInfo{Kind: supervisor.KindService, Restart: supervisor.Permanent, Shutdown: supervisor.Infinity, Since: start})
		if nested, ok := all["below"].Service.(*supervisor.Supervisor); !ok || nested != below {
			t.Errorf("the Service of a supervisor is %v", all["below"].Service)
		}
		if info, err := actor.Inspect(all["room"].PID); err != nil || info.Actor != "*supervisor_test.worker" {
			t.Errorf("the actor is a %q, %v", info.Actor, err)
		}
		time.Sleep(time.Minute)
		a.end(errCrash)
		all = children()
		is("after a crash", "a", all["a"], supervisor.ChildInfo{Restart: supervisor.Permanent, Shutdown: supervisor.Infinity,
			Since: start.Add(time.Minute), Last: errCrash, LastAt: start.Add(time.Minute)})
		is("after the crash of another", "room", all["room"], supervisor.ChildInfo{Kind: supervisor.KindActor, Restart: supervisor.Transient, Shutdown: 7 * time.Second, Since: start})
		all["room"].PID.Exit(actor.ErrNormal)
		all = children()
		is("when it is done", "room", all["room"], supervisor.ChildInfo{Kind: supervisor.KindActor, Restart: supervisor.Transient, Shutdown: 7 * time.Second,
			Last: exit.ErrNormal, LastAt: start.Add(time.Minute)})
		r.end()
		for _, c := range r.Children() {
			if c.Service == nil || c.Restart == supervisor.Default || c.State != supervisor.StateStopped {
				t.Errorf("when it is not served: %+v", c)
			}
		}
	})
	h, err := supervisor.New(supervisor.Config{Logger: quiet}, spec("http", supervisor.HTTP(&http.Server{}, nil), supervisor.Permanent))
	if err != nil {
		t.Fatal(err)
	}
	if c := h.Children()[0]; c.Kind != supervisor.KindHTTP || c.Kind.String() != "http" {
		t.Errorf("an HTTP server is a %v", c.Kind)
	}
}

func TestDynamic_Children(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sys, err := actor.NewSystem(actor.Config{Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		defer sys.Shutdown(t.Context())
		d, err := supervisor.NewDynamic(supervisor.DynamicConfig{Restart: supervisor.Permanent, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error)
		go func() { served <- d.Serve(ctx) }()
		synctest.Wait()
		a := newService()
		if err := d.Start(t.Context(), "a", a); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Spawn(t.Context(), "room", sys, newWorker, actor.SpawnOptions{Shutdown: time.Second}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		children := func() map[string]supervisor.ChildInfo {
			synctest.Wait()
			m := map[string]supervisor.ChildInfo{}
			for c := range d.Children() {
				m[c.ID] = c
			}
			return m
		}
		all := children()
		if c := all["a"]; c.Service != supervisor.Service(a) || c.Kind != supervisor.KindService || c.Restart != supervisor.Permanent ||
			c.Shutdown != 5*time.Second || !c.Since.Equal(start) || c.Last != nil || !c.LastAt.IsZero() {
			t.Errorf("a service: %+v", c)
		}
		if c := all["room"]; c.Service != nil || c.Kind != supervisor.KindActor || c.Shutdown != time.Second || !c.Since.Equal(start) || c.Last != nil {
			t.Errorf("an actor: %+v", c)
		}
		time.Sleep(time.Minute)
		a.end(errCrash)
		all["room"].PID.Exit(errCrash)
		for id, c := range children() {
			if at := start.Add(time.Minute); !errors.Is(c.Last, errCrash) || !c.LastAt.Equal(at) || !c.Since.Equal(at) || c.Restarts != 1 {
				t.Errorf("%s after a crash: %+v", id, c)
			}
		}
		cancel()
		<-served
	})
}

// An example of a page: the whole tree, whatever is below what.
func ExampleSupervisor_Strategy() {
	games, _ := supervisor.New(supervisor.Config{Name: "games", Logger: quiet}, spec("lobby", newService(), supervisor.Transient))
	shop, _ := supervisor.New(supervisor.Config{Name: "shop", Strategy: supervisor.RestForOne, Logger: quiet},
		spec("queue", newService(), supervisor.Permanent), spec("games", games, supervisor.Permanent))
	printTree(shop, "")
	// Output:
	// shop: rest_for_one
	//   queue: service, permanent, stopped
	//   games: supervisor, permanent, stopped
	//   games: one_for_one
	//     lobby: service, transient, stopped
}

func printTree(s *supervisor.Supervisor, indent string) {
	fmt.Printf("%s%v: %v\n", indent, s, s.Strategy())
	for _, c := range s.Children() {
		fmt.Printf("%s  %s: %v, %v, %v\n", indent, c.ID, c.Kind, c.Restart, c.State)
		if below, ok := c.Service.(*supervisor.Supervisor); ok {
			printTree(below, indent+"  ")
		}
	}
}
