package actor_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
)

func TestMonitor_downComesOnceAfterWhatWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		in := newInbox(t, sys, actor.SpawnOptions{})
		target := spawn(t, sys, &behaviour{terminate: func(context.Context, error) { in.pid.Send("from Terminate") }},
			actor.SpawnOptions{})
		ref := actor.Monitor(in.ctx, target)
		target.Send(do(func(context.Context) error {
			in.pid.Send("from Receive")
			return errBoom
		}))
		synctest.Wait()
		want := []any{"from Receive", "from Terminate", actor.Down{Ref: ref, PID: target, Reason: errBoom}}
		if got := in.all(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("received %v, want %v", got, want)
		}
		ref.Stop() // after the Down: nothing
		ref.Stop()
	})
}

func TestMonitor_severalBringOneDownEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		a, b := newInbox(t, sys, actor.SpawnOptions{}), newInbox(t, sys, actor.SpawnOptions{})
		target := newInbox(t, sys, actor.SpawnOptions{})
		refs := map[actor.MonitorRef]bool{}
		for range 3 {
			refs[actor.Monitor(a.ctx, target.pid)] = true
		}
		actor.Monitor(b.ctx, target.pid)
		if len(refs) != 3 {
			t.Errorf("%d different refs, want 3", len(refs))
		}
		target.pid.Exit(actor.ErrKilled)
		synctest.Wait()
		for _, m := range a.all() {
			d := m.(actor.Down)
			if !refs[d.Ref] || d.PID != target.pid || d.Reason != actor.ErrKilled {
				t.Errorf("unexpected %+v", d)
			}
			delete(refs, d.Ref)
		}
		if len(refs) != 0 || b.len() != 1 {
			t.Errorf("%d refs without Down; the other watcher got %v", len(refs), b.all())
		}
	})
}

func TestMonitorRef_Stop(t *testing.T) {
	tests := []struct {
		name string
		stop func(in *inbox, target actor.PID, ref actor.MonitorRef)
		want int // Downs
	}{
		{"never", func(_ *inbox, target actor.PID, _ actor.MonitorRef) { target.Exit(errBoom) }, 1},
		{"before the end", func(_ *inbox, target actor.PID, ref actor.MonitorRef) { ref.Stop(); target.Exit(errBoom) }, 0},
		{"with the Down in the mailbox", func(in *inbox, target actor.PID, ref actor.MonitorRef) {
			release := make(chan struct{})
			in.pid.Send(do(func(context.Context) error { <-release; return nil }))
			target.Exit(actor.ErrKilled)
			synctest.Wait()
			ref.Stop()
			close(release)
		}, 0},
		{"in the callback before the Down", func(in *inbox, target actor.PID, ref actor.MonitorRef) {
			in.pid.Send(do(func(context.Context) error {
				target.Exit(actor.ErrKilled)
				ref.Stop()
				return nil
			}))
		}, 0},
		{"after the Down", func(_ *inbox, target actor.PID, ref actor.MonitorRef) {
			target.Exit(errBoom)
			synctest.Wait()
			ref.Stop()
		}, 1},
		{"of another Monitor", func(in *inbox, target actor.PID, _ actor.MonitorRef) {
			actor.Monitor(in.ctx, target).Stop()
			actor.MonitorRef{}.Stop()
			target.Exit(errBoom)
		}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys, _ := newSystem(t, actor.Config{})
				in, target := newInbox(t, sys, actor.SpawnOptions{}), newInbox(t, sys, actor.SpawnOptions{})
				tt.stop(in, target.pid, actor.Monitor(in.ctx, target.pid))
				synctest.Wait()
				if got := in.len(); got != tt.want {
					t.Errorf("received %v, want %d Downs", in.all(), tt.want)
				}
			})
		})
	}
}

func TestMonitor_ofNobodyBringsDownAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		in, dead := newInbox(t, sys, actor.SpawnOptions{MailboxLimit: 1}), newInbox(t, sys, actor.SpawnOptions{})
		dead.pid.Exit(actor.ErrKilled)
		elsewhere, err := sys.ParsePID("7.0123456789abcdef@elsewhere")
		if err != nil {
			t.Fatal(err)
		}
		for _, pid := range []actor.PID{dead.pid, {}, elsewhere} {
			ref := actor.Monitor(in.ctx, pid)
			synctest.Wait()
			got := in.all()
			want := actor.Down{Ref: ref, PID: pid, Reason: actor.ErrNoProcess}
			if len(got) == 0 || got[len(got)-1] != want {
				t.Errorf("Monitor(%v): received %v, want %v", pid, got, want)
			}
		}
		stopped := actor.Monitor(in.ctx, dead.pid)
		stopped.Stop()
	})
}

func TestMonitor_ofItselfDoesNothingBad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		in := newInbox(t, sys, actor.SpawnOptions{})
		actor.Monitor(in.ctx, in.pid)
		in.pid.Exit(errBoom)
		synctest.Wait()
		if in.pid.Alive() || in.len() != 0 {
			t.Errorf("alive %t, received %v", in.pid.Alive(), in.all())
		}
	})
}

func TestMonitor_ofAnEndingProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		in := newInbox(t, sys, actor.SpawnOptions{})
		target := spawn(t, sys, &behaviour{terminate: func(context.Context, error) { time.Sleep(time.Second) }},
			actor.SpawnOptions{})
		target.Exit(errBoom)
		synctest.Wait()
		ref := actor.Monitor(in.ctx, target)
		time.Sleep(2 * time.Second)
		if got := in.all(); len(got) != 1 || got[0] != (actor.Down{Ref: ref, PID: target, Reason: errBoom}) {
			t.Errorf("received %v, want the Down with the exit reason", got)
		}
	})
}

func TestWait(t *testing.T) {
	tests := []struct {
		name   string
		ctx    time.Duration // 0: none
		end    func(pid actor.PID)
		reason error
		err    error
	}{
		{"ends", 0, func(pid actor.PID) { pid.Exit(errBoom) }, errBoom, nil},
		{"killed", 0, func(pid actor.PID) { pid.Exit(actor.ErrKilled) }, actor.ErrKilled, nil},
		{"ctx is done first", time.Second, func(actor.PID) {}, nil, context.DeadlineExceeded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys, _ := newSystem(t, actor.Config{})
				in := newInbox(t, sys, actor.SpawnOptions{})
				ctx := context.Background()
				if tt.ctx > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.ctx)
					defer cancel()
				}
				time.AfterFunc(2*time.Second, func() { tt.end(in.pid) })
				reason, err := actor.Wait(ctx, in.pid)
				if reason != tt.reason || !errors.Is(err, tt.err) {
					t.Errorf("Wait: %v, %v; want %v, %v", reason, err, tt.reason, tt.err)
				}
				if tt.err == nil && in.ctx.Err() == nil {
					t.Errorf("Wait returned before the end")
				}
			})
		})
	}
}
