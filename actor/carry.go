package actor

import (
	"context"
	"encoding"
	"log/slog"
	"runtime/debug"

	"github.com/troupe-dev/troupe/actor/internal/hook"
)

// carried is a message with what Config.Carry has made of its sender's ctx. It is what waits in a mailbox then: as the message
// of an item, the req of a call, the msg of a timer, or in the place of a Done. There is none in a System without a Carry.
type carried struct{ msg, with any }

// Send is [PID.Send] with what Config.Carry makes of ctx, so that the ctx of the callback that handles msg is what Config.Fetch
// makes of that. Without a Carry it is PID.Send, and ctx says nothing. ctx need not be that of a process, and its end does
// not matter.
func Send(ctx context.Context, to PID, msg any) bool {
	if to.sys == nil {
		return false
	}
	with := to.sys.carryOf(ctx)
	if with == nil {
		return to.Send(msg)
	}
	return to.sendCarried(msg, with)
}

// sendCarried is PID.Send of a message that carries something.
func (p PID) sendCarried(msg, with any) bool {
	if pr := p.find(); pr != nil {
		if pr.post(item{kind: kindUser, msg: &carried{msg, with}}) == posted {
			return true
		}
	} else if r := p.elsewhere(); r != nil && r.Send(p, p.sys.carriedAway(msg, with)) {
		return true
	}
	p.sys.undelivered(p, msg)
	return false
}

// carryOf is what Config.Carry makes of ctx; nil: nothing is carried.
func (s *System) carryOf(ctx context.Context) (with any) {
	if s.carry == nil {
		return nil
	}
	return s.callCarry(ctx)
}

// callCarry must not be inlined, so that nobody pays for its defer who carries nothing.
//
//go:noinline
func (s *System) callCarry(ctx context.Context) (with any) {
	defer func() {
		if r := recover(); r != nil {
			s.logPanicOf("Config.Carry", r, debug.Stack())
			with = nil
		}
	}()
	return s.carry(ctx)
}

func (s *System) logPanicOf(callback string, v any, stack []byte) {
	s.log.LogAttrs(context.Background(), slog.LevelError, "panic in a callback",
		slog.String("callback", callback), slog.Any("panic", v), slog.String("stack", string(stack)))
}

// wrap is msg, or a *carried of it if ctx has something that is to be carried.
func (s *System) wrap(ctx context.Context, msg any) any {
	if with := s.carryOf(ctx); with != nil {
		return &carried{msg, with}
	}
	return msg
}

// wrapAway is wrap for a message to another node.
func (s *System) wrapAway(ctx context.Context, msg any) any {
	if with := s.carryOf(ctx); with != nil {
		return s.carriedAway(msg, with)
	}
	return msg
}

// mostCarriedAway is how many bytes are carried to another node at most.
const mostCarriedAway = 1 << 10

// carriedAway is msg with what of with can be sent to another node, or msg alone if that is nothing.
func (s *System) carriedAway(msg, with any) any {
	text := ""
	switch with := with.(type) {
	case string:
		text = with
	case encoding.TextMarshaler:
		text = s.callMarshalText(with)
	}
	if text == "" || len(text) > mostCarriedAway {
		return msg
	}
	return hook.Carried{Msg: msg, With: text}
}

// callMarshalText is what with has for other nodes; "": nothing. It is called on whatever goroutine sends, as Carry is, and a panic in it
// is dealt with as one in Carry: a Carry that returns a nil pointer has one, and only where there are other nodes.
func (s *System) callMarshalText(with encoding.TextMarshaler) (text string) {
	defer func() {
		if r := recover(); r != nil {
			s.logPanicOf("MarshalText of what Config.Carry has returned", r, debug.Stack())
			text = ""
		}
	}()
	b, err := with.MarshalText()
	if err != nil {
		return ""
	}
	return string(b)
}

// arrived is what has come from another node, as it waits in a mailbox here.
func (s *System) arrived(msg any) any {
	c, ok := msg.(hook.Carried)
	switch {
	case !ok:
		return msg
	case s.carry == nil:
		return c.Msg
	}
	return &carried{c.Msg, c.With}
}

// bare is the message without what it carries.
func bare(msg any) any {
	if c, ok := msg.(*carried); ok {
		return c.msg
	}
	return msg
}

// fetched is the ctx for a callback that gets msg, and msg without what it carries. It is called on the goroutine that holds
// the turn, only in a System with a Carry.
func (p *process) fetched(ctx context.Context, msg any) (context.Context, any) {
	c, ok := msg.(*carried)
	if !ok {
		return ctx, msg
	}
	derived := ctx
	err := p.protect(func() error { derived = p.sys.fetch(ctx, c.with); return nil })
	if panicked, ok := err.(*PanicError); ok {
		p.sys.logPanicOf("Config.Fetch", panicked.Value, panicked.Stack)
	}
	if derived == nil {
		derived = ctx
	}
	return derived, c.msg
}

// carriedInit is initTask with what the Spawn carries.
type carriedInit struct {
	p    *process
	with any
}

func (t *carriedInit) Run() { t.p.firstTurn(t.with) }
