package actor

import (
	"slices"
	"sync"
	"time"
)

// Exit is how a process has ended; see [System.LastExits].
type Exit struct {
	PID    PID
	Label  string
	Actor  string // the Go type, as in ProcessInfo
	Reason error
	At     time.Time
}

// exits are the last abnormal ends. Others take no lock.
type exits struct {
	most int
	mu   sync.Mutex
	list []Exit
	next int // where the next one goes, once there are most of them
}

// exitOf is the end of p.
func exitOf(p *process, reason error) Exit {
	x := Exit{PID: p.pid(), Actor: p.actorType(), Reason: reason, At: time.Now()}
	p.mu.Lock()
	x.Label = p.label()
	p.mu.Unlock()
	return x
}

func (e *exits) add(x Exit) {
	if e.most == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.list) < e.most {
		e.list = append(e.list, x)
		return
	}
	e.list[e.next] = x
	e.next = (e.next + 1) % e.most
}

// LastExits returns how the processes have ended that were the last to end abnormally: errors, panics and kills, the oldest
// first. Sockets are not among them; those of a socket.Server are in its LastClosed. As many are kept as Config.LastExits
// says, those from before a Shutdown included.
func (s *System) LastExits() []Exit {
	e := &s.exits
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Concat(e.list[e.next:], e.list[:e.next])
}
