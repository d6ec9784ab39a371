package actor

import (
	"errors"

	"github.com/troupe-dev/troupe/actor/internal/engine"
)

// engineAddress is the address of the processes of s in the engine.
func (s *System) engineAddress() string {
	return string(appendBoot([]byte("troupe:"), s.boot)) + "@" + s.origin.Value().node
}

// findTarget is engine.Config.Find.
func (s *System) findTarget(num uint64) (engine.Target, bool) {
	p := s.table.get(num)
	return (*target)(p), p != nil
}

// target is a process as protoactor reaches it, by its address.
type target process

func (t *target) Send(msg any) bool { return (*process)(t).Send(msg) }
func (t *target) Stop() bool        { return (*process)(t).exit(ErrShutdown) }
func (t *target) Poison() bool      { return (*process)(t).exit(ErrNormal) }

// Ask implements engine.Target.
func (t *target) Ask(msg any, answer func(v any, gone bool)) bool {
	p := (*process)(t)
	c := &call{req: msg, callee: p, waiter: &waiter{reply: func(v any) {
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
func (t *target) Watch(ended func()) (cancel func(), ok bool) {
	p := (*process)(t)
	m := &monitor{target: p, told: func(error) { ended() }}
	return func() { p.forget(m) }, p.addWatcher(m)
}
