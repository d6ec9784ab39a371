package socket_test

import (
	"context"
	"encoding/json"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

// This is the recipe of docs/how-to/watch-prices.md.

type quote struct {
	Cents int           `json:"cents"`
	At    time.Duration `json:"at"`
}

type board struct{ newest atomic.Pointer[quoted] }

type quoted struct {
	quote quote
	msg   websock.Message
}

func (b *board) set(q quote) { b.newest.Store(&quoted{q, websock.Prepare(websock.JSON(q))}) }

type trader struct {
	idleHandler
	board *board
	shown *quoted
}

type look struct{}

const lookEvery = 100 * time.Millisecond

func (tr *trader) Init(ctx context.Context) websock.Result {
	actor.SendEvery(ctx, lookEvery, look{})
	return tr.show()
}

func (tr *trader) HandleInfo(_ context.Context, msg any) websock.Result {
	if _, ok := msg.(look); ok {
		return tr.show()
	}
	return websock.OK()
}

func (tr *trader) show() websock.Result {
	newest := tr.board.newest.Load()
	if newest == nil || newest == tr.shown {
		return websock.OK()
	}
	tr.shown = newest
	return websock.Push(newest.msg)
}

// A price changes a thousand times a second. Each client gets ten of them a second, none older than a period; one that does
// not read for eight seconds is not ended, nothing piles up for it, and when it reads again it has the newest soon.
// 20 clients; 2,000 with TROUPE_STRESS=1.
func TestPrices_newestValueOnly(t *testing.T) {
	n := 20
	if os.Getenv("TROUPE_STRESS") != "" {
		n = 2000
	}
	synctest.Test(t, func(t *testing.T) {
		sys := sockettest.NewSystem(t)
		b := new(board)
		start := time.Now()
		cfg := socket.Config{System: sys, Logger: quiet}
		var clients []*sockettest.Conn
		for range n {
			clients = append(clients, sockettest.Serve(t, cfg, &trader{board: b}))
		}
		slow := clients[0]
		slow.Pause(256)
		decode := func(m websock.Message) (q quote) {
			t.Helper()
			if err := json.Unmarshal(m.Data, &q); err != nil {
				t.Fatalf("got %v: %v", m, err)
			}
			return q
		}
		const changes = 8000
		for i := range changes {
			b.set(quote{i, time.Since(start)})
			time.Sleep(time.Millisecond)
			if i%1000 == 0 {
				if info, err := actor.Inspect(slow.PID); err != nil || info.Mailbox > 1 {
					t.Fatalf("after %d changes %d messages wait for the client that does not read: %v", i, info.Mailbox, err)
				}
			}
		}
		time.Sleep(lookEvery)
		for i, c := range clients[1:] {
			last, count := quote{-1, 0}, 0
			for last.Cents != changes-1 {
				q := decode(c.Next())
				if count++; q.Cents <= last.Cents || q.At-last.At > 2*lookEvery {
					t.Fatalf("client %d got %+v after %+v", i+1, q, last)
				}
				last = q
			}
			if want := int(changes * time.Millisecond / lookEvery); count < want-1 || count > want+2 {
				t.Errorf("client %d got %d prices of %d, want about %d", i+1, count, changes, want)
			}
		}
		slow.Resume()
		for i := 0; ; i++ {
			q := decode(slow.Next())
			if q.Cents == changes-1 {
				break
			}
			if i > 20 { // 256 bytes of frames, and what the server was writing
				t.Fatalf("the client that reads again got %d old prices, the last %+v", i, q)
			}
		}
	})
}
