package actor

import (
	"time"

	"github.com/troupe-dev/troupe/actor/internal/hook"
)

// relieved is a list of turns whose goroutine was the host's and has become a worker. A turn is taken off the list when its
// goroutine returns to the host. Until then other turns may begin and be relieved, too, so there may be several.
type relieved struct {
	turn uint32
	next *relieved
}

// Relieve is host.Port.Relieve. It sets holder, and from then on the goroutine that holds the turn counts as a worker: run
// calls TurnEnd as on a worker and keeps the turn, handOver lets the goroutine take the steps of the end, and a kill takes
// it out of the count of goroutines. Once the end is decided, the host's goroutine need not be relieved: handOver gives to a worker what
// may keep it for long.
func (p *process) Relieve(after time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.holder != byHost || p.state >= stateEnding || p.phase == phaseNone || p.sys.now()-p.began < int64(after) {
		return false
	}
	p.holder = byWorker
	x := p.extras()
	x.relieved = &relieved{p.turn, x.relieved}
	p.sys.goroutines.Add(1)
	return true
}

// strikeRelieved takes a turn off the list of relieved ones. False: it is not on the list. p.mu is held.
func (p *process) strikeRelieved(turn uint32) bool {
	if p.extra == nil {
		return false
	}
	for r := &p.extra.relieved; *r != nil; r = &(*r).next {
		if (*r).turn == turn {
			*r = (*r).next
			return true
		}
	}
	return false
}

// wasRelieved tells whether a turn is on the list of relieved ones; p.mu is held.
func (p *process) wasRelieved(turn uint32) bool {
	if p.extra == nil {
		return false
	}
	for r := p.extra.relieved; r != nil; r = r.next {
		if r.turn == turn {
			return true
		}
	}
	return false
}

// back is called on a goroutine of the host that has begun a turn, when it returns to the host or leaves by runtime.Goexit.
// It settles the counts of goroutines.
func (p *process) back(turn uint32) hook.Delivery {
	p.mu.Lock()
	relieved, abandoned, d := p.strikeRelieved(turn), p.strikeOff(turn), p.delivery()
	p.mu.Unlock()
	if !relieved {
		return d
	}
	if !abandoned {
		p.sys.goroutineDone()
	}
	return hook.Relieved
}
