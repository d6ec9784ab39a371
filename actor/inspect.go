package actor

import (
	"reflect"
	"time"
)

// ProcessInfo is what [Inspect] knows of a process, at one moment.
type ProcessInfo struct {
	PID     PID
	Label   string
	Actor   string    // its Go type, as %T says it; of a socket that of the Handler
	Since   time.Time // when it was spawned
	Mailbox int       // messages that wait
	// Oldest is how long the oldest of them has waited. It is never less than that, and more by at most as long as the
	// callback ran that was running when the message came, or the time in which 31 more came after it. (Messages have no
	// time of their own, as that would cost each of them a reading of the clock.) The beginning of a callback is as exact as
	// For is. 0: none waits, or the process is just being woken.
	Oldest   time.Duration
	Handled  uint64 // messages whose handling has begun; what only looks, as socket.Server.Describe does, is not counted
	Dropped  uint64 // messages that the limit refused, that waited when the end overtook them, or that came after it
	LeftOut  uint64 // messages to the client of a socket that were left out, as a websock.Delivery or socket.Config.Overflow allows
	Ending   bool   // its exit reason is decided
	Parent   PID    // zero for a root
	Children []PID
	// Handling is the type of the message that is being handled, as %T says it; "init" while Init runs, "terminate"
	// while Terminate runs, "turn end" and "ending" while those of a host's hooks run; empty at rest. Of a socket it is
	// "websock.Message text", binary, ping or pong for what the client has sent, "HandleDrain", "HandleExpiry", "HandleLag" or
	// "Describe" while these run, and "websock.Stream" while the next message of a stream is looked for.
	Handling string
	// For is how long the callback has been running; 0 at rest. It is never less than that. It is exact in a socket, and for the
	// first 64 of the messages that an actor handles in a row. For those after them it may be more by 10 ms, and by as long as
	// the runtime's timers are late where all processors are busy.
	For time.Duration
}

// Inspect describes a living process without disturbing it. The error is ErrNoProcess.
func Inspect(p PID) (ProcessInfo, error) {
	if pr := p.find(); pr != nil {
		if info, ok := pr.info(); ok {
			return info, nil
		}
	}
	return ProcessInfo{}, noProcess(p)
}

func (p *process) info() (ProcessInfo, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == stateDead {
		return ProcessInfo{}, false
	}
	info := ProcessInfo{
		PID:     p.pid(),
		Label:   p.label(),
		Actor:   p.actorType(),
		Since:   p.sys.time(p.since),
		Handled: p.handled,
		Dropped: p.dropped.Load(),
		LeftOut: p.leftOutSum(),
		Ending:  p.state >= stateEnding,
	}
	info.Mailbox, info.Oldest = p.waiting()
	if parent := p.parent(); parent != nil {
		info.Parent = parent.pid()
	}
	if p.relation != nil {
		for c := range p.relation.children.All() {
			info.Children = append(info.Children, c.pid())
		}
	}
	info.Handling, info.For = p.handling()
	return info, true
}

// wrapper is what stands in the place of an actor: that of a supervisor, or the connection of a socket's handler.
type wrapper interface{ Wrapped() any }

func (p *process) actorType() string {
	a := any(p.actor)
	if w, ok := a.(wrapper); ok {
		a = w.Wrapped()
	}
	if a == nil {
		return ""
	}
	return reflect.TypeOf(a).String()
}

// handling is what runs, and for how long; p.mu is held.
func (p *process) handling() (what string, since time.Duration) {
	if p.phase == phaseNone {
		return "", 0
	}
	since = time.Duration(p.sys.now() - p.began)
	if p.phase == phaseReceive {
		return p.nameOf(p.current), since
	}
	return p.phase.String(), since
}
