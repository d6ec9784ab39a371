package engine

import (
	"sync/atomic"

	proto "github.com/asynkron/protoactor-go/actor"
)

// Reply is a proto process that stands in the registry until one answer has come, or it is dropped. It does what proto's
// Future does, whose result is a data race, and has no timer: whoever makes one drops it.
type Reply struct {
	system *System
	pid    *proto.PID
	over   atomic.Bool
	answer func(v any, gone bool)
}

// NewReply makes a Reply. answer is called at most once, on the goroutine of whoever answers, and must not block: with the
// answer; or with gone, when there is nobody to answer, or when whoever is watched with the Reply has terminated: then v is
// the Terminated.
func (s *System) NewReply(answer func(v any, gone bool)) *Reply {
	r := &Reply{system: s, answer: answer}
	registry := s.proto.ProcessRegistry
	r.pid, _ = registry.Add(r, marker+registry.NextId())
	s.root.Send(r.pid, r) // from now on the PID has the Reply: what comes by it after the end is dropped, and is no dead letter
	return r
}

// PID is where the answer is to be sent.
func (r *Reply) PID() *proto.PID { return r.pid }

// Over tells whether the answer has come, or r was dropped.
func (r *Reply) Over() bool { return r.over.Load() }

// Drop says that nobody waits any more. What comes later is dropped.
func (r *Reply) Drop() {
	if !r.over.Swap(true) {
		r.system.proto.ProcessRegistry.Remove(r.pid)
	}
}

func (r *Reply) settle(v any, gone bool) {
	if !r.over.Swap(true) {
		r.system.proto.ProcessRegistry.Remove(r.pid)
		r.answer(v, gone)
	}
}

// SendUserMessage implements proto.Process.
func (r *Reply) SendUserMessage(_ *proto.PID, message any) {
	if message == any(r) { // of NewReply
		return
	}
	_, msg, _ := proto.UnwrapEnvelope(message)
	_, gone := msg.(*proto.DeadLetterResponse)
	r.settle(msg, gone)
}

// SendSystemMessage implements proto.Process.
func (r *Reply) SendSystemMessage(_ *proto.PID, message any) {
	if _, ok := message.(*proto.Terminated); ok {
		r.settle(message, true)
	}
}

// Stop implements proto.Process.
func (r *Reply) Stop(*proto.PID) { r.Drop() }
