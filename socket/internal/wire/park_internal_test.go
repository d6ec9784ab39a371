package wire

import (
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// deadlines is a connection that keeps its read deadline, and never has anything to read.
type deadlines struct {
	net.Conn
	mu   sync.Mutex
	wake chan struct{} // closed: the deadline has passed
	set  int           // how often it was set
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.set++
	if d.passed() {
		d.wake = make(chan struct{})
	}
	if t == past {
		close(d.wake)
	}
	return nil
}

func (d *deadlines) passed() bool {
	select {
	case <-d.wake:
		return true
	default:
		return false
	}
}

func (d *deadlines) Read([]byte) (int, error) {
	d.mu.Lock()
	wake := d.wake
	d.mu.Unlock()
	<-wake
	return 0, os.ErrDeadlineExceeded
}

func parkOn(t *testing.T) (*deadlines, *Conn) {
	t.Helper()
	d := &deadlines{wake: make(chan struct{})}
	return d, NewOpener(Options{}).Open(d, "", false, nil)
}

// TestPark: the read deadline is set and taken back by whoever may, whatever happens at the same moment.
func TestPark(t *testing.T) {
	for _, tt := range []struct {
		name   string
		do     func(*deadlines, *Conn, *park)
		passed bool
		state  parkState
	}{
		{"parked, and asked", func(_ *deadlines, _ *Conn, p *park) { p.parked(parkOpen); p.ask() }, true, parkAsked},
		{"parked where it must not leave, and asked", func(_ *deadlines, _ *Conn, p *park) { p.parked(parkBusy); p.ask() }, false, parkBusy},
		{"woken for nothing after it was asked", func(_ *deadlines, _ *Conn, p *park) { p.parked(parkOpen); p.ask(); p.parked(parkOpen) }, true, parkAsked},
		{"asked, and goes on", func(_ *deadlines, _ *Conn, p *park) { p.parked(parkOpen); p.ask(); p.unpark(true) }, false, parkBusy},
		{"asked, interrupted, and goes on", func(_ *deadlines, c *Conn, p *park) {
			p.parked(parkOpen)
			p.ask()
			c.Interrupt(ErrStopped)
			p.unpark(true)
		}, true, parkBusy},
		{"asked, and goes on as Linger has taken the deadline", func(d *deadlines, _ *Conn, p *park) {
			p.parked(parkOpen)
			p.ask()
			p.lingers = true
			p.unpark(true)
		}, true, parkBusy},
		{"away, and interrupted", func(_ *deadlines, c *Conn, p *park) { p.parked(parkAway); c.Interrupt(ErrStopped) }, false, parkAway},
		{"interrupted", func(_ *deadlines, c *Conn, _ *park) { c.Interrupt(ErrStopped) }, true, parkBusy},
		{"Linger, and interrupted", func(_ *deadlines, c *Conn, p *park) { p.lingers = true; c.Interrupt(ErrStopped) }, false, parkBusy},
		{"Linger, and discarded", func(_ *deadlines, c *Conn, p *park) { p.lingers = true; c.Discard() }, false, parkBusy},
	} {
		d, c := parkOn(t)
		p := &c.source.park
		tt.do(d, c, p)
		if d.passed() != tt.passed || p.state() != tt.state {
			t.Errorf("%s: deadline in the past %t, state %d; want %t, %d", tt.name, d.passed(), p.state(), tt.passed, tt.state)
		}
	}
}

// TestPark_ask: a reader that has gone on before the deadline is set does not get one.
func TestPark_ask(t *testing.T) {
	for name, meanwhile := range map[string]func(*park){
		"it has gone on":             func(p *park) { p.word.Store(0) },
		"it has gone on, and parked": func(p *park) { p.word.Store(1<<parkBits | int64(parkOpen)) },
		"it lingers":                 func(p *park) { p.lingers = true },
	} {
		t.Run(name, func(t *testing.T) {
			d, c := parkOn(t)
			p := &c.source.park
			p.parked(parkOpen)
			p.mu.Lock()
			var asking sync.WaitGroup
			asking.Go(p.ask)
			for p.state() != parkAsked {
				runtime.Gosched() // ask then waits for mu
			}
			meanwhile(p)
			p.mu.Unlock()
			asking.Wait()
			if d.set > 0 {
				t.Errorf("the deadline was set, want it left alone")
			}
		})
	}
}

// TestSuspend_blindHoldsNothing: where it takes a buffer to wait, that is given back.
func TestSuspend_blindHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := parkOn(t)
		done := make(chan error, 1)
		go func() {
			_, err := c.Next()
			done <- err
		}()
		synctest.Wait()
		if c.source.small == nil {
			t.Error("waits without its small buffer: the test shows nothing")
		}
		c.Suspend()
		if err := <-done; err != ErrSuspended {
			t.Fatalf("Next: %v, want ErrSuspended", err)
		}
		if s := &c.source; s.small != nil || s.store != nil || s.data != nil {
			t.Errorf("suspended with buffers: small %p, store %p, data %p", s.small, s.store, s.data)
		}
	})
}
