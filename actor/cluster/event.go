package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/troupe-dev/troupe/actor/cluster/internal/codec"
	"github.com/troupe-dev/troupe/actor/cluster/internal/link"
)

// EventKind says what an [Event] tells of.
type EventKind uint8

// The kinds of events. What they say of a node is in Event.Node and Event.Boot.
const (
	// EventNodeUp: a link to a node has begun.
	EventNodeUp EventKind = 1 + iota
	// EventNodeDown: it has ended, for the reason in Err.
	EventNodeDown
	// EventEngineLost: the engine has refused a datagram with Err, after it had taken all before.
	EventEngineLost
	// EventEngineBack: it takes them again.
	EventEngineBack
	// EventSlow: the window of a node is full, so Send to it returns false. It comes once for each time that happens, not for
	// each Send.
	EventSlow
	// EventRefused: a message of the Type cannot be sent to another node, because of Err.
	EventRefused
	// EventUndecodable: what a node has sent could not be decoded, because of Err.
	EventUndecodable
	// EventTrouble: what Err says is wrong between this node and another: its settings or versions do not fit, it has the
	// name of another one, or something sends datagrams that make no sense.
	EventTrouble
)

// String is the name in lower case.
func (k EventKind) String() string {
	names := [...]string{"", "node up", "node down", "engine lost", "engine back", "slow", "refused", "undecodable", "trouble"}
	if int(k) < len(names) && k > 0 {
		return names[k]
	}
	return fmt.Sprintf("event(%d)", uint8(k))
}

// Event is something that a [Node] has noticed; see Config.OnEvent.
type Event struct {
	Kind EventKind
	Node string // the other node; "" when it is about none
	Boot string // of it, 16 hex digits
	Type string // of a message, for EventRefused and EventUndecodable
	Err  error
}

func (n *Node) event(e Event) {
	if f := n.cfg.OnEvent; f != nil {
		n.calls.Do(func() { f(e) })
	}
}

// seen is a set of types of which was told already. A program has few types that it sends, and a peer can make us keep no
// more than maxSeen names.
type seen struct {
	mu    sync.Mutex
	types map[string]struct{}
}

const maxSeen = 256

// first tells whether what is new. When the set is full, nothing is.
func (s *seen) first(what string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.types[what]; ok || len(s.types) >= maxSeen {
		return false
	}
	if s.types == nil {
		s.types = make(map[string]struct{})
	}
	s.types[what] = struct{}{}
	return true
}

// refused tells of a message that cannot be sent at all. Other errors are no news.
func (n *Node) refused(err error) {
	failed, ok := err.(*codec.EncodeError)
	if !ok {
		return
	}
	n.unencodable.Add(1)
	e := Event{Kind: EventRefused, Type: failed.Type, Err: err}
	n.event(e)
	if n.unsendable.first(e.Type) {
		n.log.Warn("a message cannot be sent to another node; further ones of this type are not logged", "node", n.name,
			"type", e.Type, "error", err)
	}
}

// undecodable is told of a value that cannot be decoded.
func (s *session) undecodable(err error) {
	s.lost.Add(1)
	e := Event{Kind: EventUndecodable, Node: s.node, Boot: s.bootText, Err: err}
	if failed, ok := errors.AsType[*codec.DecodeError](err); ok {
		e.Type = failed.Type
	}
	s.n.event(e)
	if s.n.unreadable.first(e.Type) {
		s.n.log.LogAttrs(context.Background(), slog.LevelWarn, "a message of another node cannot be decoded; further ones of this type are not logged",
			append(s.attrs(), slog.String("type", e.Type), slog.Any("error", err))...)
	}
}

// linkEvent is link.Options.Event.
func (n *Node) linkEvent(e link.Event) {
	out := Event{Kind: EventTrouble, Node: e.Node, Err: e.Err}
	if e.Boot != 0 {
		out.Boot = bootText(e.Boot)
	}
	if e.Kind == link.Slow {
		out.Kind = EventSlow
	} else {
		n.log.Warn("trouble between nodes", "node", n.name, "peer", e.Node, "boot", out.Boot, "trouble", e.Kind.String(),
			"count", e.Count, "error", e.Err)
	}
	n.event(out)
}
