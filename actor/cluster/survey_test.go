package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/actor/cluster/internal/seednet"
)

func TestSurvey(t *testing.T) {
	boom := errors.New("boom")
	synctest.Test(t, func(t *testing.T) {
		stopped := make(map[int]bool)
		c := clustertest.New(t, clustertest.Config{Seed: 1, Loss: 0.05, Delay: 5 * time.Millisecond, Start: func(i int, n *cluster.Node) {
			cluster.Answer(n, "name", func(_ context.Context, q string) (string, error) { return fmt.Sprint(q, " ", i), nil })
			cluster.Answer(n, "slow", func(ctx context.Context, q any) (int, error) {
				if i == 2 {
					<-ctx.Done()
					stopped[i] = true
				}
				return i, ctx.Err()
			})
			cluster.Answer(n, "faulty", func(context.Context, any) (any, error) {
				switch i {
				case 0:
					panic("boom")
				case 1:
					return nil, boom
				}
				return make(chan int), nil
			})
			if i == 1 {
				cluster.Answer(n, "rare", func(context.Context, any) (any, error) { return nil, nil })
			}
		}})
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		want := func(what string, got map[string]string, missing []string, err error, wantGot map[string]string, wantMissing []string, why ...string) {
			t.Helper()
			slices.Sort(missing)
			if !maps.Equal(got, wantGot) || !slices.Equal(missing, wantMissing) || (err == nil) != (len(wantMissing) == 0) {
				t.Errorf("%s: %v, missing %v, %v; want %v, missing %v", what, got, missing, err, wantGot, wantMissing)
			}
			for _, w := range why {
				if !strings.Contains(fmt.Sprint(err), w) {
					t.Errorf("%s: %v, want an error that says %q", what, err, w)
				}
			}
		}
		text := func(m map[string]int) map[string]string {
			s := make(map[string]string)
			for k, v := range m {
				s[k] = fmt.Sprint(v)
			}
			return s
		}
		got, missing, err := cluster.Survey[string](ctx, c.Node(0), "name", "hello")
		want("all answer", got, missing, err, map[string]string{"n0": "hello 0", "n1": "hello 1", "n2": "hello 2"}, nil)
		numbers, missing, err := cluster.Survey[int](ctx, c.Node(0), "name", "hello")
		want("another type", text(numbers), missing, err, nil, []string{"n0", "n1", "n2"}, "the answer is string, not int")
		got, missing, err = cluster.Survey[string](ctx, c.Node(0), "name", 7)
		want("a question of another type", got, missing, err, nil, []string{"n0", "n1", "n2"}, "the question is int, not string")
		got, missing, err = cluster.Survey[string](ctx, c.Node(0), "name", nil)
		want("a nil question", got, missing, err, map[string]string{"n0": " 0", "n1": " 1", "n2": " 2"}, nil)
		got, missing, err = cluster.Survey[string](ctx, c.Node(0), "name", make(chan string))
		want("a question that cannot cross", got, missing, err, nil, []string{"n0", "n1", "n2"}, "chan string")
		any0, missing, err := cluster.Survey[any](ctx, c.Node(0), "rare", nil)
		if len(any0) != 1 || any0["n1"] != nil || len(missing) != 2 || !errors.Is(err, cluster.ErrNoAnswer) {
			t.Errorf("two nodes do not answer the topic: %v, missing %v, %v; want ErrNoAnswer of two", any0, missing, err)
		}
		_, missing, err = cluster.Survey[any](ctx, c.Node(1), "faulty", nil)
		want("faulty answers", nil, missing, err, nil, []string{"n0", "n1", "n2"}, "panic", "boom", "chan int")

		short, cancelShort := context.WithTimeout(ctx, 10*time.Second)
		defer cancelShort()
		start := time.Now()
		numbers, missing, err = cluster.Survey[int](short, c.Node(0), "slow", nil)
		want("a slow node", text(numbers), missing, err, map[string]string{"n0": "0", "n1": "1"}, []string{"n2"})
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != 10*time.Second {
			t.Errorf("a slow node: %v after %v, want DeadlineExceeded after 10s", err, took)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if !stopped[2] {
			t.Error("the ctx of the slow answer has not ended with the survey")
		}
		lost, cancelLost := context.WithTimeout(context.Background(), time.Minute)
		defer cancelLost()
		go func() { time.Sleep(10 * time.Second); c.Cut(0, 2) }()
		numbers, missing, err = cluster.Survey[int](lost, c.Node(0), "slow", nil)
		want("a node that is lost", text(numbers), missing, err, map[string]string{"n0": "0", "n1": "1"}, []string{"n2"})
		if !errors.Is(err, actor.ErrNodeDown) {
			t.Errorf("a node that is lost: %v, want ErrNodeDown", err)
		}
		got, missing, err = cluster.Survey[string](context.Background(), c.Node(0), "name", "hello")
		want("the others are asked", got, missing, err, map[string]string{"n0": "hello 0", "n1": "hello 1"}, nil)
	})
}

// A node that was killed and is back before its end is known is asked in both of its boots: the answer counts, and not
// that the old one gives none. So it is when another node has this node's name.
func TestSurvey_ofOneName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := network(t, seednet.Config{})
		start := func(name string) *cluster.Node {
			n := newNode(t, name, cluster.Config{Engine: onNet{net: net}, Heartbeat: 10 * time.Second})
			cluster.Answer(n, "who", func(context.Context, any) (string, error) { return name, nil })
			serve(t, n)
			wait(500 * time.Millisecond)
			return n
		}
		n := start("a")
		for _, name := range []string{"b", "a"} {
			old := start(name)
			net.Cut(boot(n.System()), boot(old.System()))
			if name != "a" {
				start(name)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			got, missing, err := cluster.Survey[string](ctx, n, "who", nil)
			cancel()
			if got[name] != name || len(missing) != 0 || err != nil {
				t.Errorf("two boots of %s, one of them lost: %v, missing %v, %v; want its answer", name, got, missing, err)
			}
		}
	})
}

// Without a deadline a survey has that of a Call.
func TestSurvey_callTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, Start: func(_ int, n *cluster.Node) {
			cluster.Answer(n, "never", func(ctx context.Context, _ any) (any, error) { <-ctx.Done(); return nil, ctx.Err() })
		}})
		start := time.Now()
		_, missing, err := cluster.Survey[any](context.Background(), c.Node(0), "never", nil)
		if took := time.Since(start); len(missing) != 2 || !errors.Is(err, context.DeadlineExceeded) || took != 5*time.Second {
			t.Errorf("missing %v, %v after %v; want both after the CallTimeout of 5s", missing, err, took)
		}
	})
}

// However many ask, a node runs 256 answers, and says so.
func TestSurvey_bounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		running, most := 0, 0
		var mu journal[int]
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, Start: func(i int, n *cluster.Node) {
			cluster.Answer(n, "slow", func(ctx context.Context, _ any) (any, error) {
				if i == 0 {
					return nil, nil
				}
				mu.mu.Lock()
				running++
				most = max(most, running)
				mu.mu.Unlock()
				<-ctx.Done()
				mu.mu.Lock()
				running--
				mu.mu.Unlock()
				return nil, ctx.Err()
			})
		}})
		refused := make(chan error, 300)
		for range 300 {
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				_, _, err := cluster.Survey[any](ctx, c.Node(0), "slow", nil)
				refused <- err
			}()
		}
		overload := 0
		for range 300 {
			if err := <-refused; errors.Is(err, actor.ErrOverload) {
				overload++
			}
		}
		synctest.Wait()
		if most != 256 || overload != 44 || running != 0 {
			t.Errorf("%d ran at the same time, %d were refused, %d still run; want 256, 44 and 0", most, overload, running)
		}
	})
}

func TestAnswer_mistakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 1})
		n := c.Node(0)
		f := func(context.Context, any) (any, error) { return nil, nil }
		cluster.Answer(n, "topic", f)
		long := strings.Repeat("x", 256)
		for what, f := range map[string]func(){
			"a second Answer":           func() { cluster.Answer(n, "topic", f) },
			"Answer of no topic":        func() { cluster.Answer(n, "", f) },
			"Answer of a long topic":    func() { cluster.Answer(n, long, f) },
			"Answer without a function": func() { cluster.Answer[any, any](n, "other", nil) },
			"Survey of no topic":        func() { cluster.Survey[any](context.Background(), n, "", nil) },
			"Survey of a long topic":    func() { cluster.Survey[any](context.Background(), n, long, nil) },
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s: no panic", what)
					}
				}()
				f()
			}()
		}
	})
}

// Each node says how much it has.
func ExampleSurvey() {
	ask := func(ctx context.Context, node *cluster.Node, sockets func() int) {
		cluster.Answer(node, "sockets", func(context.Context, any) (int, error) { return sockets(), nil }) // on every node
		counts, missing, err := cluster.Survey[int](ctx, node, "sockets", nil)
		for name, n := range counts {
			fmt.Println(name, n)
		}
		if err != nil {
			fmt.Println("not heard of", missing, err)
		}
	}
	_ = ask
}
