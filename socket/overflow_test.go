package socket_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

var policies = map[socket.Overflow]string{
	socket.OverflowClose: "close", socket.LeaveOutOldest: "oldest", socket.LeaveOutNewest: "newest",
}

// What becomes of each message to a client that does not read, when more comes than Config allows.
func TestOverflow(t *testing.T) {
	plain := func(texts ...string) (all []any) {
		for _, s := range texts {
			all = append(all, websock.Text(s))
		}
		return all
	}
	info := []any{[]websock.Message{websock.Text("info")}} // for HandleInfo, which pushes it
	key := func(s string) []any { return []any{websock.Text(s).Deliver(websock.Delivery{Key: "k"})} }
	expires := []any{websock.Text("expires").Deliver(websock.Delivery{Expires: time.Second})}
	later := func(d time.Duration) []any { return []any{d} }
	type frame string // of the client
	type paced string // of SendWait
	full := plain("1", "2", "3", "4")
	big := strings.Repeat("b", 100)
	limit := socket.Config{MailboxLimit: 4}
	small := socket.Config{MailboxBytes: 10}
	fresh := socket.Config{MaxLag: time.Second}
	late := 1010 * time.Millisecond // block has taken 10 ms more
	late += time.Second / 32
	for name, tt := range map[string]struct {
		cfg  socket.Config
		sent []any
		// by policy: what arrives; "!": then the socket ends with ErrOverload
		close, oldest, newest string
	}{
		"as many as may wait":    {limit, full, "1 2 3 4", "1 2 3 4", "1 2 3 4"},
		"more":                   {limit, slices.Concat(full, plain("5", "6")), "!", "3 4 5 6", "1 2 3 4"},
		"one for the handler":    {limit, slices.Concat(full, info, plain("5")), "!", "3 4 info 5", "1 2 3 info"},
		"all for the handler":    {limit, slices.Concat(info, info, info, info, plain("5")), "!", "info info info info", "info info info info"},
		"one more of those":      {limit, slices.Concat(info, info, info, info, info), "!", "!", "!"},
		"one with a key":         {limit, slices.Concat(full, key("k1"), key("k2")), "!", "2 3 4 k2", "1 2 3 k2"},
		"only such":              {limit, slices.Concat(key("k1"), info, info, info, info), "!", "!", "!"},
		"behind one with a key":  {limit, slices.Concat(key("k1"), full, plain("5")), "!", "k1 3 4 5", "k1 1 2 3"},
		"one has expired":        {limit, slices.Concat(expires, plain("1", "2", "3"), later(2*time.Second), plain("4")), "1 2 3 4", "1 2 3 4", "1 2 3 4"},
		"one expires, but later": {limit, slices.Concat(expires, plain("1", "2", "3", "4")), "!", "expires 2 3 4", "expires 1 2 3"},

		"as many bytes as may wait":  {small, plain("first", "12345", "67890"), "first 12345 67890", "first 12345 67890", "first 12345 67890"},
		"more bytes":                 {small, plain("first", "12345", "67890", "abc"), "!", "67890 abc", "first 12345 67890"},
		"two are left out for one":   {small, plain("first", "123", "456", "7890", "abcdef"), "!", "7890 abcdef", "first 123 456 7890"},
		"one that is large":          {small, plain("first", big), "first " + big, "first " + big, "first " + big},
		"the next one after it":      {small, plain("first", big, "x"), "!", "x", "first " + big},
		"bytes are of no client":     {small, slices.Concat(plain("first", "1234567890"), info, info), "first 1234567890 info info", "first 1234567890 info info", "first 1234567890 info info"},
		"a newer one that is larger": {small, slices.Concat(plain("first"), key("k"), plain("12345678"), key("larger")), "!", "larger", "first larger"},
		"alone it may be":            {small, slices.Concat(plain("first"), key("k"), key(big)), "first " + big, "first " + big, "first " + big},
		"alone in the end":           {small, slices.Concat(plain("first"), key("k"), plain("x"), key(big)), "!", big, "first " + big},
		"it makes room when smaller": {small, slices.Concat(plain("first"), key("123456789"), key("k"), plain("12345")), "first k 12345", "first k 12345", "first k 12345"},
		"expired bytes":              {small, slices.Concat(plain("first"), expires, later(2*time.Second), plain("1234567890")), "first 1234567890", "first 1234567890", "first 1234567890"},

		"in time":                    {fresh, slices.Concat(plain("1"), later(time.Second), plain("2")), "1 2", "1 2", "1 2"},
		"late":                       {fresh, slices.Concat(plain("1", "2"), later(late), plain("3")), "!", "3", "1 2"},
		"late, and nothing comes":    {fresh, slices.Concat(plain("1"), later(late)), "!", "", "1"},
		"the others are not":         {fresh, slices.Concat(plain("1"), later(time.Second/2), plain("2"), later(late/2+time.Millisecond), plain("3")), "!", "2 3", "1 2"},
		"late for the handler":       {fresh, slices.Concat(info, later(late), info), "!", "info info", "info info"},
		"a newer one of a key":       {fresh, slices.Concat(key("k1"), later(late), key("k2")), "k2", "k2", "k2"},
		"one with a key that waits":  {fresh, slices.Concat(key("k1"), later(late), plain("2")), "!", "k1 2", "k1"},
		"behind a frame":             {fresh, slices.Concat([]any{frame("f")}, plain("1"), later(late), plain("2")), "!", "2", "1"},
		"behind SendWait":            {fresh, slices.Concat([]any{paced("w")}, plain("1"), later(late), plain("2")), "!", "w 2", "w 1"},
		"behind one for the handler": {fresh, slices.Concat(info, plain("1"), later(late), plain("2")), "!", "info 2", "info 1"},
		"behind one that is renewed": {fresh, slices.Concat(key("k1"), plain("1"), later(late*2/3), key("k2"), later(late*2/3), key("k3")), "!", "k3", "k3 1"},
		"late again":                 {fresh, slices.Concat(plain("1"), later(late), plain("2"), later(late), plain("3"), later(late), plain("4")), "!", "4", "1"},
		"late for a long time":       {fresh, slices.Concat(plain("1"), later(8*time.Second)), "!", "", "1"},
	} {
		for policy, called := range policies {
			t.Run(name+"/"+called, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					want := []string{tt.close, tt.oldest, tt.newest}[policy]
					cfg, ends := tt.cfg, make(chan socket.Closed, 1)
					cfg.Logger, cfg.Overflow, cfg.OnClose = quiet, policy, func(cl socket.Closed) { ends <- cl }
					c := sockettest.Serve(t, cfg, &lagged{})
					filler := block(t, c)
					sent := 0
					for i, m := range tt.sent {
						switch m := m.(type) {
						case time.Duration:
							time.Sleep(m)
							continue
						case frame:
							c.Send(websock.Text(string(m)))
							synctest.Wait()
							continue
						}
						sent++
						if m, ok := m.(paced); ok {
							if err := actor.SendWait(t.Context(), c.PID, websock.Text(string(m))); err != nil {
								t.Errorf("message %d, SendWait: %v", i, err)
							}
							continue
						}
						if ok := c.PID.Send(m); !ok && want != "!" {
							t.Errorf("message %d, %v, was refused", i, m)
						}
					}
					c.Resume()
					c.Want(filler)
					if want == "!" {
						for ended := false; !ended; {
							select {
							case cl := <-ends:
								ended = true
								if !errors.Is(cl.Reason, websock.ErrOverload) || cl.Sent == nil || cl.Sent.Code != websock.CloseTryAgainLater {
									t.Errorf("ended with %v and %+v, want ErrOverload and 1013", cl.Reason, cl.Sent)
								}
								if n := uint64(cl.Written.Text.Frames) + cl.Lag.LeftOut + cl.Dropped; n != uint64(sent) {
									t.Errorf("%d written, %d left out, %d dropped; want %d together", cl.Written.Text.Frames, cl.Lag.LeftOut, cl.Dropped, sent)
								}
							case <-time.After(time.Minute):
								t.Fatal("the socket has not ended, want ErrOverload")
							}
						}
						return
					}
					arrived := strings.Fields(want)
					for _, s := range arrived {
						c.Want(websock.Text(s))
					}
					if n := sent - len(arrived); n > 0 {
						c.Want(websock.Text(fmt.Sprint("left out: ", n)))
					}
					c.WantNothing(time.Second)
				})
			})
		}
	}
}

// One that has been renewed stands where the first of its key stood, and is younger than what waits after it: that is late while
// the client still reads nothing.
func TestOverflow_lateAfterRenewed(t *testing.T) {
	for policy, called := range policies {
		t.Run(called, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := sockettest.Serve(t, socket.Config{Logger: quiet, MaxLag: 3 * time.Second, Overflow: policy}, &lagged{})
				filler := block(t, c)
				tick := func(s string) websock.Message { return websock.Text(s).Deliver(websock.Delivery{Key: "k"}) }
				c.PID.Send(tick("k1"))
				c.PID.Send(websock.Text("late"))
				time.Sleep(2 * time.Second)
				c.PID.Send(tick("k2"))
				time.Sleep(2 * time.Second)
				sent := c.PID.Send(websock.Text("new"))
				if info, err := actor.Inspect(c.PID); policy == socket.OverflowClose {
					if sent {
						t.Error("Send to a socket of which a message is late = true")
					}
				} else if err != nil || !sent || info.LeftOut != 2 {
					t.Errorf("Send = %t, %d left out, %v; want true, and k1 and one more", sent, info.LeftOut, err)
				}
				c.Resume()
				c.Want(filler)
			})
		})
	}
}

// What is late does not overtake an Exit that waits after it.
func TestOverflow_lateBeforeAnExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ends := make(chan socket.Closed, 1)
		cfg := socket.Config{Logger: quiet, MaxLag: time.Second, OnClose: func(cl socket.Closed) { ends <- cl }}
		c := sockettest.Serve(t, cfg, &lagged{})
		filler := block(t, c)
		c.PID.Send(websock.Text("1"))
		bye := errors.New("bye")
		c.PID.Exit(bye)
		time.Sleep(2 * time.Second)
		c.Resume()
		c.Want(filler, websock.Text("1"))
		if cl := <-ends; !errors.Is(cl.Reason, bye) {
			t.Errorf("ended with %v, want the reason of the Exit", cl.Reason)
		}
	})
}

// A feed that keeps the mailbox full does not keep out what SendWait sends.
func TestOverflow_sendWaitBesideFeed(t *testing.T) {
	for policy, called := range policies {
		if policy == socket.OverflowClose {
			continue
		}
		t.Run(called, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := sockettest.Serve(t, socket.Config{Logger: quiet, MailboxLimit: 16, Overflow: policy, IdleTimeout: -1, PingInterval: -1}, &idleHandler{})
				block(t, c)
				feed := func() {
					for range 20 {
						c.PID.Send(websock.Text("of the feed"))
					}
				}
				const messages = 40
				feed()
				sent := make(chan error, messages)
				go func() {
					for i := range messages {
						sent <- actor.SendWait(t.Context(), c.PID, websock.Text(fmt.Sprint(i)))
					}
				}()
				synctest.Wait()
				if n := len(sent); n != 8 {
					t.Errorf("%d of SendWait wait in the mailbox of 16, want half of it", n)
				}
				if info, _ := actor.Inspect(c.PID); info.Mailbox > 16 {
					t.Errorf("%d wait, want at most 16", info.Mailbox)
				}
				c.Pause(100)
				next, others := 0, 0
				for next < messages && others < 1000 {
					feed()
					switch m := c.Next(); string(m.Data) {
					case fmt.Sprint(next):
						next++
					case "of the feed":
						others++
					default:
						if len(m.Data) < 1000 { // the filler
							t.Fatalf("got %v, want message %d of SendWait", m, next)
						}
					}
				}
				if next < messages || others == 0 {
					t.Errorf("%d of %d messages of SendWait have arrived, and %d of the feed", next, messages, others)
				}
				for range messages {
					if err := <-sent; err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

// What SendWait sends is not left out for others, and does not take more than half of the bytes.
func TestOverflow_sendWait(t *testing.T) {
	for policy, called := range policies {
		t.Run(called, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const messages = 300
				srv := socket.Config{Logger: quiet, MailboxBytes: 1000, Overflow: policy}
				c := sockettest.Serve(t, srv, &idleHandler{})
				filler := block(t, c)
				go func() {
					for i := range messages {
						if err := actor.SendWait(t.Context(), c.PID, websock.Binary(bytes.Repeat([]byte{byte(i)}, 100))); err != nil {
							t.Errorf("message %d: %v", i, err)
						}
					}
				}()
				synctest.Wait()
				const others = 3 // have room beside it
				for i := range others {
					if !c.PID.Send(websock.Text(strings.Repeat(strconv.Itoa(i), 100))) {
						t.Errorf("message %d of others was refused", i)
					}
				}
				c.Want(filler)
				most := 0
				for i, left := 0, others; i < messages || left > 0; {
					if info, err := actor.Inspect(c.PID); err != nil {
						t.Fatal(err)
					} else {
						most = max(most, info.Mailbox)
					}
					m := c.Next()
					if m.Opcode == websock.OpText {
						left--
						continue
					}
					if m.Data[0] != byte(i) {
						t.Fatalf("message %d of the stream is %d", i, m.Data[0])
					}
					i++
				}
				if want := 1 + 5 + others; most > want || most < 5 { // one that stands apart, and five are 500 bytes
					t.Errorf("%d messages of 100 bytes have waited, want %d at most, and some", most, want)
				}
			})
		})
	}
}

// Random messages and limits: what waits never exceeds them, what arrives is in order, and all is accounted for.
func TestOverflow_property(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			policy := []socket.Overflow{socket.LeaveOutOldest, socket.LeaveOutNewest}[seed%2]
			const size, messages = 50, 2000
			cfg := socket.Config{Logger: quiet, MailboxLimit: 2 + random.IntN(80), MailboxBytes: int64(500 + random.IntN(3000)), Overflow: policy}
			if random.IntN(2) == 0 {
				cfg.MaxLag = time.Duration(1+random.IntN(50)) * time.Millisecond
			}
			c := sockettest.Serve(t, cfg, &idleHandler{})
			synctest.Wait()
			sent := 0
			for i := range messages {
				m := websock.Text(fmt.Sprintf("%*d", 1+random.IntN(size), i))
				switch random.IntN(10) {
				case 0:
					m = websock.Text(fmt.Sprint("key", i)).Deliver(websock.Delivery{Key: "k", Expires: time.Duration(random.IntN(30)) * time.Millisecond})
				case 1:
					m = m.Deliver(websock.Delivery{Expires: time.Duration(1+random.IntN(30)) * time.Millisecond})
				}
				if !c.PID.Send(m) {
					if !c.PID.Alive() {
						break // all that waited had a Delivery
					}
					t.Fatalf("seed %d: message %d was refused", seed, i)
				}
				sent++
				info, err := actor.Inspect(c.PID)
				if err != nil || info.Mailbox > cfg.MailboxLimit {
					t.Fatalf("seed %d: %d messages wait, %v; want %d at most", seed, info.Mailbox, err, cfg.MailboxLimit)
				}
				if random.IntN(3) == 0 {
					time.Sleep(time.Duration(random.IntN(5)) * time.Millisecond)
				}
				switch random.IntN(60) {
				case 0, 1:
					c.Pause(1 + random.IntN(200))
				case 2:
					c.Resume()
				}
			}
			if sent < messages {
				return
			}
			c.Resume()
			time.Sleep(time.Second)
			synctest.Wait()
			info, err := actor.Inspect(c.PID)
			if err != nil || info.Mailbox != 0 || info.LeftOut == 0 {
				t.Fatalf("seed %d: %+v, %v; want nothing to wait, and some that were left out", seed, info, err)
			}
			last := map[bool]int{}
			for range messages - int(info.LeftOut) {
				text, keyed := strings.CutPrefix(strings.TrimSpace(string(c.Next().Data)), "key")
				n, err := strconv.Atoi(text)
				if before, ok := last[keyed]; err != nil || ok && n <= before {
					t.Fatalf("seed %d: got %q after %d: %v", seed, text, before, err)
				}
				last[keyed] = n
			}
			c.WantNothing(time.Second)
		})
	}
}

func TestOverflow_config(t *testing.T) {
	for _, cfg := range []socket.Config{{MaxLag: -1}, {Overflow: socket.LeaveOutNewest + 1}} {
		if _, err := socket.New(cfg); err == nil {
			t.Errorf("New of %+v: no error", cfg)
		}
	}
	srv, err := socket.New(socket.Config{MailboxBytes: -1})
	if err != nil {
		t.Fatalf("no limit of bytes: %v", err)
	}
	_ = srv.Shutdown(context.Background())
}
