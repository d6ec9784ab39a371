package actor_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
)

// server is a process that answers by a function.
func server(t testing.TB, sys *actor.System, receive func(ctx context.Context, msg any) error) actor.PID {
	t.Helper()
	return spawn(t, sys, &behaviour{receive: receive}, actor.SpawnOptions{})
}

func TestCall_answers(t *testing.T) {
	type named struct{ N int }
	tests := []struct {
		name  string
		call  func(ctx context.Context, to actor.PID, req any) (any, error)
		reply any
		want  any
		err   string // contained in the error; "" for none
	}{
		{"a string", call[string], "yes", "yes", ""},
		{"a struct", call[named], named{3}, named{3}, ""},
		{"an interface", call[fmt.Stringer], actor.PID{}, actor.PID{}, ""},
		{"any", call[any], 7, 7, ""},
		{"nil is the zero value", call[int], nil, 0, ""},
		{"nil for an interface", call[any], nil, nil, ""},
		{"an error", call[string], errBoom, "", "boom"},
		{"an error for an error", call[error], errBoom, nil, "boom"},
		{"the wrong type names both", call[int], "seven", 0, "the reply is string, want int"},
		{"the wrong type for an interface", call[fmt.Stringer], 7, nil, "the reply is int, want fmt.Stringer"},
		{"the wrong type, named", call[named], &named{}, named{}, "the reply is *actor_test.named, want actor_test.named"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys, _ := newSystem(t, actor.Config{})
				pid := server(t, sys, func(ctx context.Context, msg any) error {
					if msg != "request" {
						t.Errorf("the callee got %v, want what was sent", msg)
					}
					if !actor.Reply(ctx, tt.reply) {
						t.Errorf("Reply = false")
					}
					return nil
				})
				got, err := tt.call(context.Background(), pid, "request")
				if got != tt.want {
					t.Errorf("reply %v: got %v, want %v", tt.reply, got, tt.want)
				}
				if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
					t.Errorf("reply %v: error %v, want %q", tt.reply, err, tt.err)
				}
				if tt.reply == error(errBoom) && !errors.Is(err, errBoom) {
					t.Errorf("reply %v: error %v is another one", tt.reply, err)
				}
				if err != nil && strings.Contains(tt.err, "want") && !strings.Contains(err.Error(), pid.String()) {
					t.Errorf("error %v does not name the callee %v", err, pid)
				}
			})
		})
	}
}

func call[R any](ctx context.Context, to actor.PID, req any) (any, error) {
	r, err := actor.Call[R](ctx, to, req)
	return r, err
}

// TestCall_ends has one row for each way in which no answer comes.
func TestCall_ends(t *testing.T) {
	store := func(from *actor.From) func(context.Context, any) error {
		return func(ctx context.Context, _ any) error { *from, _ = actor.Caller(ctx); return nil }
	}
	tests := []struct {
		name  string
		cfg   actor.Config
		run   func(t *testing.T, sys *actor.System) error
		want  error
		after time.Duration // how long it took
		not   error         // what must not be in the error's chain
	}{
		{
			name: "returned without Reply",
			run: func(t *testing.T, sys *actor.System) error {
				return callErr(server(t, sys, func(context.Context, any) error { return nil }))
			},
			want: actor.ErrNoReply,
		},
		{
			name: "no answer within the default CallTimeout",
			run: func(t *testing.T, sys *actor.System) error {
				var from actor.From
				err := callErr(server(t, sys, store(&from)))
				if from.Reply("late") {
					t.Errorf("a late Reply = true")
				}
				return err
			},
			want: context.DeadlineExceeded, after: 5 * time.Second,
		},
		{
			name: "no answer within CallTimeout",
			cfg:  actor.Config{CallTimeout: 3 * time.Second},
			run: func(t *testing.T, sys *actor.System) error {
				return callErr(server(t, sys, store(new(actor.From))))
			},
			want: context.DeadlineExceeded, after: 3 * time.Second,
		},
		{
			name: "ctx's deadline counts, not CallTimeout",
			run: func(t *testing.T, sys *actor.System) error {
				ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
				defer cancel()
				_, err := actor.Call[any](ctx, server(t, sys, store(new(actor.From))), "hi")
				return err
			},
			want: context.DeadlineExceeded, after: time.Hour,
		},
		{
			name: "ctx cancelled",
			run: func(t *testing.T, sys *actor.System) error {
				ctx, cancel := context.WithCancel(context.Background())
				defer time.AfterFunc(time.Second, cancel).Stop()
				_, err := actor.Call[any](ctx, server(t, sys, store(new(actor.From))), "hi")
				return err
			},
			want: context.Canceled, after: time.Second,
		},
		{
			name: "ctx done before",
			run: func(t *testing.T, sys *actor.System) error {
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				_, err := actor.Call[any](ctx, server(t, sys, func(context.Context, any) error {
					t.Errorf("the request was sent")
					return nil
				}), "hi")
				return err
			},
			want: context.Canceled,
		},
		{
			name: "no such process",
			run:  func(t *testing.T, sys *actor.System) error { return callErr(actor.PID{}) },
			want: actor.ErrNoProcess,
		},
		{
			name: "callee ends by the callback",
			run: func(t *testing.T, sys *actor.System) error {
				return callErr(server(t, sys, func(context.Context, any) error { return errBoom }))
			},
			want: actor.ErrNoProcess, not: errBoom,
		},
		{
			name: "callee panics in the callback",
			run: func(t *testing.T, sys *actor.System) error {
				return callErr(server(t, sys, func(context.Context, any) error { panic(errBoom) }))
			},
			want: actor.ErrNoProcess, not: errBoom,
		},
		{
			name: "callee killed in the callback",
			run: func(t *testing.T, sys *actor.System) error {
				return callErr(server(t, sys, func(ctx context.Context, _ any) error {
					actor.Self(ctx).Exit(actor.ErrKilled)
					time.Sleep(time.Second)
					if actor.Reply(ctx, "late") {
						t.Errorf("Reply after the kill = true")
					}
					return nil
				}))
			},
			want: actor.ErrNoProcess, not: actor.ErrKilled,
		},
		{
			name: "callee ends while the Call is queued",
			run: func(t *testing.T, sys *actor.System) error {
				pid := server(t, sys, func(context.Context, any) error { return errBoom })
				defer block(t, pid)()
				time.AfterFunc(time.Second, func() { pid.Exit(actor.ErrKilled) })
				return callErr(pid)
			},
			want: actor.ErrNoProcess, after: time.Second, not: actor.ErrKilled,
		},
		{
			name: "an Exit waits in the callee's mailbox",
			run: func(t *testing.T, sys *actor.System) error {
				pid := server(t, sys, func(context.Context, any) error { return errBoom })
				defer block(t, pid)()
				pid.Exit(errBoom)
				return callErr(pid)
			},
			want: actor.ErrNoProcess, not: errBoom,
		},
		{
			name: "callee ends while the From is stored",
			run: func(t *testing.T, sys *actor.System) error {
				var from actor.From
				pid := server(t, sys, store(&from))
				time.AfterFunc(time.Second, func() { pid.Exit(errBoom) })
				err := callErr(pid)
				if from.Reply("late") {
					t.Errorf("Reply after the callee's end = true")
				}
				return err
			},
			want: actor.ErrNoProcess, after: time.Second, not: errBoom,
		},
		{
			name: "callee is ending",
			run: func(t *testing.T, sys *actor.System) error {
				pid := spawn(t, sys, &behaviour{terminate: func(context.Context, error) { time.Sleep(time.Second) }},
					actor.SpawnOptions{})
				pid.Exit(errBoom)
				synctest.Wait()
				return callErr(pid)
			},
			want: actor.ErrNoProcess, not: errBoom,
		},
		{
			name: "mailbox full",
			run: func(t *testing.T, sys *actor.System) error {
				pid := spawn(t, sys, &behaviour{}, actor.SpawnOptions{MailboxLimit: 1})
				defer block(t, pid)()
				pid.Send("fills it")
				return callErr(pid)
			},
			want: actor.ErrMailboxFull,
		},
		{
			name: "caller's process killed meanwhile",
			run: func(t *testing.T, sys *actor.System) error {
				callee := server(t, sys, store(new(actor.From)))
				result := make(chan error, 1)
				caller := spawn(t, sys, &behaviour{}, actor.SpawnOptions{})
				caller.Send(do(func(ctx context.Context) error {
					_, err := actor.Call[any](ctx, callee, "hi")
					result <- err
					return nil
				}))
				time.Sleep(time.Second)
				caller.Exit(actor.ErrKilled)
				return <-result
			},
			want: context.Canceled, after: time.Second,
		},
		{
			name: "reply to a Call by the answer of another",
			run: func(t *testing.T, sys *actor.System) error {
				// A goroutine that a callback has left behind has the ctx of its own Call only.
				n := 0
				pid := server(t, sys, func(ctx context.Context, _ any) error {
					if n++; n == 1 {
						go func() {
							time.Sleep(time.Second)
							if actor.Reply(ctx, "of the first") {
								t.Errorf("a stray goroutine answered")
							}
						}()
						return nil
					}
					time.Sleep(2 * time.Second)
					return nil
				})
				callErr(pid)
				return callErr(pid)
			},
			want: actor.ErrNoReply, after: 2 * time.Second,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys, _ := newSystem(t, tt.cfg)
				start := time.Now()
				err := tt.run(t, sys)
				if !errors.Is(err, tt.want) {
					t.Errorf("got error %v, want %v", err, tt.want)
				}
				if tt.not != nil && errors.Is(err, tt.not) {
					t.Errorf("the error %v is the callee's exit reason, too", err)
				}
				if took := time.Since(start); took != tt.after {
					t.Errorf("took %v of fake time, want %v", took, tt.after)
				}
				time.Sleep(time.Minute) // for what is still at work
			})
		})
	}
}

func callErr(to actor.PID) error {
	_, err := actor.Call[any](context.Background(), to, "hi")
	return err
}

func TestCall_negativeCallTimeoutIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{CallTimeout: -1})
		pid := server(t, sys, func(ctx context.Context, _ any) error {
			time.Sleep(100 * time.Hour)
			actor.Reply(ctx, "at last")
			return nil
		})
		if got, err := actor.Call[string](context.Background(), pid, "hi"); got != "at last" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

type derivedKey struct{}

func TestCall_toItselfIsAnErrorAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		in := newInbox(t, sys, actor.SpawnOptions{})
		var err error
		in.pid.Send(do(func(ctx context.Context) error {
			_, err = actor.Call[any](context.WithValue(ctx, derivedKey{}, true), in.pid, "hi")
			return nil
		}))
		synctest.Wait()
		if err == nil || !strings.Contains(err.Error(), in.pid.String()) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want an error at once that names %v", err, in.pid)
		}
		if got := in.all(); len(got) != 0 {
			t.Errorf("the request was sent: %v", got)
		}
	})
}

func TestCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		var asked []actor.PID
		echo := server(t, sys, func(ctx context.Context, msg any) error {
			from, ok := actor.Caller(ctx)
			asked = append(asked, from.PID())
			if ok != (msg != "sent") {
				t.Errorf("Caller for %v: %t", msg, ok)
			}
			if !ok && (actor.Reply(ctx, "x") || from.Reply("x") || from != (actor.From{})) {
				t.Errorf("a message that is no Call was answered")
			}
			go func() { // From is good on any goroutine, at any time
				time.Sleep(time.Second)
				if ok && !from.Reply(msg) {
					t.Errorf("Reply = false")
				}
				if from.Reply(msg) {
					t.Errorf("the second Reply = true")
				}
			}()
			return nil
		})
		in := newInbox(t, sys, actor.SpawnOptions{})
		if got, err := actor.Call[string](context.Background(), echo, "by nobody"); got != "by nobody" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		if got, err := actor.Call[string](in.ctx, echo, "by a process"); got != "by a process" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		echo.Send("sent")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if want := []actor.PID{{}, in.pid, {}}; !slices.Equal(asked, want) {
			t.Errorf("From.PID: %v, want %v", asked, want)
		}
	})
}

func TestCaller_ofNoCall(t *testing.T) {
	ctx := context.Background()
	if from, ok := actor.Caller(ctx); ok || from.Reply(1) || from.PID() != (actor.PID{}) {
		t.Errorf("Caller of a ctx of no process = %v, %t", from, ok)
	}
	if actor.Reply(ctx, 1) {
		t.Errorf("Reply with a ctx of no process = true")
	}
}

func TestCaller_manyStoredAnswersInAnyOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		var stored []actor.From
		pid := server(t, sys, func(ctx context.Context, _ any) error {
			from, _ := actor.Caller(ctx)
			stored = append(stored, from)
			return nil
		})
		const n = 50
		results := make([]int, n)
		for i := range n {
			go func() {
				time.Sleep(time.Duration(i))
				results[i], _ = actor.Call[int](context.Background(), pid, "hi")
			}()
		}
		time.Sleep(time.Second)
		synctest.Wait()
		for i, from := range slices.Backward(stored) {
			from.Reply(i + 1)
		}
		synctest.Wait()
		for i, got := range results {
			if got != i+1 {
				t.Errorf("call %d got the answer %d", i, got)
			}
		}
	})
}

func TestCall_queuedRequestsFailWhenTheCalleeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{CallTimeout: -1})
		pid := server(t, sys, func(context.Context, any) error { return nil })
		release := make(chan struct{})
		pid.Send(do(func(context.Context) error { <-release; return errBoom }))
		errs := make(chan error, 10)
		for range cap(errs) {
			go func() { errs <- callErr(pid) }()
		}
		synctest.Wait()
		if info, err := actor.Inspect(pid); err != nil || info.Mailbox != cap(errs) {
			t.Fatalf("%d Calls wait (%v), want %d", info.Mailbox, err, cap(errs))
		}
		close(release)
		for range cap(errs) {
			if err := <-errs; !isNoProcess(err) || errors.Is(err, errBoom) {
				t.Errorf("got %v, want ErrNoProcess", err)
			}
		}
	})
}

// TestCall_aLateAnswerReachesNoOtherCall: what a caller waits with serves one Call after the other, and answers come
// before, at and after the moment at which it gives up, from anywhere.
func TestCall_aLateAnswerReachesNoOtherCall(t *testing.T) {
	sys, _ := newSystem(t, actor.Config{CallTimeout: 50 * time.Microsecond})
	var answers sync.WaitGroup
	pid := spawn(t, sys, &behaviour{receive: func(ctx context.Context, msg any) error {
		n := msg.(int)
		switch n % 5 {
		case 0:
			actor.Reply(ctx, n)
			actor.Reply(ctx, -n) // too late
		case 1: // from a goroutine that took the ctx along
			answers.Go(func() { runtime.Gosched(); actor.Reply(ctx, n) })
			actor.Caller(ctx)
		case 2:
			from, _ := actor.Caller(ctx)
			answers.Go(func() { time.Sleep(time.Duration(n%100) * time.Microsecond); from.Reply(n) })
		case 3: // no answer, and one after that
			answers.Go(func() { actor.Reply(ctx, -n) })
		case 4:
			from, _ := actor.Caller(ctx)
			answers.Go(func() { from.Reply(n) })
			answers.Go(func() { from.Reply(n) })
		}
		return nil
	}}, actor.SpawnOptions{MailboxLimit: -1}) // what nobody waits for any more is in the mailbox until its turn
	var callers sync.WaitGroup
	var got [3]atomic.Int64 // answered, timeout, no answer
	for c := range 4 {
		callers.Go(func() {
			for i := range rounds() / 4 {
				n := 1 + i*4 + c
				ctx, cancel := context.Background(), func() {}
				if i%3 == 0 {
					ctx, cancel = context.WithTimeout(ctx, time.Duration(n%150)*time.Microsecond)
				}
				v, err := actor.Call[int](ctx, pid, n)
				cancel()
				switch {
				case err == nil && (v == n || v == -n && n%5 == 3):
					got[0].Add(1)
				case errors.Is(err, context.DeadlineExceeded):
					got[1].Add(1)
				case errors.Is(err, actor.ErrNoReply) && n%5 == 3:
					got[2].Add(1)
				default:
					t.Errorf("Call(%d) = %d, %v", n, v, err)
				}
			}
		})
	}
	callers.Wait()
	answers.Wait()
	for i := range got {
		if got[i].Load() == 0 {
			t.Errorf("answers, timeouts, none: %d, %d, %d; the test must see all", got[0].Load(), got[1].Load(), got[2].Load())
		}
	}
}

// TestCall_inOneBubbleAfterTheOther: nothing that a Call waits with may come from another bubble.
func TestCall_inOneBubbleAfterTheOther(t *testing.T) {
	for range 10 {
		synctest.Test(t, func(t *testing.T) {
			sys, _ := newSystem(t, actor.Config{})
			pid := server(t, sys, func(ctx context.Context, msg any) error { actor.Reply(ctx, msg); return nil })
			for range 10 {
				if err := callErr(pid); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// A Call whose caller has gone is not handled, so that a queue of them does not keep the callee from those who wait.
func TestCall_callerGoneBeforeItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		var handled journal[any]
		pid := server(t, sys, func(ctx context.Context, msg any) error {
			handled.add(msg)
			actor.Reply(ctx, msg)
			return nil
		})
		release := block(t, pid)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		failed := make(chan error, 2)
		go func() { _, err := actor.Call[any](ctx, pid, "given up"); failed <- err }()
		caller := spawn(t, sys, &behaviour{receive: func(ctx context.Context, _ any) error {
			_, err := actor.Call[any](ctx, pid, "of a process that is killed")
			failed <- err
			return nil
		}}, actor.SpawnOptions{})
		caller.Send("call")
		synctest.Wait()
		answered := make(chan any, 1)
		go func() { v, _ := actor.Call[any](t.Context(), pid, "waits"); answered <- v }()
		synctest.Wait()
		pid.Send("no Call")
		caller.Exit(actor.ErrKilled)
		for range 2 {
			if err := <-failed; err == nil {
				t.Error("a Call that nobody has handled is answered")
			}
		}
		release()
		if v := <-answered; v != "waits" {
			t.Errorf("the Call that waits was answered with %v", v)
		}
		synctest.Wait()
		if got, want := handled.all(), []any{"waits", "no Call"}; !slices.Equal(got, want) {
			t.Errorf("handled %v, want %v", got, want)
		}
	})
}

func TestFrom_Waiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		froms := make(chan actor.From, 1)
		pid := server(t, sys, func(ctx context.Context, _ any) error {
			from, ok := actor.Caller(ctx)
			if !ok || !from.Waiting() {
				t.Errorf("in the callback of a Call: Caller %t, Waiting %t; want true, true", ok, from.Waiting())
			}
			froms <- from
			return nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { actor.Call[any](ctx, pid, "given up"); close(done) }()
		from := <-froms
		cancel()
		<-done
		if from.Waiting() || from.Reply("late") {
			t.Error("the caller has given up: Waiting or Reply says true")
		}
		go actor.Call[any](t.Context(), pid, "answered")
		from = <-froms
		if !from.Waiting() || !from.Reply("yes") || from.Waiting() {
			t.Errorf("Waiting before and after the Reply: want true, then false")
		}
		if (actor.From{}).Waiting() {
			t.Error("nobody waits: true")
		}
	})
}
