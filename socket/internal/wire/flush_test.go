package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

func TestFlush_oneWrite(t *testing.T) {
	r, c := open(t, wire.Options{}, false)
	if err := c.Flush(); err != nil || len(r.writes) != 0 {
		t.Fatalf("with nothing pending: %v, %d writes", err, len(r.writes))
	}
	for i := range 100 {
		if c.Pending() != (i > 0) {
			t.Fatalf("before message %d: Pending() = %t", i, c.Pending())
		}
		c.Append(websock.Text("hello"))
	}
	if len(r.writes) != 0 {
		t.Fatalf("%d writes before the flush", len(r.writes))
	}
	if err := c.Flush(); err != nil || len(r.writes) != 1 || c.Pending() {
		t.Errorf("Flush: %v, %d writes, Pending() = %t; want one write and nothing pending", err, len(r.writes), c.Pending())
	}
	if want := strings.Repeat("\x81\x05hello", 100); string(r.bytes()) != want {
		t.Errorf("wrote %s", show(r.bytes()))
	}
}

// TestAppend_flushesItself: at most 64 KiB and one message wait.
func TestAppend_flushesItself(t *testing.T) {
	roles(t, appendsFlush)
}

func appendsFlush(t *testing.T, client bool, sent func([]byte) []byte) {
	for _, size := range []int{100, 5_000, 16_383, 16_384, 40_000, 65_536, 1 << 20} {
		r, c := open(t, wire.Options{Client: client}, false)
		var want []byte
		for i := 0; len(want) < 300_000; i++ {
			p := []byte(noise(size + i%3))
			if err := c.Append(websock.Binary(p)); err != nil {
				t.Fatalf("size %d: %v", size, err)
			}
			want = rawclient.AppendFrame(want, rawclient.Frame{Fin: true, Opcode: opBinary, Payload: p}, [4]byte{})
			if waiting := len(want) - len(sent(r.bytes())); waiting > 64<<10+size+10 {
				t.Fatalf("size %d: %d bytes wait", size, waiting)
			}
		}
		if len(r.writes) == 0 {
			t.Errorf("size %d: nothing written yet", size)
		}
		err := c.Flush()
		if got := sent(r.bytes()); err != nil || !bytes.Equal(got, want) {
			t.Errorf("size %d: %v, wrote %d bytes, want %d, equal %t", size, err, len(got), len(want), bytes.Equal(got, want))
		}
	}
}

// TestFlush_failureEndsWriting: after half a frame nothing may follow.
func TestFlush_failureEndsWriting(t *testing.T) {
	for name, m := range map[string]websock.Message{"small": websock.Text("hello"), "large": websock.Binary(make([]byte, 20_000))} {
		r, c := open(t, wire.Options{}, false)
		broken := errors.New("broken")
		r.fail = broken
		c.Append(m)
		c.AppendClose(websock.CloseDetail{Code: 1000})
		if err := c.Flush(); !errors.Is(err, broken) {
			t.Fatalf("%s: Flush: %v, want the transport's error", name, err)
		}
		r.fail = nil
		wrote := len(r.bytes())
		for what, err := range map[string]error{
			"Append": c.Append(m), "AppendClose": c.AppendClose(websock.CloseDetail{Code: 1000}), "Flush": c.Flush(), "Append again": c.Append(m),
		} {
			if !errors.Is(err, broken) {
				t.Errorf("%s: %s after it: %v, want the same error", name, what, err)
			}
		}
		if sent, _ := c.CloseFrames(); len(r.bytes()) != wrote || c.Pending() || sent != nil {
			t.Errorf("%s: %d bytes followed, Pending() = %t, sent %v", name, len(r.bytes())-wrote, c.Pending(), sent)
		}
	}
}

func TestFlush_writeTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := pipe.New(1000)
		defer near.Close()
		c := accept(t, far, wire.Options{WriteTimeout: 10 * time.Second}, false)
		defer c.Abort()
		far.Write(make([]byte, 1000)) // it is full: the peer takes nothing from the first moment
		start := time.Now()
		c.Append(websock.Binary(make([]byte, 5000)))
		err := c.Flush()
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 10*time.Second {
			t.Errorf("Flush to a peer that does not read: %v after %v; want a deadline error after 10s", err, time.Since(start))
		}
		if err := c.Append(websock.Text("a")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Append after it: %v", err)
		}
	})
}

func TestLimitWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, tt := range map[string]struct {
			timeout time.Duration
			limit   time.Duration // from the start of the write
			set     time.Duration // when LimitWrites is called
			want    time.Duration // when the write ends
		}{
			"before the write":               {10 * time.Second, 3 * time.Second, 0, 3 * time.Second},
			"while it blocks":                {10 * time.Second, 3 * time.Second, time.Second, 3 * time.Second},
			"later than the timeout":         {2 * time.Second, 3 * time.Second, 0, 2 * time.Second},
			"later than the timeout, during": {2 * time.Second, 3 * time.Second, time.Second, 2 * time.Second},
			"without a timeout":              {0, 3 * time.Second, time.Second, 3 * time.Second},
			"in the past":                    {10 * time.Second, -time.Second, time.Second, time.Second},
		} {
			near, far := pipe.New(1000)
			c := accept(t, far, wire.Options{WriteTimeout: tt.timeout}, false)
			far.Write(make([]byte, 1000)) // it is full
			start := time.Now()
			if tt.set == 0 {
				c.LimitWrites(start.Add(tt.limit))
			} else {
				time.AfterFunc(tt.set, func() {
					c.LimitWrites(start.Add(tt.limit))
					c.LimitWrites(start.Add(time.Hour)) // the earliest stays
				})
			}
			c.Append(websock.Binary(make([]byte, 5000)))
			if err := c.Flush(); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != tt.want {
				t.Errorf("%s: the write ended after %v with %v; want %v and a deadline error", name, time.Since(start), err, tt.want)
			}
			c.Abort()
			near.Close()
		}
	})
}

// TestLimitWrites_laterWrites: the limit outlives the write it came in.
func TestLimitWrites_laterWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := pipe.New(1000)
		defer near.Close()
		c := accept(t, far, wire.Options{WriteTimeout: time.Second}, false)
		defer c.Abort()
		c.LimitWrites(time.Now().Add(5 * time.Second))
		if err := errors.Join(c.Append(websock.Text("in time")), c.Flush()); err != nil {
			t.Fatalf("before the limit: %v", err)
		}
		time.Sleep(6 * time.Second)
		if err := errors.Join(c.Append(websock.Text("late")), c.Flush()); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after the limit: %v, want a deadline error", err)
		}
	})
}

// TestAppend_whileAWriteBlocks: appending does not wait for the network.
func TestAppend_whileAWriteBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := pipe.New(1000)
		defer near.Close()
		c := accept(t, far, wire.Options{}, false)
		defer c.Abort()
		c.Append(websock.Binary(make([]byte, 5000)))
		done := make(chan error)
		go func() { done <- c.Flush() }()
		synctest.Wait()
		if err := c.Append(websock.Text("second")); err != nil || !c.Pending() {
			t.Fatalf("Append: %v, Pending() = %t", err, c.Pending())
		}
		client := readFrames(t, near, 1)
		if err := <-done; err != nil {
			t.Fatalf("Flush: %v", err)
		}
		if !c.Pending() {
			t.Error("what was appended during the write is not pending")
		}
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		client = append(client, readFrames(t, near, 1)...)
		if len(client) != 2 || string(client[1]) != "second" {
			t.Errorf("client read %d frames, the second %q", len(client), client[len(client)-1])
		}
	})
}

// readFrames reads n unmasked frames of less than 64 KiB.
func readFrames(t testing.TB, conn net.Conn, n int) (payloads [][]byte) {
	t.Helper()
	read := func(n int) []byte {
		p := make([]byte, n)
		for got := 0; got < n; {
			m, err := conn.Read(p[got:])
			if err != nil {
				t.Fatalf("client: %v", err)
			}
			got += m
		}
		return p
	}
	for range n {
		h := read(2)
		size := int(h[1])
		if size == 126 {
			l := read(2)
			size = int(l[0])<<8 | int(l[1])
		}
		payloads = append(payloads, read(size))
	}
	return payloads
}

func TestCloseWrite(t *testing.T) {
	client, c := connect(t, wire.Options{}, false)
	c.Append(websock.Text("last"))
	c.AppendClose(websock.CloseDetail{Code: 1000})
	if err := errors.Join(c.Flush(), c.CloseWrite()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		f, err := client.ReadFrame()
		if err != nil {
			got = append(got, err.Error())
			break
		}
		got = append(got, fmt.Sprintf("%x", f.Raw))
	}
	if want := []string{"81046c617374", "880203e8", "EOF"}; strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("client read %v, want %v", got, want)
	}
	if err := c.Append(websock.Text("late")); err == nil {
		t.Error("Append after CloseWrite succeeded")
	}
	if err := c.Flush(); err != nil {
		t.Errorf("Flush with nothing pending, after CloseWrite: %v", err)
	}

	_, c = open(t, wire.Options{}, false)
	if err := c.CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("CloseWrite of a transport that cannot: %v, want ErrUnsupported", err)
	}
}

// TestWriting_anyMix holds writing to its promises while everything is called
// at once; the race detector does the rest. Each sender's messages arrive in
// order and whole, and nothing follows the Close frame.
func TestWriting_anyMix(t *testing.T) {
	const senders, each = 4, 200
	for name, end := range map[string]func(c *wire.Conn){
		"close": func(c *wire.Conn) { c.AppendClose(websock.CloseDetail{Code: 1000}); c.Flush(); c.CloseWrite() },
		"abort": func(c *wire.Conn) { c.Abort() },
		"limit": func(c *wire.Conn) { c.LimitWrites(time.Now().Add(-time.Second)); c.Flush(); c.Abort() },
	} {
		anyMix := func(t *testing.T, asClient bool, _ func([]byte) []byte) {
			client, c := connect(t, wire.Options{WriteTimeout: time.Minute, Client: asClient}, true)
			var wg sync.WaitGroup
			for s := range senders {
				wg.Go(func() {
					for i := range each {
						size := []int{10, 600, 17_000}[i%3]
						if c.Append(websock.Text(fmt.Sprintf("%d %d %s", s, i, strings.Repeat("x", size)))) != nil {
							return
						}
						if i%7 == 0 {
							c.Flush()
						}
						_, _ = c.Counts(), c.Activity()
						_, _ = c.CloseFrames()
					}
				})
			}
			read := make(chan error)
			next := [senders]int{}
			go func() {
				for {
					op, p, err := client.ReadMessage()
					if err != nil {
						read <- err
						return
					}
					if op == opClose {
						continue
					}
					var s, i int
					fmt.Sscanf(string(p), "%d %d ", &s, &i)
					if next[s] != i {
						read <- fmt.Errorf("sender %d: message %d, want %d", s, i, next[s])
						return
					}
					next[s]++
				}
			}()
			for c.Counts().Out.Text.Frames < senders*each/2 {
				c.Flush()
			}
			end(c)
			wg.Wait()
			if asClient { // it leaves it to the server to end TCP
				c.Abort()
			}
			err := <-read
			if _, bad := errors.AsType[*rawclient.BadPeerError](err); bad {
				t.Errorf("the client read something illegal: %v", err)
			}
			if !errors.Is(err, syscall.ECONNRESET) && err.Error() != "EOF" && err.Error() != "unexpected EOF" {
				t.Errorf("the client's stream ended with %v", err)
			}
		}
		t.Run(name, func(t *testing.T) { roles(t, anyMix) })
	}
}
