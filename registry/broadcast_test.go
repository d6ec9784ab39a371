package registry_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/websock"
)

func TestBroadcast(t *testing.T) {
	for _, n := range sizes {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reg, sys := newRegistry(t)
				ms, outside := spawnMany(t, sys, n), spawn(t, sys)
				for i, m := range ms {
					reg.Join("g", m.pid, i)
				}
				if got := reg.Broadcast("g", "all"); got != n {
					t.Errorf("Broadcast = %d, want %d", got, n)
				}
				if got := reg.BroadcastFrom("g", outside.pid, "from outside"); got != n {
					t.Errorf("BroadcastFrom a process that is no member = %d, want %d", got, n)
				}
				even := func(pid actor.PID, meta any) bool { return meta.(int)%2 == 0 && pid == ms[meta.(int)].pid }
				if got := reg.BroadcastWhere("g", even, "even"); got != (n+1)/2 {
					t.Errorf("BroadcastWhere = %d, want %d", got, (n+1)/2)
				}
				if n > 0 {
					if got := reg.BroadcastFrom("g", ms[n-1].pid, "others"); got != n-1 {
						t.Errorf("BroadcastFrom a member = %d, want %d", got, n-1)
					}
				}
				synctest.Wait()
				for i, m := range ms {
					want := []any{"all", "from outside"}
					if i%2 == 0 {
						want = append(want, "even")
					}
					if i != n-1 {
						want = append(want, "others")
					}
					wantGot(t, m, want...)
				}
				wantGot(t, outside)
			})
		})
	}
}

// A full mailbox and a dead process do not count, and do not hold anything up.
func TestBroadcast_counts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg, sys := newRegistry(t)
		ok := spawn(t, sys)
		full := spawnWith(t, sys, &member{}, actor.SpawnOptions{MailboxLimit: 2})
		overloaded := spawnWith(t, sys, &member{}, actor.SpawnOptions{MailboxLimit: 2, Overflow: actor.OverflowExit})
		for _, m := range []*member{ok, full, overloaded} {
			reg.Join("g", m.pid, nil)
		}
		release, release2 := block(t, full.pid), block(t, overloaded.pid)
		for i, want := range []int{3, 3, 1, 1} {
			if got := reg.Broadcast("g", i); got != want {
				t.Errorf("Broadcast %d = %d, want %d", i, got, want)
			}
		}
		release()
		release2()
		synctest.Wait()
		wantGot(t, ok, 0, 1, 2, 3)
		wantGot(t, full, 0, 1)
		wantGot(t, overloaded)
		wantMembers(t, reg, "g", map[actor.PID]any{ok.pid: nil, full.pid: nil})
		if got := reg.Broadcast("g", 4); got != 2 {
			t.Errorf("Broadcast = %d after one was overloaded, want 2", got)
		}
	})
}

// Handlers do not run on the publisher's goroutine, and what one goroutine broadcasts and sends keeps its order.
func TestBroadcast_order(t *testing.T) {
	for _, n := range []int{1, 100} {
		synctest.Test(t, func(t *testing.T) {
			reg, sys := newRegistry(t)
			ms := spawnMany(t, sys, n)
			for _, m := range ms {
				reg.Join("g", m.pid, nil)
				reg.Join("h", m.pid, nil)
			}
			var want []any
			for i := range 50 {
				reg.Broadcast("g", 2*i)
				if i%2 == 0 {
					reg.Broadcast("h", 2*i+1)
				} else {
					for _, m := range ms {
						m.pid.Send(2*i + 1)
					}
				}
				want = append(want, 2*i, 2*i+1)
			}
			synctest.Wait()
			for _, m := range ms {
				wantGot(t, m, want...)
			}
		})
	}
}

// match may use the registry, also for the group that is broadcast to.
func TestBroadcastWhere_usesTheRegistry(t *testing.T) {
	for _, n := range sizes[1:] {
		reg, sys := newRegistry(t)
		for _, m := range spawnMany(t, sys, n) {
			reg.Join("g", m.pid, nil)
		}
		got := reg.BroadcastWhere("g", func(pid actor.PID, _ any) bool {
			reg.Leave("g", pid)
			reg.Join("h", pid, nil)
			return reg.Broadcast("h", "x") > 0
		}, "y")
		if got != n || reg.Count("g") != 0 || reg.Count("h") != n {
			t.Errorf("%d members: BroadcastWhere = %d, %d and %d members remain", n, got, reg.Count("g"), reg.Count("h"))
		}
	}
}

// logFunc is a slog.Handler that runs for each line.
type logFunc func(slog.Record)

func (f logFunc) Enabled(context.Context, slog.Level) bool      { return true }
func (f logFunc) Handle(_ context.Context, r slog.Record) error { f(r); return nil }
func (f logFunc) WithAttrs([]slog.Attr) slog.Handler            { return f }
func (f logFunc) WithGroup(string) slog.Handler                 { return f }

// A message that is refused is a log line, and whoever writes that may use the registry, whatever goroutine it runs on.
func TestSend_underNoLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log func()
		sys := newSystem(t, slog.New(logFunc(func(slog.Record) {
			if log != nil {
				log()
			}
		})))
		reg := registry.New(sys)
		full := spawnWith(t, sys, &member{}, actor.SpawnOptions{MailboxLimit: 1})
		defer block(t, full.pid)()
		full.pid.Send("full")
		ms := spawnMany(t, sys, 100)
		reg.Join("g", full.pid, nil)
		reg.Watch("g", full.pid)
		var lines, used atomic.Int64
		log = func() {
			if lines.Add(1) > 1 { // its own use of the registry is logged, too
				return
			}
			for i, m := range ms {
				reg.Leave("g", m.pid)
				reg.Join("g", m.pid, i)
				reg.Track("g", m.pid, "k", i)
				reg.Watch("g", m.pid)
				reg.Broadcast("g", i)
				reg.Replace("x", m.pid, i)
			}
			used.Add(1)
		}
		for i, step := range []struct {
			what string
			do   func()
		}{
			{"Broadcast to a small group", func() { reg.Broadcast("g", "x") }},
			{"Broadcast to a large group", func() { reg.Broadcast("g", "x") }},
			{"BroadcastWhere", func() { reg.BroadcastWhere("g", func(actor.PID, any) bool { return true }, "x") }},
		} {
			lines.Store(0)
			step.do()
			synctest.Wait()
			if used.Load() != int64(i+1) {
				t.Errorf("%s: the log line of a message that was refused has not come back from the registry", step.what)
			}
		}
	})
}

func TestBroadcast_prepares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg, sys := newRegistry(t)
		ms := spawnMany(t, sys, 100)
		for _, m := range ms {
			reg.Join("g", m.pid, nil)
		}
		prepared := websock.Prepare(websock.Text("prepared"))
		reg.Broadcast("g", websock.Text("plain"))
		reg.Broadcast("g", prepared)
		topicOf[websock.Message](t, reg, "g").Publish(websock.Text("typed"))
		synctest.Wait()
		encoded := map[string]int{}
		type form struct{}
		prepared.Encoded(form{}, func() []byte { encoded["prepared"]++; return nil })
		for _, m := range ms {
			for _, msg := range m.take() {
				msg := msg.(websock.Message)
				msg.Encoded(form{}, func() []byte { encoded[string(msg.Data)]++; return nil })
			}
		}
		for _, text := range []string{"plain", "prepared", "typed"} {
			if encoded[text] != 1 {
				t.Errorf("the message %q was encoded %d times for %d members, want once", text, encoded[text], len(ms))
			}
		}
	})
}

// What a broadcast allocates does not grow with the number of members.
func TestBroadcast_doesNotAllocatePerDelivery(t *testing.T) {
	reg, sys := newRegistry(t)
	add := func(group string, n int) []func() {
		var releases []func()
		for range n {
			// Blocked, so that nothing else runs; full, so that no mailbox grows.
			m := spawnWith(t, sys, &member{}, actor.SpawnOptions{MailboxLimit: 1})
			releases = append(releases, block(t, m.pid))
			m.pid.Send("full")
			reg.Join(group, m.pid, nil)
		}
		return releases
	}
	releases := append(add("small", 10), add("large", 1000)...)
	msg := any(websock.Text("hello"))
	always := func(actor.PID, any) bool { return true }
	for name, f := range map[string]func(group string){
		"Broadcast":       func(group string) { reg.Broadcast(group, msg) },
		"Broadcast, text": func(group string) { reg.Broadcast(group, "text") },
		"BroadcastFrom":   func(group string) { reg.BroadcastFrom(group, actor.PID{}, "text") },
		"BroadcastWhere":  func(group string) { reg.BroadcastWhere(group, always, "text") },
		"Count":           func(group string) { reg.Count(group) },
		"Members": func(group string) {
			for range reg.Members(group) {
			}
		},
	} {
		for _, group := range []string{"small", "large"} {
			f(group)
			if n := testing.AllocsPerRun(20, func() { f(group) }); n > 3 {
				t.Errorf("%s to the %s group allocates %v times", name, group, n)
			}
		}
	}
	for _, release := range releases {
		release()
	}
}

// TestBroadcastFrom_aSenderThatJoinsMeanwhile: the sender is left out by its PID, whatever the registry knew of it when the
// broadcast began.
func TestBroadcastFrom_aSenderThatJoinsMeanwhile(t *testing.T) {
	reg, sys := newRegistry(t)
	for _, m := range spawnMany(t, sys, 2000) {
		reg.Join("g", m.pid, nil)
	}
	for range 200 {
		from := spawn(t, sys)
		var wg sync.WaitGroup
		wg.Go(func() { reg.BroadcastFrom("g", from.pid, "others") })
		wg.Go(func() { reg.Join("g", from.pid, nil) })
		wg.Wait()
		from.pid.Exit(actor.ErrNormal)
		if _, err := actor.Wait(t.Context(), from.pid); err != nil && !errors.Is(err, actor.ErrNoProcess) {
			t.Fatal(err)
		}
		if got := from.take(); len(got) > 0 {
			t.Fatalf("the sender got %q", got)
		}
	}
}

// When a process leaves a group, what was broadcast to it before and waits in its mailbox is dropped when its turn comes.
func TestBroadcast_leftBeforeItsTurn(t *testing.T) {
	for _, n := range []int{1, 200} { // others in the group
		for name, send := range map[string]func(reg *registry.Registry, group string, msg any) int{
			"Broadcast": (*registry.Registry).Broadcast,
			"BroadcastFrom": func(reg *registry.Registry, group string, msg any) int {
				return reg.BroadcastFrom(group, actor.PID{}, msg)
			},
			"BroadcastWhere": func(reg *registry.Registry, group string, msg any) int {
				return reg.BroadcastWhere(group, func(actor.PID, any) bool { return true }, msg)
			},
			"Publish": func(reg *registry.Registry, group string, msg any) int {
				topic, err := registry.TopicOf[any](reg, group)
				if err != nil {
					t.Error(err)
				}
				return topic.Publish(msg)
			},
		} {
			t.Run(fmt.Sprint(name, n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					reg, sys := newRegistry(t)
					m, others := spawn(t, sys), spawnMany(t, sys, n)
					for _, o := range others {
						reg.Join("g", o.pid, nil)
					}
					reg.Join("g", m.pid, nil)
					reg.Join("h", m.pid, nil)
					m.pid.Send(func(ctx context.Context) { // in a callback
						if took := send(reg, "g", "before"); took != n+1 {
							t.Errorf("%s to %d = %d", name, n+1, took)
						}
						send(reg, "h", "to another group")
						m.pid.Send("by its PID")
						reg.Leave("g", m.pid)
					})
					synctest.Wait()
					wantGot(t, m, "to another group", "by its PID")
					wantGot(t, others[0], "before")

					reg.Join("g", m.pid, nil)
					m.pid.Send(func(ctx context.Context) { // and comes back
						send(reg, "g", "before")
						reg.Leave("g", m.pid)
						send(reg, "g", "meanwhile")
						reg.Join("g", m.pid, 1)
						reg.Join("g", m.pid, 2) // new meta
						send(reg, "g", "after")
						reg.Leave("g", others[0].pid)
					})
					synctest.Wait()
					wantGot(t, m, "after")

					end(t, others[0].pid, actor.ErrNormal) // the end of a member does not matter to the others
					release := block(t, m.pid)
					send(reg, "g", "again")
					release()
					synctest.Wait()
					wantGot(t, m, "again")
				})
			})
		}
	}
}

// A group that was dropped and made anew is another one.
func TestBroadcast_leftAndGroupDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg, sys := newRegistry(t)
		m := spawn(t, sys)
		reg.Join("g", m.pid, nil)
		m.pid.Send(func(context.Context) {
			reg.Broadcast("g", "before")
			reg.Leave("g", m.pid)
			reg.Join("g", m.pid, nil)
		})
		synctest.Wait()
		wantGot(t, m)
	})
}
