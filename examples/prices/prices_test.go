package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// world is the program without its listener, in the bubble of t.
type world struct {
	t       *testing.T
	reg     *registry.Registry
	sockets *socket.Server
	routes  http.Handler
}

func inBubble(t *testing.T, o options, f func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		sys := sockettest.NewSystem(t)
		quiet := slog.New(slog.DiscardHandler)
		reg := registry.New(sys)
		sockets, err := socket.New(config(sys, quiet))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { sockets.Shutdown(context.Background()) })
		h, err := routes(reg, sockets)
		if err != nil {
			t.Fatal(err)
		}
		tree, err := supervisor.New(supervisor.Config{Logger: quiet}, actors(o, sys, reg, sockets)...)
		if err != nil {
			t.Fatal(err)
		}
		sockettest.Run(t, tree)
		f(t, &world{t, reg, sockets, h})
	})
}

// page is a client that speaks the protocol, and counts.
type page struct {
	t *testing.T
	*sockettest.Conn
	tab     string
	first   map[string]int  // by key: the number before the first message
	last    map[string]int  // the newest number
	twice   map[string]bool // the price of hello has come once more
	arrived int             // messages with a key
	caught  uint64          // what caught_up has told, added up
}

// heard has the fields of all that the server says.
type heard struct {
	Type, Symbol, Tab string
	N, Count          int
	At, Time          int64
	LeftOut           uint64 `json:"left_out"`
	Total             uint64
	Halted            bool
	Prices            []price
	Tabs              []row
}

// open connects a page and reads its hello.
func (w *world) open(query string) *page {
	w.t.Helper()
	c, resp := sockettest.Dial(w.t, w.routes, httptest.NewRequest("GET", "/ws"+query, nil))
	if c == nil {
		w.t.Fatalf("upgrade: %s", resp.Status)
	}
	p := &page{t: w.t, Conn: c, first: map[string]int{}, last: map[string]int{}, twice: map[string]bool{}}
	h := p.next()
	if h.Type != "hello" || len(h.Prices) != len(symbols) {
		w.t.Fatalf("first message: %+v, want hello with %d prices", h, len(symbols))
	}
	p.tab = h.Tab
	for _, pr := range h.Prices {
		p.first[pr.Symbol], p.last[pr.Symbol] = pr.N, pr.N
	}
	return p
}

// pid is the process of the page's socket.
func (w *world) pid(p *page) actor.PID {
	w.t.Helper()
	for pid, info := range w.sockets.Sockets() {
		if info.Label == p.tab {
			return pid
		}
	}
	w.t.Fatalf("%s has no socket", p.tab)
	return actor.PID{}
}

// next is the next message. What arrives of a key must get newer; a price of hello may come once more, and is passed over.
func (p *page) next() (h heard) {
	p.t.Helper()
	m := p.Next()
	if err := json.Unmarshal(m.Data, &h); err != nil {
		p.t.Fatalf("the server sent %v: %v", m, err)
	}
	key := h.Symbol
	switch h.Type {
	case "tabs", "trading":
		key = h.Type
		if _, ok := p.first[key]; !ok { // the first one arrives, since nothing waits yet
			p.first[key], p.last[key] = h.N-1, h.N-1
		}
	case "price":
		if h.N == p.first[key] && h.N == p.last[key] && !p.twice[key] {
			p.twice[key] = true
			return p.next()
		}
	case "caught_up":
		if p.caught += h.LeftOut; p.caught != h.Total {
			p.t.Fatalf("caught_up: %d in all, and those told are %d", h.Total, p.caught)
		}
		return h
	default:
		return h
	}
	if h.N <= p.last[key] {
		p.t.Fatalf("number %d of %s after %d", h.N, key, p.last[key])
	}
	p.last[key] = h.N
	p.arrived++
	return h
}

// until reads to the next message of that type.
func (p *page) until(typ string) (h heard) {
	p.t.Helper()
	for h = p.next(); h.Type != typ; h = p.next() {
	}
	return h
}

// gaps are how many messages have not come of those that were sent before the last that has.
func (p *page) gaps() (n uint64) {
	for key, last := range p.last {
		n += uint64(last - p.first[key])
	}
	return n - uint64(p.arrived)
}

var fast = options{rate: 200, halt: 5 * time.Second}

// A tab that keeps up gets each price, also beside one that does not.
func TestPrices_fastBesideSlow(t *testing.T) {
	inBubble(t, fast, func(t *testing.T, w *world) {
		quick, slow := w.open(""), w.open("?link=1000")
		for start := time.Now(); time.Since(start) < 30*time.Second; {
			h := quick.next()
			if late := h.At > start.UnixMilli() && h.At != time.Now().UnixMilli(); h.Type == "caught_up" || late {
				t.Fatalf("a tab that keeps up got %+v, at %d", h, time.Now().UnixMilli())
			}
		}
		if quick.gaps() != 0 {
			t.Errorf("%d messages to a tab that keeps up were left out", quick.gaps())
		}
		// The board says of the slow one that it is behind, and of the quick one that it is not.
		board := quick.until("tabs")
		if board.Count != 2 || len(board.Tabs) != 2 {
			t.Fatalf("board: %+v, want 2 tabs", board)
		}
		if s := board.Tabs[0]; s.Tab != slow.tab || s.LeftOut < 1000 || s.Waiting > len(symbols)+2 {
			t.Errorf("the slow tab is %+v, want %q with at most one message of each key, and thousands left out", s, slow.tab)
		}
		if q := board.Tabs[1]; q.Tab != quick.tab || q.LeftOut != 0 {
			t.Errorf("the quick tab is %+v, want %q with nothing left out", q, quick.tab)
		}
	})
}

// A slow tab gets newer prices all the time; none is older than what is on its way at once. Its socket lives. When it has caught
// up it is told what was left out, and that is what it has not got, exactly.
func TestPrices_slowTab(t *testing.T) {
	inBubble(t, fast, func(t *testing.T, w *world) {
		p := w.open("?link=1000")
		seen := map[string]bool{}
		for start := time.Now(); time.Since(start) < time.Minute; {
			h := p.next()
			if h.Type == "caught_up" {
				t.Fatalf("%+v while 200 prices a second come to a tab that reads some 13", h)
			}
			if h.Type != "price" {
				continue
			}
			seen[h.Symbol] = true
			// One of each key in a write, and one in the mailbox: some 1,600 bytes.
			if age := time.Now().UnixMilli() - h.At; age > 3000 {
				t.Fatalf("a price of %s is %d ms old", h.Symbol, age)
			}
		}
		if len(seen) != len(symbols) {
			t.Errorf("prices of %v have come, want all of %v", seen, symbols)
		}
		p.Send(websock.Text(`{"type":"halt"}`))
		if h := p.until("trading"); !h.Halted {
			t.Errorf("got %+v, want the market halted", h)
		}
		h := p.until("caught_up")
		if gaps := p.gaps(); h.Total != gaps || gaps < 10_000 {
			t.Errorf("caught up: %d were left out, and %d have not come; want the same number, of a minute", h.Total, gaps)
		}
		if h := p.until("trading"); h.Halted {
			t.Errorf("got %+v, want that the market goes on", h)
		}
		p.until("price")
	})
}

// The same with a client that reads slowly, where the kernel's buffers are full.
func TestPrices_clientThatReadsSlowly(t *testing.T) {
	inBubble(t, options{rate: 1000, halt: time.Hour}, func(t *testing.T, w *world) {
		p := w.open("")
		pid := w.pid(p)
		p.Pause(1 << 10)
		for range 300 { // 30 s: twenty reads a second would need all that there is
			time.Sleep(100 * time.Millisecond)
			if h := p.next(); h.Type == "price" && time.Now().UnixMilli()-h.At > 100*(1024/60+2*10) {
				t.Fatalf("a price is %d ms old", time.Now().UnixMilli()-h.At)
			}
			if info, err := w.sockets.Info(pid); err != nil || info.Mailbox > len(symbols)+2 {
				t.Fatalf("%d messages wait, %v; want one of each key, and the timers", info.Mailbox, err)
			}
		}
		p.Send(websock.Text(`{"type":"halt"}`))
		p.Resume()
		if h := p.until("caught_up"); h.Total != p.gaps() || h.Total < 25_000 {
			t.Errorf("caught up: %d were left out, and %d have not come", h.Total, p.gaps())
		}
		if _, err := w.sockets.Info(pid); err != nil {
			t.Errorf("the socket is gone: %v", err)
		}
	})
}

// A market that has crashed ends the tabs with 1012, since its numbers begin anew; a tab that comes back then is served by the next.
func TestPrices_marketCrashes(t *testing.T) {
	inBubble(t, fast, func(t *testing.T, w *world) {
		p := w.open("")
		old, _, _ := w.reg.Whereis(marketName)
		old.Exit(actor.ErrKilled)
		synctest.Wait()
		p.WantClose(websock.CloseServiceRestart, "retry-after=1")
		time.Sleep(time.Second)
		again := w.open("")
		again.until("price")
		if now, _, _ := w.reg.Whereis(marketName); now == old || !now.Alive() {
			t.Errorf("the market is %v, before the crash it was %v", now, old)
		}
	})
}

// A tab that opens while the market is halted is told so, with the prices that there are.
func TestPrices_halted(t *testing.T) {
	inBubble(t, fast, func(t *testing.T, w *world) {
		p := w.open("")
		time.Sleep(time.Second)
		p.Send(websock.Text(`{"type":"halt"}`))
		p.until("trading")
		c, _ := sockettest.Dial(t, w.routes, nil)
		var h heard
		if err := json.Unmarshal(c.Next().Data, &h); err != nil || !h.Halted || h.Prices[0].N == 0 {
			t.Errorf("hello while the market is halted: %+v, %v", h, err)
		}
		p.Send(websock.Text(`{"type":"halt"}`)) // it is halted already, and not for longer
		start := time.Now()
		p.until("trading")
		if took := time.Since(start); took > fast.halt {
			t.Errorf("the market goes on after %v, want %v", took, fast.halt)
		}
	})
}

func TestPrices_badRequests(t *testing.T) {
	for _, m := range []websock.Message{
		websock.Text("halt"), websock.Text(`{"type":"resume"}`), websock.Text(`[]`), websock.Binary([]byte(`{"type":"halt"}`)),
	} {
		inBubble(t, options{rate: 1, halt: time.Second}, func(t *testing.T, w *world) {
			p := w.open("")
			p.Send(m)
			p.WantClose(websock.ClosePolicyViolation, `a request is {"type":"halt"}, in a text message`)
		})
	}
}
