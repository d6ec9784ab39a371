package actor_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-dev/troupe/actor"
)

func isNoProcess(err error) bool { return errors.Is(err, actor.ErrNoProcess) }

func TestPID_Send_keepsTheOrderOfEachSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		in := newInbox(t, sys, actor.SpawnOptions{MailboxLimit: -1})
		const senders, each = 8, 500
		for s := range senders {
			go func() {
				for n := range each {
					in.pid.Send([2]int{s, n})
				}
			}()
		}
		synctest.Wait()
		next := make(map[int]int)
		for _, m := range in.all() {
			s, n := m.([2]int)[0], m.([2]int)[1]
			if n != next[s] {
				t.Fatalf("sender %d: message %d came, want %d", s, n, next[s])
			}
			next[s]++
		}
		if got := in.len(); got != senders*each {
			t.Errorf("%d messages came, want %d", got, senders*each)
		}
	})
}

type autoRespond struct{}

func (autoRespond) GetAutoResponse(proto.Context) any { return "no" }

type batch struct{}

func (batch) GetMessages() []any { return []any{"no"} }

func TestPID_Send_messagesArriveAsTheyAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		in := newInbox(t, sys, actor.SpawnOptions{})
		msgs := []any{
			nil, 7, "text", []byte("bytes"), error(errBoom), actor.ErrKilled, struct{}{}, in.pid,
			actor.Down{PID: in.pid, Reason: errBoom}, actor.Done[int]{Value: 3}, actor.Timer{}, actor.MonitorRef{}, actor.From{},
			// what proto would take for its own
			&proto.PoisonPill{}, &proto.Stop{}, proto.Started{}, &proto.Started{}, &proto.Stopping{}, &proto.Stopped{},
			&proto.Restarting{}, &proto.Restart{}, &proto.Watch{}, &proto.Unwatch{}, &proto.Terminated{}, &proto.Failure{},
			&proto.SuspendMailbox{}, &proto.ResumeMailbox{}, &proto.ReceiveTimeout{}, &proto.MessageEnvelope{Message: "in"},
			&proto.Touch{}, autoRespond{}, batch{},
		}
		for _, m := range msgs {
			if !in.pid.Send(m) {
				t.Errorf("Send(%T) = false", m)
			}
		}
		synctest.Wait()
		got := in.all()
		if len(got) != len(msgs) {
			t.Fatalf("%d messages came, want %d: %v", len(got), len(msgs), got)
		}
		for i := range msgs {
			if !reflect.DeepEqual(got[i], msgs[i]) {
				t.Errorf("message %d: got %T %v, want %T %v", i, got[i], got[i], msgs[i], msgs[i])
			}
		}
		if !in.pid.Alive() {
			t.Errorf("one of them ended the process")
		}
	})
}

func TestPID_Send_allocatesNothing(t *testing.T) {
	sys, _ := newSystem(t, actor.Config{})
	in := newInbox(t, sys, actor.SpawnOptions{MailboxLimit: -1})
	release := block(t, in.pid) // a process at rest would be woken, with a goroutine
	defer release()
	msg := any("hello")
	if got := testing.AllocsPerRun(1000, func() { in.pid.Send(msg) }); got != 0 {
		t.Errorf("Send to a busy process: %v allocations, want 0", got)
	}
	text, err := sys.ParsePID(in.pid.String())
	if err != nil {
		t.Fatal(err)
	}
	if got := testing.AllocsPerRun(1000, func() { text.Send(msg) }); got != 0 {
		t.Errorf("Send by a parsed PID: %v allocations, want 0", got)
	}
}

func TestMailboxLimit(t *testing.T) {
	tests := []struct {
		limit, want int // how many of 2000 are taken while one is being handled
	}{
		{0, 1024}, {1, 1}, {3, 3}, {-1, 2000},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.limit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys, logs := newSystem(t, actor.Config{})
				in := newInbox(t, sys, actor.SpawnOptions{MailboxLimit: tt.limit})
				release := block(t, in.pid)
				taken := 0
				for n := range 2000 {
					if in.pid.Send(n) {
						taken++
					}
				}
				synctest.Wait()
				info, err := actor.Inspect(in.pid)
				if taken != tt.want || info.Mailbox != tt.want || info.Dropped != uint64(2000-tt.want) || err != nil {
					t.Errorf("limit %d: %d taken, %d wait, %d dropped, %v; want %d taken", tt.limit, taken, info.Mailbox,
						info.Dropped, err, tt.want)
				}
				if got := len(logs.find("message reached nobody")); got != 2000-tt.want {
					t.Errorf("limit %d: %d log records, want one for each of the %d refused", tt.limit, got, 2000-tt.want)
				}
				release()
				synctest.Wait()
				if got := in.len(); got != tt.want {
					t.Errorf("limit %d: %d handled, want %d", tt.limit, got, tt.want)
				}
				if !in.pid.Send("room again") {
					t.Errorf("limit %d: refused after the mailbox was emptied", tt.limit)
				}
			})
		})
	}
}

func TestOverflowReject_refusesCallsToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		in := newInbox(t, sys, actor.SpawnOptions{MailboxLimit: 1})
		release := block(t, in.pid)
		defer release()
		in.pid.Send("fills it")
		_, err := actor.Call[any](context.Background(), in.pid, "hi")
		if !errors.Is(err, actor.ErrMailboxFull) {
			t.Errorf("Call to a full mailbox: %v, want ErrMailboxFull", err)
		}
		if !in.pid.Alive() {
			t.Errorf("OverflowReject ended the process")
		}
	})
}

func TestOverflowExit_endsAheadOfWhatWaits(t *testing.T) {
	for _, how := range []string{"Send", "Call"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys, _ := newSystem(t, actor.Config{})
				in := newInbox(t, sys, actor.SpawnOptions{MailboxLimit: 2, Overflow: actor.OverflowExit})
				release := block(t, in.pid)
				in.pid.Send("one")
				in.pid.Send("two")
				ended := make(chan error, 1)
				go func() { reason, _ := actor.Wait(context.Background(), in.pid); ended <- reason }()
				synctest.Wait()
				if how == "Send" {
					if in.pid.Send("three") {
						t.Errorf("Send to a full mailbox = true")
					}
				} else if _, err := actor.Call[any](context.Background(), in.pid, "hi"); !errors.Is(err, actor.ErrMailboxFull) {
					t.Errorf("Call: %v, want ErrMailboxFull", err)
				}
				if in.pid.Send("four") {
					t.Errorf("a later Send to a full mailbox = true")
				}
				release()
				if reason := <-ended; reason != actor.ErrOverload {
					t.Errorf("exit reason %v, want ErrOverload", reason)
				}
				if got := in.all(); len(got) != 0 {
					t.Errorf("handled %v, want nothing of what waited", got)
				}
			})
		})
	}
}

// Whoever ends because too much came during its Init reads in the log what helps, whatever Init then returned.
func TestOverflowExit_duringInit(t *testing.T) {
	for name, returned := range map[string]error{"nil": nil, "ErrOverload": actor.ErrOverload, "an error of its own": errBoom} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys, _ := newSystem(t, actor.Config{})
				started, release := make(chan actor.PID, 1), make(chan struct{})
				go sys.Spawn(context.Background(), &behaviour{init: func(ctx context.Context) error {
					started <- actor.Self(ctx)
					<-release
					return returned
				}}, actor.SpawnOptions{MailboxLimit: 2, Overflow: actor.OverflowExit})
				pid := <-started
				for range 3 {
					pid.Send("broadcast")
				}
				var reason, err error
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					reason, err = actor.Wait(context.Background(), pid)
				}()
				synctest.Wait() // or the process may have ended before it is waited for
				close(release)
				<-ended
				if err != nil {
					t.Fatal(err)
				}
				if returned == errBoom {
					if reason != errBoom {
						t.Errorf("exit reason %v, want what Init returned", reason)
					}
				} else if !errors.Is(reason, actor.ErrOverload) || !strings.Contains(reason.Error(), "before Init returned") {
					t.Errorf("exit reason %v, want ErrOverload, and that it was before Init returned", reason)
				}
			})
		})
	}
}

func TestMailboxLimit_doesNotCountWhatTheProcessAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		in := newInbox(t, sys, actor.SpawnOptions{MailboxLimit: 1, Overflow: actor.OverflowExit})
		watched := newInbox(t, sys, actor.SpawnOptions{})
		release := block(t, in.pid)
		in.pid.Send("counts")

		actor.SendAfter(in.ctx, 0, "timer")
		tick := actor.SendEvery(in.ctx, time.Second, "tick")
		actor.Monitor(in.ctx, watched.pid)
		watched.pid.Exit(errBoom)
		actor.Async(in.ctx, func(context.Context) (int, error) { return 1, nil })
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		tick.Stop()
		if !in.pid.Exit(errLost) {
			t.Errorf("Exit was refused by the limit")
		}
		if info, _ := actor.Inspect(in.pid); info.Mailbox != 6 { // the tick that was stopped still stands there
			t.Errorf("%d messages wait, want 6: %+v", info.Mailbox, info)
		}
		ended := make(chan error, 1)
		go func() { reason, _ := actor.Wait(context.Background(), in.pid); ended <- reason }()
		synctest.Wait()
		release()
		if reason := <-ended; reason != errLost {
			t.Errorf("exit reason %v, want %v", reason, errLost)
		}
		var kinds []string
		for _, m := range in.all() {
			kinds = append(kinds, fmt.Sprintf("%T", m))
		}
		slices.Sort(kinds)
		if want := []string{"actor.Done[int]", "actor.Down", "string", "string"}; !slices.Equal(kinds, want) {
			t.Errorf("handled %v, want %v", kinds, want)
		}
	})
}

func TestMessagesAfterTheEnd_areDroppedCountedAndLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, logs := newSystem(t, actor.Config{})
		var dropped uint64
		handled := 0
		pid := spawn(t, sys, &behaviour{
			receive: func(context.Context, any) error { handled++; return nil },
			terminate: func(ctx context.Context, _ error) {
				info, _ := actor.Inspect(actor.Self(ctx))
				dropped = info.Dropped
			},
		}, actor.SpawnOptions{})
		release := block(t, pid)
		pid.Send("before")
		pid.Exit(actor.ErrNormal)
		pid.Send("behind")
		pid.Send(2)
		release()
		synctest.Wait()
		if handled != 1 || dropped != 2 {
			t.Errorf("handled %d, dropped %d; want 1 and 2", handled, dropped)
		}
		records := logs.find("message reached nobody")
		if len(records) != 2 || records[0].Attrs["pid"] != pid.String() || records[0].Attrs["type"] != "string" ||
			records[1].Attrs["type"] != "int" {
			t.Errorf("log %v, want one record for each of the two", records)
		}
	})
}
