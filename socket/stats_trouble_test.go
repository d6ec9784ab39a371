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

// wantDrained fails the test when Stats does not say this of drains.
func (r *rig) wantDrained(when string, draining bool, open int, killed uint64) {
	r.t.Helper()
	if st := r.srv.Stats(); st.Draining != draining || st.Open != open || st.DrainKilled != killed {
		r.t.Errorf("%s: Draining %t, %d Open, %d DrainKilled; want %t, %d, %d", when, st.Draining, st.Open, st.DrainKilled, draining, open, killed)
	}
}

// TestServer_Stats_drain: what is left while a drain runs, and how many it has killed, over several of them.
func TestServer_Stats_drain(t *testing.T) {
	bubble(t, "one drain", func(t *testing.T) {
		r := serve(t, socket.Config{CloseTimeout: time.Hour})
		r.peers(2)
		for range 2 {
			r.rudePeer(puppet())
		}
		r.wantDrained("before", false, 4, 0)
		run := r.drain(t.Context(), socket.Drain{Delay: 5 * time.Second, Over: -1, Timeout: 10 * time.Second})
		r.wantDrained("in the Delay", true, 4, 0)
		time.Sleep(6 * time.Second)
		r.wantDrained("those who answer have left", true, 2, 0)
		run.wantKilled(2, context.DeadlineExceeded, 15*time.Second)
		r.wantDrained("after it", false, 0, 2)
		r.drain(t.Context(), socket.Drain{}).wantEnd(0)
		r.wantDrained("after one more, of nobody", false, 0, 2)
	})
	bubble(t, "one that waits for another, and both lose patience", func(t *testing.T) {
		r := serve(t, socket.Config{CloseTimeout: time.Hour})
		for range 3 {
			r.rudePeer(puppet())
		}
		impatient, cancel := context.WithTimeout(t.Context(), 10*time.Second-500*time.Millisecond)
		defer cancel()
		first := r.drain(t.Context(), socket.Drain{Over: -1, Timeout: 10 * time.Second})
		second := r.drain(impatient, socket.Drain{Over: -1})
		<-first.done
		<-second.done
		r.wantDrained("each socket counts once", false, 0, 3)
	})
	bubble(t, "kills of others do not count", func(t *testing.T) {
		r := serve(t, socket.Config{CloseTimeout: time.Hour})
		kicked, left := r.rudePeer(puppet()), r.rudePeer(puppet())
		kicked.pid.Exit(actor.ErrKilled)
		kicked.end()
		now, cancel := context.WithCancel(t.Context())
		cancel()
		r.srv.Shutdown(now)
		left.end()
		r.wantDrained("by Exit, and by Shutdown", false, 0, 0)
	})
}

// TestServer_Stats_longCallbacks: those that have been running for a second, in each of the callbacks, until they return or
// their socket ends.
func TestServer_Stats_longCallbacks(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		want := func(when string, n int) {
			t.Helper()
			synctest.Wait()
			if got := r.srv.Stats().LongCallbacks; got != n {
				t.Errorf("%s: %d LongCallbacks, want %d", when, got, n)
			}
		}
		nap := func() websock.Result { time.Sleep(3 * time.Second); return websock.OK() }
		h := puppet()
		h.init = func(context.Context) websock.Result { return nap() }
		h.terminate = func(context.Context, error) { nap() }
		a := r.peer(h)
		time.Sleep(999 * time.Millisecond)
		want("Init runs for less than a second", 0)
		time.Sleep(time.Millisecond)
		want("Init runs for a second", 1)
		stuck := r.peer(puppet())
		release := blockUntil(stuck.client, websock.OK())
		defer release()
		want("another one has just begun", 1)
		time.Sleep(time.Second)
		want("Init, and HandleInfo of another", 2)
		time.Sleep(time.Second)
		want("Init has returned", 1)
		a.pid.Exit(actor.ErrNormal)
		synctest.Wait()
		time.Sleep(time.Second)
		want("Terminate, too", 2)
		stuck.pid.Exit(actor.ErrKilled)
		stuck.end()
		want("what is abandoned does not count", 1)
		time.Sleep(2 * time.Second)
		a.end()
		want("all have returned", 0)
	})
}

// Messages that were lost because a mailbox was full can be told from those that waited at an end, or came too late.
func TestServer_Stats_overflowed(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{MailboxLimit: 4})
		for _, reason := range []error{nil, actor.ErrNormal, actor.ErrKilled} {
			c := r.dial(puppet())
			go c.discard()
			release := blockUntil(c, websock.OK())
			for range 4 {
				c.pid.Send("x")
			}
			if reason == nil {
				c.pid.Send("one too many")
			} else {
				c.pid.Exit(reason)
			}
			release()
			c.end()
		}
		if st := r.srv.Stats(); st.Overflowed != 5 || st.Dropped != 5+4 {
			t.Errorf("%d of %d dropped messages have overflowed, want 5 of 9", st.Overflowed, st.Dropped)
		}
	})
}
