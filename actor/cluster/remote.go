package cluster

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// remote is the host.Remote of a Node. It finds the session with a PID's node, and puts a record into its stream. Nothing
// here waits for anything but short locks.
type remote struct{ n *Node }

// find returns the session with the node of p, or nil, and the number of p there.
func (r *remote) find(p actor.PID) (*session, uint64) {
	node, boot, num := host.Parts(p)
	return r.n.session(node, boot), num
}

// buffers are for encoding records: the link copies them.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 1<<10); return &b }}

// largestKept is the size up to which a buffer is kept.
const largestKept = 64 << 10

func release(p *[]byte, b []byte) {
	if cap(b) <= largestKept {
		*p = b[:0]
		buffers.Put(p)
	}
}

// Send implements host.Remote.
func (r *remote) Send(to actor.PID, msg any) bool {
	s, num := r.find(to)
	if s == nil {
		return false
	}
	msg, h := bare(msg)
	p := buffers.Get().(*[]byte)
	b, err := r.n.appendValue(recordWith(*p, recSend, h, num), msg, h.deliver)
	if err == nil {
		err = s.offer(b, msg)
	}
	r.n.refused(err)
	release(p, b)
	return err == nil
}

// Exit implements host.Remote.
func (r *remote) Exit(to actor.PID, reason error) bool {
	s, num := r.find(to)
	if s == nil {
		return false
	}
	s.control(r.n.codec.AppendError(record(nil, recExit, num), reason))
	return true
}

// Reachable implements host.Remote.
func (r *remote) Reachable(to actor.PID) bool {
	s, _ := r.find(to)
	return s != nil
}

func nothing() {}

// Call implements host.Remote. The call is in the table before its record can be answered, and out of it when the window
// refuses the record: then the callee has not got it.
func (r *remote) Call(to, from actor.PID, req any, deadline time.Time, answer func(v any, err error)) (cancel func()) {
	s, num := r.find(to)
	if s == nil {
		answer(nil, host.ErrUnsent)
		return nothing
	}
	left := uint64(0)
	if !deadline.IsZero() {
		left = uint64(max(time.Until(deadline), 1))
	}
	id, err := s.beginCall(answer)
	if err != nil {
		answer(nil, err)
		return nothing
	}
	req, h := bare(req)
	p := buffers.Get().(*[]byte)
	b := r.n.appendCaller(recordWith(*p, recCall, h, id, num, left), from)
	b, err = r.n.appendValue(b, req, h.deliver)
	if err == nil {
		err = s.offer(b, req)
	}
	r.n.refused(err)
	release(p, b)
	if err != nil {
		if s.removeCall(id) != nil { // else the session has ended and told it
			answer(nil, err)
		}
		return nothing
	}
	return func() {
		if s.removeCall(id) != nil {
			s.control(record(nil, recCancel, id))
		}
	}
}

// beginCall adds a call to those that wait.
func (s *session) beginCall(answer func(v any, err error)) (id uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.over:
		return 0, host.ErrUnsent
	case len(s.calls.m) >= maxCalls:
		return 0, actor.ErrMailboxFull
	}
	s.last++
	s.calls.put(s.last, answer)
	return s.last, nil
}

// removeCall takes a call out of those that wait; nil: it waits no longer.
func (s *session) removeCall(id uint64) func(v any, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer, _ := s.calls.remove(id)
	return answer
}

// appendCaller appends who calls.
func (n *Node) appendCaller(b []byte, from actor.PID) []byte {
	node, boot, num := host.Parts(from)
	switch {
	case num == 0:
		return append(b, callerNobody)
	case n.sys.Owns(from):
		return binary.AppendUvarint(append(b, callerHere), num)
	}
	b = appendBytes(append(b, callerOther), node)
	return binary.AppendUvarint(binary.LittleEndian.AppendUint64(b, boot), num)
}

// Monitor implements host.Remote. It is in the table before its record is in the stream: if the session ends in between, or
// at any other moment, down is told of that.
func (r *remote) Monitor(to actor.PID, down func(reason error)) (cancel func()) {
	s, num := r.find(to)
	if s == nil {
		down(actor.ErrNodeDown)
		return nothing
	}
	id, err := s.beginMonitor(down)
	if err != nil {
		down(err)
		return nothing
	}
	s.control(record(nil, recMonitor, id, num))
	return func() {
		if s.removeMonitor(id) != nil {
			s.control(record(nil, recDemonitor, id))
		}
	}
}

func (s *session) beginMonitor(down func(reason error)) (id uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.over:
		return 0, actor.ErrNodeDown
	case len(s.monitors.m) >= maxMonitors:
		return 0, errTooManyMonitors
	}
	s.last++
	s.monitors.put(s.last, down)
	return s.last, nil
}

func (s *session) removeMonitor(id uint64) func(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	down, _ := s.monitors.remove(id)
	return down
}
