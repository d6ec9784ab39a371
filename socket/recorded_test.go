package socket_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// recordOf is the record in the log line about the end of c; nil: there is none.
func recordOf(c *client) []string {
	c.t.Helper()
	lines := c.rig.logs.of("socket closed", c.pid)
	if len(lines) != 1 {
		c.t.Fatalf("%d lines about the end, want 1", len(lines))
	}
	record, _ := lines[0].attrs["record"].Any().([]string)
	return record
}

// TestConfig_Record: the story that the log tells of a socket that has ended badly.
func TestConfig_Record(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{Record: 1})
		c := r.dial(puppet())
		synctest.Wait()
		time.Sleep(time.Second)
		c.must(c.Text("hello"))
		c.want(textFrame("hello"))
		synctest.Wait()
		c.pid.Send(do(func(context.Context) websock.Result { time.Sleep(3 * time.Second); return websock.OK() }))
		synctest.Wait()
		c.pid.Send("one")
		c.pid.Send(websock.Text("for the client"))
		synctest.Wait()
		time.Sleep(3 * time.Second)
		c.want(textFrame("for the client"))
		c.pid.Send(do(func(context.Context) websock.Result { panic("boom") }))
		synctest.Wait()
		c.must(c.Close(1011, ""))
		closed := c.end()
		want := []string{
			"+0s init 0s",
			"+1s text 5 B 0s", "+1s sent text 5 B",
			"+1s socket_test.do 3s",
			"+4s string 0s 1 waiting", "+4s websock.Message to the client 14 B 0s", "+4s sent text 14 B",
			"+4s socket_test.do 0s", "+4s sent close 2 B", "+4s terminate 0s",
		}
		if got := recordOf(c); !slices.Equal(got, want) {
			t.Errorf("the log says\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		var event []string
		for _, e := range closed.Record {
			event = append(event, e.String())
		}
		if !slices.Equal(event, want) {
			t.Errorf("Closed has\n%s\nwant\n%s", strings.Join(event, "\n"), strings.Join(want, "\n"))
		}
	})
}

// Only the last 64 are kept, in order.
func TestConfig_Record_isARing(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{Record: 1})
		c := r.dial(puppet())
		for n := range 200 {
			c.must(c.Text(strings.Repeat("x", n)))
			c.want(textFrame(strings.Repeat("x", n)))
			synctest.Wait()
			got, err := r.srv.Recorded(c.pid)
			if want := min(1+2*(n+1), 64); err != nil || len(got) != want {
				t.Fatalf("after %d messages: %d entries, %v; want %d", n+1, len(got), err, want)
			}
			last, before := got[len(got)-1], got[len(got)-2]
			if !last.Sent || last.Size != n || before.Sent || before.Size != n || before.Took != 0 || before.What != "text" {
				t.Fatalf("after message %d the last entries are %v and %v", n, before, last)
			}
		}
	})
}

// What a stream writes is there as the frames that were sent: looking for them is no callback, and pushes out nothing.
func TestConfig_Record_stream(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{Record: 1})
		c := r.dial(&lines{n: 60, size: 3})
		c.must(c.Text("go"))
		c.want(textFrame("begins"))
		for i := range 60 {
			c.want(textFrame(fmt.Sprintf("%3d", i)))
		}
		synctest.Wait()
		got, err := r.srv.Recorded(c.pid)
		if err != nil {
			t.Fatal(err)
		}
		what := map[string]int{}
		for _, e := range got {
			what[fmt.Sprintf("%s sent %t", e.What, e.Sent)]++
		}
		want := map[string]int{"init sent false": 1, "text sent false": 1, "text sent true": 61}
		if !maps.Equal(what, want) {
			t.Errorf("recorded %v, want %v", what, want)
		}
	})
}

// What only looks whether there is something to do is not recorded: a socket that expires in a day looks each minute.
func TestConfig_Record_expiry(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{Record: 1, IdleTimeout: -1, PingInterval: -1})
		c := r.dial(puppet())
		synctest.Wait()
		c.pid.Send(expireIn(24 * time.Hour))
		time.Sleep(3 * time.Hour)
		got, err := r.srv.Recorded(c.pid)
		if err != nil || len(got) != 2 || got[0].What != "init" {
			t.Errorf("after three hours it says %v, %v; want Init and the callback that has called Expire", got, err)
		}
	})
}

// A callback that runs is there, too, and one that never returns: that is what one looks for.
func TestServer_Recorded_whileACallbackRuns(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{Record: 1})
		c := r.dial(puppet())
		release := blockUntil(c, websock.OK())
		defer release()
		got, err := r.srv.Recorded(c.pid)
		if err != nil || len(got) != 2 || got[1].String() != "+0s socket_test.do not returned" {
			t.Errorf("got %v, %v; want Init and the callback", got, err)
		}
		c.pid.Exit(actor.ErrKilled)
		c.end()
		if got, want := recordOf(c), []string{"+0s init 0s", "+0s socket_test.do not returned"}; !slices.Equal(got, want) {
			t.Errorf("the log says %q, want %q", got, want)
		}
	})
}

// Sampling is exact, and off is off. Of ends that are no trouble the log has no record.
func TestConfig_Record_which(t *testing.T) {
	for _, tt := range []struct {
		record int
		want   string // which of ten sockets are recorded
	}{{0, ""}, {-1, ""}, {1, "0123456789"}, {3, "0369"}, {10, "0"}, {1000, "0"}} {
		bubble(t, fmt.Sprint(tt.record), func(t *testing.T) {
			r := serve(t, socket.Config{Record: tt.record})
			got := ""
			for i := range 10 {
				c := r.dial(echo())
				synctest.Wait()
				record, err := r.srv.Recorded(c.pid)
				if err != nil {
					t.Error(err)
				}
				if record != nil {
					got += fmt.Sprint(i)
				}
				if i%2 == 0 {
					c.pid.Exit(errors.New("trouble"))
					c.must(c.Close(1011, ""))
				} else {
					c.must(c.Close(1000, ""))
				}
				c.conn.Close()
				closed := c.end()
				if (closed.Record != nil) != (record != nil) {
					t.Errorf("socket %d: Closed has a record %t, it was recorded %t", i, closed.Record != nil, record != nil)
				}
				if logged := recordOf(c) != nil; logged != (record != nil && i%2 == 0) {
					t.Errorf("socket %d: the log has a record: %t", i, logged)
				}
			}
			if got != tt.want {
				t.Errorf("recorded were %q, want %q", got, tt.want)
			}
			if _, err := r.srv.Recorded(actor.PID{}); !errors.Is(err, actor.ErrNoProcess) {
				t.Errorf("Recorded of nobody: %v, want ErrNoProcess", err)
			}
		})
	}
}

// A socket that is recorded is like any other: Info works in its callbacks, Inspect names the handler, a tap shows its frames.
func TestConfig_Record_changesNothingElse(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{Record: 1})
		var info socket.ConnInfo
		h := puppet()
		h.in = func(ctx context.Context, m websock.Message) websock.Result {
			info = socket.Info(ctx)
			return websock.Push(m)
		}
		c := r.dial(h)
		if p, err := actor.Inspect(c.pid); err != nil || p.Actor != "*socket_test.handler" {
			t.Errorf("Inspect: %+v, %v; want the type of the handler", p, err)
		}
		var l tapList
		stop := c.tap(l.add)
		defer stop()
		c.must(c.Text("x"))
		c.want(textFrame("x"))
		synctest.Wait()
		if info.PID != c.pid || l.words() != "in text 1, out text 1" {
			t.Errorf("Info says %v, want %v; the tap shows %s", info.PID, c.pid, l.words())
		}
		for range 15 {
			c.tap(l.add)
		}
		if _, err := r.srv.Tap(c.pid, l.add); !errors.Is(err, socket.ErrTapped) {
			t.Errorf("the 17th tap: %v, want ErrTapped", err)
		}
	})
}
