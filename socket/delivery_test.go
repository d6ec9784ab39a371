package socket_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

// lagged is a handler that keeps what HandleLag was told, pushes the messages that it is sent as a slice, returns a Result that
// it is sent, takes as long as it is told to, and says how far it is behind.
type lagged struct {
	idleHandler
	lags []websock.Lag
}

func (h *lagged) HandleInfo(ctx context.Context, msg any) websock.Result {
	switch msg := msg.(type) {
	case websock.Result:
		return msg
	case time.Duration:
		time.Sleep(msg)
		return websock.OK()
	case chan websock.Lag:
		msg <- socket.Info(ctx).Lag
		return websock.OK()
	}
	return websock.Push(msg.([]websock.Message)...)
}

func (h *lagged) HandleLag(_ context.Context, l websock.Lag) websock.Result {
	h.lags = append(h.lags, l)
	return websock.Push(websock.Text(fmt.Sprint("left out: ", l.LeftOut)))
}

// block has a write to the client wait, so that the process is busy: what is sent from now on waits in its mailbox.
func block(t *testing.T, c *sockettest.Conn) (filler websock.Message) {
	t.Helper()
	synctest.Wait() // Init is over: so a worker writes, and not the reader beside the process
	c.Pause(64)
	filler = websock.Binary(make([]byte, 1000))
	c.PID.Send(filler)
	synctest.Wait()
	time.Sleep(10 * time.Millisecond)
	return filler
}

// blockLate has a write to the client wait while the process goes on: the write is the late flush of a callback that takes a
// second, of which most is still to come.
func blockLate(c *sockettest.Conn) (filler websock.Message) {
	synctest.Wait()
	c.Pause(64)
	filler = websock.Binary(make([]byte, 1000))
	for _, msg := range []any{10 * time.Millisecond, filler, time.Second} {
		c.PID.Send(msg)
	}
	time.Sleep(20 * time.Millisecond)
	return filler
}

func TestDelivery(t *testing.T) {
	key := func(s, k string) websock.Message { return websock.Text(s).Deliver(websock.Delivery{Key: k}) }
	volatile := websock.Text("volatile").Deliver(websock.Delivery{Volatile: true})
	expires := websock.Text("expires").Deliver(websock.Delivery{Expires: time.Second})
	plain := websock.Text
	for name, tt := range map[string]struct {
		sent    []websock.Message
		waits   time.Duration
		want    []string
		leftOut uint64
	}{
		"the newest of a key, in the place of the oldest": {
			[]websock.Message{plain("1"), key("a1", "a"), plain("2"), key("b1", "b"), key("a2", "a"), key("a3", "a"), plain("3")}, 0,
			[]string{"1", "a3", "2", "b1", "3"}, 2},
		"volatile, and something waits": {[]websock.Message{plain("1"), volatile, plain("2")}, 0, []string{"1", "2"}, 1},
		"volatile, and a write waits":   {[]websock.Message{volatile, plain("1")}, 0, []string{"1"}, 1},
		"expires in time":               {[]websock.Message{expires, plain("1")}, time.Second - 10*time.Millisecond, []string{"expires", "1"}, 0},
		"has expired":                   {[]websock.Message{plain("1"), expires, plain("2")}, time.Second + time.Nanosecond, []string{"1", "2"}, 1},
		"the zero Delivery":             {[]websock.Message{plain("1").Deliver(websock.Delivery{}), plain("2")}, time.Hour / 600, []string{"1", "2"}, 0},
		"a key that has expired is new": {
			[]websock.Message{plain("a1").Deliver(websock.Delivery{Key: "a", Expires: time.Second}), key("a2", "a")}, 2 * time.Second,
			[]string{"a2"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &lagged{}
				c := sockettest.Serve(t, socket.Config{Logger: quiet}, h)
				filler := block(t, c)
				for _, m := range tt.sent {
					if !c.PID.Send(m) {
						t.Errorf("Send(%v) = false", m)
					}
				}
				time.Sleep(tt.waits)
				c.Resume()
				c.Want(filler)
				for _, s := range tt.want {
					c.Want(websock.Text(s))
				}
				if tt.leftOut > 0 {
					c.Want(websock.Text(fmt.Sprint("left out: ", tt.leftOut)))
				}
				c.WantNothing(time.Second)
				if tt.leftOut > 0 && !slices.Equal(h.lags, []websock.Lag{{LeftOut: tt.leftOut}}) || tt.leftOut == 0 && h.lags != nil {
					t.Errorf("HandleLag got %+v, want it once, with %d; or never for 0", h.lags, tt.leftOut)
				}
			})
		})
	}
}

// To a client that keeps up everything is written, whatever its Delivery says.
func TestDelivery_toAClientThatKeepsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &lagged{}
		c := sockettest.Serve(t, socket.Config{Logger: quiet}, h)
		synctest.Wait() // Init is over: a worker writes, and not the reader beside the process
		for i := range 1000 {
			m := websock.Text(strconv.Itoa(i)).Deliver(websock.Delivery{Key: "a", Volatile: true, Expires: 1})
			c.PID.Send(m)
			c.Want(m)
		}
		if h.lags != nil {
			t.Errorf("HandleLag got %+v", h.lags)
		}
	})
}

// What is pushed is newer than what waits: of its key, the one that waits is left out.
func TestDelivery_pushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &lagged{}
		c := sockettest.Serve(t, socket.Config{Logger: quiet}, h)
		filler := block(t, c)
		a := func(s string) websock.Message { return websock.Text(s).Deliver(websock.Delivery{Key: "a"}) }
		c.PID.Send([]websock.Message{a("pushed"), websock.Text("1")})
		c.PID.Send(a("older"))
		c.PID.Send(websock.Text("2"))
		c.Resume()
		c.Want(filler, websock.Text("pushed"), websock.Text("1"), websock.Text("2"), websock.Text("left out: 1"))
	})
}

// What SendWait sends is never left out, not even what is volatile while a write waits.
func TestDelivery_sendWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &lagged{}
		c := sockettest.Serve(t, socket.Config{Logger: quiet}, h)
		filler := blockLate(c)
		volatile := func(s string) websock.Message { return websock.Text(s).Deliver(websock.Delivery{Volatile: true}) }
		if err := actor.SendWait(t.Context(), c.PID, volatile("sent with SendWait")); err != nil {
			t.Fatal(err)
		}
		if err := actor.SendWait(t.Context(), c.PID, []websock.Message{volatile("pushed for one")}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		c.Resume()
		c.Want(filler, websock.Text("sent with SendWait"), websock.Text("left out: 1"))
		c.WantNothing(time.Second)
	})
}

// What is left out of the last Result is counted as what was left out before.
func TestDelivery_pushedWithStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ends := make(chan socket.Closed, 1)
		c := sockettest.Serve(t, socket.Config{Logger: quiet, OnClose: func(cl socket.Closed) { ends <- cl }}, &lagged{})
		filler := blockLate(c)
		c.PID.Send(websock.Result{Push: []websock.Message{websock.Text("v").Deliver(websock.Delivery{Volatile: true})}, Stop: websock.ErrNormal})
		time.Sleep(2 * time.Second)
		c.Resume()
		c.Want(filler)
		c.WantClose(websock.CloseNormal, "")
		if cl := <-ends; cl.Lag.LeftOut != 1 {
			t.Errorf("closed: %d left out, want 1", cl.Lag.LeftOut)
		}
	})
}

// While an Exit waits, what came before it is handled as ever: nothing of a key is written after what is newer.
func TestDelivery_pushedBeforeExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ends := make(chan socket.Closed, 1)
		c := sockettest.Serve(t, socket.Config{Logger: quiet, OnClose: func(cl socket.Closed) { ends <- cl }}, &lagged{})
		a := func(s string) websock.Message { return websock.Text(s).Deliver(websock.Delivery{Key: "a"}) }
		for _, msg := range []any{time.Second, []websock.Message{a("pushed")}, a("older")} {
			c.PID.Send(msg)
			synctest.Wait()
		}
		c.PID.Exit(websock.ErrNormal)
		c.Want(websock.Text("pushed"))
		c.WantClose(websock.CloseNormal, "")
		if cl := <-ends; cl.Lag.LeftOut != 1 || cl.Dropped != 0 {
			t.Errorf("closed: %d left out, %d dropped, want 1, 0", cl.Lag.LeftOut, cl.Dropped)
		}
	})
}

// A message that a newer one of its key was pushed instead of does not count as bytes that wait.
func TestDelivery_pushedBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sockettest.Serve(t, socket.Config{Logger: quiet}, &lagged{})
		a := websock.Binary(make([]byte, 1000)).Deliver(websock.Delivery{Key: "a"})
		lag := make(chan websock.Lag, 1)
		for _, msg := range []any{time.Second, []websock.Message{a}, time.Second, lag, a} { // what is pushed is written in the second second
			c.PID.Send(msg)
			synctest.Wait()
		}
		c.Want(a)
		if l := <-lag; l.Messages == 0 || l.Bytes != 0 {
			t.Errorf("%+v; want the message that is left out to wait, and no bytes", l)
		}
	})
}

// A mailbox that is full takes a message whose key waits, and leaves out one that is volatile; neither ends the socket.
func TestDelivery_mailboxFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sockettest.Serve(t, socket.Config{Logger: quiet, MailboxLimit: 2}, &lagged{})
		filler := block(t, c)
		a := func(s string) websock.Message { return websock.Text(s).Deliver(websock.Delivery{Key: "a"}) }
		for i, m := range []websock.Message{a("1"), websock.Text("plain"), a("2"), websock.Text("v").Deliver(websock.Delivery{Volatile: true}), a("3")} {
			if !c.PID.Send(m) {
				t.Errorf("message %d was refused", i)
			}
		}
		c.Resume()
		c.Want(filler, websock.Text("3"), websock.Text("plain"), websock.Text("left out: 3"))
	})
}

// HandleLag is called once for each time that the socket has caught up, not for each message.
func TestDelivery_lagIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &lagged{}
		c := sockettest.Serve(t, socket.Config{Logger: quiet}, h)
		sum := uint64(0)
		for round := range 3 {
			filler := block(t, c)
			for i := range 10 + round {
				c.PID.Send(websock.Text(strconv.Itoa(i)).Deliver(websock.Delivery{Key: "a"}))
			}
			sum += uint64(9 + round)
			c.Resume()
			c.Want(filler, websock.Text(strconv.Itoa(9+round)), websock.Text(fmt.Sprint("left out: ", 9+round)))
			c.WantNothing(time.Second)
		}
		if len(h.lags) != 3 {
			t.Errorf("HandleLag got %+v, want it three times", h.lags)
		}
		if info, err := actor.Inspect(c.PID); err != nil || info.LeftOut != sum {
			t.Errorf("LeftOut is %d, %v; want %d", info.LeftOut, err, sum)
		}
	})
}

// A ticker of three symbols, a price each millisecond, and a client that reads a hundred a second: it is never ended, what it
// gets is no older than what was on its way, and what was left out adds up.
func TestDelivery_ticker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type price struct {
			Symbol string        `json:"symbol"`
			N      int           `json:"n"`
			At     time.Duration `json:"at"`
		}
		const prices, size, window = 10_000, 40, 1 << 10 // bytes of a price, and that are on their way
		sys := sockettest.NewSystem(t)
		reg := registry.New(sys)
		ends := make(chan socket.Closed, 1)
		c := sockettest.Serve(t, socket.Config{System: sys, Logger: quiet, OnClose: func(cl socket.Closed) { ends <- cl }}, &idleHandler{})
		reg.Join("prices", c.PID, nil)
		c.Pause(window)
		start, arrived := time.Now(), 0
		last := map[string]int{}
		read := func() {
			var p price
			if err := json.Unmarshal(c.Next().Data, &p); err != nil {
				t.Fatal(err)
			}
			arrived++
			if n, ok := last[p.Symbol]; ok && p.N <= n {
				t.Fatalf("price %d of %s after %d", p.N, p.Symbol, n)
			}
			last[p.Symbol] = p.N
			// The window, what a write has in its hands, which is at most one of each symbol and the one that woke it, and the mailbox.
			if age, most := time.Since(start)-p.At, (window/size+8)*10*time.Millisecond; age > most {
				t.Fatalf("a price is %v old, want %v at most", age, most)
			}
		}
		for i := range prices {
			p := price{[]string{"A", "B", "C"}[i%3], i, time.Since(start)}
			if n := reg.Broadcast("prices", websock.JSON(p).Deliver(websock.Delivery{Key: p.Symbol})); n != 1 {
				t.Fatalf("price %d reached %d mailboxes", i, n)
			}
			time.Sleep(time.Millisecond)
			if i%10 == 9 {
				read()
			}
			if i%1000 == 0 {
				if info, _ := actor.Inspect(c.PID); info.Mailbox > 3 { // one of each symbol
					t.Fatalf("%d messages wait", info.Mailbox)
				}
			}
		}
		info, err := actor.Inspect(c.PID)
		if err != nil {
			t.Fatal(err)
		}
		for arrived+int(info.LeftOut) < prices {
			read()
		}
		c.WantNothing(time.Second)
		for i, symbol := range []string{"C", "A", "B"} { // the last prices are those of A, 9999; C, 9998; B, 9997
			if want := []int{prices - 2, prices - 1, prices - 3}[i]; last[symbol] != want {
				t.Errorf("the last price of %s was number %d, want %d", symbol, last[symbol], want)
			}
		}
		c.Resume()
		c.Close(websock.CloseNormal, "")
		c.WantClose(websock.CloseNormal, "")
		if closed := <-ends; closed.Lag.LeftOut != info.LeftOut || closed.Dropped != 0 {
			t.Errorf("closed: %d left out, %d dropped, want %d, 0", closed.Lag.LeftOut, closed.Dropped, info.LeftOut)
		}
	})
}

// Random messages of all classes, sent and broadcast, to a client that reads now and then: those without a Delivery
// arrive all and in order, of each key what arrives gets newer and the newest arrives, what has expired is not written, and what was
// sent has arrived or is counted.
func TestDelivery_property(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			srv, c := hosted(t, socket.Config{Logger: quiet, MailboxLimit: 2000, TapPayload: true}, &idleHandler{})
			reg := registry.New(srv.System())
			reg.Join("all", c.PID, nil)
			w := watchWrites(t, srv, c.PID)
			const messages = 2000
			var plain []string
			newest := map[string]int{}
			until := map[string]time.Time{} // when those expire that do
			var steps []string              // for the message of a failure
			for i := range messages {
				d := websock.Delivery{}
				switch random.IntN(4) {
				case 0:
					d.Key = string(rune('a' + random.IntN(3)))
					newest[d.Key] = i
				case 1:
					d.Volatile = true
				case 2:
					d.Expires = time.Duration(1+random.IntN(50)) * time.Millisecond
				}
				// A tap holds 256 events: so as many do not fit in what is written at once.
				text := fmt.Sprintf("%s:%d:%300s", d.Key, i, "")
				m := websock.Text(text)
				if d != (websock.Delivery{}) {
					m = m.Deliver(d)
				} else {
					text = "plain" + text
					m = websock.Text(text)
					plain = append(plain, text)
				}
				if d.Expires > 0 {
					until[text] = time.Now().Add(d.Expires)
				}
				how := random.IntN(2)
				steps = append(steps, fmt.Sprintf("%d %s %+v", how, strings.TrimSpace(text), d))
				if how == 0 {
					c.PID.Send(m)
				} else {
					reg.Broadcast("all", m)
				}
				if random.IntN(3) == 0 {
					time.Sleep(time.Duration(random.IntN(5)) * time.Millisecond)
				}
				switch random.IntN(40) {
				case 0:
					c.Pause(1 + random.IntN(2000))
				case 1:
					c.Resume()
				}
			}
			c.Resume()
			time.Sleep(time.Second)
			synctest.Wait()
			info, err := actor.Inspect(c.PID)
			if err != nil || info.Mailbox != 0 {
				t.Fatalf("seed %d: %+v, %v; want nothing to wait", seed, info, err)
			}
			var gotPlain []string
			got := map[string]int{}
			expiring := 0
			for range messages - int(info.LeftOut) {
				text := string(c.Next().Data)
				key, rest, _ := strings.Cut(text, ":")
				number, _, _ := strings.Cut(rest, ":")
				n, err := strconv.Atoi(number)
				if err != nil {
					t.Fatalf("seed %d: got %q", seed, text)
				}
				switch last, ok := got[key]; {
				case key == "plain":
					gotPlain = append(gotPlain, text)
				case key != "" && ok && n < last:
					t.Fatalf("seed %d: %d of key %s after %d\n%q", seed, n, key, last, steps)
				case key != "":
					got[key] = n
				}
				if at, ok := until[text]; ok {
					expiring++
					if written := w.at(t, text); written.After(at) {
						t.Errorf("seed %d: number %d was written %v after it had expired\n%q", seed, n, written.Sub(at), steps)
					}
				}
			}
			c.WantNothing(time.Second)
			if !slices.Equal(gotPlain, plain) {
				t.Errorf("seed %d: %d plain messages have arrived, want all %d in order", seed, len(gotPlain), len(plain))
			}
			for key, n := range newest {
				if got[key] != n {
					t.Errorf("seed %d: the last of key %s is %d, want %d", seed, key, got[key], n)
				}
			}
			if expiring == 0 || expiring == len(until) {
				t.Errorf("seed %d: of %d messages that expire %d have arrived, want some and not all", seed, len(until), expiring)
			}
		})
	}
}

// Many senders at the same time, and a client that reads at last, or a kill: each message was written, left out or dropped.
func TestDelivery_manySenders(t *testing.T) {
	for _, kill := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			const senders, each = 8, 500
			ends := make(chan socket.Closed, 1)
			c := sockettest.Serve(t, socket.Config{Logger: quiet, OnClose: func(cl socket.Closed) { ends <- cl }}, &idleHandler{})
			filler := block(t, c)
			var wg sync.WaitGroup
			for s := range senders {
				wg.Go(func() {
					for i := range each {
						m := websock.Text(fmt.Sprint(s, " ", i)).Deliver(websock.Delivery{Key: strconv.Itoa(s)})
						if !c.PID.Send(m) {
							t.Errorf("sender %d: message %d was refused", s, i)
						}
					}
				})
			}
			wg.Wait()
			if info, err := actor.Inspect(c.PID); err != nil || info.LeftOut != senders*(each-1) || info.Mailbox != senders {
				t.Errorf("%d left out, %d wait, %v; want %d, and one of each sender", info.LeftOut, info.Mailbox, err, senders*(each-1))
			}
			if kill {
				c.PID.Exit(actor.ErrKilled)
			} else {
				c.Resume()
				c.Want(filler)
				for range senders {
					if m := c.Next(); !strings.HasSuffix(string(m.Data), fmt.Sprint(" ", each-1)) {
						t.Errorf("got %v, want the newest of its key", m)
					}
				}
				c.Close(websock.CloseNormal, "")
				c.WantClose(websock.CloseNormal, "")
			}
			cl := <-ends
			if n := uint64(cl.Written.Text.Frames) + cl.Lag.LeftOut + cl.Dropped; n != senders*each {
				t.Errorf("kill %t: %d written, %d left out, %d dropped, together %d; want %d", kill, cl.Written.Text.Frames, cl.Lag.LeftOut, cl.Dropped, n,
					senders*each)
			}
		})
	}
}
