package actor

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/actor/internal/engine"
)

// engineScheme begins the addresses of processes in the engine.
const engineScheme = "troupe:"

// engineAddress is the address of the processes of s in the engine.
func (s *System) engineAddress() string {
	return string(appendBoot([]byte(engineScheme), s.boot)) + "@" + s.origin.Value().node
}

// findTarget is engine.Config.Find.
func (s *System) findTarget(num uint64) (engine.Target, bool) {
	p := s.table.get(num)
	return (*target)(p), p != nil
}

// findAway is engine.Config.Away.
func (s *System) findAway(address, id string) (engine.Target, bool) {
	origin, _ := strings.CutPrefix(address, engineScheme)
	p, err := s.ParsePID(id + "." + origin)
	if err != nil || p.elsewhere() == nil {
		return nil, false
	}
	return distant(p), true
}

// distant is a process of another node, which a host.Remote reaches, as protoactor reaches it.
type distant PID

func (d distant) Send(msg any) bool { return PID(d).Send(msg) }
func (d distant) Stop() bool        { return PID(d).Exit(ErrShutdown) }
func (d distant) Poison() bool      { return PID(d).Exit(ErrNormal) }

// Ask implements engine.Target. What is kept of it here is kept for CallTimeout at most. The other node does not know sender.
func (d distant) Ask(msg, _ any, answer func(v any, gone bool)) bool {
	var deadline time.Time
	if limit := d.sys.callTimeout; limit > 0 {
		deadline = time.Now().Add(limit)
	}
	PID(d).ask(PID{}, msg, deadline, func(v any, err error) {
		if gone := errors.Is(err, ErrNoProcess); gone || err == nil {
			answer(v, gone)
		}
	})
	return true
}

// Watch implements engine.Target.
func (d distant) Watch(ended func(engine.End)) (cancel func(), ok bool) {
	return PID(d).watch(func(reason error) {
		switch reason { //nolint:errorlint // a Remote gives these two as they are; a process may end with one that wraps them
		case ErrNodeDown:
			ended(engine.Lost)
		case ErrNoProcess:
			ended(engine.Absent)
		default:
			ended(engine.Ended)
		}
	}), true
}

// target is a process as protoactor reaches it, by its address.
type target process

func (t *target) Send(msg any) bool { return (*process)(t).Send(msg) }
func (t *target) Stop() bool        { return (*process)(t).exit(ErrShutdown) }
func (t *target) Poison() bool      { return (*process)(t).exit(ErrNormal) }

// Ask implements engine.Target.
func (t *target) Ask(msg, sender any, answer func(v any, gone bool)) bool {
	p := (*process)(t)
	c := &call{req: msg, callee: p, waiter: &waiter{sender: sender, reply: func(v any) {
		f, failed := v.(failure)
		if gone := failed && errors.Is(f.err, ErrNoProcess); gone || !failed {
			answer(v, gone)
		}
	}}}
	switch p.post(item{kind: kindCall, msg: c}) {
	case postFull:
		p.sys.undelivered(p.pid(), msg) // what comes after the end was decided, post has counted
		return false
	case postDead:
		return false
	}
	return true
}

// Watch implements engine.Target.
func (t *target) Watch(ended func(engine.End)) (cancel func(), ok bool) {
	p := (*process)(t)
	m := &monitor{target: p, told: func(error) { ended(engine.Ended) }}
	return func() { p.forget(m) }, p.addWatcher(m)
}

// Address implements engine.Process.
func (p *process) Address() (*engine.System, uint64) { return p.sys.engine, p.num }

// Len implements engine.Process.
func (p *process) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queue.len()
}

// Trespass implements engine.Process.
func (p *process) Trespass(what string) { p.sys.trespass(what) }

// Due implements engine.Open.
func (p *process) Due() (msg any, ok bool) {
	if it := p.current; it.kind == kindDeferred || it.kind == kindNotice {
		return it.msg.(deferred).Due(p.pid())
	}
	return p.current.content(), true
}

// Handle implements engine.Open.
func (p *process) Handle(msg any) error {
	ctx := context.Context((*processContext)(p))
	if it := p.current; it.kind == kindCall {
		ctx = it.msg.(*call)
	}
	if p.sys.carry != nil {
		ctx, _ = p.fetched(ctx, p.current.raw())
	}
	return p.receive(ctx, msg)
}

// Asked implements engine.Open.
func (p *process) Asked() (sender any, from engine.Asker) {
	if p.current.kind != kindCall {
		return nil, nil
	}
	c := p.current.msg.(*call)
	return c.waiter.sender, From{c}
}

// Guard implements engine.Open.
func (p *process) Guard(f func() error) error { return p.protect(f) }
