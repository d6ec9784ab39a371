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
	// Watch has ended called once, unless it was cancelled before, when the process has ended and its monitors have got their
	// Down: perhaps before it returns. No lock is held when Watch and cancel are called.
	Watch(ended func(End)) (cancel func(), ok bool)
}

// End is what is known of the end of a process that is watched.
type End uint8

const (
	Ended  End = iota
	Absent     // it had ended before, on another node
	Lost       // its node is not connected
)

func (e End) why() proto.TerminatedReason {
	switch e {
	case Absent:
		return proto.TerminatedReason_NotFound
	case Lost:
		return proto.TerminatedReason_AddressTerminated
	default:
		return proto.TerminatedReason_Stopped
	}
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
// process, too, and for an id that is no number; and that Process looks for the living process at each use. The addresses of
// other Systems are taken as well, or else proto's remote would try to connect to them.
func (s *System) resolve(pid *proto.PID) (proto.Process, bool) {
	if !strings.HasPrefix(pid.Address, scheme) {
		return nil, false
	}
	r := &reached{system: s}
	if pid.Address != s.address {
		r.away = pid.Address + "/" + pid.Id
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
	subject
	asked *proto.PID // what comes is an answer of this one, see AnswerPID; nil: it is any message
}

// subject is a process, alive or dead.
type subject struct {
	num  uint64
	away string // Address and Id of one of another System, with a slash between them; "": it is of this one
}

func (r *reached) target() (Target, bool) {
	if r.away == "" {
		return r.system.find(r.num)
	}
	address, id, _ := strings.Cut(r.away, "/")
	return r.system.away(address, id)
}

// SendUserMessage implements proto.Process.
func (r *reached) SendUserMessage(pid *proto.PID, message any) {
	_, msg, sender := proto.UnwrapEnvelope(message)
	t, ok := r.target()
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
	t, ok := r.target()
	if ok {
		switch m := message.(type) {
		case *proto.Stop:
			ok = t.Stop()
		case *proto.Watch:
			ok = r.system.watch(t, r.subject, pid, m.Watcher)
		case *proto.Unwatch:
			r.system.unwatch(watch{r.subject, m.Watcher.Address, m.Watcher.Id})
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
	mu   sync.Mutex // nothing of a Target is called while it is held
	m    shrink.Map[watch, *watching]
	look int // how many there may be before the dead watchers are looked for
}

type watch struct {
	subject
	address, id string // of the watcher
}

// watching is one watch: another one may take its place in the map while it begins or ends.
type watching struct {
	cancel func() // nil until Target.Watch has returned
}

// leastWatches is for how few watches nobody looks for dead watchers.
const leastWatches = 256

// watch has Terminated sent to watcher, once however often it watches. False: t is dead.
func (s *System) watch(t Target, of subject, pid, watcher *proto.PID) bool {
	w, e := watch{of, watcher.Address, watcher.Id}, &watching{}
	if !s.watches.begin(w, e) {
		return true
	}
	s.forgetTheDead()
	cancel, ok := t.Watch(func(end End) {
		if !s.watches.end(w, e) {
			return
		}
		if to, ok := s.proto.ProcessRegistry.Get(watcher); ok { // else it has ended too
			to.SendSystemMessage(watcher, &proto.Terminated{Who: pid, Why: end.why()})
		}
	})
	if !ok {
		s.watches.end(w, e)
		return false
	}
	if !s.watches.begun(w, e, cancel) {
		cancel()
	}
	return true
}

// unwatch cancels a Watch, if there is one.
func (s *System) unwatch(w watch) {
	if cancel := s.watches.take(w); cancel != nil {
		cancel()
	}
}

// forgetTheDead cancels the watches of watchers that have ended, when there have become many.
func (s *System) forgetTheDead() {
	for _, cancel := range s.watches.dead(func(w watch) bool {
		_, ok := s.proto.ProcessRegistry.Get(proto.NewPID(w.address, w.id))
		return !ok
	}) {
		cancel()
	}
}

// begin enters a watch. False: there is one.
func (ws *watches) begin(w watch, e *watching) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.m.Has(w) {
		return false
	}
	ws.m.Put(w, e)
	return true
}

// begun notes how to cancel it. False: it is over already.
func (ws *watches) begun(w watch, e *watching, cancel func()) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	e.cancel = cancel
	return ws.m.Get(w) == e
}

// end takes out a watch that has ended. False: it was cancelled.
func (ws *watches) end(w watch, e *watching) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.m.Get(w) != e {
		return false
	}
	ws.m.Delete(w)
	return true
}

// take takes out a watch that is to be cancelled, by the cancel that it returns. It is nil when there is no such watch, and
// for one that begins: that one finds out.
func (ws *watches) take(w watch) (cancel func()) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	e := ws.m.Get(w)
	if e == nil {
		return nil
	}
	ws.m.Delete(w)
	return e.cancel
}

// dead takes out the watches whose watcher isDead, when there have become many, and returns what cancels them.
func (ws *watches) dead(isDead func(watch) bool) (cancels []func()) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.m.Len() <= max(ws.look, leastWatches) {
		return nil
	}
	for w, e := range ws.m.All() {
		if isDead(w) {
			ws.m.Delete(w)
			if e.cancel != nil {
				cancels = append(cancels, e.cancel)
			}
		}
	}
	ws.look = 2 * ws.m.Len()
	return cancels
}
