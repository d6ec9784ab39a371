package observer

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

const (
	tapRoom  = 256                   // frames that wait to be shown; more are counted
	tapEvery = 50 * time.Millisecond // a message with those that have come meanwhile
)

// tap is one that a page has: the frames that have come and are not shown yet. What is shown in a second so has a limit, however busy
// the socket is.
type tap struct {
	pid  actor.PID
	ctx  context.Context // of the process of the page
	stop func()          // of the page's process alone; may be called more than once

	mu     sync.Mutex
	frames []frameJSON
	lost   int
	ended  bool
	woken  bool // a tapped waits, or will
}

// tapped tells the page that frames have come.
type tapped struct{ t *tap }

type frameJSON struct {
	At        time.Time          `json:"at"`
	Direction string             `json:"direction"`
	Opcode    string             `json:"opcode"`
	Size      int                `json:"size"`
	Text      *string            `json:"text,omitempty"`
	Base64    string             `json:"base64,omitempty"`
	Code      *websock.CloseCode `json:"code,omitempty"`
	Reason    *string            `json:"reason,omitempty"`
	Lost      int                `json:"lost,omitempty"`
}

type framesMessage struct {
	Type   string      `json:"type"`
	PID    actor.PID   `json:"pid"`
	Frames []frameJSON `json:"frames"`
	Lost   int         `json:"lost"`
}

type tapMessage struct {
	Type string    `json:"type"`
	PID  actor.PID `json:"pid"`
	Why  string    `json:"why,omitempty"`
}

// tap begins to show the frames of a socket.
func (p *page) tap(ctx context.Context, ord order) websock.Result {
	pid, err := p.o.pid(ord.PID)
	if err != nil {
		return p.refuse(ord, asFailure(err))
	}
	switch {
	case p.taps[pid] != nil:
		return p.refuse(ord, failed(409, "conflict", "%v is tapped already", pid))
	case len(p.taps) >= mostTaps:
		return p.refuse(ord, failed(429, "too_many", "a page has at most %d taps", mostTaps))
	}
	s, _ := p.o.serverOf(pid)
	if s == nil || s.Server == p.o.live { // what shows the frames of a page would be shown
		if _, err := actor.Inspect(pid); err != nil {
			return p.refuse(ord, gone(pid))
		}
		return p.refuse(ord, failed(409, "conflict", "%v is no socket that can be tapped", pid))
	}
	t := &tap{pid: pid, ctx: p.ctx}
	stop, err := s.Tap(pid, t.see)
	switch {
	case errors.Is(err, socket.ErrTapped):
		return p.refuse(ord, failed(429, "too_many", "%s", errorText(err)))
	case err != nil:
		return p.refuse(ord, gone(pid))
	}
	over := context.AfterFunc(p.ctx, stop) // however the page ends, killed too
	t.stop = func() { over(); stop() }
	p.taps[pid] = t
	p.o.log.Info("tap by the observer", slog.String("who", p.who.who), slog.String("remote_addr", p.who.addr), slog.String("pid", pid.String()))
	return websock.Push(websock.JSON(tapMessage{Type: "tapped", PID: pid}))
}

// untap ends a tap.
func (p *page) untap(ord order) websock.Result {
	pid, err := p.o.pid(ord.PID)
	if err != nil {
		return p.refuse(ord, asFailure(err))
	}
	t := p.taps[pid]
	if t == nil {
		return p.refuse(ord, failed(404, "not_found", "%v is not tapped", pid))
	}
	t.stop()
	delete(p.taps, pid)
	return websock.Push(websock.JSON(tapMessage{"untapped", pid, "asked"}))
}

// see takes what the tap shows, on a goroutine of the Server.
func (t *tap) see(e socket.TapEvent) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case e.Ended:
		t.ended = true
		t.lost += e.Lost
	case len(t.frames) >= tapRoom:
		t.lost += 1 + e.Lost
	default:
		t.frames = append(t.frames, frameOf(e))
	}
	if !t.woken {
		t.woken = true
		actor.SendAfter(t.ctx, tapEvery, tapped{t})
	}
}

// take returns what is to be shown.
func (t *tap) take() (frames []frameJSON, lost int, ended bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	frames, lost, ended = t.frames, t.lost, t.ended
	t.frames, t.lost, t.woken = nil, 0, false
	return frames, lost, ended
}

// showFrames shows what a tap has seen.
func (p *page) showFrames(t *tap) websock.Result {
	if p.taps[t.pid] != t {
		return websock.OK() // it is over
	}
	frames, lost, ended := t.take()
	var ms []websock.Message
	if len(frames) > 0 || lost > 0 {
		if frames == nil {
			frames = []frameJSON{}
		}
		ms = append(ms, websock.JSON(framesMessage{"frames", t.pid, frames, lost}))
	}
	if ended {
		t.stop()
		delete(p.taps, t.pid)
		ms = append(ms, websock.JSON(tapMessage{"untapped", t.pid, "ended"}))
	}
	return websock.Push(ms...)
}

// mostPayload is how many bytes of a payload are shown; a tap has no more.
const mostPayload = 512

func frameOf(e socket.TapEvent) frameJSON {
	f := frameJSON{At: e.Time, Direction: e.Direction.String(), Opcode: opcodeText(e.Opcode), Size: e.Size, Lost: e.Lost}
	b := e.Payload[:min(len(e.Payload), mostPayload)]
	switch {
	case len(b) == 0:
	case e.Opcode == socket.OpClose && len(b) >= 2:
		f.Code, f.Reason = new(websock.CloseCode(binary.BigEndian.Uint16(b))), new(text(string(b[2:]), mostError))
	case e.Opcode == websock.OpText || utf8.Valid(b):
		s := string(b)
		if len(b) < e.Size { // a character may have been cut in two
			s = s[:whole(s)]
		}
		f.Text = new(text(s, mostPayload))
	default:
		f.Base64 = base64.StdEncoding.EncodeToString(b)
	}
	return f
}

func opcodeText(op websock.Opcode) string {
	switch op {
	case websock.OpText:
		return "text"
	case websock.OpBinary:
		return "binary"
	case websock.OpPing:
		return "ping"
	case websock.OpPong:
		return "pong"
	case socket.OpClose:
		return "close"
	}
	return op.String()
}
