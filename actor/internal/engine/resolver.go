package engine

import (
	"strconv"
	"strings"
	"sync"

	proto "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-dev/troupe/actor/internal/shrink"
)

// Target is a living process of package actor, as proto reaches it by its address. No method blocks. One that returns
// false has found the process dead, or its mailbox full.
type Target interface {
	Send(msg any) bool
	// Ask sends msg as a Call. sender, a *proto.PID, is what Open.Asked and [SenderOf] return. answer, which must not block,
	// is called at most once, on any goroutine: with the reply, or with gone when the process ends without one. It is not
	// called when Ask returns false, and when there is no reply.
	Ask(msg, sender any, answer func(v any, gone bool)) bool
	// Stop and Poison end the process, after what it was sent before. Poison is a normal end.
	Stop() bool
	Poison() bool
	// Watch has ended called once, when the process has ended and its monitors have got their Down.
	Watch(ended func()) (cancel func(), ok bool)
}

// scheme begins the address of every process of Troupe, of whatever System.
const scheme = "troupe:"

// PID is the address by which proto reaches a process, whether it is in proto's registry or not, alive or dead.
func (s *System) PID(num uint64) *proto.PID {
	return proto.NewPID(s.address, strconv.FormatUint(num, 10))
}

// AnswerPID is an address of the process p for one who is asked: what is sent there goes through the answer of [Adopt]. It
// holds all there is to know, so that nothing need be kept for an answer that may never come.
func AnswerPID(p, asked *proto.PID) *proto.PID {
	return proto.NewPID(p.Address, p.Id+"?"+asked.Address+"/"+asked.Id)
}

// Proto is the ActorSystem.
func (s *System) Proto() *proto.ActorSystem { return s.proto }

// resolve is the address resolver. A proto.PID keeps for ever the Process that it got. So resolve makes one for a dead
// process, too, and for an id that is no number; and that Process looks for the living process at each use. A process of
// another System is dead here: if its address were not taken, proto's remote would try to connect to it.
func (s *System) resolve(pid *proto.PID) (proto.Process, bool) {
	if !strings.HasPrefix(pid.Address, scheme) {
		return nil, false
	}
	r := &reached{system: s}
	if pid.Address != s.address {
		return r, true
	}
	id, asked, ok := strings.Cut(pid.Id, "?")
	r.num, _ = strconv.ParseUint(id, 10, 64) // 0, which is nobody's, when it is malformed
	if ok {
		address, id, _ := strings.Cut(asked, "/")
		r.asked = proto.NewPID(address, id)
	}
	return r, true
}

// reached is a process as proto sees it. Messages that it does not take go to proto's dead letters, which answer a Request
// and a Watch.
//
// Two things differ from proto's own actors: Stop takes its place in the mailbox, as Exit does, and Terminated comes only
// when the process has ended altogether. As with them, Terminated overtakes the messages that wait for the watcher.
type reached struct {
	system *System
	num    uint64
	asked  *proto.PID // what comes is an answer of this one, see AnswerPID; nil: it is any message
}

// SendUserMessage implements proto.Process.
func (r *reached) SendUserMessage(pid *proto.PID, message any) {
	_, msg, sender := proto.UnwrapEnvelope(message)
	t, ok := r.system.find(r.num)
	if ok {
		if _, poison := msg.(*proto.PoisonPill); poison {
			ok = t.Poison()
		} else {
			ok = r.deliver(t, msg, sender)
		}
	}
	if !ok {
		r.system.proto.DeadLetter.SendUserMessage(pid, message)
	}
}

func (r *reached) deliver(t Target, msg any, sender *proto.PID) bool {
	if r.asked != nil && r.system.answer != nil {
		msg = r.system.answer(r.asked, msg)
	}
	if sender == nil {
		return t.Send(msg)
	}
	return t.Ask(msg, sender, func(v any, gone bool) {
		if gone {
			v = &proto.DeadLetterResponse{} // as proto's own answer for the dead
		}
		if to, ok := r.system.proto.ProcessRegistry.Get(sender); ok { // else nobody waits any more
			to.SendUserMessage(sender, Message(v))
		}
	})
}

// Message is v as it may be sent to an actor of proto's. A nil in its mailbox would keep a processor busy for ever: it counts
// as a message, and is taken for the end of the queue.
func Message(v any) any {
	if v == nil {
		return &proto.MessageEnvelope{}
	}
	return v
}

// SendSystemMessage implements proto.Process.
func (r *reached) SendSystemMessage(pid *proto.PID, message any) {
	t, ok := r.system.find(r.num)
	if ok {
		switch m := message.(type) {
		case *proto.Stop:
			ok = t.Stop()
		case *proto.Watch:
			ok = r.system.watch(t, r.num, pid, m.Watcher)
		case *proto.Unwatch:
			r.system.unwatch(r.num, m.Watcher)
		default:
			ok = false
		}
	}
	if !ok {
		r.system.proto.DeadLetter.SendSystemMessage(pid, message)
	}
}

// Stop implements proto.Process.
func (r *reached) Stop(pid *proto.PID) { r.SendSystemMessage(pid, &proto.Stop{}) }

// watches are the Watches that reached has got, as many as their watchers have asked for, until they are cancelled or the
// watched process has ended. Proto's actors do not cancel theirs when they end: those are looked for when there have become
// twice as many.
type watches struct {
	mu   sync.Mutex
	m    shrink.Map[watch, func()] // cancels it
	look int                       // how many there may be before the dead watchers are looked for
}

type watch struct {
	num         uint64
	address, id string // of the watcher
}

// leastWatches is for how few watches nobody looks for dead watchers.
const leastWatches = 256

// watch has Terminated sent to watcher, once however often it watches. False: t is dead.
func (s *System) watch(t Target, num uint64, pid, watcher *proto.PID) bool {
	w := watch{num, watcher.Address, watcher.Id}
	s.watches.mu.Lock()
	defer s.watches.mu.Unlock()
	if s.watches.m.Has(w) {
		return true
	}
	cancel, ok := t.Watch(func() {
		if s.unwatch(num, watcher) {
			if to, ok := s.proto.ProcessRegistry.Get(watcher); ok { // else it has ended too
				to.SendSystemMessage(watcher, &proto.Terminated{Who: pid, Why: proto.TerminatedReason_Stopped})
			}
		}
	})
	if ok {
		s.watches.m.Put(w, cancel)
		s.forgetTheDead()
	}
	return ok
}

// forgetTheDead cancels the watches of watchers that have ended, when there have become many; s.watches.mu is held.
func (s *System) forgetTheDead() {
	if s.watches.m.Len() <= max(s.watches.look, leastWatches) {
		return
	}
	for w, cancel := range s.watches.m.All() {
		if _, ok := s.proto.ProcessRegistry.Get(proto.NewPID(w.address, w.id)); !ok {
			s.watches.m.Delete(w)
			cancel()
		}
	}
	s.watches.look = 2 * s.watches.m.Len()
}

// unwatch cancels a Watch. False: there is none.
func (s *System) unwatch(num uint64, watcher *proto.PID) bool {
	w := watch{num, watcher.Address, watcher.Id}
	s.watches.mu.Lock()
	defer s.watches.mu.Unlock()
	if !s.watches.m.Has(w) {
		return false
	}
	cancel := s.watches.m.Get(w)
	s.watches.m.Delete(w)
	cancel()
	return true
}
