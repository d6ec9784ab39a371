package observer_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/observer"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

// showPayload has taps show payloads.
func showPayload(_ *observer.Config, s *socket.Config) { s.TapPayload = true }

func tapOf(c *sockettest.Conn, pid actor.PID) {
	say(c, map[string]any{"op": "tap", "pid": pid.String()})
}

// framesOf are the frames of the next messages, so many of them, as "direction opcode size text".
func framesOf(t *testing.T, c *sockettest.Conn, n int) (all []object, lost float64) {
	t.Helper()
	for len(all) < n {
		v := nextOf(t, c, "frames")
		all = append(all, v.list("frames")...)
		lost += v.num("lost")
	}
	return all, lost
}

func TestTap(t *testing.T) {
	bubble(t, "in order", func(t *testing.T) {
		r := newRig(t, showPayload)
		one, pid := r.dial("one", "")
		c := r.mustLive()
		next(c)
		tapOf(c, pid)
		if v := next(c); v.str("type") != "tapped" || v.str("pid") != pid.String() {
			t.Fatalf("after tap: got %v", v)
		}
		if lines := r.logs.lines("tap by the observer"); len(lines) != 1 || !strings.Contains(lines[0], pid.String()) || !strings.Contains(lines[0], "remote_addr=127.0.0.1:4711") {
			t.Errorf("log: got %q, want one line that says who taps what", lines)
		}
		one.Send(websock.Text("hällo"), websock.Binary([]byte{0xff, 0, 1}), websock.Ping([]byte("p")))
		time.Sleep(time.Second)
		one.Close(4001, "bye")
		var got []string
		frames, lost := framesOf(t, c, 8)
		for _, f := range frames {
			got = append(got, fmt.Sprintf("%s %s %v %s%s %v %v", f.str("direction"), f.str("opcode"), f.num("size"), f.str("text"), f.str("base64"), f["code"], f["reason"]))
		}
		binary := base64.StdEncoding.EncodeToString([]byte{0xff, 0, 1})
		want := []string{
			"in text 6 hällo <nil> <nil>", "out text 6 hällo <nil> <nil>", "in binary 3 " + binary + " <nil> <nil>", "out binary 3 " + binary + " <nil> <nil>",
			"in ping 1 p <nil> <nil>", "out pong 1 p <nil> <nil>", "in close 5  4001 bye", "out close 2  4001 ",
		}
		in, out := only(got, "in"), only(got, "out")
		if fmt.Sprint(in) != fmt.Sprint(only(want, "in")) || fmt.Sprint(out) != fmt.Sprint(only(want, "out")) || lost != 0 {
			t.Errorf("frames:\ngot  %q\nwant %q\nlost %v", got, want, lost)
		}
		if v := next(c); v.str("type") != "untapped" || v.str("why") != "ended" {
			t.Errorf("after the end: got %v, want untapped, ended", v)
		}
		c.WantNothing(3 * time.Second)
	})
	bubble(t, "without TapPayload", func(t *testing.T) {
		r := newRig(t, nil)
		one, pid := r.dial("one", "")
		c := r.mustLive()
		next(c)
		tapOf(c, pid)
		next(c)
		one.Send(websock.Text("secret"))
		one.Close(4001, "secret")
		frames, _ := framesOf(t, c, 4)
		for _, f := range frames {
			if s := fmt.Sprint(f); strings.Contains(s, "secret") || f["text"] != nil || f["base64"] != nil || f["reason"] != nil || f.num("size") == 0 {
				t.Errorf("frame: got %v, want its size and no payload", f)
			}
		}
	})
	bubble(t, "refused", func(t *testing.T) {
		r := newRig(t, nil)
		c := r.mustLive()
		next(c)
		var pids []actor.PID
		for range 5 {
			_, pid := r.dial("x", "")
			pids = append(pids, pid)
		}
		for _, pid := range pids[:4] {
			tapOf(c, pid)
			next(c)
		}
		live := r.page()
		for pid, want := range map[string]string{
			pids[0].String(): "conflict", pids[4].String(): "too_many", "": "bad_request", "x": "bad_request", strings.Repeat("x", 3000): "bad_request",
		} {
			say(c, map[string]any{"op": "tap", "pid": pid})
			if v := next(c); v.in("error").str("code") != want {
				t.Errorf("tap of %.60q: got %v, want %s", pid, v, want)
			}
		}
		say(c, map[string]any{"op": "untap", "pid": pids[0].String()})
		if v := next(c); v.str("type") != "untapped" || v.str("why") != "asked" {
			t.Errorf("untap: got %v", v)
		}
		for pid, want := range map[string]string{
			r.spawn("worker").String(): "conflict", live: "conflict", "99.0123456789abcdef@local": "gone", "1.0123456789abcdef@other": "elsewhere",
		} {
			say(c, map[string]any{"op": "tap", "pid": pid})
			if v := next(c); v.in("error").str("code") != want {
				t.Errorf("tap of %q: got %v, want %s", pid, v, want)
			}
		}
		say(c, map[string]any{"op": "untap", "pid": pids[0].String()})
		if v := next(c); v.in("error").str("code") != "not_found" {
			t.Errorf("untap of what is not tapped: got %v", v)
		}
	})
	bubble(t, "more than can be shown", func(t *testing.T) {
		r := newRig(t, nil)
		_, pid := r.dial("one", "")
		c := r.mustLive()
		next(c)
		tapOf(c, pid)
		next(c)
		pid.Send(func(context.Context) websock.Result {
			var ms []websock.Message
			for range 200 {
				ms = append(ms, websock.Text("x"))
			}
			return websock.Push(ms...)
		})
		synctest.Wait() // 200 are seen
		pid.Send(func(context.Context) websock.Result {
			var ms []websock.Message
			for range 200 {
				ms = append(ms, websock.Text("y"))
			}
			return websock.Push(ms...)
		})
		v := nextOf(t, c, "frames")
		if got, lost := len(v.list("frames")), v.num("lost"); got != 256 || lost != 144 {
			t.Errorf("of 400 frames: got %d, lost %v; want 256, 144", got, lost)
		}
		v = nil
		pid.Send(websock.Text("z"))
		if v = nextOf(t, c, "frames"); v.num("lost") != 0 || len(v.list("frames")) != 1 {
			t.Errorf("the next one: got %v", v)
		}
	})
}

// page is the PID of the live connection.
func (r *rig) page() string {
	for _, row := range r.get("processes?kind=socket").list("rows") {
		if row.str("server") == "observer" {
			return row.str("pid")
		}
	}
	r.t.Fatal("there is no live connection")
	return ""
}

func only(all []string, prefix string) (some []string) {
	for _, s := range all {
		if strings.HasPrefix(s, prefix) {
			some = append(some, s)
		}
	}
	return some
}

// TestTap_hostile: what a frame says is shown as text, and not for long.
func TestTap_hostile(t *testing.T) {
	for name, s := range hostile {
		bubble(t, name, func(t *testing.T) {
			r := newRig(t, showPayload)
			one, pid := r.dial("one", "")
			c := r.mustLive()
			next(c)
			tapOf(c, pid)
			next(c)
			n := 2
			if name != "no utf-8" { // which could not be pushed back
				one.Send(websock.Text(s))
				one.Next()
				n = 4
			}
			one.Send(websock.Binary([]byte(s)))
			one.Next()
			frames, _ := framesOf(t, c, n)
			for _, f := range frames {
				if f.num("size") != float64(len(s)) {
					t.Errorf("size: got %v, want %d", f["size"], len(s))
				}
				wantShown(t, name, map[string]any(f))
				if len(f.str("text")) > 3*512 || len(f.str("base64")) > 700 {
					t.Errorf("payload: got %d and %d bytes", len(f.str("text")), len(f.str("base64")))
				}
			}
		})
	}
}

// TestTap_thousand: 1,000 taps that are opened and dropped, in each way in which a tap can end, hold nothing.
func TestTap_thousand(t *testing.T) {
	bubble(t, "untapped", func(t *testing.T) {
		r := newRig(t, nil)
		one, pid := r.dial("one", "")
		c := r.mustLive()
		next(c)
		for range 1000 {
			tapOf(c, pid)
			next(c)
			say(c, map[string]any{"op": "untap", "pid": pid.String()})
			if v := next(c); v.str("type") != "untapped" {
				t.Fatalf("untap: got %v", v)
			}
		}
		r.wantNoTaps(one, pid)
		c.WantNothing(time.Second)
	})
	bubble(t, "pages that go", func(t *testing.T) {
		r := newRig(t, nil)
		one, pid := r.dial("one", "")
		synctest.Wait()
		before := runtime.NumGoroutine()
		for i := range 1000 {
			c := r.mustLive()
			next(c)
			tapOf(c, pid)
			next(c)
			page := r.page()
			switch i % 3 {
			case 0:
				c.Drop()
			case 1:
				c.Close(1000, "")
				c.WantClose(1000, "")
			case 2:
				p, err := r.sys.ParsePID(page)
				must(t, err)
				p.Exit(actor.ErrKilled)
				c.WantDropped()
			}
			time.Sleep(time.Second)
		}
		r.wantNoTaps(one, pid)
		if after := runtime.NumGoroutine(); after > before+2100 { // each Conn of sockettest keeps two until the end of the test
			t.Errorf("goroutines: got %d after 1,000 pages, %d before", after, before)
		}
	})
	bubble(t, "sockets that end", func(t *testing.T) {
		r := newRig(t, nil)
		c := r.mustLive()
		next(c)
		for range 1000 {
			one, pid := r.dial("one", "")
			tapOf(c, pid)
			next(c)
			one.Drop()
			if v := nextOf(t, c, "untapped"); v.str("why") != "ended" {
				t.Fatalf("after the end: got %v", v)
			}
		}
		c.WantNothing(time.Second)
	})
}

// wantNoTaps checks that all 16 taps of a socket are free.
func (r *rig) wantNoTaps(one *sockettest.Conn, pid actor.PID) {
	r.t.Helper()
	synctest.Wait()
	for i := range 16 {
		stop, err := r.srv.Tap(pid, func(socket.TapEvent) {})
		if err != nil {
			r.t.Fatalf("tap %d: %v; want all 16 to be free", i, err)
		}
		defer stop()
	}
}

// describes is a handler that says what its state is.
type describes struct {
	handler
	state func() any
}

func (d *describes) Describe() any { return d.state() }

// TestProcess_state: what a handler says of itself, and what was recorded.
func TestProcess_state(t *testing.T) {
	bubble(t, "state", func(t *testing.T) {
		r := newRig(t, func(_ *observer.Config, s *socket.Config) { s.Record = 1 })
		describe := func(state func() any) (object, actor.PID) {
			pid := r.host(&describes{state: state})
			return r.get("process/" + pid.String()), pid
		}
		v, _ := describe(func() any { return map[string]any{"room": "<b>", "seen": 7} })
		if s := v.in("state").in("json"); s.str("room") != "<b>" || s.num("seen") != 7 || v.str("state_error") != "" {
			t.Errorf("state: got %v, %v", v["state"], v["state_error"])
		}
		v, _ = describe(func() any { panic("no") })
		if v["state"] != nil || !strings.Contains(v.str("state_error"), "panic") {
			t.Errorf("state that panics: got %v, %v", v["state"], v["state_error"])
		}
		v, _ = describe(func() any { return strings.Repeat("\x00", 1<<20) })
		if s := v.in("state"); !s.yes("cut") || len(s.str("text")) > 64<<10+3 {
			t.Errorf("long state: got cut %v and %d bytes", s["cut"], len(s.str("text")))
		}
		v, pid := describe(func() any { return nil })
		if v["state"] != nil || v.str("state_error") != "" {
			t.Errorf("no state: got %v, %v", v["state"], v["state_error"])
		}
		release := make(chan struct{})
		pid.Send(func(context.Context) websock.Result { <-release; return websock.OK() })
		synctest.Wait()
		begin := time.Now()
		v = r.get("process/" + pid.String())
		if took := time.Since(begin); took != 500*time.Millisecond || !strings.Contains(v.str("state_error"), "busy") {
			t.Errorf("a busy process: took %v, state_error %q; want 500 ms, busy", took, v.str("state_error"))
		}
		close(release)
		plain := r.host(&handler{})
		if v := r.get("process/" + plain.String()); v["state"] != nil || v.str("state_error") != "" {
			t.Errorf("no Describer: got %v, %v", v["state"], v["state_error"])
		}
	})
	bubble(t, "who has asked goes away", func(t *testing.T) {
		r := newRig(t, nil)
		pid := r.host(&describes{state: func() any { time.Sleep(200 * time.Millisecond); return "here" }})
		ctx, cancel := context.WithCancel(context.Background())
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			r.ask("GET", "/api/v1/process/"+pid.String(), "", with(ctx))
		}()
		synctest.Wait() // Describe runs
		cancel()
		<-answered
		time.Sleep(time.Second)
		if v := r.get("process/" + pid.String()); v.in("state")["json"] != "here" || v.str("state_error") != "" {
			t.Errorf("state for the next one: got %v, error %q; want here", v["state"], v.str("state_error"))
		}
	})
	bubble(t, "a frame meanwhile", func(t *testing.T) {
		r := newRig(t, nil)
		n, first := 0, true
		d := &describes{}
		d.state = func() any {
			if first {
				first = false
				time.Sleep(200 * time.Millisecond)
			}
			return n
		}
		pid := r.host(d)
		answers := make(chan object, 2)
		go func() { answers <- r.get("process/" + pid.String()) }()
		synctest.Wait() // Describe runs for the first one
		go func() { answers <- r.get("process/" + pid.String()) }()
		synctest.Wait() // and the second one shares what it says
		pid.Send(func(context.Context) websock.Result { n = 1; return websock.OK() })
		<-answers
		<-answers
		synctest.Wait()
		if v := r.get("process/" + pid.String()); v.in("state")["json"] != 1.0 {
			t.Errorf("state after a message: got %v, want 1", v["state"])
		}
	})
	bubble(t, "asked once", func(t *testing.T) {
		r := newRig(t, func(_ *observer.Config, s *socket.Config) { s.Record = 1 })
		n := 0
		pid := r.host(&describes{state: func() any { n++; return n }})
		synctest.Wait() // Init has returned: what is asked while a callback runs is not kept
		for range 100 {
			if v := r.get("process/" + pid.String()); v.in("state")["json"] != 1.0 {
				t.Fatalf("state: got %v, want 1: nothing has happened since", v["state"])
			}
		}
		pid.Send("something")
		synctest.Wait()
		v := r.get("process/" + pid.String())
		if v.in("state")["json"] != 2.0 {
			t.Errorf("state after a message: got %v, want 2", v["state"])
		}
		var what []string
		for _, e := range v.list("events") {
			what = append(what, e.str("what"))
		}
		if fmt.Sprint(what) != "[init string]" || n != 2 {
			t.Errorf("events: got %q and %d questions, want init, string, and two", what, n)
		}
	})
	bubble(t, "of many", func(t *testing.T) {
		r := newRig(t, nil)
		for i := range 200 {
			pid := r.host(&describes{state: func() any { return i }})
			if v := r.get("process/" + pid.String()); v.in("state")["json"] != float64(i) {
				t.Fatalf("state: got %v, want %d", v["state"], i)
			}
			if n := r.obs.States(); n > 64 {
				t.Fatalf("states that are kept: got %d, want at most 64", n)
			}
		}
	})
	bubble(t, "events", func(t *testing.T) {
		r := newRig(t, func(_ *observer.Config, s *socket.Config) { s.Record = 1 })
		one, pid := r.dial("one", "")
		one.Send(websock.Text("hello"))
		one.Next()
		what := func(events []object) (all []string) {
			for _, e := range events {
				all = append(all, fmt.Sprint(e.yes("sent"), " ", e.str("what"), " ", e.num("size")))
			}
			return all
		}
		v := r.get("process/" + pid.String())
		if got, want := fmt.Sprint(what(v.list("events"))), "[false init 0 false text 5 true text 5]"; got != want {
			t.Errorf("events: got %s, want %s", got, want)
		}
		one.Close(1000, "")
		one.WantClose(1000, "")
		time.Sleep(time.Second)
		last := what(r.get("exits").list("rows")[0].list("events"))
		if len(last) < 4 {
			t.Errorf("events of an exit: got %q", last)
		}
		quiet := newRig(t, nil)
		_, pid = quiet.dial("one", "")
		if v := quiet.get("process/" + pid.String()); v["events"] != nil {
			t.Errorf("not recorded: got %v, want null", v["events"])
		}
	})
}
