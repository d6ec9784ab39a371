package socket

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/deadline"
	"github.com/troupe-dev/troupe/websock"
)

// pulse watches over the peer's silence with one deadline: it pings, it lets the socket sleep, and
// it ends reading when the peer has been silent, or over one message, for too long. Traffic does not touch the deadline.
// It comes when something can be due at the earliest, and then looks at what has happened since. Behind the end it
// is how long the peer's Close is waited for.
type pulse struct {
	c     *conn
	entry deadline.Entry

	mu      sync.Mutex
	over    bool
	parting bool           // the entry is the time for the peer's Close
	lingers bool           // then the reader looks at what the peer has not taken
	pinging bool           // a ping is on its way
	asked   bool           // the last ping is not answered yet
	gone    bool           // TCP is closed
	pings   uint16         // how many there were, and begins anew
	wg      sync.WaitGroup // counts the pings, and the Close frame of an overload, that are on their way
	rtt     time.Duration

	// Since the upgrade; 0: never.
	pinged time.Duration // when the last ping was due
	sent   time.Duration // when its write began
	silent time.Duration // since when the silence counts, if it has not ended since; see silence
	quiet  time.Duration // since when no message has come, as far as heard does not say otherwise
	lulled time.Duration // when the reader was last asked to suspend
	heard  int64         // frames of messages that had come when quiet was set
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
	at := p.since(now)
	if next, ok := p.next(at); ok {
		// What became due just now is looked at again.
		p.c.srv.deadlines.Set(&p.entry, p, now, max(next-at, time.Millisecond))
	}
}

// stop ends the watch; the last ping may still be on its way.
func (p *pulse) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	p.c.srv.deadlines.Stop(&p.entry)
}

// bury is stop when TCP is closed: nothing is waited for any more.
func (p *pulse) bury() {
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
	p.stop()
}

// begin notes that something is on its way to the peer, unless TCP is closed; whoever closes TCP waits for done.
func (p *pulse) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gone {
		p.wg.Add(1)
	}
	return !p.gone
}

func (p *pulse) done() { p.wg.Done() }

// part closes TCP when the time for the peer's Close is over and no reader waits for it: the socket sleeps, or a
// callback runs. With lingers it wakes the reader instead, which goes on waiting while the peer takes what was sent. It
// is called after stop.
func (p *pulse) part(wait time.Duration, lingers bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return
	}
	p.parting, p.lingers = true, lingers
	p.c.srv.deadlines.Set(&p.entry, p, time.Now(), wait)
}

// wait waits for what is on its way.
func (p *pulse) wait() { p.wg.Wait() }

// since is how long after the upgrade t is; 0 for the zero Time.
func (p *pulse) since(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return max(t.Sub(p.c.since), 1)
}

// next is when something can be due at the earliest, after the upgrade. Silence counts only while the socket waits for
// bytes; of a socket that sleeps, no message can be open. p.mu is held.
func (p *pulse) next(now time.Duration) (time.Duration, bool) {
	cfg, a := &p.c.srv.cfg, p.c.wire.Activity()
	silent, message := p.since(a.WaitingSince), p.since(a.MessageSince)
	quiet := max(p.quietSince(silent), p.lulled)
	if silent == 0 {
		silent, quiet = now, now
	}
	if message == 0 {
		message = now
	}
	var next time.Duration
	sooner := func(since, d time.Duration) {
		if d > 0 && (next == 0 || since+d < next) {
			next = since + d
		}
	}
	sooner(p.silence(silent, now), cfg.IdleTimeout)
	sooner(max(silent, p.pinged), cfg.PingInterval)
	if sleep := p.c.sleep.state(); sleep != sleepAsleep {
		sooner(message, cfg.MessageTimeout)
		if sleep == sleepAwake {
			sooner(quiet, cfg.HibernateAfter)
		}
	}
	return next, next != 0
}

// silence is since when the peer is silent, of which IdleTimeout is the end, if nothing has come from it since silent. The
// time that our ping waits does not count: a slow peer takes what was written before it, WriteTimeout sees to that, and
// cannot answer. p.mu is held.
func (p *pulse) silence(silent, now time.Duration) time.Duration {
	from := max(silent, p.silent)
	if p.pinging && p.sent != 0 && p.c.srv.cfg.WriteTimeout > 0 {
		from += now - max(silent, p.sent)
	}
	return from
}

// quietSince is since when no message has come, as far as is known while the socket waits for bytes since silent; 0: it
// does not. Pings and pongs end the silence of the peer, not this one. p.mu is held.
func (p *pulse) quietSince(silent time.Duration) time.Duration {
	if silent == 0 {
		return p.quiet
	}
	if n := p.c.wire.DataFrames(); n != p.heard {
		p.heard, p.quiet = n, silent
	}
	return p.quiet
}

// Due implements deadline.Target.
func (p *pulse) Due(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.parting {
		if p.lingers {
			p.c.rouse()
		} else {
			p.c.abort() // which wakes the socket
		}
		return
	}
	if p.over {
		return
	}
	cfg, a, at := &p.c.srv.cfg, p.c.wire.Activity(), p.since(now)
	silent, message := p.since(a.WaitingSince), p.since(a.MessageSince)
	over := func(since, d time.Duration) bool { return d > 0 && at >= since+d }
	switch {
	case silent != 0 && over(p.silence(silent, at), cfg.IdleTimeout):
		p.over = true
		p.c.interrupt(websock.ErrTimeout)
	case message != 0 && over(message, cfg.MessageTimeout):
		// Without waiting: the peer sends faster than is read, such as fragments of nothing without end.
		p.over = true
		p.c.interrupt(fmt.Errorf("message not complete within Config.MessageTimeout %v: %w", cfg.MessageTimeout,
			websock.ErrTimeout))
	case silent != 0:
		if over(max(silent, p.pinged), cfg.PingInterval) {
			p.ask(at)
		}
		if p.c.sleep.state() == sleepAwake && over(max(p.quietSince(silent), p.lulled), cfg.HibernateAfter) {
			p.lulled = at
			p.c.wire.Suspend()
		}
	}
	p.schedule(now)
}

// ask has a ping written, which may block as long as any write; p.mu is held.
func (p *pulse) ask(at time.Duration) {
	p.pinged = at
	if p.pinging {
		return
	}
	p.pings++
	p.asked, p.pinging, p.sent = true, true, 0
	p.wg.Add(1)
	p.c.port.Go((*pinger)(p))
}

// pinger is the task that writes a ping.
type pinger pulse

func (t *pinger) Run() {
	p := (*pulse)(t)
	defer p.wg.Done()
	p.mu.Lock()
	p.sent = p.since(time.Now())
	payload := binary.BigEndian.AppendUint32([]byte(pingMark), uint32(p.pings))
	p.mu.Unlock()
	if p.c.wire.Append(websock.Ping(payload)) == nil {
		p.c.flush()
	}
	p.mu.Lock()
	if silent := p.since(p.c.wire.Activity().WaitingSince); silent != 0 {
		p.silent = p.silence(silent, p.since(time.Now()))
	}
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
	if !p.asked || binary.BigEndian.Uint32(payload[len(pingMark):]) != uint32(p.pings) {
		return false
	}
	p.asked = false
	p.rtt = max(p.since(time.Now())-p.sent, 1)
	return true
}

func (p *pulse) lastRTT() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rtt
}
