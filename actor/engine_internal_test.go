package actor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-dev/troupe/actor/internal/hook"
)

// reachable is what proto's own means are tried on, hosted or not.
type reachable struct {
	ender
	mu  sync.Mutex
	got []any
}

func (r *reachable) note(v any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, v)
}

func (r *reachable) all() []any {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

func (r *reachable) Receive(ctx context.Context, msg any) error {
	switch m := msg.(type) {
	case chan struct{}:
		<-m
		return nil
	case error:
		return m // with a Call open
	case string:
		if m == "ask" {
			Reply(ctx, "answer")
		} else if m == "refuse" {
			Reply(ctx, errors.New("refused"))
		} else if m == "late" {
			from, _ := Caller(ctx)
			time.AfterFunc(2*time.Second, func() { from.Reply("too late") })
		}
	}
	r.note(msg)
	return nil
}

func (r *reachable) Terminate(_ context.Context, reason error) { r.note(reason) }

// watcher is a proto actor.
type watcher struct{ terminated chan *proto.Terminated }

func (w watcher) Receive(ctx proto.Context) {
	switch m := ctx.Message().(type) {
	case *proto.PID:
		ctx.Watch(m)
		ctx.Watch(m) // once is enough
	case *proto.Unwatch:
		ctx.Unwatch(m.Watcher)
	case *proto.Terminated:
		w.terminated <- m
	}
}

// each runs f for a process that has a host and for one that has none, with its address in proto.
func each(t *testing.T, f func(t *testing.T, s *System, p *process, r *reachable, addr *proto.PID)) {
	for _, hosted := range []bool{false, true} {
		t.Run(fmt.Sprintf("hosted %t", hosted), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, r := quietSystem(t, Config{}), &reachable{}
				var p *process
				if hosted {
					var err error
					if p, _, err = s.Inside(hook.Key{}).Spawn(r, r, nil, SpawnOptions{MailboxLimit: 2}); err != nil {
						t.Fatal(err)
					}
					p.Start()
				} else {
					pid, err := s.Spawn(context.Background(), r, SpawnOptions{MailboxLimit: 2})
					if err != nil {
						t.Fatal(err)
					}
					p = pid.find()
				}
				if in := s.engine.Registered(p.num); in == hosted {
					t.Errorf("in proto's registry: %t, want %t", in, !hosted)
				}
				f(t, s, p, r, s.engine.PID(p.num))
				time.Sleep(time.Minute) // proto's dead letters keep a goroutine for a while
			})
		})
	}
}

func TestEngine_messages(t *testing.T) {
	each(t, func(t *testing.T, s *System, p *process, r *reachable, addr *proto.PID) {
		root := s.engine.Proto().Root
		root.Send(addr, "sent")
		synctest.Wait()
		root.RequestWithCustomSender(addr, "nobody waits", nil)
		synctest.Wait()
		root.Send(addr, proto.WrapEnvelope("in an envelope"))
		synctest.Wait()
		if v, err := root.RequestFuture(addr, "ask", time.Second).Result(); v != "answer" || err != nil {
			t.Errorf("Request: %v, %v; want the answer", v, err)
		}
		if v, err := root.RequestFuture(addr, "refuse", time.Second).Result(); fmt.Sprint(v) != "refused" || err != nil {
			t.Errorf("Request: %v, %v; want the error that was replied", v, err)
		}
		if v, err := root.RequestFuture(addr, "no reply", time.Second).Result(); v != nil || !errors.Is(err, proto.ErrTimeout) {
			t.Errorf("Request of a callback that does not reply: %v, %v; want ErrTimeout, as of proto's own actors", v, err)
		}
		if v, err := root.RequestFuture(addr, "late", time.Second).Result(); v != nil || !errors.Is(err, proto.ErrTimeout) {
			t.Errorf("Request of a callback that replies too late: %v, %v; want ErrTimeout", v, err)
		}
		time.Sleep(time.Second) // it comes, and there is nobody; see quietSystem
		if want := []any{"sent", "nobody waits", "in an envelope", "ask", "refuse", "no reply", "late"}; !slices.Equal(r.all(), want) {
			t.Errorf("received %v, want %v", r.all(), want)
		}

		if v, err := root.RequestFuture(addr, errors.New("stop"), time.Second).Result(); !errors.Is(err, proto.ErrDeadLetter) {
			t.Errorf("Request of a process that ends with it: %v, %v; want ErrDeadLetter", v, err)
		}
		synctest.Wait()
		for _, pid := range []*proto.PID{addr, s.engine.PID(p.num), s.engine.PID(1 << 40), proto.NewPID(addr.Address, "no number")} {
			if v, err := root.RequestFuture(pid, "ask", time.Second).Result(); !errors.Is(err, proto.ErrDeadLetter) {
				t.Errorf("Request of the dead %v: %v, %v; want ErrDeadLetter", pid, v, err)
			}
		}
	})
}

// A mailbox that is full refuses what comes by proto, as all else.
func TestEngine_full(t *testing.T) {
	each(t, func(t *testing.T, s *System, p *process, r *reachable, addr *proto.PID) {
		root, release := s.engine.Proto().Root, make(chan struct{})
		root.Send(addr, release)
		synctest.Wait()
		root.Send(addr, 1)
		root.Send(addr, 2)
		root.Send(addr, 3)
		if v, err := root.RequestFuture(addr, "ask", time.Second).Result(); !errors.Is(err, proto.ErrDeadLetter) {
			t.Errorf("Request of a full mailbox: %v, %v; want ErrDeadLetter", v, err)
		}
		p.exit(ErrShutdown)
		root.Send(addr, 4)
		if v, err := root.RequestFuture(addr, "ask", time.Second).Result(); !errors.Is(err, proto.ErrDeadLetter) {
			t.Errorf("Request while an Exit waits: %v, %v; want ErrDeadLetter", v, err)
		}
		if n := s.dropped.Load(); n != 4 {
			t.Errorf("%d messages have reached nobody, want 4: 3 and \"ask\" of the full one, 4 and \"ask\" after the Exit", n)
		}
		close(release)
		synctest.Wait()
		if want := []any{1, 2, ErrShutdown}; !slices.Equal(r.all(), want) {
			t.Errorf("received %v, want %v", r.all(), want)
		}
	})
}

func TestEngine_ends(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(root *proto.RootContext, addr *proto.PID)
		want error
	}{
		"Stop":   {(*proto.RootContext).Stop, ErrShutdown},
		"Poison": {(*proto.RootContext).Poison, ErrNormal},
		"StopFuture": {func(root *proto.RootContext, addr *proto.PID) {
			if err := root.StopFuture(addr).Wait(); err != nil {
				t.Errorf("StopFuture: %v", err)
			}
		}, ErrShutdown},
		"PoisonFuture": {func(root *proto.RootContext, addr *proto.PID) {
			if err := root.PoisonFuture(addr).Wait(); err != nil {
				t.Errorf("PoisonFuture: %v", err)
			}
		}, ErrNormal},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, s *System, p *process, r *reachable, addr *proto.PID) {
				root := s.engine.Proto().Root
				release := make(chan struct{})
				root.Send(addr, release)
				synctest.Wait()
				root.Send(addr, "before")
				go test.end(root, addr)
				synctest.Wait()
				root.Send(addr, "after")
				close(release)
				synctest.Wait()
				if want := []any{"before", test.want}; !slices.Equal(r.all(), want) || p.alive() {
					t.Errorf("received %v, alive %t; want %v, and an end", r.all(), p.alive(), want)
				}
			})
		})
	}
}

func TestEngine_Watch(t *testing.T) {
	each(t, func(t *testing.T, s *System, p *process, r *reachable, addr *proto.PID) {
		root, w := s.engine.Proto().Root, watcher{make(chan *proto.Terminated, 10)}
		other := watcher{make(chan *proto.Terminated, 10)}
		pid := root.Spawn(proto.PropsFromProducer(func() proto.Actor { return w }))
		loser := root.Spawn(proto.PropsFromProducer(func() proto.Actor { return other }))
		root.Send(pid, addr)
		root.Send(loser, addr)
		synctest.Wait()
		root.Send(loser, &proto.Unwatch{Watcher: addr})
		gone := root.Spawn(proto.PropsFromProducer(func() proto.Actor { return other }))
		root.Send(gone, addr)
		synctest.Wait()
		if err := root.StopFuture(gone).Wait(); err != nil {
			t.Error(err)
		}
		if n := len(w.terminated); n != 0 {
			t.Fatalf("%d Terminated of a process that lives", n)
		}
		p.exit(ErrNormal)
		synctest.Wait()
		want := func(what string, why proto.TerminatedReason) {
			t.Helper()
			if len(w.terminated) != 1 {
				t.Fatalf("%s: %d Terminated, want 1", what, len(w.terminated))
			}
			if got := <-w.terminated; got.Who.Id != addr.Id || got.Who.Address != addr.Address || got.Why != why {
				t.Errorf("%s: %v, want %v, %v", what, got, addr, why)
			}
		}
		want("at its end", proto.TerminatedReason_Stopped)
		if len(other.terminated) != 0 {
			t.Errorf("Terminated after Unwatch")
		}
		root.Send(pid, addr) // twice, each of which the dead answer
		synctest.Wait()
		<-w.terminated
		want("of the dead", proto.TerminatedReason_NotFound)
		for _, pid := range []*proto.PID{pid, loser} {
			if err := root.StopFuture(pid).Wait(); err != nil {
				t.Error(err)
			}
		}
	})
}

// Nothing that can be sent to a process by its address is lost without a word, or taken for what it is not.
func TestEngine_otherSystemMessages(t *testing.T) {
	each(t, func(t *testing.T, s *System, p *process, r *reachable, addr *proto.PID) {
		var dead []any
		sub := s.engine.Proto().EventStream.Subscribe(func(e any) {
			if e, ok := e.(*proto.DeadLetterEvent); ok {
				dead = append(dead, e.Message)
			}
		})
		defer s.engine.Proto().EventStream.Unsubscribe(sub)
		target, _ := s.engine.Proto().ProcessRegistry.Get(addr)
		restart := &proto.Restart{}
		target.SendSystemMessage(addr, restart)
		if !slices.Equal(dead, []any{restart}) || !p.alive() {
			t.Errorf("dead letters %v, alive %t; want the message, and that it lives", dead, p.alive())
		}
	})
}
