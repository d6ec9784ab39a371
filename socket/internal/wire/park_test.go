package wire_test

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

func TestSuspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		client, c := connect(t, wire.Options{MaxMessageSize: mb}, false)
		waiting := func() time.Duration { return c.Activity().WaitingSince.Sub(start) }

		c.Suspend() // nobody reads: forgotten
		time.Sleep(time.Second)
		done := blocked(next(c))
		time.Sleep(time.Second)
		c.Suspend()
		c.Suspend()
		if err := <-done; err != wire.ErrSuspended {
			t.Fatalf("Next: %v, want ErrSuspended", err)
		}
		if got := waiting(); got != time.Second {
			t.Errorf("suspended: waits since %v, want 1s", got)
		}
		c.Suspend() // nobody reads: forgotten
		time.Sleep(time.Second)
		done = blocked(next(c))
		if got := waiting(); got != time.Second {
			t.Errorf("after a Next that found nothing: waits since %v, want 1s", got)
		}
		client.WriteBytes(frame(fin, opPing, "p")) // wakes it, and lets it sleep again
		time.Sleep(time.Second)
		if got := waiting(); got != 3*time.Second {
			t.Errorf("after a ping: waits since %v, want 3s", got)
		}
		c.Suspend()
		if err := <-done; err != wire.ErrSuspended {
			t.Fatalf("Next: %v, want ErrSuspended", err)
		}
		client.WriteBytes(frame(fin, opText, "hello"))
		if m, err := c.Next(); err != nil || string(m.Data) != "hello" {
			t.Fatalf("resumed: %v, %v", m, err)
		}
		if a := c.Activity(); !a.WaitingSince.IsZero() {
			t.Errorf("with a message: waits since %v, want zero", a.WaitingSince)
		}
	})
}

// TestSuspend_goesOn: after a suspension, a Next that waits can be suspended again, interrupted and discarded.
func TestSuspend_goesOn(t *testing.T) {
	for name, end := range map[string]struct {
		call func(*wire.Conn)
		want error
	}{
		"Suspend":   {func(c *wire.Conn) { c.Suspend() }, wire.ErrSuspended},
		"Interrupt": {func(c *wire.Conn) { c.Interrupt(errIdle) }, errIdle},
		"Discard":   {func(c *wire.Conn) { c.Discard() }, wire.ErrStopped},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				suspended := func() *wire.Conn {
					_, c := connect(t, wire.Options{}, false)
					done := blocked(next(c))
					c.Suspend()
					if err := <-done; err != wire.ErrSuspended {
						t.Fatalf("Next: %v, want ErrSuspended", err)
					}
					return c
				}
				c := suspended()
				done := blocked(next(c))
				end.call(c)
				select {
				case err := <-done:
					if err != end.want {
						t.Errorf("a Next that waits after a suspension: %v, want %v", err, end.want)
					}
				case <-time.After(time.Hour):
					t.Errorf("a Next that waits after a suspension is not woken by %s", name)
				}
				if end.want == wire.ErrSuspended {
					return
				}
				c = suspended()
				end.call(c)
				if _, err := c.Next(); err != end.want {
					t.Errorf("the Next after a suspension: %v, want %v", err, end.want)
				}
				if a := c.Activity(); !a.WaitingSince.IsZero() {
					t.Errorf("waits since %v after the end", a.WaitingSince)
				}
			})
		})
	}
}

func TestSuspend_onlyBetweenMessages(t *testing.T) {
	long := frame(fin, opText, str(100_000))
	for name, f := range map[string]struct {
		whole []byte
		at    int
		want  string
	}{
		"inside a header":    {frame(fin, opText, "hello"), 1, textEvent("hello")},
		"inside a control":   {join(frame(fin, opPing, "hello"), frame(fin, opText, "x")), 7, textEvent("x")},
		"inside a payload":   {frame(fin, opText, "hello"), 8, textEvent("hello")},
		"inside a large one": {long, 70_000, textEvent(str(100_000))},
		"between fragments":  {join(frame(0, opText, "hel"), frame(fin, opCont, "lo")), len(frame(0, opText, "hel")), textEvent("hello")},
		"inside a deflated":  {frame(fin|rsv1, opBinary, deflated(noise(100))), 30, binaryEvent(noise(100))},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, c := connect(t, wire.Options{MaxMessageSize: mb}, true)
				var got websock.Message
				read := func() (err error) {
					got, err = c.Next()
					return err
				}
				client.WriteBytes(f.whole[:f.at])
				done := blocked(read)
				c.Suspend()
				synctest.Wait()
				client.WriteBytes(f.whole[f.at:])
				if err := <-done; err != nil || event(got) != f.want {
					t.Errorf("Next: %s, %v; want %s", event(got), err, f.want)
				}

				c.SetPatient(false)
				client.WriteBytes(f.whole[:f.at])
				done = blocked(read)
				client.WriteBytes(f.whole[f.at:])
				if err := <-done; err != nil || event(got) != f.want {
					t.Errorf("not patient: Next: %s, %v; want %s", event(got), err, f.want)
				}
				c.SetPatient(true)
				done = blocked(read) // the wish was forgotten
				client.WriteBytes(f.whole)
				if err := <-done; err != nil || event(got) != f.want {
					t.Errorf("then Next: %s, %v; want %s", event(got), err, f.want)
				}
			})
		})
	}
}

func TestSuspend_losesToInterruptAndDiscard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 100 {
			for name, stop := range map[string]func(*wire.Conn){
				"Interrupt": func(c *wire.Conn) { c.Interrupt(errIdle) },
				"Discard":   func(c *wire.Conn) { c.Discard() },
			} {
				_, c := connect(t, wire.Options{}, false)
				want := map[string]error{"Interrupt": errIdle, "Discard": wire.ErrStopped}[name]
				done := blocked(next(c))
				var both sync.WaitGroup
				both.Go(c.Suspend)
				both.Go(func() { stop(c) })
				both.Wait()
				// It may have returned before it could see the stop.
				if err := <-done; err != want && err != wire.ErrSuspended {
					t.Errorf("%s and Suspend: Next: %v, want %v", name, err, want)
				}
				c.Suspend()
				if _, err := c.Next(); err != want {
					t.Errorf("%s and Suspend: then Next: %v, want %v", name, err, want)
				}
				if a := c.Activity(); !a.WaitingSince.IsZero() {
					t.Errorf("%s: waits since %v after the end", name, a.WaitingSince)
				}
				if err := c.Linger(time.Now(), time.Second); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%s: Linger: %v, want its deadline", name, err)
				}
				done = blocked(func() error { return c.Linger(time.Now(), time.Second) })
				c.Suspend()
				if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%s: Linger after Suspend: %v, want its deadline", name, err)
				}
			}
		}
	})
}

// transports are those that can tell whether bytes are there.
var transports = map[string]func(t testing.TB, o wire.Options, deflate bool) (*rawclient.Client, *wire.Conn){
	"pipe": connect,
	"tcp":  overPlainTCP,
	"unix": overUnix,
}

func TestSetPatient(t *testing.T) {
	for name, open := range transports {
		t.Run(name, func(t *testing.T) {
			client, c := open(t, wire.Options{MaxMessageSize: mb}, false)
			flushed := 0
			c.SetHooks(hooks{func() { flushed++ }, nil})
			c.Append(websock.Text("waits"))
			c.SetPatient(false)
			for range 3 {
				if _, err := c.Next(); err != wire.ErrSuspended {
					t.Fatalf("Next with nothing to read: %v, want ErrSuspended", err)
				}
			}
			if flushed != 3 {
				t.Errorf("beforeWait ran %d times, want 3", flushed)
			}
			since := c.Activity().WaitingSince
			if since.IsZero() {
				t.Error("suspended: WaitingSince is zero")
			}
			client.WriteBytes(join(frame(fin, opText, "one"), frame(fin, opText, "two")))
			for _, want := range []string{"one", "two"} {
				m, err := c.Next()
				for err == wire.ErrSuspended { // loopback delivers when it likes
					m, err = c.Next()
				}
				if err != nil || string(m.Data) != want {
					t.Fatalf("Next: %v, %v; want %q", m, err, want)
				}
			}
			if _, err := c.Next(); err != wire.ErrSuspended {
				t.Fatalf("Next after the messages: %v, want ErrSuspended", err)
			}
			if !c.Activity().WaitingSince.After(since) {
				t.Error("WaitingSince was not set anew")
			}
			client.Conn().Close()
			_, err := c.Next()
			for err == wire.ErrSuspended {
				_, err = c.Next()
			}
			if verdict(err) != "EOF" {
				t.Errorf("after the end of the stream: %v, want EOF", err)
			}
		})
	}
}

// blind cannot tell whether bytes are there.
type blind struct{ net.Conn }

func TestSetPatient_waitsWhereItCannotTell(t *testing.T) {
	client, c := overTCP(t, wire.Options{MaxMessageSize: mb}, false, func(conn net.Conn) net.Conn { return blind{conn} })
	c.SetPatient(false)
	done := make(chan error, 1)
	go func() { done <- next(c)() }()
	for c.Activity().WaitingSince.IsZero() {
		time.Sleep(time.Millisecond)
	}
	client.WriteBytes(frame(fin, opText, "hello"))
	if err := <-done; err != nil {
		t.Errorf("Next: %v, want the message", err)
	}
	go func() { done <- next(c)() }()
	for err := wire.ErrStopped; err == wire.ErrStopped; {
		c.Suspend()
		select {
		case err = <-done:
			if err != wire.ErrSuspended {
				t.Errorf("Next: %v, want ErrSuspended", err)
			}
		default:
		}
	}
}

// TestSuspend_stress: no message is lost, doubled or out of its order, whenever
// Suspend is called and however TCP cuts the frames.
func TestSuspend_stress(t *testing.T) {
	messages := 2_000
	if os.Getenv("TROUPE_STRESS") != "" {
		messages = 20_000
	}
	for name, open := range transports {
		t.Run(name, func(t *testing.T) {
			client, c := open(t, wire.Options{MaxMessageSize: mb}, false)
			var seen atomic.Uint32
			go func() {
				rng := rand.New(rand.NewPCG(1, 2))
				var out []byte
				for i := range uint32(messages) {
					p := make([]byte, 4+rng.IntN(300))
					if i%1000 == 0 {
						p = make([]byte, 50_000)
					}
					binary.BigEndian.PutUint32(p, i)
					switch i % 10 {
					case 0:
						out = append(out, frame(fin, opPing, "ping")...)
						fallthrough
					case 1:
						out = append(out, frame(0, opBinary, string(p[:4]))...)
						out = append(out, frame(fin, opCont, string(p[4:]))...)
					default:
						out = append(out, frame(fin, opBinary, string(p))...)
					}
					for rng.IntN(3) > 0 && len(out) > 0 {
						n := 1 + rng.IntN(len(out))
						client.WriteBytes(out[:n])
						out = out[n:]
					}
					if i%8 == 7 { // let the reader find nothing
						client.WriteBytes(out)
						out = out[:0]
						for seen.Load() <= i {
							runtime.Gosched()
						}
					}
				}
				client.WriteBytes(append(out, closeFrame(1000, "")...))
			}()

			over := make(chan struct{})
			var suspenders sync.WaitGroup
			for range 2 {
				suspenders.Go(func() {
					for i := 0; ; i++ {
						select {
						case <-over:
							return
						default:
						}
						c.Suspend()
						if i%64 == 0 {
							time.Sleep(time.Microsecond)
						}
					}
				})
			}
			pings, suspensions := 0, 0
			c.SetHooks(hooks{nil, func(websock.Message) bool { pings++; return true }})
			for want := uint32(0); ; {
				m, err := c.Next()
				if err == wire.ErrSuspended {
					suspensions++
					c.SetPatient(suspensions%3 > 0)
					continue
				}
				if err != nil {
					if verdict(err) != "remote 1000" || want != uint32(messages) {
						t.Errorf("after %d messages: %v", want, err)
					}
					break
				}
				if got := binary.BigEndian.Uint32(m.Data); got != want {
					t.Fatalf("message %d where %d was expected", got, want)
				}
				want++
				seen.Store(want)
			}
			close(over)
			suspenders.Wait()
			if pings != messages/10 {
				t.Errorf("%d pings, want %d", pings, messages/10)
			}
			t.Logf("suspended %d times", suspensions)
		})
	}
}
