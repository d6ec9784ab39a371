package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/supervisor"
)

// node is what the model knows of a child: OTP's rules in their plainest form, one thing after the other.
type node struct {
	id      string
	restart supervisor.Restart
	parent  *node
	up      bool
	spec    supervisor.ChildSpec

	leaf *leaf // or a supervisor with these:

	strategy supervisor.Strategy
	max      int
	within   time.Duration
	specs    []*node // those of New
	children []*node // those that are known now
	restarts []time.Time
	sup      *supervisor.Supervisor
}

// leaf is the real thing at the end of a branch, which counts its lives that run. A service among them keeps something
// when it is stopped with ErrRestarting, until it is served again or told that it is not.
type leaf struct {
	live   atomic.Int32
	kept   atomic.Int32
	misled atomic.Int32 // told that it does not come back, and has kept nothing
	end    func(exit.Kind)
}

type leafService struct {
	*leaf
	serve func(ctx context.Context) error
}

func (l leafService) Serve(ctx context.Context) error {
	l.kept.Store(0)
	l.live.Add(1)
	defer func() {
		if errors.Is(context.Cause(ctx), supervisor.ErrRestarting) {
			l.kept.Store(1)
		}
		l.live.Add(-1)
	}()
	return l.serve(ctx)
}

func (l leafService) Shutdown(context.Context) error {
	if l.kept.Swap(0) == 0 {
		l.misled.Add(1)
	}
	return nil
}

func (n *node) start() {
	n.up = true
	n.restarts = nil
	n.children = slices.Clone(n.specs)
	for _, c := range n.children {
		c.start()
	}
}

func (n *node) stop() {
	n.up = false
	for _, c := range n.children {
		c.stop()
	}
}

func (n *node) forget(c *node) {
	n.children = slices.DeleteFunc(n.children, func(other *node) bool { return other == c })
}

// ended is what n does when its child c has ended by itself.
func (n *node) ended(c *node, kind exit.Kind) {
	c.stop()
	switch {
	case c.restart == supervisor.Temporary:
		n.forget(c)
		return
	case c.restart == supervisor.Transient && kind != exit.Abnormal:
		return
	}
	now := time.Now()
	n.restarts = append(slices.DeleteFunc(n.restarts, func(t time.Time) bool { return now.Sub(t) > n.within }), now)
	if len(n.restarts) > n.max {
		if n.stop(); n.parent != nil {
			n.parent.ended(n, exit.Abnormal)
		}
		return
	}
	var group []*node
	switch i := slices.Index(n.children, c); n.strategy {
	case supervisor.OneForOne:
		group = []*node{c}
	case supervisor.OneForAll:
		group = slices.Clone(n.children)
	case supervisor.RestForOne:
		group = slices.Clone(n.children[i:])
	}
	for _, m := range group {
		m.stop()
		if m.restart == supervisor.Temporary {
			n.forget(m)
			continue
		}
		m.start()
	}
}

// walk yields n and what is known below it.
func (n *node) walk(f func(*node)) {
	f(n)
	for _, c := range n.children {
		c.walk(f)
	}
}

// world is a random tree, the real one and the model.
type world struct {
	*rand.Rand
	t      *testing.T
	sys    *actor.System
	root   *node
	nodes  int
	leaves map[string]*node // ever made
	log    []string
}

func (w *world) newID(what string) string {
	w.nodes++
	return what + strconv.Itoa(w.nodes)
}

func (w *world) anyRestart() supervisor.Restart {
	return supervisor.Restart(1 + w.IntN(3))
}

func (w *world) newSpec(n *node, s supervisor.Service) *node {
	n.spec = supervisor.ChildSpec{ID: n.id, Service: s, Restart: n.restart}
	return n
}

func (w *world) newLeaf() *node {
	l := &leaf{}
	n := &node{id: w.newID("leaf"), restart: w.anyRestart(), leaf: l}
	w.leaves[n.id] = n
	reasons := map[exit.Kind]error{exit.Normal: actor.ErrNormal, exit.Shutdown: actor.ErrShutdown, exit.Abnormal: errCrash}
	var pid atomic.Pointer[actor.PID]
	if w.IntN(3) == 0 {
		l.end = func(kind exit.Kind) { pid.Load().Send(reasons[kind]) }
		return w.newSpec(n, supervisor.Actor(w.sys, func() actor.Actor {
			return &worker{
				init: func(ctx context.Context) error {
					self := actor.Self(ctx)
					pid.Store(&self)
					l.live.Add(1)
					return nil
				},
				terminate: func(context.Context, error) { l.live.Add(-1) },
			}
		}, actor.SpawnOptions{}))
	}
	s := newService()
	how := w.IntN(3)
	l.end = func(kind exit.Kind) {
		s.orders <- func() error {
			if kind == exit.Abnormal && how == 0 {
				panic("crash")
			}
			return reasons[kind]
		}
	}
	s.stop = func(context.Context) error {
		switch how {
		case 0:
			panic("while it stops")
		case 1:
			time.Sleep(time.Millisecond)
		}
		return errCrash
	}
	w.newSpec(n, leafService{l, func(ctx context.Context) error {
		if how == 2 {
			time.Sleep(time.Millisecond)
			supervisor.Ready(ctx)
		}
		return s.Serve(ctx)
	}})
	if how == 2 {
		n.spec.StartTimeout = time.Second
	}
	return n
}

func (w *world) newSup(depth int) *node {
	n := &node{
		id: w.newID("sup"), restart: w.anyRestart(), strategy: supervisor.Strategy(w.IntN(3)),
		max: 1 + w.IntN(4), within: time.Duration(w.IntN(60))*time.Second + time.Second/2, // between the steps, which are whole seconds apart
	}
	cfg := supervisor.Config{Name: n.id, Strategy: n.strategy, MaxRestarts: n.max, Within: n.within, Logger: quiet}
	var specs []supervisor.ChildSpec
	for range w.IntN(5) {
		c := (*node)(nil)
		if depth > 0 && w.IntN(3) == 0 {
			c = w.newSup(depth - 1)
		} else {
			c = w.newLeaf()
		}
		c.parent = n
		n.specs = append(n.specs, c)
		specs = append(specs, c.spec)
	}
	var err error
	if n.sup, err = supervisor.New(cfg, specs...); err != nil {
		w.t.Fatal(err)
	}
	return w.newSpec(n, n.sup)
}

// pick is one of the known nodes of a kind, or nil.
func (w *world) pick(ok func(*node) bool) *node {
	var all []*node
	w.root.walk(func(n *node) {
		if ok(n) {
			all = append(all, n)
		}
	})
	if len(all) == 0 {
		return nil
	}
	return all[w.IntN(len(all))]
}

func isSup(n *node) bool { return n.sup != nil && n.up }

// step does something to the tree and to the model.
func (w *world) step() {
	ctx := context.Background()
	if w.IntN(2) == 0 {
		n := w.pick(func(n *node) bool { return n.leaf != nil && n.up })
		if n == nil {
			return
		}
		kind := exit.Kind(w.IntN(3))
		w.note("%s ends, %v", n.id, kind)
		n.leaf.end(kind)
		n.parent.ended(n, kind)
		return
	}
	sup := w.pick(isSup)
	var c *node
	if len(sup.children) > 0 {
		c = sup.children[w.IntN(len(sup.children))]
	}
	var got, want error
	switch command := w.IntN(4); {
	case command == 0 && len(w.leaves) < 100:
		c = w.newLeaf()
		c.parent = sup
		w.note("StartChild %s %s %v", sup.id, c.id, c.restart)
		got = sup.sup.StartChild(ctx, c.spec)
		sup.children = append(sup.children, c)
		c.start()
	case c == nil:
		w.note("TerminateChild of nobody")
		got, want = sup.sup.TerminateChild(ctx, "nobody"), supervisor.ErrNotFound
	case command == 1:
		w.note("TerminateChild %s %s", sup.id, c.id)
		got = sup.sup.TerminateChild(ctx, c.id)
		if c.stop(); c.restart == supervisor.Temporary {
			sup.forget(c)
		}
	case command == 2:
		w.note("RestartChild %s %s", sup.id, c.id)
		got = sup.sup.RestartChild(ctx, c.id)
		if c.up {
			want = supervisor.ErrRunning
		} else {
			c.start()
		}
	default:
		w.note("DeleteChild %s %s", sup.id, c.id)
		got = sup.sup.DeleteChild(c.id)
		if c.up {
			want = supervisor.ErrRunning
		} else {
			sup.forget(c)
		}
	}
	if !errors.Is(got, want) || want == nil && got != nil {
		w.t.Errorf("got error %v, want %v", got, want)
	}
}

func (w *world) note(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf("%v ", time.Now().Format("05.000"))+fmt.Sprintf(format, args...))
}

// check compares the live leaves and the lists of children with the model.
func (w *world) check() {
	want := make(map[string]bool)
	w.root.walk(func(n *node) {
		want[n.id] = n.up
		if !isSup(n) {
			return
		}
		var got, wanted []string
		for _, c := range n.sup.Children() {
			got = append(got, c.ID+":"+c.State.String())
		}
		for _, c := range n.children {
			wanted = append(wanted, c.id+":"+map[bool]string{true: "running", false: "stopped"}[c.up])
		}
		if !slices.Equal(got, wanted) {
			w.t.Errorf("children of %s:\n got %v\nwant %v", n.id, got, wanted)
		}
	})
	for id, n := range w.leaves {
		wanted := int32(0)
		if want[id] {
			wanted = 1
		}
		if live := n.leaf.live.Load(); live != wanted {
			w.t.Errorf("%s runs %d times, want %d", id, live, wanted)
		}
		if kept, misled := n.leaf.kept.Load(), n.leaf.misled.Load(); kept+misled != 0 {
			w.t.Errorf("%s was stopped with ErrRestarting and is neither served nor shut down: %d; shut down without that: %d", id, kept, misled)
		}
	}
}

// Random trees, random ends and random commands: what lives afterwards is what the rules say. TROUPE_SEED repeats a run.
func TestSupervisor_randomTrees(t *testing.T) {
	runs := 100
	if os.Getenv("TROUPE_STRESS") != "" {
		runs = 300
	}
	base := rand.Uint64()
	if s := os.Getenv("TROUPE_SEED"); s != "" {
		var err error
		if base, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
		runs = 1
	}
	for i := range runs {
		seed := base + uint64(i)
		bubble(t, func(t *testing.T) {
			w := &world{Rand: rand.New(rand.NewPCG(seed, 0)), t: t, sys: newSystem(t), leaves: make(map[string]*node)}
			w.root = w.newSup(3)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			served := make(chan error, 1)
			go func() { served <- w.root.sup.Serve(ctx) }()
			settle := func() {
				time.Sleep(time.Duration(1+w.IntN(10)) * time.Second)
				synctest.Wait()
			}
			w.root.start()
			settle()
			for range 60 {
				if w.check(); t.Failed() || !w.root.up {
					break
				}
				w.step()
				settle()
			}
			select {
			case err := <-served:
				var gaveUp *supervisor.IntensityError
				if w.root.up || !errors.As(err, &gaveUp) {
					t.Errorf("Serve returned %v, and the root is to be up: %v", err, w.root.up)
				}
			default:
				if !w.root.up {
					t.Error("Serve has not returned, and the root has given up")
				}
				cancel()
				if err := <-served; err != nil {
					t.Errorf("Serve returned %v, want nil", err)
				}
			}
			w.root.stop()
			w.check()
			if t.Failed() {
				t.Fatalf("TROUPE_SEED=%d; what was done:\n%s", seed, strings.Join(w.log, "\n"))
			}
		})
		if t.Failed() {
			return
		}
	}
}
