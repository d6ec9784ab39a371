package socket_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/websock"
)

// These are the two recipes of docs/how-to/show-who-is-online.md, run with as many clients as it says.

const office = "office"

type device struct {
	Kind string `json:"kind"`
	Busy bool   `json:"busy"`
}

// sighting is what a client of either recipe is told.
type sighting struct {
	Whole bool                       `json:"whole"`
	Now   map[string][]registry.Meta `json:"now"`
}

// buddy watches by itself.
type buddy struct {
	idleHandler
	reg  *registry.Registry
	user string
}

func (b *buddy) Init(ctx context.Context) websock.Result {
	me := actor.Self(ctx)
	if err := errors.Join(b.reg.Track(office, me, b.user, device{Kind: "phone"}), b.reg.Watch(office, me)); err != nil {
		return websock.Stop(err)
	}
	return websock.OK()
}

func (b *buddy) HandleInfo(_ context.Context, msg any) websock.Result {
	if m, ok := msg.(registry.PresenceDiff); ok {
		return websock.Push(websock.JSON(sighting{m.Whole, m.Now}))
	}
	return websock.OK()
}

// roster watches in the place of all, and tells them once a period, by one message.
type roster struct {
	reg    *registry.Registry
	period time.Duration
	told   map[string][]registry.Meta // who was there at the last broadcast
	news   map[string][]registry.Meta // what has changed since; nil: nothing
	whole  websock.Message            // of told; empty: to be made
}

type (
	roll struct{} // a Call, answered with who was there at the last broadcast; the next one says the rest
	tell struct{}
)

func (r *roster) Init(ctx context.Context) error {
	r.told = map[string][]registry.Meta{}
	me := actor.Self(ctx)
	return errors.Join(r.reg.Register("roster", me, nil), r.reg.Watch(office, me))
}

func (r *roster) Receive(ctx context.Context, msg any) error {
	switch m := msg.(type) {
	case registry.PresenceDiff:
		if r.news == nil {
			r.news = map[string][]registry.Meta{}
			actor.SendAfter(ctx, r.period, tell{})
		}
		if m.Whole {
			for user := range r.told {
				r.news[user] = nil
			}
		}
		maps.Copy(r.news, m.Now)
	case tell:
		r.reg.Broadcast(office, websock.JSON(sighting{false, r.news}))
		for user, devices := range r.news {
			if len(devices) > 0 {
				r.told[user] = devices
			} else {
				delete(r.told, user)
			}
		}
		r.news, r.whole = nil, websock.Message{}
	case roll:
		if r.whole.Data == nil {
			r.whole = websock.Prepare(websock.JSON(sighting{true, r.told}))
		}
		actor.Reply(ctx, r.whole)
	}
	return nil
}

// colleague asks the roster.
type colleague struct {
	idleHandler
	reg  *registry.Registry
	user string
}

func (c *colleague) Init(ctx context.Context) websock.Result {
	me := actor.Self(ctx)
	if err := errors.Join(c.reg.Track(office, me, c.user, device{Kind: "phone"}), c.reg.Join(office, me, nil)); err != nil {
		return websock.Stop(err)
	}
	r, _, _ := c.reg.Whereis("roster")
	whole, err := actor.Call[websock.Message](ctx, r, roll{})
	if err != nil {
		return websock.Stop(err)
	}
	return websock.Push(whole)
}

// onlooker reads what a server sends, and knows by it who is there. Most only count, for there are many.
type onlooker struct {
	n             int // of users to be seen
	follow        bool
	knows         bool // all of them; what comes then, when they go again, counts no longer
	present       map[string][]registry.Meta
	frames, bytes int
	closed        bool
}

func (o *onlooker) read(conn *pipe.Conn, complete func()) error {
	r := bufio.NewReaderSize(conn, 4<<10)
	for line := ""; line != "\r\n"; {
		var err error
		if line, err = r.ReadString('\n'); err != nil {
			return err
		}
	}
	o.present = map[string][]registry.Meta{}
	for {
		var head [10]byte
		if _, err := io.ReadFull(r, head[:2]); err != nil {
			return err
		}
		n := int64(head[1])
		switch n {
		case 126:
			if _, err := io.ReadFull(r, head[2:4]); err != nil {
				return err
			}
			n = int64(binary.BigEndian.Uint16(head[2:]))
		case 127:
			if _, err := io.ReadFull(r, head[2:10]); err != nil {
				return err
			}
			n = int64(binary.BigEndian.Uint64(head[2:]))
		}
		o.frames++
		o.bytes += int(n)
		o.closed = o.closed || head[0] == 0x88
		if !o.follow || o.knows || head[0] != 0x81 {
			if _, err := r.Discard(int(n)); err != nil {
				return err
			}
			continue
		}
		p := make([]byte, n)
		if _, err := io.ReadFull(r, p); err != nil {
			return err
		}
		var s sighting
		if err := json.Unmarshal(p, &s); err != nil {
			return err
		}
		if s.Whole {
			clear(o.present)
		}
		for user, devices := range s.Now {
			if len(devices) == 0 {
				delete(o.present, user)
			} else {
				o.present[user] = devices
			}
		}
		if len(o.present) == o.n {
			o.knows = true
			complete()
		}
	}
}

// comeOnline has n clients come at once, and waits until each that follows knows all. It returns what they have got.
func comeOnline(t testing.TB, n int, byRoster bool) (all []*onlooker) {
	h := newSite(t, socket.Config{Logger: quiet, IdleTimeout: -1, PingInterval: -1, WriteTimeout: -1}) // these clients send nothing
	reg := registry.New(h.sys)
	if byRoster {
		if _, err := h.sys.Spawn(context.Background(), &roster{reg: reg, period: 100 * time.Millisecond}, actor.SpawnOptions{MailboxLimit: -1}); err != nil {
			t.Fatal(err)
		}
	}
	every := max(1, n/50)
	var following, readers, joining sync.WaitGroup
	conns := make([]*pipe.Conn, n)
	all = make([]*onlooker, n)
	for i := range n {
		all[i] = &onlooker{n: n, follow: i%every == 0}
		if all[i].follow {
			following.Add(1)
		}
	}
	var next atomic.Int64
	for range 4 * runtime.GOMAXPROCS(0) {
		joining.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				server, client := pipe.New(0)
				conns[i] = client
				var handler websock.Handler = &buddy{reg: reg, user: fmt.Sprint("user-", i)}
				if byRoster {
					handler = &colleague{reg: reg, user: fmt.Sprint("user-", i)}
				}
				readers.Go(func() {
					complete := func() {}
					if all[i].follow {
						complete = sync.OnceFunc(following.Done)
					}
					all[i].read(client, complete)
					complete() // it was cut off
				})
				if _, err := h.srv.Upgrade(&directWriter{conn: server}, goodRequest(), handler); err != nil {
					t.Errorf("client %d does not come in: %v", i, err)
				}
			}
		})
	}
	joining.Wait()
	following.Wait()
	if got := h.srv.Count(); got != n {
		t.Errorf("%d of %d sockets are there", got, n)
	}
	for _, conn := range conns {
		conn.Close()
	}
	readers.Wait()
	return all
}

// onlineTotals are the sums of what clients have got, and the most that one has.
func onlineTotals(t testing.TB, all []*onlooker) (frames, most, bytes int) {
	for i, o := range all {
		frames += o.frames
		bytes += o.bytes
		most = max(most, o.frames)
		if o.closed {
			t.Errorf("client %d was closed", i)
		}
		if o.follow && !o.knows {
			t.Errorf("client %d knows %d users, want %d", i, len(o.present), o.n)
		}
	}
	return frames, most, bytes
}

// All come at once, each is told of all, and nobody is ended for it. 200 clients; 5,000 with TROUPE_STRESS=1. Each change
// as a message of its own would be n/2 frames a client.
func TestOnline_allComeAtOnce(t *testing.T) {
	n := 200
	if os.Getenv("TROUPE_STRESS") != "" {
		n = 5000
	}
	for _, byRoster := range []bool{false, true} {
		t.Run(fmt.Sprintf("roster=%t", byRoster), func(t *testing.T) {
			frames, most, bytes := onlineTotals(t, comeOnline(t, n, byRoster))
			t.Logf("%d clients: %d frames and %d KiB each, %d frames at most", n, frames/n, bytes/n>>10, most)
			if os.Getenv("TROUPE_STRESS") != "" && frames > n*n/10 {
				t.Errorf("%d frames in all, want at most %d: nothing was merged", frames, n*n/10)
			}
		})
	}
}

// BenchmarkOnline is n clients that come at once over memory, until those that follow, one in fifty, know all.
func BenchmarkOnline(b *testing.B) {
	for _, n := range []int{1000, 2000, 5000} {
		for _, byRoster := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/roster=%t", n, byRoster), func(b *testing.B) {
				var frames, most, bytes int
				for range b.N {
					f, m, by := onlineTotals(b, comeOnline(b, n, byRoster))
					frames, most, bytes = frames+f, max(most, m), bytes+by
				}
				b.ReportMetric(float64(frames)/float64(n*b.N), "frames/client")
				b.ReportMetric(float64(most), "frames/most")
				b.ReportMetric(float64(bytes)/float64(n*b.N)/1024, "KiB/client")
			})
		}
	}
}
