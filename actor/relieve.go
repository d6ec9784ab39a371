package actor

import (
	"time"

	"github.com/troupe-dev/troupe/actor/internal/hook"
)

// relieved names a turn whose goroutine was the host's and has become a worker. It stands in its process until that goroutine
// has seen it, on its way back to the host: then another turn may be open, and relieved too.
type relieved struct {
	turn uint32
	next *relieved
}

// Relieve is that of host.Port. From here on worker is set, so whatever holder of the turn looks at that takes this goroutine
// for what it is: run, which calls TurnEnd as on a worker and does not give the turn away; handOver; a kill. Once the
// end is decided there is nothing to relieve: then run has left, or handOver will see to it that the host's goroutine does.
func (p *process) Relieve(after time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running || p.worker || p.state >= stateEnding || p.phase == phaseNone || p.sys.now()-p.began < int64(after) {
		return false
	}
	p.worker = true
	p.relieved = &relieved{p.turn, p.relieved}
	p.sys.goroutines.Add(1)
	return true
}

// strikeRelieved takes a turn off the list of those that were relieved. False: it was not. p.mu is held.
func (p *process) strikeRelieved(turn uint32) bool {
	for r := &p.relieved; *r != nil; r = &(*r).next {
		if (*r).turn == turn {
			*r = (*r).next
			return true
		}
	}
	return false
}

// wasRelieved tells whether a turn is on that list; p.mu is held.
func (p *process) wasRelieved(turn uint32) bool {
	for r := p.relieved; r != nil; r = r.next {
		if r.turn == turn {
			return true
		}
	}
	return false
}

// back is where a goroutine of the host returns to it, or leaves it by a runtime.Goexit, after a turn that it began.
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
