package cluster

import (
	"errors"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster/internal/codec"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/websock"
)

// RemoteError stands for an error of another node whose type cannot cross. errors.Is finds the sentinels, and errors.As the
// typed errors of websock and actor, that the original is or wraps, and exit.KindOf says what it says of the original. In
// the Down of a process ErrNodeDown is not among them, as that says that the link has ended.
type RemoteError struct {
	// Node is where the error was made.
	Node string
	// Text is what its Error said there.
	Text string

	kind exit.Kind
	is   []error
}

// Error is the text of the original, and says where it comes from.
func (e *RemoteError) Error() string { return e.Text + " (node " + e.Node + ")" }

// Unwrap returns what of the original could cross.
func (e *RemoteError) Unwrap() []error { return e.is }

// ExitKind is the kind of the original.
func (e *RemoteError) ExitKind() exit.Kind { return e.kind }

// foreign is codec.Config.Foreign.
func foreign(f codec.Foreign) error {
	return &RemoteError{Node: f.Node, Text: f.Text, kind: f.Kind, is: f.Is}
}

// origin is codec.Config.Origin.
func origin(err error) (codec.Foreign, bool) {
	e, ok := err.(*RemoteError)
	if !ok || e == nil {
		return codec.Foreign{}, false
	}
	return codec.Foreign{Node: e.Node, Text: e.Text, Kind: e.kind, Is: e.is}, true
}

// passedOn is the exit reason of a process of node, to which the link lasts, without what would say that it has ended: a
// process that passes on an error about a third node has ErrNodeDown in its exit reason. Nothing else is taken from it.
func passedOn(reason error, node string) error {
	if !errors.Is(reason, actor.ErrNodeDown) {
		return reason
	}
	switch e := reason.(type) {
	case *websock.CloseError:
		c := *e
		c.Err = passedOn(e.Err, node)
		return &c
	case *websock.ProtocolError:
		c := *e
		c.Err = passedOn(e.Err, node)
		return &c
	case *RemoteError:
		c := *e
		c.is = nil
		for _, is := range e.is {
			if is != actor.ErrNodeDown { // that it is ErrNoProcess is said beside it
				c.is = append(c.is, passedOn(is, node))
			}
		}
		return &c
	}
	return &RemoteError{Node: node, Text: reason.Error(), kind: exit.KindOf(reason), is: []error{actor.ErrNoProcess}}
}
