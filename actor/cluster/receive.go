package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

var errTooManyMonitors = fmt.Errorf("cluster: more than %d monitors of processes of one node: %w", maxMonitors, actor.ErrOverload)

// receive handles a record of the other node, which is valid during the call. A record that makes no sense ends the session:
// the other node does not speak our protocol, so what it says further on cannot be trusted. A value that cannot be decoded
// is only lost: it may be of another version of the program.
func (s *session) receive(rec []byte) {
	if s.broken { // the datagram has more records
		return
	}
	k, f := parse(rec)
	err := error(nil)
	switch {
	case f.bad:
		err = errBroken
	case s.types == nil && k != recHello, s.types != nil && k == recHello:
		err = errors.New("the first record, and only that, must be the hello")
	default:
		err = s.handle(k, &f)
	}
	if err != nil {
		s.broken = true
		s.peer.Reset(fmt.Errorf("cluster: record %d of node %s: %w", k, s.node, err))
	}
}

// handle handles one record by its kind. Those that it does not know are of a later version, which does not rely on them.
func (s *session) handle(k kind, f *fields) error {
	switch k {
	case recHello:
		return s.receiveHello(f)
	case recSend:
		return s.receiveSend(f)
	case recExit:
		return s.receiveExit(f)
	case recCall:
		return s.receiveCall(f)
	case recAnswer, recFail, recUnhandled:
		return s.receiveAnswer(k, f)
	case recCancel, recDemonitor:
		return s.receiveCancel(k, f)
	case recSurvey:
		return s.receiveSurvey(f)
	case recMonitor:
		return s.receiveMonitor(f)
	case recDown:
		return s.receiveDown(f)
	case recChannel:
		return s.receiveChannel(f)
	}
	return nil
}

// here is the PID of a process of this node; zero for 0.
func (s *session) here(num uint64) actor.PID { return host.PIDOf(s.n.sys, s.n.name, s.n.boot, num) }

func (s *session) receiveSend(f *fields) error {
	num, h := f.number(), f.tagged()
	if f.bad {
		return errBroken
	}
	msg, err := s.types.Value(f.b)
	if err != nil {
		s.undecodable(err)
		return nil
	}
	msg = delivered(msg, h.deliver)
	to, sent := s.here(num), false
	if h.with == "" {
		sent = to.Send(msg)
	} else {
		sent = host.SendCarried(to, msg, h.with)
	}
	if !sent {
		s.undelivered.Add(1)
	}
	return nil
}

// receiveExit ends a process. The kill of PID.Exit would wait for functions of OnExit, which may take long, and the next
// records with it.
func (s *session) receiveExit(f *fields) error {
	num := f.number()
	if f.bad {
		return errBroken
	}
	reason, err := s.types.Error(f.b)
	if err != nil {
		s.undecodable(err)
		reason = err // the process was to end, whatever for
	}
	if reason == nil {
		return errBroken
	}
	to := s.here(num)
	if errors.Is(reason, actor.ErrKilled) {
		host.Kill(to, reason)
		return nil
	}
	to.Exit(reason)
	return nil
}

// receiveCall asks a process here. It is in the table before the process can answer.
func (s *session) receiveCall(f *fields) error {
	id, num, left, h := f.number(), f.number(), f.number(), f.tagged()
	from := s.caller(f)
	if f.bad {
		return errBroken
	}
	a, err := s.beginAsked(id)
	if a == nil {
		return err
	}
	req, err := s.types.Value(f.b)
	if err != nil {
		s.undecodable(err)
		s.answer(id, a, nil, err)
		return nil
	}
	req = delivered(req, h.deliver)
	if h.with != "" {
		req = host.Carried{Msg: req, With: h.with}
	}
	answer := func(v any, err error) { s.answer(id, a, v, err) }
	if h.room {
		req, answer = host.Room{Msg: req}, func(_ any, err error) {
			if err != nil {
				s.undelivered.Add(1)
			}
			s.answer(id, a, nil, err)
		}
	}
	deadline := time.Time{}
	if left > 0 {
		deadline = time.Now().Add(time.Duration(min(left, uint64(longest))))
	}
	cancel := host.Ask(s.here(num), from, req, deadline, answer)
	s.begun(&s.asked, id, a, cancel)
	return nil
}

// beginAsked adds a Call of the other node to those that wait for an answer from here; nil: it is refused.
func (s *session) beginAsked(id uint64) (*asked, error) {
	a := &asked{}
	s.mu.Lock()
	_, twice := s.asked.m[id]
	full := len(s.asked.m) >= maxCalls
	if !twice && !full {
		s.asked.put(id, a)
	}
	s.mu.Unlock()
	switch {
	case twice:
		return nil, errors.New("the id of a call is used twice")
	case full:
		s.fail(id, actor.ErrMailboxFull)
		return nil, nil
	}
	return a, nil
}

// longest is as long as a Call may last.
const longest = 100 * 365 * 24 * time.Hour

// caller reads who calls.
func (s *session) caller(f *fields) actor.PID {
	switch f.byte() {
	case callerNobody:
		return actor.PID{}
	case callerHere:
		return host.PIDOf(s.n.sys, s.node, s.boot, f.number())
	case callerOther:
		node := string(f.bytes())
		if len(f.b) < 8 {
			break
		}
		boot := binary.LittleEndian.Uint64(f.b)
		f.b = f.b[8:]
		return host.PIDOf(s.n.sys, node, boot, f.number())
	}
	f.bad = true
	return actor.PID{}
}

// answer sends the answer to a Call of the other node, or why there is none, if it still waits. It runs on any goroutine.
func (s *session) answer(id uint64, a *asked, v any, err error) {
	s.mu.Lock()
	waits := s.asked.m[id] == a
	if waits {
		s.asked.remove(id)
	}
	s.mu.Unlock()
	if !waits {
		return
	}
	if err == nil {
		p := buffers.Get().(*[]byte)
		var b []byte
		d := deliveryOf(v)
		b, err = s.n.appendValue(recordWith(*p, recAnswer, headers{deliver: d}, id), v, d)
		switch {
		case err != nil:
		case len(b) <= shortAnswer && s.fits(b):
			s.peer.Control(b)
		default:
			if err = s.offer(b, v); err == actor.ErrMailboxFull {
				err = errNoRoom
			}
		}
		s.n.refused(err)
		release(p, b)
	}
	if err != nil {
		s.fail(id, err)
	}
}

// shortAnswer is the length up to which an answer is not refused by the window. A few callers that ask for much would end
// the session otherwise.
const shortAnswer = 4 << 10

// errNoRoom is what the caller gets then: it knows that the callee has replied.
var errNoRoom = fmt.Errorf("cluster: the window had no room for the reply: %w", actor.ErrNoReply)

func (s *session) fail(id uint64, err error) {
	if host.Unhandled(err) { // the caller may try again
		s.control(record(nil, recUnhandled, id))
		return
	}
	s.control(s.n.codec.AppendError(record(nil, recFail, id), err))
}

// receiveAnswer ends a Call that waits here; it may have been cancelled meanwhile.
func (s *session) receiveAnswer(k kind, f *fields) error {
	id, h := f.number(), f.tagged()
	if f.bad {
		return errBroken
	}
	answer := s.removeCall(id)
	if answer == nil {
		return nil
	}
	var v any
	var failed, err error
	switch k {
	case recAnswer:
		v, err = s.types.Value(f.b)
		v = delivered(v, h.deliver)
	case recUnhandled:
		failed = host.ErrUnhandled
	default:
		if failed, err = s.types.Error(f.b); err == nil && failed == nil {
			failed = errBroken
		}
	}
	if err != nil {
		s.undecodable(err)
		failed = err
	}
	answer(v, failed)
	return nil
}

// receiveCancel ends a Call or a monitor of the other node; it may be over.
func (s *session) receiveCancel(k kind, f *fields) error {
	id := f.number()
	if f.end(); f.bad {
		return errBroken
	}
	t := &s.asked
	if k == recDemonitor {
		t = &s.watched
	}
	s.mu.Lock()
	a, ok := t.remove(id)
	s.mu.Unlock()
	if ok {
		a.stop(s)
	}
	return nil
}

// receiveMonitor watches a process here. Its Down is put into the stream on the goroutine that ends the process, after all
// that the process has sent.
func (s *session) receiveMonitor(f *fields) error {
	id, num := f.number(), f.number()
	if f.end(); f.bad {
		return errBroken
	}
	a := &asked{}
	s.mu.Lock()
	_, twice := s.watched.m[id]
	full := len(s.watched.m) >= 2*maxMonitors // it counts them itself; a Demonitor may come after the next Monitor
	if !twice && !full {
		s.watched.put(id, a)
	}
	s.mu.Unlock()
	switch {
	case twice:
		return errors.New("the id of a monitor is used twice")
	case full:
		return errTooManyMonitors
	}
	cancel := host.Watch(s.here(num), func(reason error) {
		s.mu.Lock()
		waits := s.watched.m[id] == a
		if waits {
			s.watched.remove(id)
		}
		s.mu.Unlock()
		if waits {
			s.control(s.n.codec.AppendError(record(nil, recDown, id), reason))
		}
	})
	s.begun(&s.watched, id, a, cancel)
	return nil
}

// receiveDown tells a monitor here of the end of its process. ErrNodeDown would tell it of the end of the session.
func (s *session) receiveDown(f *fields) error {
	id := f.number()
	if f.bad {
		return errBroken
	}
	down := s.removeMonitor(id)
	if down == nil {
		return nil // stopped meanwhile
	}
	reason, err := s.types.Error(f.b)
	if err != nil {
		s.undecodable(err)
		reason = err
	}
	if reason == nil {
		reason = errBroken
	}
	down(passedOn(reason, s.node))
	return nil
}
