package socket_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// bareFrames reads the frames of a server whose handshake asked for nothing but an upgrade. It costs little, so that there
// can be 10,000 of them.
type bareFrames struct {
	conn    *pipe.Conn
	r       *bufio.Reader
	head    [4]byte
	payload []byte // of the last frame
}

// newBareFrames reads the answer to the handshake.
func newBareFrames(conn *pipe.Conn) (*bareFrames, error) {
	f := &bareFrames{conn: conn, r: bufio.NewReaderSize(conn, 256)}
	for {
		line, err := f.r.ReadSlice('\n')
		if err != nil || len(line) == 2 {
			return f, err
		}
	}
}

// next reads a frame of at most 65535 bytes into f.payload, and returns its first byte.
func (f *bareFrames) next() (byte, error) {
	head := &f.head // no allocation, for the benchmark
	if _, err := io.ReadFull(f.r, head[:2]); err != nil {
		return 0, err
	}
	n := int(head[1])
	if n == 126 {
		if _, err := io.ReadFull(f.r, head[2:]); err != nil {
			return 0, err
		}
		n = int(head[2])<<8 | int(head[3])
	}
	if cap(f.payload) < n {
		f.payload = make([]byte, n)
	}
	f.payload = f.payload[:n]
	_, err := io.ReadFull(f.r, f.payload)
	return head[0], err
}

// answerClose answers the Close frame that was the last, and hangs up.
func (f *bareFrames) answerClose() {
	f.conn.Write([]byte{0x88, 0x82, 0, 0, 0, 0, f.payload[0], f.payload[1]}) // masked, by zeros
	f.conn.Close()
}

// volley is what several publishers say in turns: text k of publisher p is volley[p][k], which begins with the digit p.
type volley [4][]string

func newVolley(n int) (v volley) {
	for p := range v {
		for k := range n {
			v[p] = append(v[p], fmt.Sprintf("%d: publisher %d says message %d", p, p, k))
		}
	}
	return v
}

// heard is what one client has got of a volley.
type heard struct {
	v     *volley
	next  [len(volley{})]int // of each publisher
	wrong string             // the first that was not the next of its publisher
	code  uint16             // of the Close frame
}

func (h *heard) text(s string) {
	if p := int(s[0] - '0'); h.wrong != "" {
		return
	} else if want := h.v[p][h.next[p]]; s != want {
		h.wrong = fmt.Sprintf("got %q, want %q", s, want)
	} else {
		h.next[p]++
	}
}

// read reads until the Close frame.
func (h *heard) read(conn *pipe.Conn) {
	f, err := newBareFrames(conn)
	for first := byte(0); err == nil; {
		switch first, err = f.next(); {
		case err != nil:
		case first == 0x81:
			h.text(string(f.payload))
		case first == 0x88:
			h.code = codeOf(f.payload)
			f.answerClose()
			return
		default:
			err = fmt.Errorf("a frame that begins with %#x", first)
		}
	}
	h.wrong = err.Error()
	conn.Close()
}

// One of many receivers, 10,000 with TROUPE_STRESS=1, does not read. The others get all that several publishers
// broadcast, in order, once, and nobody waits for the slow one, which ends with ErrOverload when its mailbox is full.
func TestBroadcast_oneSlowReceiver(t *testing.T) {
	n := thousands()
	const (
		burst     = 3                             // messages of each publisher in a round, after which the bubble settles
		limit     = burst*len(volley{}) + 2*burst // who reads has room for a round
		maxRounds = 20
	)
	texts := newVolley((maxRounds + 2) * burst)
	for _, test := range []struct {
		name  string
		again bool // the slow one reads again, within CloseTimeout
	}{
		{"it reads again in time", true},
		{"it never reads", false},
	} {
		bubble(t, test.name, func(t *testing.T) {
			h := newSite(t, socket.Config{Logger: quiet, MailboxLimit: limit, IdleTimeout: -1, PingInterval: -1})
			reg := registry.New(h.sys)
			crowd := make([]*heard, n-1)
			var readers sync.WaitGroup
			for i := range crowd {
				server, client := pipe.New(512)
				pid, err := h.srv.Upgrade(&directWriter{conn: server}, goodRequest(), idleHandler{})
				if err != nil || reg.Join("room", pid, nil) != nil {
					t.Fatalf("socket %d does not come in: %v", i, err)
				}
				crowd[i] = &heard{v: &texts}
				readers.Go(func() { crowd[i].read(client) })
			}
			hd := &handler{init: func(ctx context.Context) websock.Result {
				reg.Join("room", actor.Self(ctx), nil)
				return websock.OK()
			}}
			ln := pipe.NewListener()
			ln.Buffer = 256
			h.on(ln, h.sockets(func() websock.Handler { return hd }))
			h.dial = func() (net.Conn, error) { return ln.Dial(context.Background()) }
			slow := h.connect(rawclient.HandshakeOptions{})
			synctest.Wait()
			if got := reg.Count("room"); got != n {
				t.Fatalf("%d members, want %d", got, n)
			}

			var took [len(volley{})][]int // what each Broadcast returned
			publish := func() {
				var publishers sync.WaitGroup
				for p := range took {
					publishers.Go(func() {
						for range burst {
							took[p] = append(took[p], reg.Broadcast("room", websock.Text(texts[p][len(took[p])])))
						}
					})
				}
				publishers.Wait()
				synctest.Wait()
			}
			refused := func() (k int) {
				for p := range took {
					for _, got := range took[p] {
						if got != n {
							k++
						}
					}
				}
				return k
			}
			start := time.Now()
			for round := 0; refused() == 0; round++ {
				if round == maxRounds {
					t.Fatalf("the slow one has taken all of %d messages, its limit is %d", round*burst*len(took), limit)
				}
				publish()
			}
			publish() // the slow one is ending, and still a member
			if d := time.Since(start); d != 0 {
				t.Errorf("the publishers have waited for %v, want not at all", d)
			}
			accepted, all := 0, 0
			for p := range took {
				full := false
				for k, got := range took[p] {
					full = full || got == n-1
					if got != n && !full || full && got != n-1 {
						t.Fatalf("Broadcast of publisher %d: got %v, at %d want %d as long as the slow one takes it, then %d", p, took[p], k, n, n-1)
					}
					if all++; !full {
						accepted++
					}
				}
			}
			if accepted < limit {
				t.Errorf("the slow one has taken %d messages, want at least its limit, %d", accepted, limit)
			}

			late := &heard{v: &texts}
			if test.again {
				time.Sleep(4 * time.Second)
			} else {
				h.wantEnds(1)
				if d := time.Since(start); d != 5*time.Second {
					t.Errorf("the slow one has ended after %v, want CloseTimeout, 5s", d)
				}
			}
			got, stream := 0, error(nil)
			for late.code == 0 && stream == nil {
				op, p, err := slow.ReadMessage()
				switch {
				case err != nil:
					stream = err
				case op == rawclient.OpClose:
					late.code = codeOf(p)
					slow.Close(late.code, "")
				default:
					late.text(string(p))
					got++
				}
			}
			h.wantEnds(1)
			if late.wrong != "" {
				t.Errorf("the slow one: %s", late.wrong)
			}
			end := h.ends()[0]
			if !errors.Is(end.Reason, websock.ErrOverload) {
				t.Errorf("exit reason of the slow one: got %v, want ErrOverload", end.Reason)
			}
			if got := hd.terminated(); len(got) != 1 || !errors.Is(got[0], websock.ErrOverload) {
				t.Errorf("Terminate of the slow one: got %v, want ErrOverload once", got)
			}
			if calls := hd.log(); len(calls) != 2 {
				t.Errorf("callbacks of the slow one: got %q, want init and terminate", calls)
			}
			switch {
			case test.again:
				if late.code != 1013 || end.Sent == nil || end.Sent.Code != 1013 {
					t.Errorf("the slow one reads again: got Close %d, error %v, Closed.Sent %v, want 1013", late.code, stream, end.Sent)
				}
				if d := int(end.Dropped); d < accepted-got || d > all-got {
					t.Errorf("dropped: got %d, want all that it did not read: %d to %d", d, accepted-got, all-got)
				}
			case late.code != 0 || end.Sent != nil:
				t.Errorf("the slow one never reads: got Close %d, Closed.Sent %v, want none", late.code, end.Sent)
			case end.Dropped == 0:
				t.Error("dropped: got 0")
			}
			if got := reg.Count("room"); got != n-1 {
				t.Errorf("%d members are left, want %d", got, n-1)
			}

			publish()
			if err := h.srv.Shutdown(context.Background()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
			readers.Wait()
			for i, c := range crowd {
				for p, k := range c.next {
					if c.wrong != "" || c.code != 1001 || k != len(took[p]) {
						t.Fatalf("client %d: of publisher %d it got %d messages in order, want %d; Close %d, want 1001; %s",
							i, p, k, len(took[p]), c.code, c.wrong)
					}
				}
			}
			t.Logf("%d messages to each of %d; the slow one has taken %d and read %d", len(took[0])*len(took), n-1, accepted, got)
		})
	}
}

// writtenConn remembers where the large buffers are that were written to it.
type writtenConn struct {
	*pipe.Conn
	large [][]byte
}

// largeWrite is the least payload that a socket writes from where it is, without copying it.
const largeWrite = 16 << 10

func (c *writtenConn) Write(p []byte) (int, error) {
	if len(p) >= largeWrite {
		c.large = append(c.large, p)
	}
	return c.Conn.Write(p)
}

// writtenListener makes the connections that it accepts writtenConns.
type writtenListener struct {
	*pipe.Listener
	last *writtenConn
}

func (l *writtenListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.last = &writtenConn{Conn: conn.(*pipe.Conn)}
	return l.last, nil
}

// words is text of about n bytes that compresses to a third or so, and by each level to something else.
func words(n int) string {
	rng := rand.New(rand.NewPCG(1, 2))
	var text strings.Builder
	for text.Len() < n {
		fmt.Fprintf(&text, "%c%x ", 'a'+rune(rng.IntN(26)), rng.IntN(5000))
	}
	return text.String()
}

// Servers that compress from different sizes on, at different levels, or not at all, share a System and a Registry. Each
// client gets a broadcast in its own form, and each form is made once: it is the same memory that is written to all.
func TestBroadcast_mixedAudience(t *testing.T) {
	const room = "room"
	servers := []struct {
		name      string
		c         socket.Compression
		threshold int
		level     int // 0: does not compress
	}{
		{"default", socket.Compression{On: true}, 512, 1},
		{"level 1, said", socket.Compression{On: true, Threshold: 512, Level: 1}, 512, 1},
		{"everything, small", socket.Compression{On: true, Threshold: -1, Level: 9}, 0, 9},
		{"large only", socket.Compression{On: true, Threshold: 4 << 10, Level: 9}, 4 << 10, 9},
		{"huge only", socket.Compression{On: true, Threshold: 1 << 20}, 1 << 20, 1},
		{"off", socket.Compression{}, 0, 0},
	}
	type client struct {
		*rawclient.Client
		name      string
		conn      *writtenConn
		threshold int
		level     int // 0: not negotiated
	}
	// setUp makes the servers and several clients of each, half of which ask for compression.
	setUp := func(t *testing.T) (*registry.Registry, []*client) {
		sys, err := actor.NewSystem(actor.Config{Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := sys.Shutdown(context.Background()); err != nil {
				t.Errorf("System.Shutdown: %v", err)
			}
		})
		reg := registry.New(sys)
		var clients []*client
		for _, s := range servers {
			h := newSite(t, socket.Config{System: sys, Logger: quiet, Compression: s.c})
			ln := &writtenListener{Listener: pipe.NewListener()}
			h.on(ln, h.sockets(func() websock.Handler {
				return &handler{init: func(ctx context.Context) websock.Result {
					reg.Join(room, actor.Self(ctx), nil)
					return websock.OK()
				}}
			}))
			h.dial = func() (net.Conn, error) { return ln.Dial(context.Background()) }
			for i := range 6 {
				c := &client{name: fmt.Sprintf("%s, client %d", s.name, i), threshold: s.threshold}
				c.Client = h.connect(rawclient.HandshakeOptions{Deflate: i%2 == 0})
				c.conn = ln.last
				if c.Extensions.Deflate != (i%2 == 0 && s.level > 0) {
					t.Fatalf("%s: negotiated %+v", c.name, c.Extensions)
				}
				if c.Extensions.Deflate {
					c.level = s.level
				}
				clients = append(clients, c)
			}
		}
		synctest.Wait()
		return reg, clients
	}
	// formOf is the level at which a text of n bytes is deflated for c; 0: it goes as it is.
	formOf := func(c *client, n int) int {
		if n < c.threshold {
			return 0
		}
		return c.level
	}
	// wantText reads one text frame of each client, in its form, and checks that those of one form are the same bytes.
	// It returns them, and what the large ones were written from.
	wantText := func(t *testing.T, clients []*client, text string) (written map[int]*byte) {
		t.Helper()
		raw := map[int]string{}
		written = map[int]*byte{}
		synctest.Wait()
		for _, c := range clients {
			f, err := c.ReadFrame()
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			form, p := formOf(c, len(text)), f.Payload
			wantRSV := uint8(0)
			if form > 0 {
				wantRSV = rawclient.RSV1
				if p, err = rawclient.Inflate(p); err != nil {
					t.Fatalf("%s: %v does not inflate: %v", c.name, f, err)
				}
			}
			if !f.Fin || f.Opcode != rawclient.OpText || f.RSV != wantRSV || string(p) != text {
				t.Fatalf("%s: got %v with %d bytes %.40q, want RSV %d with %d bytes %.40q", c.name, f, len(p), p, wantRSV, len(text), text)
			}
			if _, ok := raw[form]; !ok {
				raw[form] = string(f.Raw)
			} else if raw[form] != string(f.Raw) {
				t.Errorf("%s: the frame of form %d differs from that of the others", c.name, form)
			}
			if len(f.Payload) < largeWrite {
				continue
			}
			if len(c.conn.large) != 1 {
				t.Fatalf("%s: %d large writes, want 1", c.name, len(c.conn.large))
			}
			at := &c.conn.large[0][0]
			c.conn.large = nil
			if written[form] == nil {
				written[form] = at
			} else if written[form] != at {
				t.Errorf("%s: form %d was made once more", c.name, form)
			}
		}
		return written
	}
	broadcast := func(t *testing.T, reg *registry.Registry, clients []*client, m websock.Message) {
		t.Helper()
		if got := reg.Broadcast(room, m); got != len(clients) {
			t.Errorf("Broadcast: got %d, want %d", got, len(clients))
		}
	}
	large := words(96 << 10)
	bubble(t, "sizes", func(t *testing.T) {
		reg, clients := setUp(t)
		for _, n := range []int{100, 511, 512, 4<<10 - 1, 4 << 10} { // each threshold from both sides
			text := strings.Repeat("hello, everybody. ", n)[:n]
			broadcast(t, reg, clients, websock.Text(text))
			wantText(t, clients, text)
		}
		broadcast(t, reg, clients, websock.Text("")) // does not get smaller
		for _, c := range clients {
			if f, err := c.ReadFrame(); err != nil || string(f.Raw) != textFrame("") {
				t.Errorf("%s: got %v, error %v, want an empty text as it is", c.name, f, err)
			}
		}
	})
	bubble(t, "each form is made once", func(t *testing.T) {
		reg, clients := setUp(t)
		m := websock.Text(large)
		broadcast(t, reg, clients, m)
		first := wantText(t, clients, large)
		if len(first) != 3 || first[0] != &m.Data[0] {
			t.Errorf("written from %v, want three forms, the plain one from Message.Data itself, %p", first, &m.Data[0])
		}
		if first[1] == first[9] {
			t.Error("levels 1 and 9 have got the same")
		}
		// The control: without Prepare it is made again.
		broadcast(t, reg, clients, m)
		if second := wantText(t, clients, large); second[1] == first[1] || second[9] == first[9] {
			t.Errorf("a message that is not prepared is written from %v, and again from %v", first, second)
		}
	})
	bubble(t, "prepared before", func(t *testing.T) {
		reg, clients := setUp(t)
		m := websock.Prepare(websock.Text(large))
		broadcast(t, reg, clients, m)
		first := wantText(t, clients, large)
		for range 3 {
			broadcast(t, reg, clients, m)
			again := wantText(t, clients, large)
			for form := range first {
				if again[form] != first[form] {
					t.Errorf("form %d was made once more for another broadcast", form)
				}
			}
		}
		// And by a loop over PIDs.
		for pid := range reg.Members(room) {
			pid.Send(m)
		}
		if again := wantText(t, clients, large); again[1] != first[1] || again[9] != first[9] || again[0] != first[0] {
			t.Errorf("written from %v, then by PID.Send from %v", first, again)
		}
	})
	bubble(t, "by several publishers at once", func(t *testing.T) {
		reg, clients := setUp(t)
		m := websock.Prepare(websock.Text(large))
		var publishers sync.WaitGroup
		for range 4 {
			publishers.Go(func() { broadcast(t, reg, clients, m) })
		}
		publishers.Wait()
		// Only one at a time fits the pipe, so the sockets write while the clients read.
		from := map[int]*byte{}
		for _, c := range clients {
			for range 4 {
				if _, p, err := c.ReadMessage(); err != nil || string(p) != large {
					t.Fatalf("%s: got %d bytes, error %v", c.name, len(p), err)
				}
			}
		}
		synctest.Wait()
		for _, c := range clients {
			form := formOf(c, len(large))
			if len(c.conn.large) != 4 {
				t.Fatalf("%s: %d large writes, want 4", c.name, len(c.conn.large))
			}
			for _, p := range c.conn.large {
				if from[form] == nil {
					from[form] = &p[0]
				} else if from[form] != &p[0] {
					t.Errorf("%s: form %d was made once more", c.name, form)
				}
			}
		}
	})
}
