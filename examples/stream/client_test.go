package main

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

// page is a client that speaks the protocol. All of these run in the bubble of t.
type page struct {
	t *testing.T
	*sockettest.Conn
	text  map[int]string // what has come of each answer
	count map[int]int    // tokens
}

// heard has all fields of everything that the server says.
type heard struct {
	Type, Text, How, Why       string
	Answer, Tokens, Most, Rate int
}

// open connects a page to a socket with the settings of the program, and reads its hello.
func open(t *testing.T, c *client, onClose func(socket.Closed)) *page {
	t.Helper()
	cfg := config(sockettest.NewSystem(t), slog.New(slog.DiscardHandler))
	cfg.OnClose = onClose
	p := &page{t, sockettest.Serve(t, cfg, c), map[int]string{}, map[int]int{}}
	if got, want := p.next(), (heard{Type: "hello", Most: c.most, Rate: c.rate}); got != want {
		t.Fatalf("first message: %+v, want %+v", got, want)
	}
	return p
}

func ofModel(m model, most int) *client { return &client{ask: m.answer, rate: m.rate, most: most} }

func (p *page) say(format string, args ...any) {
	p.t.Helper()
	p.Send(websock.Text(fmt.Sprintf(format, args...)))
}

func (p *page) ask(answer int, prompt string) {
	p.t.Helper()
	p.say(`{"type":"ask","answer":%d,"prompt":%q}`, answer, prompt)
}

// next is the next message; tokens are put to their answer.
func (p *page) next() (h heard) {
	p.t.Helper()
	m := p.Next()
	if err := json.Unmarshal(m.Data, &h); err != nil {
		p.t.Fatalf("the server sent %v: %v", m, err)
	}
	if h.Type == "token" {
		p.text[h.Answer] += h.Text
		p.count[h.Answer]++
	}
	return h
}

// other is the next message that is no token.
func (p *page) other() (h heard) {
	p.t.Helper()
	for h = p.next(); h.Type == "token"; h = p.next() {
	}
	return h
}

// wantEnd wants that the next message but for tokens is the end of that answer, of which all tokens have come. The number of
// tokens is returned.
func (p *page) wantEnd(answer int, how string) int {
	p.t.Helper()
	if got, want := p.other(), (heard{Type: "end", Answer: answer, How: how, Tokens: p.count[answer]}); got != want {
		p.t.Fatalf("got %+v, want %+v", got, want)
	}
	return p.count[answer]
}

// whole is all that m says to prompt.
func whole(t *testing.T, m model, prompt string) string {
	t.Helper()
	var b strings.Builder
	for text, err := range m.answer(t.Context(), prompt) {
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(text)
	}
	return b.String()
}

// Several answers come at once, each whole, in order and at the rate of the model.
func TestClient_severalAnswersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := model{rate: 100, length: 500}
		p := open(t, ofModel(m, 3), nil)
		start := time.Now()
		for i, prompt := range []string{"one", "two", "three"} {
			p.ask(i+1, prompt)
		}
		p.ask(4, "four")
		if got, want := p.other(), (heard{Type: "refused", Answer: 4, Why: "too many answers at once"}); got != want {
			t.Errorf("the fourth of three answers: %+v, want %+v", got, want)
		}
		for range 3 {
			h := p.other()
			if want := (heard{Type: "end", Answer: h.Answer, How: "done", Tokens: 500}); h != want {
				t.Errorf("got %+v, want %+v", h, want)
			}
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("500 tokens, 100 a second, took %v", took)
		}
		for i, prompt := range []string{"one", "two", "three"} {
			if want := whole(t, m, prompt); p.text[i+1] != want {
				t.Errorf("answer to %q: got %q, want %q", prompt, p.text[i+1], want)
			}
		}
		p.ask(4, "four") // now there is room
		p.wantEnd(4, "done")
	})
}

// Stop ends one answer at once, and not the others. Its end comes after the last of its tokens.
func TestClient_stop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := open(t, ofModel(model{rate: 10, length: 100}, 2), nil)
		p.ask(1, "one")
		p.ask(2, "two")
		time.Sleep(time.Second + time.Millisecond)
		p.say(`{"type":"stop","answer":1}`)
		if n := p.wantEnd(1, "stopped"); n != 10 {
			t.Errorf("stopped after a second, with 10 tokens a second: %d tokens", n)
		}
		p.say(`{"type":"stop","answer":1}`) // it has ended
		p.say(`{"type":"stop","answer":7}`) // there was none
		if n := p.wantEnd(2, "done"); n != 100 {
			t.Errorf("the other answer had %d tokens, want all 100", n)
		}
		p.WantNothing(time.Minute)
	})
}

// counting is a model that says how many tokens have been asked for, and how many answers are under way.
type counting struct {
	model
	made, running atomic.Int64
}

func (c *counting) answer(ctx context.Context, prompt string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		c.running.Add(1)
		defer c.running.Add(-1)
		for text, err := range c.model.answer(ctx, prompt) {
			c.made.Add(1)
			if !yield(text, err) {
				return
			}
		}
	}
}

// A page that reads slower than the model talks: nothing is lost, the model is never far ahead, the socket lives, and others can
// send to it. With Send instead of SendWait the socket would end with 1013 after some 9 tokens.
func TestClient_slowPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const window = 256
		m := &counting{model: model{rate: 1000, length: 2000}}
		p := open(t, &client{ask: m.answer, rate: m.rate, most: 2}, nil)
		p.Pause(window)
		p.ask(1, "one")
		p.ask(2, "two")
		const reads = 20 * time.Millisecond
		start, ends := time.Now(), 0
		for read := int64(0); ends < 2; read++ {
			time.Sleep(reads)
			h := p.next()
			if h.Type == "end" {
				ends++
				if h.How != "done" || h.Tokens != 2000 || p.count[h.Answer] != 2000 {
					t.Fatalf("got %+v after %d tokens, want it done after 2000", h, p.count[h.Answer])
				}
				continue
			}
			// Half of the mailbox, as much in the write that waits, one in each producer's hands, and the window.
			if ahead, most := m.made.Load()-read, int64(mailboxLimit/2*2+2+window/20); ahead > most {
				t.Fatalf("after %d tokens the model is %d ahead, want %d at most", read, ahead, most)
			}
			if info, err := actor.Inspect(p.PID); err != nil || info.Mailbox > mailboxLimit/2+2 { // two ends
				t.Fatalf("%d messages wait, %v; want %d at most", info.Mailbox, err, mailboxLimit/2+2)
			}
		}
		if took := time.Since(start); took < 4000*reads {
			t.Errorf("4000 tokens were read in %v", took)
		}
		if want := whole(t, m.model, "two"); p.text[2] != want {
			t.Errorf("got %.80q..., want %.80q...", p.text[2], want)
		}
		p.Resume()
		p.ask(3, "three")
		p.wantEnd(3, "done")
	})
}

// A page that has stopped reading can be behind by so much and no more; its stop is heard all the same, and the model is left in peace.
func TestClient_stopWhileThePageDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &counting{model: model{rate: 1000, length: 100_000}}
		p := open(t, &client{ask: m.answer, rate: m.rate, most: 1}, nil)
		p.Pause(64)
		p.ask(1, "one")
		time.Sleep(5 * time.Second) // shorter than WriteTimeout
		made := m.made.Load()
		if made > 100 {
			t.Errorf("the model has made %d tokens for a page that reads none", made)
		}
		p.say(`{"type":"stop","answer":1}`)
		p.Resume()
		if n := p.wantEnd(1, "stopped"); int64(n) < made-1 || n > 200 {
			t.Errorf("%d tokens have come, %d were made before the stop", n, made)
		}
		if n := m.running.Load(); n != 0 {
			t.Errorf("%d answers are under way", n)
		}
	})
}

// The answers of a page that has gone end with it.
func TestClient_pageGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &counting{model: model{rate: 10, length: 100_000}}
		closed := make(chan socket.Closed, 1)
		p := open(t, &client{ask: m.answer, rate: m.rate, most: 2}, func(c socket.Closed) { closed <- c })
		p.ask(1, "one")
		p.ask(2, "two")
		time.Sleep(time.Second)
		if n := m.running.Load(); n != 2 {
			t.Fatalf("%d answers are under way, want 2", n)
		}
		p.Drop()
		<-closed
		synctest.Wait()
		if n := m.running.Load(); n != 0 {
			t.Errorf("%d answers are under way for a page that has gone", n)
		}
	})
}

// An error of the model ends its answer, and not the socket; neither does a panic.
func TestClient_modelFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ofModel(model{rate: 100, length: 40}, 1)
		p := open(t, c, nil)
		p.ask(1, "Please FAIL.")
		if n := p.wantEnd(1, "failed"); n != 20 {
			t.Errorf("failed after %d tokens, want 20", n)
		}
		p.ask(2, "go on")
		p.wantEnd(2, "done")
	})
	synctest.Test(t, func(t *testing.T) {
		broken := func(context.Context, string) iter.Seq2[string, error] { panic("the model is broken") }
		p := open(t, &client{ask: broken, rate: 1, most: 1}, nil)
		p.ask(1, "one")
		p.wantEnd(1, "failed")
	})
}

func TestClient_badRequests(t *testing.T) {
	long := strings.Repeat("ä", maxPrompt)
	for request, why := range map[string]string{
		`{"type":"ask","answer":1,"prompt":"again"}`:           "there is an answer with that number",
		`{"type":"ask","answer":9,"prompt":""}`:                "a prompt has 1 to 2000 characters",
		`{"type":"ask","answer":9,"prompt":"` + long + `x"}`:   "a prompt has 1 to 2000 characters",
		`{"type":"sing","answer":9}`:                           "a request is of type ask or stop",
		`{"answer":9}`:                                         "a request is of type ask or stop",
		`{"type":"ask","answer":9,"prompt":"` + long + `"}`:    "", // as long as may be
		`{"type":"ask","answer":-1,"prompt":"x","more":[{}]} `: "", // any number will do
	} {
		synctest.Test(t, func(t *testing.T) {
			p := open(t, ofModel(model{rate: 100, length: 1000}, 3), nil)
			p.ask(1, "one")
			p.say("%s", request)
			h := p.next()
			for h.Type == "token" && h.Answer == 1 {
				h = p.next()
			}
			if h.Why != why || (why == "") != (h.Type == "token") || why != "" && h.Type != "refused" {
				t.Errorf("%.60s: got %+v, want it refused with %q; empty: answered", request, h, why)
			}
		})
	}
	for _, m := range []websock.Message{websock.Text("hello"), websock.Text(`[]`), websock.Text(""), websock.Binary([]byte(`{"type":"stop"}`))} {
		synctest.Test(t, func(t *testing.T) {
			p := open(t, ofModel(model{rate: 1, length: 1}, 1), nil)
			p.Send(m)
			p.WantClose(websock.ClosePolicyViolation, "a request is a JSON object, in a text message")
		})
	}
}
