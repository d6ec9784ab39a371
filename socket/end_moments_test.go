package socket_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/notify"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// TestHibernate_wokenWhileTheCloseFrameIsOnItsWay: a peer that sends its Close while ours waits for it to read does not wait
// for the end of TCP: the socket, which has slept till then, reads that Close as soon as ours is out.
func TestHibernate_wokenWhileTheCloseFrameIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := hibernating(t, socket.Config{}, puppet())
		if err := c.conn.SetReadBuffer(1); err != nil { // less than a Close frame
			t.Fatal(err)
		}
		c.pid.Exit(actor.ErrShutdown)
		synctest.Wait()
		c.must(c.Close(1001, ""))
		synctest.Wait()
		began := time.Now()
		wantClosed(t, c.Client, 1001)
		if cl := c.end(); cl.Received == nil || time.Since(began) != 0 {
			t.Errorf("after our Close, which the peer's has crossed: TCP was closed after %v, Close of the peer %v; want at once, and 1001",
				time.Since(began), cl.Received)
		}
	})
}

// TestKill_inTerminate: TCP is closed at once, and not when CloseTimeout is over.
func TestKill_inTerminate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		h := puppet()
		h.terminate = func(context.Context, error) { <-release }
		c := serve(t, socket.Config{CloseTimeout: 10 * time.Minute, ShutdownTimeout: -1}).dial(h)
		c.pid.Exit(actor.ErrShutdown)
		synctest.Wait()
		if n := len(h.terminated()); n != 1 {
			t.Fatalf("Terminate was called %d times, want 1", n)
		}
		began := time.Now()
		c.pid.Exit(actor.ErrKilled)
		c.end()
		if d := time.Since(began); d != 0 {
			t.Errorf("a kill in Terminate has closed TCP after %v, want at once", d)
		}
	})
}

// TestKill_callbackReturnsBeforeTheDeath: the callback that a kill has abandoned may return at any moment, also while the
// functions of PID.OnExit run. OnClose comes after the death all the same, which serve checks.
func TestKill_callbackReturnsBeforeTheDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		c := serve(t, socket.Config{}).dial(&handler{in: func(context.Context, websock.Message) websock.Result {
			<-release
			return websock.OK()
		}})
		c.must(c.Text("go"))
		synctest.Wait()
		if _, ok := c.pid.OnExit(func(error) {
			close(release)
			time.Sleep(time.Second)
			if n := c.rig.onClose(c.pid); n != 0 {
				t.Errorf("OnClose was called %d times before the end of what PID.OnExit has registered, want 0", n)
			}
		}); !ok {
			t.Fatal("OnExit = false")
		}
		c.pid.Exit(actor.ErrKilled)
		c.end()
	})
}

// TestKill_ofACallbackOnTheReader: a callback that runs on the goroutine that reads, and does not return, keeps neither
// OnClose nor the place of its socket.
func TestKill_ofACallbackOnTheReader(t *testing.T) {
	for _, callback := range []string{"Init", "HandleIn", "HandleControl"} {
		bubble(t, callback, func(t *testing.T) {
			release := make(chan struct{})
			defer close(release)
			stuck := func(in string) websock.Result {
				if in == callback {
					<-release
				}
				return websock.OK()
			}
			h := &controlHandler{control: func(context.Context, websock.Message) websock.Result { return stuck("HandleControl") }}
			h.init = func(context.Context) websock.Result { return stuck("Init") }
			h.in = func(context.Context, websock.Message) websock.Result { return stuck("HandleIn") }
			c := serve(t, socket.Config{MaxSockets: 1}).dial(h)
			c.must(c.Ping(nil))
			c.must(c.Text("go"))
			synctest.Wait()
			c.pid.Exit(actor.ErrKilled)
			synctest.Wait()
			if n, err := c.rig.onClose(c.pid), c.rig.srv.Ready(); n != 1 || err != nil {
				t.Errorf("after a kill in %s: OnClose was called %d times, Ready is %v; want once, and nil", callback, n, err)
			}
		})
	}
}

// TestHibernate_leavesTheNotifier: a socket over TCP that has slept gives its place up before TCP is closed, however it
// ends. The notifier has a goroutine as long as a single place is taken.
func TestHibernate_leavesTheNotifier(t *testing.T) {
	for _, end := range []string{"kill", "Exit", "the peer"} {
		t.Run(end, func(t *testing.T) {
			h := tcpSite(t, socket.Config{HibernateAfter: time.Millisecond, PingInterval: -1},
				func() websock.Handler { return plain{puppet()} })
			c := h.connect(rawclient.HandshakeOptions{})
			if !notify.Supported(c.Conn()) {
				t.Skip("TCP cannot be watched here")
			}
			var pid actor.PID
			spin(t, "the socket to sleep", func() bool {
				for p, info := range h.srv.Sockets() {
					if info.Hibernated {
						pid = p
					}
				}
				return pid != (actor.PID{})
			})
			switch end {
			case "kill":
				pid.Exit(actor.ErrKilled)
			case "Exit":
				pid.Exit(actor.ErrShutdown)
				readAll(c)
			default:
				c.Conn().Close()
			}
			h.wantEnds(1)
			spin(t, "the goroutine of the notifier to end", func() bool {
				buf := make([]byte, 1<<20)
				return !strings.Contains(string(buf[:runtime.Stack(buf, true)]), "notify.(*descriptors).run")
			})
		})
	}
}

// spin waits for what nobody tells of.
func spin(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for limit := time.Now().Add(patience); !ok(); runtime.Gosched() {
		if time.Now().After(limit) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}
