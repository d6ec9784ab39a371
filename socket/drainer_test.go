package socket_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// asker has a question on its way, whose answer takes 400 ms.
type asker struct {
	*handler
	begun int
}

func newAsker(stops bool) websock.Handler {
	h := echo()
	h.in = func(ctx context.Context, _ websock.Message) websock.Result {
		actor.Async(ctx, func(ctx context.Context) (string, error) {
			select {
			case <-time.After(400 * time.Millisecond):
				return "answer", nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		})
		return websock.OK()
	}
	h.info = func(_ context.Context, msg any) websock.Result {
		if d, ok := msg.(actor.Done[string]); ok && d.Err == nil {
			return websock.Close(websock.CloseServiceRestart, "answered", websock.Text(d.Value))
		}
		return websock.OK()
	}
	if stops {
		return &asker{handler: h}
	}
	return h
}

func (a *asker) HandleDrain(context.Context, time.Time) websock.Result {
	a.begun++
	return websock.OK()
}

// An answer that is on its way is lost in a drain, unless the handler is a Drainer, which stops when it has sent it.
func TestDrain_drainer(t *testing.T) {
	for name, drainer := range map[string]bool{"with HandleDrain": true, "without": false} {
		bubble(t, name, func(t *testing.T) {
			r := serve(t, socket.Config{})
			h := newAsker(drainer)
			c := r.dial(h)
			c.must(c.Text("ask"))
			synctest.Wait()
			start := time.Now()
			done := make(chan error, 1)
			go func() { done <- r.srv.Drain(t.Context(), socket.Drain{Over: 50 * time.Millisecond}) }()
			if drainer {
				c.want(textFrame("answer"), closeFrame(1012, "answered"))
			} else {
				c.want(closeFrame(1001, ""))
			}
			want := time.Duration(0)
			if drainer {
				want = 400 * time.Millisecond
			}
			if took := time.Since(start); took != want {
				t.Errorf("closed after %v, want %v", took, want)
			}
			c.conn.Close()
			if err := <-done; err != nil {
				t.Errorf("Drain: %v", err)
			}
			if a, ok := h.(*asker); ok && a.begun != 1 {
				t.Errorf("HandleDrain was called %d times, want once", a.begun)
			}
		})
	}
}

// One that does not stop is ended with the drain's Close frame when its time is over, and one in a restart is not asked.
func TestDrain_drainerThatGoesOn(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		a := &asker{handler: echo()}
		c := r.dial(a)
		synctest.Wait()
		start := time.Now()
		done := make(chan error, 1)
		go func() {
			done <- r.srv.Drain(t.Context(), socket.Drain{Delay: time.Second, Over: time.Second, Timeout: 10 * time.Second})
		}()
		synctest.Wait()
		if a.begun != 1 {
			t.Errorf("HandleDrain was called %d times when the drain begins, want once", a.begun)
		}
		c.want(closeFrame(1001, ""))
		if took := time.Since(start); took != 7*time.Second {
			t.Errorf("closed after %v, want 7s: Delay, Over and half of Timeout", took)
		}
		c.conn.Close()
		if err := <-done; err != nil {
			t.Errorf("Drain: %v", err)
		}
	})
}

// A socket whose mailbox is full is asked, too, and does not end by it.
func TestDrain_drainerWhoseMailboxIsFull(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{MailboxLimit: 2})
		a := &asker{handler: echo()}
		release := make(chan struct{})
		a.info = func(_ context.Context, msg any) websock.Result {
			if msg == "block" {
				<-release
			}
			return websock.OK()
		}
		c := r.dial(a)
		var pid actor.PID
		for pid = range r.srv.Sockets() {
		}
		for _, msg := range []string{"block", "wait", "wait"} {
			if !pid.Send(msg) {
				t.Fatalf("Send(%q): false", msg)
			}
			synctest.Wait()
		}
		done := make(chan error, 1)
		go func() { done <- r.srv.Drain(t.Context(), socket.Drain{Timeout: 10 * time.Second}) }()
		synctest.Wait()
		close(release)
		c.want(closeFrame(1001, ""))
		c.conn.Close()
		if err := <-done; err != nil || a.begun != 1 {
			t.Errorf("Drain: %v, and HandleDrain was called %d times, want once", err, a.begun)
		}
	})
}
