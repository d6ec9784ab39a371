package cluster

import (
	"github.com/troupe-dev/troupe/actor/cluster/internal/codec"
	"github.com/troupe-dev/troupe/actor/exit"
)

// RemoteError stands for an error of another node whose type cannot cross. errors.Is finds the sentinels, and errors.As the
// typed errors of websock and actor, that the original is or wraps, and exit.KindOf says what it says of the original.
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
