package socket

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/websock"
)

// pulse watches over the peer's silence with one timer: it pings, and it ends reading when the peer has been silent, or
// over one message, for too long. The timer is not touched by traffic. It fires when the earliest deadline that is
// possible comes, and then looks at what has happened since.
type pulse struct {
	c *conn

	mu     sync.Mutex
	timer  *time.Timer
	over   bool
	wg     sync.WaitGroup // 1 while the timer runs or fires
	pings  uint32
	pinged time.Time // when the last ping was sent
	asked  bool      // and it is not answered yet
	rtt    time.Duration
}

// pingMark begins the payload of our pings, which ends with their number.
const pingMark = "trpe"

// start begins the watch; the first thing it waits for is what Init has left room for.
func (p *pulse) start() {
	now := time.Now()
	next, ok := p.next(now)
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	p.wg.Add(1)
	p.timer = time.AfterFunc(next.Sub(now), p.fire)
}

// stop ends the watch; the last ping may still be on its way.
func (p *pulse) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	p.over = true
	if p.timer != nil && p.timer.Stop() {
		p.wg.Done()
	}
}

// wait waits for the last ping.
func (p *pulse) wait() { p.wg.Wait() }

// next is when something can be due at the earliest. Silence counts only while the socket waits for bytes.
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
	if p.pinged.After(silent) {
		sooner(p.pinged, cfg.PingInterval)
	} else {
		sooner(silent, cfg.PingInterval)
	}
	sooner(message, cfg.MessageTimeout)
	return next, !next.IsZero()
}

// fire runs on the timer's goroutine.
func (p *pulse) fire() {
	now := time.Now()
	if p.due(now) {
		p.ping(now)
	}
	next, _ := p.next(now)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		p.wg.Done()
		return
	}
	p.timer.Reset(max(next.Sub(now), time.Millisecond)) // what became due just now is looked at again
}

// due ends reading when it is time for that, and tells whether a ping is due.
func (p *pulse) due(now time.Time) (ping bool) {
	cfg, a := &p.c.srv.cfg, p.c.wire.Activity()
	waiting := !a.WaitingSince.IsZero()
	over := func(since time.Time, d time.Duration) bool { return d > 0 && !now.Before(since.Add(d)) }
	switch {
	case waiting && over(a.WaitingSince, cfg.IdleTimeout):
		p.c.wire.Interrupt(websock.ErrTimeout)
	case !a.MessageSince.IsZero() && over(a.MessageSince, cfg.MessageTimeout) && (waiting || !p.c.inside.Load()):
		// Without waiting: the peer sends faster than is read, such as fragments of nothing without end.
		p.c.wire.Interrupt(fmt.Errorf("message not complete within Config.MessageTimeout %v: %w", cfg.MessageTimeout,
			websock.ErrTimeout))
	default:
		return waiting && over(a.WaitingSince, cfg.PingInterval) && over(p.pinged, cfg.PingInterval)
	}
	p.stop()
	return false
}

// ping writes a ping. It may block as long as any write.
func (p *pulse) ping(now time.Time) {
	p.mu.Lock()
	p.pings++
	p.pinged, p.asked = now, true
	payload := binary.BigEndian.AppendUint32([]byte(pingMark), p.pings)
	p.mu.Unlock()
	if p.c.wire.Append(websock.Ping(payload)) == nil {
		p.c.flush()
	}
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
