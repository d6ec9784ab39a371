package codec

import (
	"errors"
	"fmt"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
)

// Config is what a node's [Codec] stands on. All fields but Types are required.
type Config struct {
	// System is the one that decoded PIDs belong to.
	System *actor.System
	// Types are what may cross beside the native types. nil: nothing. New freezes them: a later Register panics. Several
	// Codecs may share one.
	Types *Types
	// MaxMessage bounds one value that is encoded, in bytes. For errors it is [MaxError].
	MaxMessage int
	// Foreign makes the error that stands here for one of another node.
	Foreign func(Foreign) error
	// Origin says what an error was made of, if Foreign has made err itself, so that it can be passed on as it came.
	Origin func(err error) (Foreign, bool)
}

// Foreign is an error of another node for which there is no type here.
type Foreign struct {
	Node string // where it arose
	Text string
	Kind exit.Kind
	// Is are the sentinels that it is, and the errors of known types that it wraps.
	Is []error
}

// Codec encodes for one node. It does not change, and any goroutine may use it.
type Codec struct {
	cfg          Config
	sentinels    []sentinel
	announcement []byte
}

// New makes the Codec of a node.
func New(cfg Config) *Codec {
	if cfg.Types == nil {
		cfg.Types = new(Types)
	}
	cfg.Types.freeze()
	return &Codec{cfg: cfg, sentinels: cfg.Types.sentinels(), announcement: cfg.Types.announcement()}
}

// Announcement is the list of the names of this node's types. It is what [Codec.Peer] takes at the other side. It is
// shared: nobody may write to it.
func (c *Codec) Announcement() []byte { return c.announcement }

// Peer decodes what one peer sends in one session. It does not change, and any goroutine may use it.
type Peer struct {
	codec *Codec
	node  string
	boot  uint64
	types []peerType // by the peer's numbers
}

// peerType is a type of the peer: its name, and what it is here, nil when it has no such name.
type peerType struct {
	name  string
	entry *entry
}

// Peer makes the decoder of a session with a boot of a node. An error says that the announcement is broken.
func (c *Codec) Peer(node string, boot uint64, announcement []byte) (*Peer, error) {
	if len(announcement) > MaxAnnouncement {
		return nil, fmt.Errorf("cluster: the type names of node %s have %d bytes, more than %d", node, len(announcement), MaxAnnouncement)
	}
	p := &Peer{codec: c, node: node, boot: boot}
	for r := (reader{b: announcement}); len(r.b) > 0; {
		name := string(r.short())
		if r.bad || name == "" {
			return nil, fmt.Errorf("cluster: the list of type names of node %s is broken", node)
		}
		p.types = append(p.types, peerType{name, c.cfg.Types.byName[name]})
	}
	return p, nil
}

// EncodeError says that a value cannot be sent to another node, and why.
type EncodeError struct {
	Type string // of the value, as %T prints it
	Err  error
}

// Error names the type.
func (e *EncodeError) Error() string {
	return "cluster: " + e.Type + " cannot be sent to another node: " + e.Err.Error()
}

// Unwrap returns Err.
func (e *EncodeError) Unwrap() error { return e.Err }

// DecodeError says that what a peer has sent is no value, or none that is known here.
type DecodeError struct {
	Type string // its registered name, or what it was to be
	Err  error
}

// Error names the type.
func (e *DecodeError) Error() string {
	return "cluster: cannot decode " + e.Type + ": " + e.Err.Error()
}

// Unwrap returns Err.
func (e *DecodeError) Unwrap() error { return e.Err }

var (
	// ErrUnknownType says that a peer has sent a type whose name is registered there, and not here.
	ErrUnknownType = errors.New("no type of this name is registered here; see Config.Types")

	errNotRegistered = errors.New("the type is not registered; see Config.Types")
	errBroken        = errors.New("broken bytes")
)

func tooLong(size, limit int) error {
	return fmt.Errorf("%d bytes exceed Config.MaxMessage %d", size, limit)
}
