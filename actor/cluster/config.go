package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/troupe-dev/troupe/actor/cluster/internal/codec"
)

// Config configures a [Node]. Only Engine is required. All nodes of a cluster should have the same Heartbeat and DownAfter.
type Config struct {
	// Name is that of the cluster: nodes of one name on one engine find each other. Letters, digits, - and _ only, at most
	// 64. "": "troupe".
	Name string
	// Engine carries the datagrams.
	Engine Engine
	// Types are what may cross beside the built-in types. New freezes them. nil: none.
	Types *Types
	// Heartbeat is how often a silent link says that it is there. 0: 1 s; at least 10 ms.
	Heartbeat time.Duration
	// DownAfter is the silence after which a node is down: it is noticed up to a Heartbeat later. 0: 5 s; at least 3
	// heartbeats. Longer survives longer outages of the engine and longer pauses of a process, shorter notices a crash
	// earlier.
	DownAfter time.Duration
	// Window is how many bytes may be on their way to this node, from all others together. Each of them has its share,
	// beyond which its Send says false. It bounds what this node costs the others while it stands still. 0: 32 MiB, well
	// below the 64 MiB at which a NATS server gives a client up.
	Window int
	// MaxMessage is the length of one encoded message that this node sends, in bytes; longer ones are refused and logged. 0:
	// 1 MiB; at most 512 MiB. It says what this node takes, too, but for small ones: every node takes 68 KiB. What the other node
	// does not take is refused here, and logged, so nothing is lost when two nodes have different ones. It does not hold for an
	// error of a type that is not registered: what is beyond 40 KiB of that is left out.
	MaxMessage int
	// Logger gets nodes that come and go at Info, and messages that cannot be encoded or decoded at Warn, once per type.
	// Nothing waits for it but the end of Serve, for 5 s at most. nil: slog.Default().
	Logger *slog.Logger
	// OnEvent is told what happens, one call at a time, on a goroutine of its own; nothing waits for it but the end of Serve,
	// for 5 s at most. Events are dropped and logged when it is too slow. nil: nobody is told.
	OnEvent func(Event)
}

const (
	defaultName       = "troupe"
	defaultHeartbeat  = time.Second
	defaultDownAfter  = 5 * time.Second
	defaultWindow     = 32 << 20
	defaultMaxMessage = 1 << 20

	minHeartbeat = 10 * time.Millisecond
	mostMessage  = 512 << 20
	maxNodeName  = 200

	// recordOverhead is room for what stands before a value in a record.
	recordOverhead = 4 << 10
	// minRecord has room for the first record of a session and for every error, however small MaxMessage is.
	minRecord = codec.MaxAnnouncement + maxChannels*(maxChannelName+1) + recordOverhead
)

// checked is c with its defaults, or what is wrong with it.
func (c Config) checked() (Config, error) {
	def := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	def(&c.Heartbeat, defaultHeartbeat)
	def(&c.DownAfter, max(defaultDownAfter, 3*c.Heartbeat))
	if c.Name == "" {
		c.Name = defaultName
	}
	if c.Window == 0 {
		c.Window = defaultWindow
	}
	if c.MaxMessage == 0 {
		c.MaxMessage = defaultMaxMessage
	}
	switch {
	case c.Engine == nil:
		return c, errors.New("cluster: Config.Engine is nil: there is nothing to reach other nodes by")
	case !validName(c.Name):
		return c, fmt.Errorf("cluster: Config.Name %q: 1 to 64 letters, digits, - and _ are allowed", c.Name)
	case c.Heartbeat < minHeartbeat:
		return c, fmt.Errorf("cluster: Config.Heartbeat %v is below %v", c.Heartbeat, minHeartbeat)
	case c.DownAfter < 3*c.Heartbeat:
		return c, fmt.Errorf("cluster: Config.DownAfter %v is less than 3 times Config.Heartbeat %v: one lost datagram would end a link",
			c.DownAfter, c.Heartbeat)
	case c.MaxMessage < 0, c.MaxMessage > mostMessage:
		return c, fmt.Errorf("cluster: Config.MaxMessage %d is not between 1 and %d", c.MaxMessage, mostMessage)
	case c.Window < c.MaxMessage:
		return c, fmt.Errorf("cluster: Config.Window %d is less than one message of Config.MaxMessage %d", c.Window, c.MaxMessage)
	}
	return c, nil
}

func (c Config) maxRecord() int { return max(c.MaxMessage+recordOverhead, minRecord) }

func validName(name string) bool {
	for _, r := range name {
		if (r < 'a' || 'z' < r) && (r < 'A' || 'Z' < r) && (r < '0' || '9' < r) && r != '-' && r != '_' {
			return false
		}
	}
	return 0 < len(name) && len(name) <= 64
}
