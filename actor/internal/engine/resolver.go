package engine

import (
	"strconv"
	"sync"

	proto "github.com/asynkron/protoactor-go/actor"
)

// Target is a living process of package actor, as proto reaches it by its address. No method blocks. One that returns
// false has found the process dead, or its mailbox full.
type Target interface {
	Send(msg any) bool
	// Ask sends msg as a Call. answer, which must not block, is called at most once, on any goroutine: with the reply, or with
	// gone when the process ends without one. It is not called when Ask returns false, and when there is no reply.
	Ask(msg any, answer func(v any, gone bool)) bool
	// Stop and Poison end the process, after what it was sent before. Poison is a normal end.
	Stop() bool
	Poison() bool
	// Watch has ended called once, when the process has ended and its monitors have got their Down.
	Watch(ended func()) (cancel func(), ok bool)
}

// PID is the address by which proto reaches a process, whether it is in proto's registry or not, alive or dead.
func (s *System) PID(num uint64) *proto.PID { return proto.NewPID(s.address, localID(num)) }

// Proto is the ActorSystem.
func (s *System) Proto() *proto.ActorSystem { return s.proto }

// resolve is the address resolver. A proto.PID keeps for ever the Process that it got. So resolve makes one for a dead
// process, too, and for an id that is no number; and that Process looks for the living process at each use.
func (s *System) resolve(pid *proto.PID) (proto.Process, bool) {
	if pid.Address != s.address {
		return nil, false
	}
	num, _ := strconv.ParseUint(pid.Id, 10, 64) // 0, which is nobody's, when it is malformed
	return &reached{s, num}, true
}

// reached is a process as proto sees it. Messages that it does not take go to proto's dead letters, which answer a Request
// and a Watch.
//
// Two things differ from proto's own actors: Stop takes its place in the mailbox, as Exit does, and Terminated comes only
// when the process has ended altogether. As with them, Terminated overtakes the messages that wait for the watcher.
type reached struct {
	system *System
	num    uint64
}

// SendUserMessage implements proto.Process.
func (r *reached) SendUserMessage(pid *proto.PID, message any) {
	_, msg, sender := proto.UnwrapEnvelope(message)
	t, ok := r.system.find(r.num)
	if ok {
		if _, poison := msg.(*proto.PoisonPill); poison {
			ok = t.Poison()
		} else if sender == nil {
			ok = t.Send(msg)
		} else {
			ok = t.Ask(msg, func(v any, gone bool) {
				if gone {
					v = &proto.DeadLetterResponse{} // as proto's own answer for the dead
				}
				if to, ok := r.system.proto.ProcessRegistry.Get(sender); ok { // else nobody waits any more
					to.SendUserMessage(sender, v)
				}
			})
		}
	}
	if !ok {
		r.system.proto.DeadLetter.SendUserMessage(pid, message)
	}
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
// watched process has ended.
type watches struct {
	mu sync.Mutex
	m  map[watch]func() // cancels it
}

type watch struct {
	num         uint64
	address, id string // of the watcher
}

// watch has Terminated sent to watcher, once however often it watches. False: t is dead.
func (s *System) watch(t Target, num uint64, pid, watcher *proto.PID) bool {
	w := watch{num, watcher.Address, watcher.Id}
	s.watches.mu.Lock()
	defer s.watches.mu.Unlock()
	if s.watches.m[w] != nil {
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
		if s.watches.m == nil {
			s.watches.m = make(map[watch]func())
		}
		s.watches.m[w] = cancel
	}
	return ok
}

// unwatch cancels a Watch. False: there is none.
func (s *System) unwatch(num uint64, watcher *proto.PID) bool {
	w := watch{num, watcher.Address, watcher.Id}
	s.watches.mu.Lock()
	defer s.watches.mu.Unlock()
	cancel, ok := s.watches.m[w]
	if ok {
		delete(s.watches.m, w)
		cancel()
	}
	return ok
}
