package actor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-dev/troupe/actor/internal/hook"
)

// How long SendWait waits until it asks again when the window of a link is full: at first, and at most.
const (
	firstPause = time.Millisecond
	lastPause  = 128 * time.Millisecond
)

// sendWaitAway is SendWait to a process of another node. That node lets the message wait, and answers when it is in the mailbox;
// until then nothing else of this caller is on its way, so the link holds one message for each.
func (s *System) sendWaitAway(ctx context.Context, r remote, to PID, msg any) error {
	room := hook.Room{Msg: s.wrapAway(ctx, msg)}
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		answers := make(chan error, 1)
		cancel := r.Call(to, Self(ctx), room, time.Time{}, func(_ any, err error) { answers <- err })
		select {
		case err := <-answers:
			if err == nil {
				return nil
			}
			if !errors.Is(err, ErrMailboxFull) {
				if countsHere(err) {
					s.undelivered(to, msg)
				}
				return fmt.Errorf("%w: %v", err, to)
			}
		case <-ctx.Done():
			cancel()
			return context.Cause(ctx)
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		}
	}
}

// countsHere tells whether a message of which err came counts as undelivered here. The node of the process has counted it when it is
// unhandled there, and of one that was on its way when the link ended nobody knows, as of one of Send. One that cannot be decoded
// there counts here, and there as undecodable.
func countsHere(err error) bool {
	_, unhandled := errors.AsType[hook.Unhandled](err)
	if errors.Is(err, ErrNodeDown) {
		return unhandled // it was not sent at all
	}
	return !unhandled
}

// askRoom is SendWait for one of another node, who gets the answer.
func (p *process) askRoom(msg any, answer func(v any, err error)) (cancel func()) {
	msg = p.sys.arrived(msg)
	p.mu.Lock()
	w := &sender{it: p.paced(msg), away: &awaySender{p: p, answer: answer}}
	switch {
	case p.shut:
		p.mu.Unlock()
		w.Run()
	case !p.waitsForRoom() && p.admit(w.it):
		p.wakeAndUnlock()
		answer(nil, nil)
	default:
		p.rel().senders.add(w)
		p.mu.Unlock()
		return func() { p.givesUp(w) }
	}
	return func() {}
}

// awaySender is what there is to a sender of another node.
type awaySender struct {
	p      *process
	in     bool
	answer func(v any, err error)
}

// Run gives the answer: on a goroutine of the pool, since whoever lets w in holds the mu of the process.
func (w *sender) Run() {
	a := w.away
	if a.in {
		a.answer(nil, nil)
		return
	}
	_ = a.p.shutOut(w.it) // the answer says it
	a.answer(nil, errUnhandled)
}
