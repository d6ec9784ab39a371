package conn

import (
	"encoding/binary"
	"time"

	"github.com/troupe-dev/troupe/websock"
)

// ping is what is known of our pings. A time of 0 means never.
type ping struct {
	due     time.Duration // when the last one was due
	begun   time.Duration // when its write began; 0: not yet
	rtt     time.Duration // how long the peer took to answer one; 0: not known
	number  uint16        // of the last one; it wraps around
	writing bool          // its task is under way
	waits   bool          // it is not answered yet
}

// pingMark begins the payload of our pings, which ends with their number.
const pingMark = "trpe"

// askForPong has a worker write a ping, which may block as long as any write, unless one is being written. c.mu is held.
func (c *Conn) askForPong(at time.Duration) {
	p := &c.ping
	p.due = at
	if p.writing {
		return
	}
	p.number++
	p.waits, p.writing, p.begun = true, true, 0
	c.holders++ // this is hold: c.mu is held, and TCP is not closed
	c.port.Go((*pinger)(c))
}

// pinger is the task that writes a ping.
type pinger Conn

func (t *pinger) Run() {
	c := (*Conn)(t)
	defer c.release()
	c.mu.Lock()
	c.ping.begun = c.group.at(time.Now())
	payload := binary.BigEndian.AppendUint32([]byte(pingMark), uint32(c.ping.number))
	c.mu.Unlock()
	if c.wire.Append(websock.Ping(payload)) == nil {
		c.flush()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if silent, _, _ := c.activity(); silent != 0 {
		c.silence.counts = c.silentSince(silent, c.group.at(time.Now()))
	}
	c.ping.writing = false
}

// answered tells whether a pong answers our last ping. If so, it notes how long that took.
func (c *Conn) answered(payload []byte) bool {
	if len(payload) != len(pingMark)+4 || string(payload[:len(pingMark)]) != pingMark {
		return false
	}
	rtt := c.roundTrip(binary.BigEndian.Uint32(payload[len(pingMark):]))
	if rtt == 0 {
		return false
	}
	c.group.opts.Answered(rtt)
	return true
}

// roundTrip notes that the ping of this number is answered, and returns how long that took; 0: no such ping waits.
func (c *Conn) roundTrip(number uint32) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &c.ping
	if !p.waits || number != uint32(p.number) {
		return 0
	}
	p.waits = false
	p.rtt = max(c.group.at(time.Now())-p.begun, 1)
	return p.rtt
}
