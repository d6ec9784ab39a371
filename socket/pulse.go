package socket

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/wheel"
	"github.com/troupe-dev/troupe/websock"
)

// pulse watches over the peer's silence with one deadline in the Server's wheel: it pings, it lets the socket sleep, and
// it ends reading when the peer has been silent, or over one message, for too long. Traffic does not touch the deadline.
// It comes when something can be due at the earliest, and then looks at what has happened since. Behind the end it
// is how long the peer's Close is waited for.
type pulse struct {
	c     *conn
	entry wheel.Entry

	mu      sync.Mutex
	over    bool
	parting bool           // the entry is the time for the peer's Close
	pinging bool           // a ping is on its way
	asked   bool           // the last ping is not answered yet
	pings   uint32         // how many there were
	pinged  time.Time      // when the last one was due
	lulled  time.Time      // when the reader was last asked to suspend
	wg      sync.WaitGroup // 1 while a ping is on its way
	rtt     time.Duration
}

// pingMark begins the payload of our pings, which ends with their number.
const pingMark = "trpe"

// start begins the watch. When the socket wakes, it begins anew: what can be due is more then.
func (p *pulse) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.schedule(time.Now())
}

// schedule sets the deadline; p.mu is held.
func (p *pulse) schedule(now time.Time) {
	if p.over {
		return
	}
	if next, ok := p.next(now); ok {
		// What became due just now is looked at again.
		p.c.srv.wheel.Set(&p.entry, p, now, max(next.Sub(now), time.Millisecond))
	}
}

// stop ends the watch; the last ping may still be on its way.
func (p *pulse) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	p.c.srv.wheel.Stop(&p.entry)
}

// part wakes the socket, which sleeps, at the end of the time for the peer's Close. It is called behind stop.
func (p *pulse) part(wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parting = true
	p.c.srv.wheel.Set(&p.entry, p, time.Now(), wait)
}

// wait waits for the last ping.
func (p *pulse) wait() { p.wg.Wait() }

// next is when something can be due at the earliest. Silence counts only while the socket waits for bytes; of a socket
// that sleeps, no message can be open. p.mu is held.
func (p *pulse) next(now time.Time) (time.Time, bool) {
	cfg, a := &p.c.srv.cfg, p.c.wire.Activity()
	silent, message := a.WaitingSince, a.MessageSince
	if silent.IsZero() {
		silent = now
		if p.c.inside.Load() {
			message = now
		}
	}
	if message.IsZero() {
		message = now
	}
	var next time.Time
	sooner := func(since time.Time, d time.Duration) {
		if t := since.Add(d); d > 0 && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	sooner(silent, cfg.IdleTimeout)
	sooner(later(silent, p.pinged), cfg.PingInterval)
	if sleep := p.c.sleep.state(); sleep != sleepAsleep {
		sooner(message, cfg.MessageTimeout)
		if sleep == sleepAwake {
			sooner(later(silent, p.lulled), cfg.HibernateAfter)
		}
	}
	return next, !next.IsZero()
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Due implements wheel.Target.
func (p *pulse) Due(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.parting {
		p.c.rouse()
		return
	}
	if p.over {
		return
	}
	cfg, a := &p.c.srv.cfg, p.c.wire.Activity()
	waiting := !a.WaitingSince.IsZero()
	over := func(since time.Time, d time.Duration) bool { return d > 0 && !now.Before(since.Add(d)) }
	switch {
	case waiting && over(a.WaitingSince, cfg.IdleTimeout):
		p.over = true
		p.c.interrupt(websock.ErrTimeout)
	case !a.MessageSince.IsZero() && over(a.MessageSince, cfg.MessageTimeout) && (waiting || !p.c.inside.Load()):
		// Without waiting: the peer sends faster than is read, such as fragments of nothing without end.
		p.over = true
		p.c.interrupt(fmt.Errorf("message not complete within Config.MessageTimeout %v: %w", cfg.MessageTimeout,
			websock.ErrTimeout))
	case waiting:
		if over(later(a.WaitingSince, p.pinged), cfg.PingInterval) {
			p.ask(now)
		}
		if over(later(a.WaitingSince, p.lulled), cfg.HibernateAfter) && p.c.sleep.state() == sleepAwake {
			p.lulled = now
			p.c.wire.Suspend()
		}
	}
	p.schedule(now)
}

// ask has a ping written, which may block as long as any write; p.mu is held.
func (p *pulse) ask(now time.Time) {
	p.pinged = now
	if p.pinging {
		return
	}
	p.pings++
	p.asked, p.pinging = true, true
	p.wg.Add(1)
	p.c.port.Go((*pinger)(p))
}

// pinger is the task that writes a ping.
type pinger pulse

func (t *pinger) Run() {
	p := (*pulse)(t)
	defer p.wg.Done()
	p.mu.Lock()
	payload := binary.BigEndian.AppendUint32([]byte(pingMark), p.pings)
	p.mu.Unlock()
	if p.c.wire.Append(websock.Ping(payload)) == nil {
		p.c.flush()
	}
	p.mu.Lock()
	p.pinging = false
	p.mu.Unlock()
}

// answered takes a pong that answers our last ping.
func (p *pulse) answered(payload []byte) bool {
	if len(payload) != len(pingMark)+4 || string(payload[:len(pingMark)]) != pingMark {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.asked || binary.BigEndian.Uint32(payload[len(pingMark):]) != p.pings {
		return false
	}
	p.asked = false
	p.rtt = max(time.Since(p.pinged), 1)
	return true
}

func (p *pulse) lastRTT() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rtt
}
