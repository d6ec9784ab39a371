package socket_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// describer is a puppet that is a websock.Describer. Nothing guards asked: the race detector tells when Describe runs beside
// a callback.
type describer struct {
	*handler
	asked    int
	describe func(asked int) any
}

func newDescriber() *describer {
	d := &describer{handler: puppet()}
	d.in = func(context.Context, websock.Message) websock.Result { d.asked += 100; return websock.OK() }
	return d
}

func (d *describer) Describe() any {
	d.asked++
	if d.describe != nil {
		return d.describe(d.asked)
	}
	return d.asked
}

func TestServer_Describe(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		c := r.dial(newDescriber())
		for i, want := range []int{1, 102, 203} {
			if got, err := r.srv.Describe(t.Context(), c.pid); got != want || err != nil {
				t.Errorf("call %d: got %v, %v; want %d", i, got, err, want)
			}
			c.must(c.Text("x"))
			synctest.Wait()
		}
		if n := c.rig.logs.of("socket closed", c.pid); len(n) > 0 {
			t.Errorf("the socket has ended: %v", n)
		}
	})
}

// Those who ask at the same time share one answer, and a full mailbox refuses nobody: looking does a busy socket no harm.
func TestServer_Describe_busy(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{MailboxLimit: 2})
		d := newDescriber()
		c := r.dial(d)
		release := blockUntil(c, websock.OK())
		c.pid.Send("one")
		c.pid.Send("two")
		answers := make(chan string, 100)
		for range 100 {
			go func() {
				v, err := r.srv.Describe(t.Context(), c.pid)
				answers <- fmt.Sprint(v, err)
			}()
		}
		synctest.Wait()
		if info, _ := actor.Inspect(c.pid); info.Mailbox != 3 {
			t.Errorf("%d messages wait, want the two that were sent and one request", info.Mailbox)
		}
		release()
		for range 100 {
			if got := <-answers; got != "1 <nil>" {
				t.Errorf("got %q, want 1", got)
			}
		}
		if !c.pid.Alive() {
			t.Error("the socket has ended")
		}
		if got, err := r.srv.Describe(t.Context(), c.pid); got != 2 || err != nil {
			t.Errorf("later: got %v, %v; want 2", got, err)
		}
	})
}

// TestServer_Describe_errors: each error, and that the next call works where there is still a socket.
func TestServer_Describe_errors(t *testing.T) {
	for name, tt := range map[string]struct {
		plain bool // the handler is no Describer
		prep  func(t *testing.T, r *rig, c *client, d *describer) (ctx context.Context, undo func())
		want  func(err error) bool
		took  time.Duration
		again bool // a later call works
	}{
		"no Describer": {plain: true, want: func(err error) bool { return errors.Is(err, errors.ErrUnsupported) }},
		"nobody": {prep: func(_ *testing.T, _ *rig, c *client, _ *describer) (context.Context, func()) {
			c.pid.Exit(actor.ErrKilled)
			c.end()
			return context.Background(), nil
		}, want: isNoProcess},
		"panic": {prep: func(_ *testing.T, _ *rig, _ *client, d *describer) (context.Context, func()) {
			d.describe = func(n int) any {
				if n == 1 {
					panic("as asked")
				}
				return n
			}
			return context.Background(), nil
		}, want: func(err error) bool {
			var p *actor.PanicError
			return errors.As(err, &p) && p.Value == "as asked"
		}, again: true},
		"Goexit": {prep: func(_ *testing.T, _ *rig, _ *client, d *describer) (context.Context, func()) {
			d.describe = func(int) any { runtime.Goexit(); return nil }
			return context.Background(), nil
		}, want: isNoProcess},
		"the ctx is over": {prep: func(t *testing.T, _ *rig, c *client, _ *describer) (context.Context, func()) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			t.Cleanup(cancel)
			return ctx, blockUntil(c, websock.OK())
		}, want: func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }, took: time.Second, again: true},
		"CallTimeout": {prep: func(_ *testing.T, _ *rig, c *client, _ *describer) (context.Context, func()) {
			return context.Background(), blockUntil(c, websock.OK())
		}, want: func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }, took: 5 * time.Second, again: true},
		"it ends before": {prep: func(t *testing.T, _ *rig, c *client, _ *describer) (context.Context, func()) {
			release := blockUntil(c, websock.Stop(websock.ErrNormal))
			time.AfterFunc(time.Second, release)
			return context.Background(), nil
		}, want: isNoProcess, took: time.Second},
		"it is killed before": {prep: func(t *testing.T, _ *rig, c *client, _ *describer) (context.Context, func()) {
			release := blockUntil(c, websock.OK())
			time.AfterFunc(time.Second, func() { c.pid.Exit(actor.ErrKilled) })
			t.Cleanup(release)
			return context.Background(), nil
		}, want: isNoProcess, took: time.Second},
	} {
		bubble(t, name, func(t *testing.T) {
			r := serve(t, socket.Config{})
			d := newDescriber()
			h := websock.Handler(d)
			if tt.plain {
				h = puppet()
			}
			c := r.dial(h)
			go c.discard()
			ctx, undo := context.Background(), func() {}
			if tt.prep != nil {
				var u func()
				if ctx, u = tt.prep(t, r, c, d); u != nil {
					undo = u
				}
			}
			start := time.Now()
			v, err := r.srv.Describe(ctx, c.pid)
			if v != nil || err == nil || !tt.want(err) || time.Since(start) != tt.took {
				t.Errorf("got %v, %v after %v; want an error after %v", v, err, time.Since(start), tt.took)
			}
			undo()
			synctest.Wait()
			if v, err := r.srv.Describe(context.Background(), c.pid); (err == nil) != tt.again {
				t.Errorf("asked again: got %v, %v; want an answer: %t", v, err, tt.again)
			}
		})
	}
}

func isNoProcess(err error) bool { return errors.Is(err, actor.ErrNoProcess) }

// Looking leaves no trace: it is neither counted as handled nor recorded, where it would push out what matters.
func TestServer_Describe_leavesNoTrace(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{Record: 1})
		c := r.dial(newDescriber())
		synctest.Wait() // nothing waits for the end of Init
		c.pid.Send("a message")
		synctest.Wait()
		handled := func() uint64 {
			info, err := actor.Inspect(c.pid)
			if err != nil {
				t.Fatal(err)
			}
			return info.Handled
		}
		before := handled()
		for range 100 {
			if _, err := r.srv.Describe(t.Context(), c.pid); err != nil {
				t.Fatal(err)
			}
		}
		if n := handled() - before; n != 0 {
			t.Errorf("%d of 100 looks count as handled, want none", n)
		}
		got, err := r.srv.Recorded(c.pid)
		if text := fmt.Sprint(got); err != nil || text != "[+0s init 0s +0s string 0s]" {
			t.Errorf("the record is %s, %v; want that of init and of the message", text, err)
		}
		c.pid.Send("another")
		synctest.Wait()
		if n := handled() - before; n != 1 {
			t.Errorf("a message counts as %d, want 1", n)
		}
	})
}

// In its own callback a socket gets an error at once, not after CallTimeout.
func TestServer_Describe_itself(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		c := r.dial(newDescriber())
		start, done := time.Now(), make(chan error, 1)
		c.pid.Send(do(func(ctx context.Context) websock.Result {
			_, err := r.srv.Describe(ctx, c.pid)
			done <- err
			return websock.OK()
		}))
		if err := <-done; err == nil || time.Since(start) != 0 {
			t.Errorf("got %v after %v, want an error at once", err, time.Since(start))
		}
	})
}

// What sockets do while they come and go, and many ask: each call has an answer, and no request stays.
func TestServer_Describe_race(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		for range 20 {
			c := r.dial(newDescriber())
			go c.discard()
			var group sync.WaitGroup
			for range 8 {
				group.Go(func() {
					for {
						v, err := r.srv.Describe(context.Background(), c.pid)
						if errors.Is(err, actor.ErrNoProcess) {
							return
						}
						if _, ok := v.(int); !ok || err != nil {
							t.Errorf("got %v, %v; want a number or ErrNoProcess", v, err)
							return
						}
					}
				})
			}
			c.must(c.Text("x"))
			runtime.Gosched()
			c.pid.Exit(actor.ErrKilled)
			group.Wait()
			c.end()
		}
	})
}
