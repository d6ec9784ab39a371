package socket

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket/internal/conn"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// Direction says who has sent what a tap shows.
type Direction uint8

const (
	DirectionNone Direction = iota // nobody: the TapEvent is the last
	DirectionIn                    // the peer
	DirectionOut                   // we
)

// String is "in", "out", or "" for DirectionNone.
func (d Direction) String() string {
	switch d {
	case DirectionIn:
		return "in"
	case DirectionOut:
		return "out"
	}
	return ""
}

// OpClose is the opcode of a Close frame in a [TapEvent]; package websock has none, because handlers get no Close frames.
const OpClose = wire.OpClose

// TapEvent is what [Server.Tap] shows: a message, whole and not compressed, or a ping, pong or Close frame.
type TapEvent struct {
	Time      time.Time // when it had come, or was put among what is to be written
	Direction Direction
	Opcode    websock.Opcode // or OpClose
	Size      int            // of the payload, in bytes
	// Payload is the first 512 bytes of the payload, a copy; nil without Config.TapPayload.
	Payload []byte
	// Lost is how many events were lost right before this one, because f was too slow.
	Lost int
	// Ended says that the socket has ended, and that no more events come; only Time and Lost are set then.
	Ended bool
}

const (
	tapRoom    = 256 // events that may wait for the f of a tap
	tapPayload = 512 // bytes of each that are shown
	// tapPatience is how long Shutdown waits at most for an f.
	tapPatience = 300 * time.Millisecond
)

// ErrTapped is the error of [Server.Tap] when 16 taps look at the socket already.
var ErrTapped = errors.New("socket: 16 taps look at this socket already")

// Tap has f called for what crosses a socket from now on: each message, ping, pong and Close frame, in both directions. Those
// of one direction are in order, and an answer comes after what it answers. What the peer sends after our Close is not shown.
//
// f is called by one goroutine at a time, which exists only while there is something to show. Nothing waits for f: 256 events
// may wait; while as many do, others are lost, and the next one that f gets says how many. When the socket ends, f gets an
// event with Ended, and the tap is over. A panic in f is logged and ends the tap.
//
// stop ends the tap. It may be called more than once, from any goroutine and in f, and does not wait: one call of f, which has
// its event already, may still run or be about to when it returns, and no other comes. A tap that is not stopped lasts as long
// as its socket. Shutdown of the Server waits for a call of f that runs, for 300 ms at most.
//
// While nobody looks, it costs nothing. Each tap of a socket costs it a copy of what is shown. The error is actor.ErrNoProcess
// when p is no socket of this Server, or [ErrTapped].
func (s *Server) Tap(p actor.PID, f func(TapEvent)) (stop func(), err error) {
	c, err := s.find(p)
	if err != nil {
		return nil, err
	}
	t := &tap{f: f, payload: s.cfg.TapPayload, all: &s.taps, log: s.cfg.Logger, pid: p}
	switch added, over := c.Tap(t); {
	case over:
		return nil, fmt.Errorf("socket: %w: %v is no socket of this server", actor.ErrNoProcess, p)
	case !added:
		return nil, ErrTapped
	}
	t.leave(c)
	return t.stop, nil
}

// tap is one Tap. It is a wire.Watcher: Crossed and Gone are called under the lock of the writer, and t.mu is below that.
type tap struct {
	f       func(TapEvent)
	payload bool
	all     *taps
	log     *slog.Logger
	pid     actor.PID

	mu      sync.Mutex
	conn    *conn.Conn // which it is to be taken off; nil: it is off
	waiting []TapEvent
	lost    int
	running bool // a goroutine calls f
	over    bool // nothing more is to be shown
}

// leave notes what the tap is to be taken off at its end, unless it is over already.
func (t *tap) leave(c *conn.Conn) {
	t.mu.Lock()
	over := t.over
	if !over {
		t.conn = c
	}
	t.mu.Unlock()
	if over {
		c.Untap(t)
	}
}

// stop ends the tap. It holds nothing of the connection from then on.
func (t *tap) stop() {
	t.mu.Lock()
	c := t.conn
	t.conn, t.over, t.waiting = nil, true, nil
	t.mu.Unlock()
	if c != nil {
		c.Untap(t)
	}
}

// Crossed implements wire.Watcher.
func (t *tap) Crossed(in bool, op websock.Opcode, payload []byte) {
	e := TapEvent{Direction: DirectionOut, Opcode: op, Size: len(payload)}
	if in {
		e.Direction = DirectionIn
	}
	t.add(e, payload)
}

// Gone implements wire.Watcher.
func (t *tap) Gone() { t.add(TapEvent{Ended: true}, nil) }

// add has f called with e, if there is room. The last event always has.
func (t *tap) add(e TapEvent, payload []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.over:
		return
	case e.Ended:
		t.conn, t.over = nil, true
	case len(t.waiting) >= tapRoom:
		t.lost++
		return
	}
	e.Time = time.Now()
	if t.payload && len(payload) > 0 {
		e.Payload = append([]byte(nil), payload[:min(len(payload), tapPayload)]...)
	}
	e.Lost, t.lost = t.lost, 0
	t.waiting = append(t.waiting, e)
	if !t.running {
		t.running = true
		t.all.begins()
		go t.run()
	}
}

// run is the goroutine.
func (t *tap) run() {
	defer t.all.ends()
	returned := true
	defer func() {
		if returned {
			return
		}
		if v := recover(); v != nil {
			t.log.LogAttrs(context.Background(), slog.LevelError, "panic in a tap", slog.String("pid", t.pid.String()),
				slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
		}
		t.stop()
	}()
	for {
		e, ok := t.next()
		if !ok {
			return
		}
		returned = false
		t.f(e)
		returned = true
	}
}

// next takes out an event; false: there is none, and the goroutine ends.
func (t *tap) next() (e TapEvent, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting) == 0 {
		t.waiting = nil // gives the memory of a peak back
		t.running = false
		return e, false
	}
	e = t.waiting[0]
	t.waiting[0] = TapEvent{}
	t.waiting = t.waiting[1:]
	return e, true
}

// taps are the goroutines of all taps, for which the Server waits at its end.
type taps struct {
	mu      sync.Mutex
	running int
	rest    chan struct{} // closed when running comes to 0; nil while nobody waits for that
}

func (ts *taps) begins() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.running++
}

func (ts *taps) ends() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.running--
	if ts.running == 0 && ts.rest != nil {
		close(ts.rest)
		ts.rest = nil
	}
}

// wait waits until no f runs, for a moment at most. The sockets have ended, so no tap gets anything more.
func (ts *taps) wait(ctx context.Context) {
	ts.mu.Lock()
	if ts.running == 0 {
		ts.mu.Unlock()
		return
	}
	if ts.rest == nil {
		ts.rest = make(chan struct{})
	}
	rest := ts.rest
	ts.mu.Unlock()
	patience := time.NewTimer(tapPatience)
	defer patience.Stop()
	select {
	case <-rest:
	case <-ctx.Done():
	case <-patience.C:
	}
}
