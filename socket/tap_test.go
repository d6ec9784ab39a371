package socket_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// tapList is what a tap has shown.
type tapList struct {
	mu     sync.Mutex
	events []socket.TapEvent
}

func (l *tapList) add(e socket.TapEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

func (l *tapList) all() []socket.TapEvent {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]socket.TapEvent(nil), l.events...)
}

// words is what was shown, without the times: "in text 5, out close 2, ended"; "after N lost" stands after what came next.
func (l *tapList) words() string {
	var words []string
	for _, e := range l.all() {
		word := fmt.Sprintf("%v %v %d", e.Direction, e.Opcode, e.Size)
		if e.Opcode == socket.OpClose {
			word = fmt.Sprintf("%v close %d", e.Direction, e.Size)
		}
		if e.Ended {
			word = "ended"
		}
		if e.Payload != nil {
			word += fmt.Sprintf(" %q", e.Payload)
		}
		if e.Lost > 0 {
			word += fmt.Sprintf(" after %d lost", e.Lost)
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

// tap opens one on c.
func (c *client) tap(f func(socket.TapEvent)) (stop func()) {
	c.t.Helper()
	stop, err := c.rig.srv.Tap(c.pid, f)
	if err != nil {
		c.t.Fatalf("Tap: %v", err)
	}
	return stop
}

// TestServer_Tap: what is shown of a life, in order, with payloads and without.
func TestServer_Tap(t *testing.T) {
	for _, tt := range []struct {
		payload, deflate bool
		want             string
	}{
		{false, false, "in text 5, out text 5, in ping 1, out pong 1, in binary 600, out binary 600, in text 4, out text 4, " +
			"out text 6, in close 5, out close 2, ended"},
		{true, false, `in text 5 "hello", out text 5 "hello", in ping 1 "p", out pong 1 "p", in binary 600 "` + strings.Repeat("x", 512) +
			`", out binary 600 "` + strings.Repeat("x", 512) + `", in text 4 "half", out text 4 "half", out text 6 "pushed", in close 5 "\x03\xe8bye", ` +
			`out close 2 "\x03\xe8", ended`},
	} {
		for _, compressed := range []bool{false, true} {
			bubble(t, fmt.Sprintf("payload %t, compressed %t", tt.payload, compressed), func(t *testing.T) {
				cfg := socket.Config{TapPayload: tt.payload, Compression: socket.Compression{On: compressed, Threshold: -1}}
				r := serve(t, cfg)
				c := r.dialWith(puppet(), rawclient.HandshakeOptions{Deflate: compressed})
				go c.discard()
				var l tapList
				begun := time.Now()
				stop := c.tap(l.add)
				defer stop()
				say := func(what error) { t.Helper(); c.must(what); synctest.Wait() }
				say(c.Text("hello"))
				say(c.Ping([]byte("p")))
				say(c.Binary([]byte(strings.Repeat("x", 600))))
				say(c.Write(rawclient.Frame{Opcode: 1, Payload: []byte("ha")}, rawclient.Frame{Fin: true, Opcode: 0, Payload: []byte("lf")}))
				time.Sleep(time.Second)
				c.pid.Send(websock.Text("pushed"))
				synctest.Wait()
				say(c.Close(1000, "bye"))
				c.conn.Close()
				c.end()
				if got := l.words(); got != tt.want {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
				for i, e := range l.all() {
					want := begun
					if i >= 8 {
						want = begun.Add(time.Second)
					}
					if !e.Time.Equal(want) {
						t.Errorf("event %d is of %v, want %v", i, e.Time, want)
					}
				}
			})
		}
	}
}

// discard reads until there is nothing more.
func (c *client) discard() {
	for {
		if _, err := c.ReadFrame(); err != nil {
			return
		}
	}
}

// What stands in the buffer of a message that is used again is not what a tap has shown.
func TestServer_Tap_copies(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{TapPayload: true})
		h := &borrower{handler{in: func(_ context.Context, m websock.Message) websock.Result { clear(m.Data); return websock.OK() }}}
		c := r.dial(h)
		var l tapList
		c.tap(l.add)
		for i := range 8 {
			c.must(c.Binary([]byte(strings.Repeat(string(rune('a'+i)), 2000))))
			synctest.Wait()
		}
		for i, e := range l.all() {
			if want := strings.Repeat(string(rune('a'+i)), 512); string(e.Payload) != want {
				t.Errorf("message %d is shown as %q, want %q", i, e.Payload, want)
			}
		}
		if n := len(l.all()); n != 8 {
			t.Errorf("%d messages were shown, want 8", n)
		}
	})
}

// Nothing waits for an f that is slow. It is told how many events it has missed, and the sum is right.
func TestServer_Tap_slow(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		c := r.dial(echo())
		go c.discard()
		var l tapList
		free := make(chan struct{})
		c.tap(func(e socket.TapEvent) { <-free; l.add(e) })
		start := time.Now()
		for range 1000 {
			c.must(c.Text("x"))
		}
		synctest.Wait()
		if took := time.Since(start); took != 0 {
			t.Errorf("1,000 messages took %v while f does not return, want no time", took)
		}
		close(free)
		synctest.Wait()
		c.must(c.Text("last"))
		synctest.Wait()
		shown, lost, last := 0, 0, socket.TapEvent{}
		for _, e := range l.all() {
			shown, last = shown+1, e
			lost += e.Lost
		}
		// 256 have waited, and one was with f, unless that began when there was no room any more.
		if shown+lost != 2002 || shown < 256+2 || shown > 257+2 || last.Size != 4 {
			t.Errorf("%d shown, %d lost, the last one %+v; want 258 or 259 shown, 2,002 in all, and the echo of the last message", shown, lost, last)
		}
	})
}

// f may panic, leave its goroutine, stop its own tap or call the Server. The socket does not notice.
func TestServer_Tap_thatDoesAnything(t *testing.T) {
	for name, tt := range map[string]struct {
		f     func(r *rig, c *client, stop func())
		lines int
		calls int // of f, for four events
	}{
		"panics":        {func(*rig, *client, func()) { panic("as asked") }, 1, 1},
		"Goexit":        {func(*rig, *client, func()) { runtime.Goexit() }, 0, 1},
		"stops":         {func(_ *rig, _ *client, stop func()) { stop(); stop() }, 0, 1},
		"asks for Info": {func(r *rig, c *client, _ func()) { r.srv.Info(c.pid); r.srv.Describe(context.Background(), c.pid) }, 0, 4},
	} {
		bubble(t, name, func(t *testing.T) {
			r := serve(t, socket.Config{})
			c := r.dial(echo())
			calls := 0
			var stop func()
			stop = c.tap(func(socket.TapEvent) { calls++; tt.f(r, c, stop) })
			for range 2 {
				c.must(c.Text("x"))
				c.want(textFrame("x"))
				synctest.Wait()
			}
			if calls != tt.calls {
				t.Errorf("f was called %d times, want %d", calls, tt.calls)
			}
			if got := r.logs.of("panic in a tap", c.pid); len(got) != tt.lines {
				t.Errorf("%d lines about a panic, want %d", len(got), tt.lines)
			}
			if !c.pid.Alive() {
				t.Error("the socket has ended")
			}
		})
	}
}

func TestServer_Tap_errors(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		c := r.dial(echo())
		f := func(socket.TapEvent) {}
		if _, err := r.srv.Tap(actor.PID{}, f); !errors.Is(err, actor.ErrNoProcess) {
			t.Errorf("Tap of nobody: %v, want ErrNoProcess", err)
		}
		var stops []func()
		for range 16 {
			stops = append(stops, c.tap(f))
		}
		if _, err := r.srv.Tap(c.pid, f); !errors.Is(err, socket.ErrTapped) {
			t.Errorf("the 17th Tap: %v, want ErrTapped", err)
		}
		stops[3]()
		stops[3]()
		c.tap(f)
		if _, err := r.srv.Tap(c.pid, f); !errors.Is(err, socket.ErrTapped) {
			t.Errorf("one more after one was stopped twice: %v, want ErrTapped", err)
		}
		c.must(c.Close(1000, ""))
		c.conn.Close()
		c.end()
		if _, err := r.srv.Tap(c.pid, f); !errors.Is(err, actor.ErrNoProcess) {
			t.Errorf("Tap of a socket that has ended: %v, want ErrNoProcess", err)
		}
		stops[0]()
	})
}

// 1,000 taps that were opened and dropped hold nothing: neither what their f refers to nor a goroutine, while their socket
// goes on.
func TestServer_Tap_holdsNothing(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{TapPayload: true})
		c := r.dial(echo())
		const taps = 1000
		var held []weak.Pointer[[1 << 10]byte]
		goroutines := runtime.NumGoroutine()
		for range taps {
			big := new([1 << 10]byte)
			held = append(held, weak.Make(big))
			stop := c.tap(func(socket.TapEvent) { big[0]++ })
			c.must(c.Text("x"))
			c.want(textFrame("x"))
			stop()
		}
		synctest.Wait()
		if n := runtime.NumGoroutine(); n > goroutines {
			t.Errorf("%d goroutines more than before", n-goroutines)
		}
		runtime.GC()
		left := 0
		for _, p := range held {
			if p.Value() != nil {
				left++
			}
		}
		if left > 1 { // the last one may still be on the stack
			t.Errorf("what %d of %d taps refer to is still in memory", left, taps)
		}
	})
}

// Taps come and go while messages do, from all sides. One that is opened after that shows everything, and Ended at last.
func TestServer_Tap_race(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		c := r.dial(echo())
		go c.discard()
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				for range 100 {
					stop, err := r.srv.Tap(c.pid, func(socket.TapEvent) {})
					if err != nil {
						t.Errorf("Tap: %v", err)
						return
					}
					runtime.Gosched()
					stop()
				}
			})
		}
		for range 1000 {
			c.must(c.Text("x"))
		}
		group.Wait()
		synctest.Wait()
		var l tapList
		c.tap(l.add)
		c.must(c.Text("after"))
		synctest.Wait()
		c.pid.Exit(actor.ErrKilled)
		c.end()
		if got, want := l.words(), "in text 5, out text 5, ended"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// Shutdown waits for an f that runs, for a moment, and not for one that is stuck.
func TestServer_Tap_atShutdown(t *testing.T) {
	for name, tt := range map[string]struct{ f, want time.Duration }{
		"in time": {200 * time.Millisecond, 200 * time.Millisecond},
		"stuck":   {time.Hour, 300 * time.Millisecond},
	} {
		bubble(t, name, func(t *testing.T) {
			r := serve(t, socket.Config{})
			c := r.dial(echo())
			go func() { c.discard(); c.Close(1001, ""); c.conn.Close() }()
			done := false
			c.tap(func(e socket.TapEvent) {
				if e.Ended {
					time.Sleep(tt.f)
					done = true
				}
			})
			c.pid.Exit(actor.ErrKilled)
			start := time.Now()
			if err := r.srv.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took != tt.want {
				t.Errorf("Shutdown took %v, want %v", took, tt.want)
			}
			if in := tt.f == tt.want; in && !done {
				t.Error("Shutdown has returned while f runs")
			}
			time.Sleep(tt.f)
		})
	}
}
