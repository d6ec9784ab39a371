package socket_test

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// eventList is the events so far.
type eventList struct {
	mu     sync.Mutex
	events []socket.Event
}

func (j *eventList) add(e socket.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, e)
}

// take returns what has come since the last take.
func (j *eventList) take() []socket.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	events := j.events
	j.events = nil
	return events
}

// words is take without what differs from run to run.
func (j *eventList) words() string {
	var words []string
	for _, e := range j.take() {
		word := strings.TrimPrefix(fmt.Sprintf("%T", e), "socket.")
		switch e := e.(type) {
		case socket.Closed:
			word += ":" + e.Cause.String()
		case socket.Refused:
			word += ":" + e.Reason.String()
		case socket.Draining:
			word += ":" + e.Stage.String()
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestConfig_OnEvent(t *testing.T) {
	bubble(t, "a life", func(t *testing.T) {
		r := serve(t, socket.Config{Name: "chat", Subject: func(*http.Request) string { return "user:42" }, Subprotocols: []string{"v2"}})
		c := r.dialWith(puppet(), rawclient.HandshakeOptions{Header: http.Header{"Sec-WebSocket-Protocol": {"v2"}}})
		synctest.Wait()
		want := socket.Opened{Server: "chat", PID: c.pid, Subject: "user:42", RemoteAddr: c.conn.LocalAddr(), Subprotocol: "v2"}
		var got []socket.Event
		r.events.mu.Lock()
		got = append(got, r.events.events...)
		r.events.mu.Unlock()
		if len(got) != 1 {
			t.Fatalf("events when it has opened: %+v", got)
		}
		o := got[0].(socket.Opened)
		if o.RemoteAddr.String() != want.RemoteAddr.String() {
			t.Errorf("RemoteAddr is %v, want %v", o.RemoteAddr, want.RemoteAddr)
		}
		if o.RemoteAddr = want.RemoteAddr; o != want {
			t.Errorf("got  %+v\nwant %+v", o, want)
		}
		c.must(c.Close(1000, ""))
		c.conn.Close()
		cl := c.end()
		r.events.mu.Lock()
		last := r.events.events[len(r.events.events)-1]
		r.events.mu.Unlock()
		if !reflect.DeepEqual(last, socket.Event(cl)) {
			t.Errorf("the last event is\n%+v, OnClose got\n%+v", last, cl)
		}
	})
	bubble(t, "refused", func(t *testing.T) {
		var j eventList
		h := newSite(t, socket.Config{Name: "chat", OnEvent: j.add})
		h.overMemory(h.srv.Handler(func(*http.Request) (websock.Handler, error) {
			return nil, &socket.UpgradeError{Status: 401}
		}))
		h.refused(rawclient.HandshakeOptions{Path: "/" + strings.Repeat("x", 5000) + "?token=secret"})
		h.refused(rawclient.HandshakeOptions{Header: http.Header{"Origin": {"https://evil.example"}}})
		synctest.Wait()
		events := j.take()
		if len(events) != 2 {
			t.Fatalf("events: %+v", events)
		}
		first, second := events[0].(socket.Refused), events[1].(socket.Refused)
		if first.Server != "chat" || first.Reason != socket.RefusedHandler || first.Status != 401 || first.Err.Status != 401 ||
			len(first.Path) > 1100 || strings.Contains(fmt.Sprintf("%+v", first), "secret") || first.RemoteAddr == "" || first.Host == "" {
			t.Errorf("refused by newHandler: %+v", first)
		}
		if second.Reason != socket.RefusedOrigin || second.Status != 403 || second.Origin != "https://evil.example" {
			t.Errorf("refused because of its origin: %+v", second)
		}
	})
	for name, tt := range map[string]struct {
		cfg   socket.Config
		cause func(t *testing.T, r *rig, c *client)
		want  string
	}{
		"overflow": {socket.Config{MailboxLimit: 2}, func(t *testing.T, r *rig, c *client) {
			release := blockUntil(c, websock.OK())
			for range 4 {
				c.pid.Send("more")
			}
			synctest.Wait()
			release()
			c.must(c.Close(1013, ""))
			c.conn.Close()
			c.end()
		}, "Opened Overflowed Closed:overload"},
		"a slow callback": {socket.Config{SlowCallback: time.Second}, func(t *testing.T, r *rig, c *client) {
			release := blockUntil(c, websock.OK())
			time.Sleep(5 * time.Second)
			release()
			c.must(c.Close(1000, ""))
			c.conn.Close()
			c.end()
		}, "Opened SlowCallback Closed:remote"},
		"a panic": {socket.Config{}, func(t *testing.T, r *rig, c *client) {
			c.pid.Send(do(func(context.Context) websock.Result { panic("boom") }))
			c.must(c.Close(1011, ""))
			c.end()
		}, "Opened Closed:panic"},
		"abandoned": {socket.Config{AbandonAfter: time.Second}, func(t *testing.T, r *rig, c *client) {
			release := blockUntil(c, websock.OK())
			c.conn.Close()
			c.end()
			time.Sleep(time.Second)
			release()
		}, "Opened Closed:remote Abandoned"},
		"killed": {socket.Config{}, func(t *testing.T, r *rig, c *client) {
			c.pid.Exit(actor.ErrKilled)
			c.end()
		}, "Opened Closed:killed"},
		"a drain": {socket.Config{}, func(t *testing.T, r *rig, c *client) {
			go func() {
				c.ReadMessage()
				time.Sleep(time.Second) // so that the drain waits for it
				c.Close(1001, "")
				c.conn.Close()
			}()
			if err := r.srv.Drain(t.Context(), socket.Drain{Delay: time.Second}); err != nil {
				t.Error(err)
			}
		}, "Opened Draining:delaying Draining:closing Draining:waiting Closed:shutdown Draining:done"},
	} {
		bubble(t, name, func(t *testing.T) {
			var j eventList
			tt.cfg.OnEvent = j.add
			r := serve(t, tt.cfg)
			tt.cause(t, r, r.dial(puppet()))
			synctest.Wait()
			if got := j.words(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// A drain tells OnEvent and the log, and OnProgress what it has told before.
func TestConfig_OnEvent_besideOnProgress(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		var j eventList
		var progress []socket.DrainProgress
		r := serve(t, socket.Config{OnEvent: j.add})
		for range 3 {
			c := r.dial(puppet())
			go func() { c.ReadMessage(); c.Close(1001, ""); c.conn.Close() }()
		}
		err := r.srv.Drain(t.Context(), socket.Drain{Over: 3 * time.Second, OnProgress: func(p socket.DrainProgress) { progress = append(progress, p) }})
		if err != nil {
			t.Fatal(err)
		}
		var told []socket.DrainProgress
		for _, e := range j.take() {
			if d, ok := e.(socket.Draining); ok {
				told = append(told, d.DrainProgress)
			}
		}
		if !reflect.DeepEqual(told, progress) || len(told) < 5 {
			t.Errorf("events: %+v\nOnProgress: %+v", told, progress)
		}
	})
}

// OnEvent may panic, leave its goroutine or block: nothing waits for it but the end.
func TestConfig_OnEvent_thatDoesAnything(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		var n atomic.Int32 // a call that does not return is given up without a word to the others
		r := serve(t, socket.Config{OnEvent: func(socket.Event) {
			switch n.Add(1) {
			case 1:
				panic("as asked")
			case 2:
				runtime.Goexit()
			case 3:
				time.Sleep(time.Hour)
			}
		}})
		for range 5 {
			c := r.dial(puppet())
			c.must(c.Text("hello"))
			c.want(textFrame("hello"))
			c.must(c.Close(1000, ""))
			c.conn.Close()
			c.end()
		}
		time.Sleep(2 * time.Hour)
		if n := n.Load(); n != 10 {
			t.Errorf("OnEvent was called %d times, want 10", n)
		}
	})
}

// Refused is what strangers cause, at any rate. However many come while a call of OnEvent takes long, they push no Opened and no
// Closed out.
func TestConfig_OnEvent_floodOfRefusals(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		var j eventList
		h := newSite(t, socket.Config{Name: "chat", OnEvent: func(e socket.Event) {
			if _, ok := e.(socket.Opened); ok {
				time.Sleep(time.Hour) // a database that does not answer
			}
			j.add(e)
		}})
		h.overMemory(h.sockets(func() websock.Handler { return puppet() }))
		before := h.connect(rawclient.HandshakeOptions{})
		synctest.Wait()
		time.Sleep(time.Second)
		const flood = 3000
		for range flood {
			h.refused(rawclient.HandshakeOptions{Header: http.Header{"Origin": {"https://evil.example"}}})
		}
		after := h.connect(rawclient.HandshakeOptions{})
		for _, c := range []*rawclient.Client{before, after} {
			c.Close(1000, "")
			c.ReadMessage()
			c.Conn().Close()
		}
		h.wantEnds(2)
		time.Sleep(3 * time.Hour)
		got := map[string]int{}
		for word := range strings.FieldsSeq(j.words()) {
			got[word]++
		}
		if got["Opened"] != 2 || got["Closed:remote"] != 2 {
			t.Errorf("%d refusals while a call of OnEvent took an hour: it got %v; want 2 of Opened and of Closed:remote", flood, got)
		}
		if n := got["Refused:origin"]; n != 1024 {
			t.Errorf("it got %d Refused, want 1,024, as many as may wait", n)
		}
		if n := h.srv.Stats().Refused[socket.Refusal{Reason: socket.RefusedOrigin, Status: 403}]; n != flood {
			t.Errorf("Stats has counted %d, want all %d", n, flood)
		}
	})
}

func TestConfig_OnEvent_abandoned(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		var j eventList
		r := serve(t, socket.Config{Name: "chat", Subject: func(*http.Request) string { return "user:42" }, OnEvent: j.add})
		h := puppet()
		h.init = func(ctx context.Context) websock.Result { actor.SetLabel(ctx, "label"); return websock.OK() }
		c := r.dial(h)
		release := blockUntil(c, websock.OK())
		defer release()
		time.Sleep(time.Second)
		c.pid.Exit(actor.ErrKilled)
		c.end()
		time.Sleep(time.Second)
		events := j.take()
		got, ok := events[len(events)-1].(socket.Abandoned)
		if !ok || !strings.Contains(got.Stack, "socket_test.blockUntil") {
			t.Fatalf("the last event is %+v, want Abandoned with the stack of the callback", events[len(events)-1])
		}
		got.Stack = ""
		want := socket.Abandoned{Server: "chat", PID: c.pid, Label: "label", Subject: "user:42", Handling: "socket_test.do", For: 1100 * time.Millisecond}
		if got != want {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	})
}
