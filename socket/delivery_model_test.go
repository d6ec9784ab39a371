package socket_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
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

// modelled is what waits for a client that does not read, as the comments of websock.Delivery and websock.Lag say it, in the plainest
// way: a slice.
type modelled struct {
	limit   int // of waits
	policy  socket.Overflow
	waits   []modelMessage
	leftOut uint64 // since HandleLag was called last
	total   uint64
}

type modelMessage struct {
	text    string
	key     string
	plain   bool      // it has no Delivery
	expires time.Time // zero: never
	came    time.Time // whose place it has
}

func (w modelMessage) expired(now time.Time) bool { return !w.expires.IsZero() && now.After(w.expires) }

// sent is a message that comes while the client's kernel takes nothing, so that all there is waits. False: the socket ends.
func (m *modelled) sent(text string, d websock.Delivery, now time.Time) bool {
	msg := modelMessage{text: text, key: d.Key, plain: d == websock.Delivery{}, came: now}
	if d.Expires > 0 {
		msg.expires = now.Add(d.Expires)
	}
	older := slices.IndexFunc(m.waits, func(w modelMessage) bool { return d.Key != "" && w.key == d.Key })
	switch {
	case d.Volatile:
		m.leaveOut()
	case older >= 0:
		m.leaveOut()
		msg.came = m.waits[older].came
		m.waits[older] = msg
	default:
		return m.push(msg, now)
	}
	return true
}

// push puts a message to the end, and leaves others out, or it, when there is no room.
func (m *modelled) push(msg modelMessage, now time.Time) bool {
	if len(m.waits) == m.limit {
		m.waits = slices.DeleteFunc(m.waits, func(w modelMessage) bool {
			if w.expired(now) {
				m.leaveOut()
			}
			return w.expired(now)
		})
	}
	if len(m.waits) < m.limit {
		m.waits = append(m.waits, msg)
		return true
	}
	all := append(m.waits, msg)
	yields := slices.IndexFunc(all, func(w modelMessage) bool { return w.plain })
	if m.policy == socket.LeaveOutNewest {
		for i, w := range all {
			if w.plain {
				yields = i
			}
		}
	}
	if yields < 0 || m.policy == socket.OverflowClose {
		return false
	}
	m.leaveOut()
	m.waits = slices.Delete(all, yields, yields+1)
	return true
}

func (m *modelled) leaveOut() { m.leftOut++; m.total++ }

// lag is what Info must say; before is what has been given to a write that waits. Of the age it is the least.
func (m *modelled) lag(before int64, now time.Time) websock.Lag {
	l := websock.Lag{Messages: len(m.waits), Bytes: before, LeftOut: m.total}
	for _, w := range m.waits {
		l.Bytes += int64(len(w.text))
		l.Age = max(l.Age, now.Sub(w.came))
	}
	return l
}

// taken is what arrives when the client reads everything now, and what HandleLag is told; 0: it is not called.
func (m *modelled) taken(now time.Time) (arrives []string, told uint64) {
	for _, w := range m.waits {
		if w.expired(now) {
			m.leaveOut()
			continue
		}
		arrives = append(arrives, w.text)
	}
	told = m.leftOut
	m.waits, m.leftOut = nil, 0
	return arrives, told
}

// Random messages of all classes, by Send and Broadcast, while the client does not read, and then does, again and again: what arrives, in
// which order, what HandleLag is told and what Lag says at each step are exactly those of the model. So unkeyed messages arrive in order,
// the newest of each key arrives in the place of its oldest, nothing that has expired arrives, and what was sent has arrived or is counted.
// In two of three seeds the mailbox is small, and messages without a Delivery are left out of it as Config.Overflow says.
func TestDelivery_model(t *testing.T) {
	for seed := range uint64(45) {
		synctest.Test(t, func(t *testing.T) { testModel(t, seed) })
	}
}

func testModel(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	m := modelled{limit: 1000}
	if m.policy = []socket.Overflow{socket.OverflowClose, socket.LeaveOutOldest, socket.LeaveOutNewest}[seed%3]; m.policy != socket.OverflowClose {
		m.limit = 8 + random.IntN(24)
	}
	r := serve(t, socket.Config{Logger: quiet, MailboxLimit: m.limit, Overflow: m.policy, PingInterval: -1, IdleTimeout: -1})
	reg := registry.New(r.sys)
	h := &lagged{}
	c := r.dial(h)
	reg.Join("all", c.pid, nil)
	var steps []string // of one round, for the message of a failure
	number, arrived := 0, 0
	fail := func(format string, args ...any) {
		t.Helper()
		t.Fatalf("seed %d: %s\nthe round: %q", seed, fmt.Sprintf(format, args...), steps)
	}
	for range 30 {
		steps = nil
		filler := string(blockRaw(c))
		blocked := time.Now()
		for range random.IntN(60) {
			d := randomDelivery(random)
			text := fmt.Sprintf("%d %*s", number, random.IntN(40), d.Key)
			number++
			msg := websock.Text(text).Deliver(d)
			steps = append(steps, fmt.Sprintf("%v %q %+v", time.Since(blocked), text, d))
			fits := m.sent(text, d, time.Now())
			if !fits {
				if c.pid.Send(msg) {
					fail("Send of %q: true, and %d wait that cannot be left out", text, m.limit)
				}
				if end := c.end(); !errors.Is(end.Reason, websock.ErrOverload) {
					fail("ended with %v, want ErrOverload", end.Reason)
				}
				return
			}
			if random.IntN(2) == 0 {
				if !c.pid.Send(msg) {
					fail("Send of %q: false", text)
				}
			} else if n := reg.Broadcast("all", msg); n != 1 {
				fail("Broadcast of %q has reached %d", text, n)
			}
			if random.IntN(3) == 0 {
				time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
			}
			wantLag(t, r, c.pid, m.lag(int64(len(filler)), time.Now()), time.Since(blocked)+blockTakes, fail)
		}
		want, told := m.taken(time.Now())
		if told > 0 {
			want = append(want, fmt.Sprint("left out: ", told))
		}
		got := readUntilSilent(c)
		if len(got) == 0 || got[0] != filler[4:] {
			fail("the write that has waited does not come first")
		}
		if got = got[1:]; !slices.Equal(got, want) {
			fail("got\n%q, want\n%q", got, want)
		}
		arrived += len(got)
		if told > 0 {
			arrived--
			if n := len(h.lags); n == 0 || h.lags[n-1] != (websock.Lag{LeftOut: told}) {
				fail("HandleLag was told %+v, want %d at last", h.lags, told)
			}
		}
		wantLag(t, r, c.pid, m.lag(0, time.Now()), 0, fail)
	}
	if n := arrived + int(m.total); n != number || r.srv.Stats().LeftOut != m.total {
		t.Errorf("seed %d: of %d messages %d have arrived, %d are left out, by Stats %d", seed, number, arrived, m.total, r.srv.Stats().LeftOut)
	}
}

// randomDelivery has none of the classes, one, or several.
func randomDelivery(random *rand.Rand) (d websock.Delivery) {
	if random.IntN(3) == 0 {
		d.Key = string(rune('a' + random.IntN(4)))
	}
	if random.IntN(6) == 0 {
		d.Volatile = true
	}
	if random.IntN(3) == 0 {
		d.Expires = time.Duration(random.IntN(400)) * time.Millisecond
	}
	return d
}

const blockTakes = 10 * time.Millisecond

// blockRaw is block for a client of a rig. What it returns is the frame of the write that waits.
func blockRaw(c *client) []byte {
	synctest.Wait()
	c.conn.SetReadBuffer(64)
	c.pid.Send(websock.Binary(make([]byte, 1000)))
	synctest.Wait()
	time.Sleep(blockTakes)
	return []byte(binaryFrame(string(make([]byte, 1000))))
}

// readUntilSilent reads until nothing comes for a second, and is as fast as may be.
func readUntilSilent(c *client) (all []string) {
	c.conn.SetReadBuffer(0)
	for {
		c.conn.SetReadDeadline(time.Now().Add(time.Second))
		_, p, err := c.ReadMessage()
		c.conn.SetReadDeadline(time.Now().Add(time.Hour))
		if err != nil {
			return all
		}
		all = append(all, string(p))
	}
}

// wantLag compares what Info and Inspect say. The age may be more by as long as the callback has run.
func wantLag(t *testing.T, r *rig, pid actor.PID, want websock.Lag, running time.Duration, fail func(string, ...any)) {
	t.Helper()
	info, err := r.srv.Info(pid)
	if err != nil {
		fail("Info: %v", err)
	}
	got := info.Lag
	if got.Age < want.Age || got.Age > want.Age+running {
		fail("Lag.Age %v, want %v to %v more", got.Age, want.Age, running)
	}
	if got.Age = want.Age; got != want {
		fail("Lag %+v, want %+v", got, want)
	}
}

// hosted is sockettest.Serve with a Server that the test knows.
func hosted(t *testing.T, cfg socket.Config, h websock.Handler) (*socket.Server, *sockettest.Conn) {
	t.Helper()
	cfg.System = sockettest.NewSystem(t)
	srv, err := socket.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Shutdown(context.Background()) })
	c, _ := sockettest.Dial(t, srv.Handler(func(*http.Request) (websock.Handler, error) { return h, nil }), nil)
	synctest.Wait()
	for pid := range srv.Sockets() {
		c.PID = pid
	}
	return srv, c
}

// putTimes are when a socket has put messages among what is to be written. Whether a message has expired is seen then.
type putTimes struct {
	mu    sync.Mutex
	times map[string]time.Time
}

func watchWrites(t *testing.T, srv *socket.Server, pid actor.PID) *putTimes {
	t.Helper()
	w := &putTimes{times: map[string]time.Time{}}
	_, err := srv.Tap(pid, func(e socket.TapEvent) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if e.Lost > 0 {
			t.Errorf("the tap has lost %d events", e.Lost)
		}
		if e.Direction == socket.DirectionOut {
			w.times[string(e.Payload)] = e.Time
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *putTimes) at(t *testing.T, text string) time.Time {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	at, ok := w.times[text]
	if !ok {
		t.Fatalf("the tap knows nothing of %q", strings.TrimSpace(text))
	}
	return at
}
