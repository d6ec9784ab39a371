package link

import (
	"errors"
	"sync"
	"time"
)

// Why a session ended: what Down is told. Each may be wrapped.
var (
	ErrGoodbye  = errors.New("link: the node said goodbye")
	ErrSilent   = errors.New("link: nothing was heard of the node")
	ErrReset    = errors.New("link: the node has lost the session")
	ErrOverflow = errors.New("link: the node does not take what must be delivered")
	ErrProtocol = errors.New("link: the node broke the protocol")
	ErrClosed   = errors.New("link: this node has left")
)

// Kind is what an Event tells.
type Kind uint8

const (
	BadDatagram  Kind = 1 + iota // datagrams that made no sense; at most one Event a second, with Count
	Incompatible                 // a node speaks none of our versions; once per node
	SameName                     // two boots of one name live: two nodes are configured alike; once per boot
	Settings                     // a node's Heartbeat is too long for our DownAfter; once per node
	TooManyPeers                 // a node is not taken, because MaxPeers are known; at most one Event a second, with Count
	Slow                         // a node's window is full: the first refusal since it was at most half full
	Flapping                     // sessions with a node end too often: the next one waits, Err says how long
)

func (k Kind) String() string {
	names := [...]string{"Kind(0)", "BadDatagram", "Incompatible", "SameName", "Settings", "TooManyPeers", "Slow", "Flapping"}
	if int(k) < len(names) {
		return names[k]
	}
	return "Kind(?)"
}

// Event is something that an operator may want to know. Sessions that begin and end are told by Up and Down.
type Event struct {
	Kind    Kind
	Node    string // its name; empty: not known
	Boot    uint64
	Session uint64 // 0: none
	Count   int    // how many this Event stands for
	Err     error  // more about it; may be nil
}

// throttle lets one Event a second pass and counts those between.
type throttle struct {
	mu   sync.Mutex
	last time.Time
	held int
}

// pass returns how many events stand for one that may be told now; 0: none now.
func (t *throttle) pass(now time.Time) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held++
	if !t.last.IsZero() && now.Sub(t.last) < time.Second {
		return 0
	}
	n := t.held
	t.last, t.held = now, 0
	return n
}
