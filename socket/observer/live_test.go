package observer_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

func (r *rig) mustLive() *sockettest.Conn {
	r.t.Helper()
	c, resp := r.live(nil)
	if c == nil {
		r.t.Fatalf("live connection: got %s, want 101", resp.Status)
	}
	return c
}

func watch(c *sockettest.Conn, paths ...string) {
	say(c, map[string]any{"op": "watch", "paths": append([]string{}, paths...)})
}

func TestLive(t *testing.T) {
	bubble(t, "snapshots", func(t *testing.T) {
		r := newRig(t, nil)
		c := r.mustLive()
		hello := next(c)
		if hello.str("type") != "hello" || hello.num("version") != 1 || hello.str("access") != "view" {
			t.Fatalf("first message: got %v, want hello", hello)
		}
		c.WantNothing(3 * time.Second) // nothing is watched
		watch(c, "sockets?sort=age", "process/nonsense")
		seen := map[string]object{}
		for len(seen) < 2 { // it may be the time of a tick just now: then there is one more of the first
			v := nextOf(t, c, "snapshot")
			seen[v.str("path")] = v
		}
		if v := seen["sockets?sort=age"]; v.in("data").num("of") != 0 {
			t.Errorf("sockets: got %v", v)
		}
		if v := seen["process/nonsense"]; v.in("error").str("code") != "bad_request" {
			t.Errorf("process/nonsense: got %v", v)
		}
		watch(c, "sockets?sort=age")
		r.dial("new", "")
		time.Sleep(time.Second)
		for of := 0.0; of != 1; {
			v := nextOf(t, c, "snapshot")
			if v.str("path") == "sockets?sort=age" {
				of = v.in("data").num("of")
			}
		}
		stopWatching(t, c)
		c.WantNothing(3 * time.Second)
	})
	bubble(t, "each second", func(t *testing.T) {
		r := newRig(t, nil)
		c := r.mustLive()
		next(c)
		watch(c, "overview")
		begin := time.Now()
		for range 11 {
			nextOf(t, c, "snapshot")
		}
		if took := time.Since(begin); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("11 snapshots: took %v, want one at once and then one a second", took)
		}
	})
	bubble(t, "a look that takes long", func(t *testing.T) {
		r := newRig(t, nil)
		release := make(chan struct{})
		r.reg.Join("slow", r.spawn("x"), blocks{release})
		c := r.mustLive()
		next(c)
		watch(c, "group?name=slow")
		c.WantNothing(10250 * time.Millisecond)
		close(release)
		nextOf(t, c, "snapshot")
		nextOf(t, c, "snapshot")
		c.WantNothing(400 * time.Millisecond) // one look was on its way, not one for each tick
	})
	bubble(t, "what makes no sense", func(t *testing.T) {
		r := newRig(t, nil)
		c := r.mustLive()
		next(c)
		for _, m := range []websock.Message{
			websock.Text("x"), websock.Text("[]"), websock.Text(`{"op":"burn"}`), websock.Binary([]byte(`{"op":"watch"}`)), websock.Text(`{}`),
			websock.Text(`{"op":"watch","paths":["a","b","c","d","e"]}`), websock.Text(`{"op":"watch","paths":["overview?%zz"]}`),
			websock.Text(`{"op":"watch","paths":"overview"}`),
		} {
			c.Send(m)
			if v := next(c); v.str("type") != "error" || v.in("error").str("code") != "bad_request" {
				t.Errorf("after %v: got %v, want an error", m, v)
			}
		}
		c.Send(websock.Text(strings.Repeat("x", 5000)))
		c.WantClose(websock.CloseMessageTooBig, "")
	})
	bubble(t, "so many", func(t *testing.T) {
		r := newRig(t, nil)
		var conns []*sockettest.Conn
		for range 16 {
			conns = append(conns, r.mustLive())
		}
		if c, resp := r.live(nil); c != nil || resp.StatusCode != 503 {
			t.Errorf("the 17th: got %s, want 503", resp.Status)
		}
		next(conns[0])
		conns[0].Close(1000, "")
		conns[0].WantClose(1000, "")
		time.Sleep(time.Second)
		if c, resp := r.live(nil); c == nil {
			t.Errorf("after one has gone: got %s, want 101", resp.Status)
		}
	})
}

// stopWatching has nothing watched any more, and passes over what has come before that.
func stopWatching(t *testing.T, c *sockettest.Conn) {
	t.Helper()
	watch(c)
	c.Send(websock.Text("an error is the answer"))
	nextOf(t, c, "error")
	synctest.Wait() // a look that was on its way is over, and shows nothing
}

// TestLive_hour: a page that is open for an hour comes again each 15 minutes, and nothing is held by those that were.
func TestLive_hour(t *testing.T) {
	bubble(t, "an hour", func(t *testing.T) {
		r := newRig(t, nil)
		r.dial("one", "")
		c := r.mustLive()
		for quarter := range 4 {
			begin, snapshots := time.Now(), 0
			watch(c, "overview", "sockets")
			for time.Since(begin) < 14*time.Minute+58*time.Second {
				nextOf(t, c, "snapshot")
				snapshots++
			}
			if snapshots < 2*890 || snapshots > 2*900 {
				t.Errorf("quarter %d: got %d snapshots, want two a second", quarter, snapshots)
			}
			stopWatching(t, c)
			c.WantClose(websock.CloseServiceRestart, "come again")
			c = r.mustLive()
		}
		time.Sleep(time.Second)
		if got := r.sys.Stats().Processes; got != 2 {
			t.Errorf("processes after an hour: got %d, want 2: the socket and the page", got)
		}
		if st := r.sys.Stats(); st.Abandoned != 0 {
			t.Errorf("after an hour: got %+v, want nothing abandoned", st)
		}
	})
}

// TestLive_slow: a page that does not read is cut off, and holds up neither the sweeps nor other pages.
func TestLive_slow(t *testing.T) {
	bubble(t, "slow", func(t *testing.T) {
		r := newRig(t, nil)
		for i := range 200 {
			r.reg.Join(fmt.Sprintf("a group with a long name, so that much has to be written: %d", i), r.spawn("x"), nil)
		}
		slow, well := r.mustLive(), r.mustLive()
		watch(slow, "groups?limit=1000", "processes?limit=1000")
		next(slow)
		slow.Pause(16 << 10)
		watch(well, "overview")
		for range 60 {
			nextOf(t, well, "snapshot")
		}
		if n := r.get("overview").in("system").num("processes"); n != 201 {
			t.Errorf("processes: got %v, want 201: the slow page has been cut off", n)
		}
	})
}

// TestSweeps_areShared: those who ask at the same time have one sweep, and sweeps have a rest.
func TestSweeps_areShared(t *testing.T) {
	bubble(t, "shared", func(t *testing.T) {
		r := newRig(t, nil)
		looks, release := 0, make(chan struct{})
		r.reg.Join("g", r.spawn("x"), counts{&looks})
		r.reg.Join("slow", r.spawn("x"), blocks{release})
		done := make(chan object, 101)
		go func() { done <- r.get("group?name=slow") }()
		synctest.Wait()
		for range 100 {
			go func() { done <- r.get("group?name=g") }()
		}
		synctest.Wait()
		close(release)
		for range 101 {
			<-done
		}
		if looks != 1 {
			t.Errorf("100 equal questions while a sweep runs: got %d looks, want 1", looks)
		}
	})
	bubble(t, "who goes", func(t *testing.T) {
		r := newRig(t, nil)
		r.obs.SetBudget(1000, time.Minute, 7, 256)
		release := make(chan struct{})
		r.reg.Join("slow", r.spawn("x"), blocks{release})
		r.reg.Join("g", r.spawn("x"), nil)
		first := make(chan object)
		go func() { first <- r.get("group?name=slow") }()
		synctest.Wait()
		ctx, cancel := context.WithCancel(context.Background())
		gone, waits := make(chan int), make(chan object)
		go func() { gone <- r.ask("GET", "/api/v1/group?name=g", "", with(ctx)).StatusCode }()
		synctest.Wait()
		go func() { waits <- r.get("group?name=g") }()
		synctest.Wait()
		cancel() // of the one who was to make the next sweep
		if got := <-gone; got != 503 {
			t.Errorf("who has gone: got %d, want 503", got)
		}
		time.Sleep(time.Second)
		close(release)
		<-first
		begin := time.Now()
		if v := <-waits; v.str("at") == "" {
			t.Errorf("who has waited: got %v, want the group", v)
		}
		if took := time.Since(begin); took != 7*time.Second {
			t.Errorf("the next sweep came after %v, want 7 times the second that the one before took", took)
		}
	})
	bubble(t, "so many", func(t *testing.T) {
		r := newRig(t, nil)
		r.obs.SetBudget(1000, time.Minute, 0, 3)
		release := make(chan struct{})
		r.reg.Join("slow", r.spawn("x"), blocks{release})
		answers := make(chan int, 5)
		go func() { answers <- r.ask("GET", "/api/v1/group?name=slow", "", nil).StatusCode }()
		synctest.Wait()
		for i := range 4 {
			go func() { answers <- r.ask("GET", fmt.Sprintf("/api/v1/exits?limit=%d", i), "", nil).StatusCode }()
		}
		synctest.Wait()
		if got := <-answers; got != 429 {
			t.Errorf("the fourth question: got %d, want 429", got)
		}
		close(release)
		for range 4 {
			if got := <-answers; got != 200 {
				t.Errorf("the others: got %d, want 200", got)
			}
		}
	})
}
