package actor_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// slowly is a process that takes every for each message, and keeps what it has got.
func slowly(t *testing.T, sys *actor.System, every time.Duration, o actor.SpawnOptions) (actor.PID, *journal[any]) {
	t.Helper()
	got := &journal[any]{}
	return spawn(t, sys, &behaviour{receive: func(_ context.Context, msg any) error {
		time.Sleep(every)
		got.add(msg)
		return nil
	}}, o), got
}

// A producer that is faster than the receiver goes on at the receiver's pace, and nothing is lost.
func TestSendWait_atTheReceiversPace(t *testing.T) {
	for _, limit := range []int{1, 2, 3, 8, 1024, -1} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n, every = 3000, time.Second
				sys, _ := newSystem(t, actor.Config{})
				pid, got := slowly(t, sys, every, actor.SpawnOptions{MailboxLimit: limit, Overflow: actor.OverflowExit})
				most, start := 0, time.Now()
				for i := range n {
					if err := actor.SendWait(t.Context(), pid, i); err != nil {
						t.Fatalf("message %d: %v", i, err)
					}
					info, _ := actor.Inspect(pid)
					most = max(most, info.Mailbox)
				}
				room := limit - limit/2
				if limit < 0 {
					room = n
				}
				if most > room {
					t.Errorf("%d messages have waited, want %d at most", most, room)
				}
				if took, least := time.Since(start), time.Duration(n-room-2)*every; took < least {
					t.Errorf("all were sent after %v, want %v at least: as long as the receiver takes", took, least)
				}
				time.Sleep((n + 1) * every)
				all := got.all()
				for i, msg := range all {
					if msg != i {
						t.Fatalf("message %d is %v", i, msg)
					}
				}
				if len(all) != n {
					t.Errorf("%d of %d messages have arrived", len(all), n)
				}
			})
		})
	}
}

// Who waits longest is let in first, and nobody who comes later gets in between, be it by Send or by SendWait.
func TestSendWait_inOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		in := newInbox(t, sys, actor.SpawnOptions{MailboxLimit: 2})
		release := block(t, in.pid)
		if err := actor.SendWait(t.Context(), in.pid, 0); err != nil {
			t.Fatal(err)
		}
		var errs [5]error
		for i := 1; i < len(errs); i++ {
			go func() { errs[i] = actor.SendWait(t.Context(), in.pid, i) }()
			synctest.Wait()
		}
		if !in.pid.Send("beyond what is for those who wait") || in.pid.Send("beyond the limit") {
			t.Error("of two messages by Send, one must have found room in a mailbox for 2 in which 1 waits")
		}
		release()
		synctest.Wait()
		if want := []any{0, "beyond what is for those who wait", 1, 2, 3, 4}; !slices.Equal(in.all(), want) {
			t.Errorf("arrived: %v, want %v", in.all(), want)
		}
		if errs != [5]error{} {
			t.Errorf("errors: %v", errs)
		}
	})
}

// One place is given to one of those who wait, and wakes nobody else.
func TestSendWait_wakesOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		steps := make(chan struct{})
		pid := spawn(t, sys, &behaviour{receive: func(context.Context, any) error { <-steps; return nil }}, actor.SpawnOptions{MailboxLimit: 4})
		for range 3 { // one is handled, and two wait
			pid.Send("")
			synctest.Wait()
		}
		var returned atomic.Int32
		for range 100 {
			go func() {
				if err := actor.SendWait(t.Context(), pid, ""); err == nil {
					returned.Add(1)
				}
			}()
		}
		synctest.Wait()
		for i := range int32(100) {
			if got := returned.Load(); got != i {
				t.Fatalf("%d have returned after %d messages were taken out", got, i)
			}
			steps <- struct{}{}
			synctest.Wait()
		}
		close(steps)
	})
}

func TestSendWait_ctx(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		in := newInbox(t, sys, actor.SpawnOptions{MailboxLimit: 1})
		over, cancel := context.WithCancelCause(t.Context())
		cancel(errBoom)
		if err := actor.SendWait(over, in.pid, "ctx is done"); err != errBoom {
			t.Errorf("ctx is done: %v, want its cause", err)
		}
		release := block(t, in.pid)
		in.pid.Send("waits")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errBoom) })
		later := make(chan error, 1)
		go func() {
			time.Sleep(time.Millisecond)
			later <- actor.SendWait(t.Context(), in.pid, "the next one")
		}()
		start := time.Now()
		if err := actor.SendWait(ctx, in.pid, "too long"); err != errBoom || time.Since(start) != time.Second {
			t.Errorf("error %v after %v, want the cause of ctx after 1s", err, time.Since(start))
		}
		release()
		if err := <-later; err != nil {
			t.Errorf("who waits after one that has given up: %v", err)
		}
		synctest.Wait()
		if want := []any{"waits", "the next one"}; !slices.Equal(in.all(), want) {
			t.Errorf("arrived: %v, want %v", in.all(), want)
		}
	})
}

// However the process ends, all who wait are told, at once: not when what waits in its mailbox has been handled.
func TestSendWait_end(t *testing.T) {
	for name, end := range map[string]func(sys *actor.System, pid actor.PID){
		"Exit":     func(_ *actor.System, pid actor.PID) { pid.Exit(errBoom) },
		"kill":     func(_ *actor.System, pid actor.PID) { pid.Exit(actor.ErrKilled) },
		"Shutdown": func(sys *actor.System, _ actor.PID) { go sys.Shutdown(context.Background()) },
		"overload": func(_ *actor.System, pid actor.PID) {
			for pid.Send("one more") {
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys, _ := newSystem(t, actor.Config{})
				in := newInbox(t, sys, actor.SpawnOptions{MailboxLimit: 4, Overflow: actor.OverflowExit})
				release := block(t, in.pid)
				defer release()
				var told, wrong atomic.Int32
				for range 100 {
					go func() {
						if err := actor.SendWait(t.Context(), in.pid, ""); isNoProcess(err) {
							told.Add(1)
						} else if err != nil {
							wrong.Add(1)
						}
					}()
				}
				synctest.Wait()
				end(sys, in.pid)
				synctest.Wait()
				if told, wrong := told.Load(), wrong.Load(); told != 98 || wrong != 0 {
					t.Errorf("%d of 100 got ErrNoProcess, %d another error; want 98, 0: two messages had room", told, wrong)
				}
				if err := actor.SendWait(t.Context(), in.pid, "late"); !isNoProcess(err) {
					t.Errorf("after the end: %v, want ErrNoProcess", err)
				}
			})
		})
	}
}

func TestSendWait_nobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		in := newInbox(t, sys, actor.SpawnOptions{})
		in.pid.Exit(actor.ErrNormal)
		synctest.Wait()
		for name, pid := range map[string]actor.PID{"the zero PID": {}, "a dead one": in.pid} {
			if err := actor.SendWait(t.Context(), pid, ""); !isNoProcess(err) {
				t.Errorf("%s: %v, want ErrNoProcess", name, err)
			}
		}
	})
}

// Before its Init has begun, a process has a mailbox, in which there may be no room.
func TestSendWait_beforeInit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		got := &journal[any]{}
		h := &hosted{}
		h.receive = func(_ context.Context, msg any) error { got.add(msg); return nil }
		port, err := host.Spawn(sys, h, actor.SpawnOptions{MailboxLimit: 1}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				if err := actor.SendWait(t.Context(), port.PID(), i); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		port.Start()
		wg.Wait()
		synctest.Wait()
		if want := []any{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}; !slices.Equal(got.all(), want) {
			t.Errorf("arrived: %v, want %v", got.all(), want)
		}
		port.PID().Exit(actor.ErrKilled)
	})
}

// What can never come is not waited for; an Async of the process, which is not its callback, can wait.
func TestSendWait_toOneself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		in := newInbox(t, sys, actor.SpawnOptions{MailboxLimit: 1})
		var errs []error
		in.pid.Send(do(func(ctx context.Context) error {
			short, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			errs = append(errs, actor.SendWait(ctx, in.pid, "in a callback"), actor.SendWait(short, in.pid, "in a callback"))
			actor.Async(ctx, func(ctx context.Context) (int, error) {
				for i := range 10 {
					if err := actor.SendWait(ctx, in.pid, i); err != nil {
						return i, err
					}
				}
				return 10, nil
			})
			time.Sleep(time.Second)
			return nil
		}))
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, err := range errs {
			if err == nil || errors.Is(err, context.DeadlineExceeded) || isNoProcess(err) {
				t.Errorf("in a callback of its own: %v, want an error that says so at once", err)
			}
		}
		all := in.all()
		if len(all) != 11 {
			t.Fatalf("arrived: %v, want 0 to 9 and Done", all)
		}
		if d, ok := all[10].(actor.Done[int]); !ok || d.Value != 10 || d.Err != nil {
			t.Errorf("the Async has ended with %+v, want 10, nil", all[10])
		}
	})
}

func TestSendWait_inACallbackOfAnotherProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		in := newInbox(t, sys, actor.SpawnOptions{MailboxLimit: 1})
		release := block(t, in.pid)
		in.pid.Send("waits")
		other := spawn(t, sys, &behaviour{}, actor.SpawnOptions{})
		sent := make(chan error, 1)
		other.Send(do(func(ctx context.Context) error { sent <- actor.SendWait(ctx, in.pid, "of another process"); return nil }))
		time.Sleep(time.Second)
		release()
		if err := <-sent; err != nil {
			t.Errorf("in a callback of another process: %v", err)
		}
	})
}

// As long as there is room, nothing is allocated.
func TestSendWait_allocations(t *testing.T) {
	sys, _ := newSystem(t, actor.Config{})
	pid := spawn(t, sys, &behaviour{}, actor.SpawnOptions{MailboxLimit: -1})
	ctx, msg := t.Context(), any("msg")
	if n := testing.AllocsPerRun(1000, func() {
		if err := actor.SendWait(ctx, pid, msg); err != nil {
			t.Error(err)
		}
	}); n >= 1 {
		t.Errorf("%v allocations for each SendWait that does not wait, want none", n)
	}
}

// TestSendWait_stress: a thousand producers, some of which give up, to a receiver that is slow, and in every second round ends
// in the middle. Nothing is lost, nothing comes twice or out of order, and nobody hangs: wg.Wait would.
func TestSendWait_stress(t *testing.T) {
	const rounds, producers, each = 10, 1000, 20
	for round := range rounds {
		sys, _ := newSystem(t, actor.Config{})
		endAfter := -1
		if round%2 == 1 {
			endAfter = producers * each / 2
		}
		handled, last := 0, make([]int, producers)
		for i := range last {
			last[i] = -1
		}
		type product struct{ producer, n int }
		pid := spawn(t, sys, &behaviour{receive: func(_ context.Context, msg any) error {
			p := msg.(product)
			if p.n <= last[p.producer] {
				return fmt.Errorf("producer %d: %d after %d", p.producer, p.n, last[p.producer])
			}
			last[p.producer] = p.n
			if handled++; handled == endAfter {
				return errBoom
			}
			if handled%64 == 0 {
				runtime.Gosched()
			}
			return nil
		}}, actor.SpawnOptions{MailboxLimit: 1 + round*7, Overflow: actor.OverflowExit})
		var accepted, gaveUp, late atomic.Int64
		var wg sync.WaitGroup
		for i := range producers {
			wg.Go(func() {
				for n := range each {
					ctx, cancel := t.Context(), context.CancelFunc(func() {})
					if rand.IntN(10) == 0 {
						ctx, cancel = context.WithTimeout(ctx, time.Duration(rand.IntN(1000))*time.Microsecond)
					}
					err := actor.SendWait(ctx, pid, product{i, n})
					cancel()
					switch {
					case err == nil:
						accepted.Add(1)
					case isNoProcess(err):
						late.Add(1)
						return
					default:
						gaveUp.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if endAfter < 0 {
			pid.Exit(actor.ErrNormal) // after all that was accepted
		}
		var dropped uint64
		if info, err := actor.Inspect(pid); err == nil {
			dropped = info.Dropped
		}
		reason, err := actor.Wait(t.Context(), pid)
		if err == nil && reason != errBoom && reason != actor.ErrNormal {
			t.Fatalf("round %d: it has ended with %v", round, reason)
		}
		if err := sys.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		switch {
		case endAfter < 0 && int64(handled) != accepted.Load():
			t.Errorf("round %d: %d were accepted, %d handled, %d gave up, %d dropped", round, accepted.Load(), handled, gaveUp.Load(), dropped)
		case endAfter < 0 && late.Load() != 0:
			t.Errorf("round %d: %d got ErrNoProcess from a living process", round, late.Load())
		case endAfter > 0 && (handled != endAfter || int64(handled) > accepted.Load()):
			t.Errorf("round %d: %d handled, %d accepted; want %d handled", round, handled, accepted.Load(), endAfter)
		}
	}
}
