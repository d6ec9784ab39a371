package link

import (
	"fmt"
	"time"
	"unicode/utf8"
)

const (
	helloEvery  = 5 * time.Second        // a node tells all others of itself
	engineEvery = time.Second            // or so often while the engine fails
	forgetAfter = 3 * helloEvery         // a node that said nothing for so long, and has no session, is forgotten
	suspectFor  = time.Second            // a suspected node has so long to answer
	ackAfter    = 10 * time.Millisecond  // a frame is acknowledged after so long,
	ackFrames   = 32                     // or after so many frames, or with the next frame that goes the other way
	resendAfter = 100 * time.Millisecond // or two round trips without progress: the first missing frame is sent again
	resendMost  = 2 * time.Second        // the wait doubles up to this
	gapEvery    = 20 * time.Millisecond  // or a round trip: the least time between two complaints about one gap
	openAfter   = 100 * time.Millisecond // an OPEN is sent again, doubling up to helloEvery
	calmAfter   = 30 * time.Second       // a session that lasted so long does not flap
	frameLen    = 32 << 10               // the longest frame, as a datagram
)

// Options of a Mesh. Callbacks must not block. They are called without a lock of the link's, so they may call every method of
// this package except Run and Goodbye. A panic in a callback is not caught.
type Options struct {
	Name      string        // of this node: 1 to 200 bytes of UTF-8
	Boot      uint64        // tells this System from an earlier one of its name; not 0
	Heartbeat time.Duration // a session without traffic says something so often; 0: 1 s
	DownAfter time.Duration // silence that ends a session; 0: 5 s; at least 3 heartbeats

	Window      int // bytes that may be on their way to this node, divided among the sessions; 0: 32 MiB
	MaxRecord   int // bytes of a record, in both directions; 0: 1 MiB
	MaxDatagram int // bytes that the engine carries; 0: 1 MiB; at least 512
	MaxPeers    int // nodes that may be known at once; 0: 1024

	// Publish gives a datagram to the engine; to 0 is all nodes. The bytes are valid during the call. An error is a loss, no more.
	Publish func(to uint64, datagram []byte) error

	Up     func(p *Peer)                       // a session has begun; returns before its first Record
	Record func(p *Peer, rec []byte, own bool) // a record, in order. rec is valid during the call; own: it belongs to the callback
	Down   func(p *Peer, reason error)         // a session has ended; once, after its last Record
	Event  func(Event)                         // nil: nobody is told

	// Clock is the wall clock that session numbers are taken from; nil: time.Now. For tests of clocks that step back.
	Clock func() time.Time
	// VersionMin and VersionMax are the versions of the protocol to speak; 0: those of this code. For tests of mixed versions.
	VersionMin, VersionMax uint8
}

func (o *Options) setDefaults() {
	or(&o.Heartbeat, time.Second)
	or(&o.DownAfter, 5*time.Second)
	or(&o.Window, 32<<20)
	or(&o.MaxRecord, 1<<20)
	or(&o.MaxDatagram, 1<<20)
	or(&o.MaxPeers, 1024)
	or(&o.VersionMin, versionMin)
	or(&o.VersionMax, versionMax)
	if o.Event == nil {
		o.Event = func(Event) {}
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
}

// or gives v its default.
func or[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func (o *Options) check() error {
	const minDatagram, mostRecord = 512, 1 << 30
	switch {
	case o.Name == "" || len(o.Name) > maxName || !utf8.ValidString(o.Name):
		return fmt.Errorf("link: Options.Name %q is not 1 to %d bytes of UTF-8", o.Name, maxName)
	case o.Boot == 0:
		return fmt.Errorf("link: Options.Boot is 0")
	case o.Heartbeat < 10*time.Millisecond:
		return fmt.Errorf("link: Options.Heartbeat %v is below 10 ms", o.Heartbeat)
	case o.DownAfter < 3*o.Heartbeat:
		return fmt.Errorf("link: Options.DownAfter %v is below 3 x Options.Heartbeat %v", o.DownAfter, o.Heartbeat)
	case o.Window < 0:
		return fmt.Errorf("link: Options.Window %d is negative", o.Window)
	case o.MaxRecord < 0 || o.MaxRecord > mostRecord:
		return fmt.Errorf("link: Options.MaxRecord %d is not between 1 and %d", o.MaxRecord, mostRecord)
	case o.MaxDatagram < minDatagram:
		return fmt.Errorf("link: Options.MaxDatagram %d is below %d", o.MaxDatagram, minDatagram)
	case o.MaxPeers < 0:
		return fmt.Errorf("link: Options.MaxPeers %d is negative", o.MaxPeers)
	case o.VersionMin > o.VersionMax || o.VersionMax > 15:
		return fmt.Errorf("link: versions %d to %d are not a range within 1 to 15", o.VersionMin, o.VersionMax)
	case o.Publish == nil || o.Up == nil || o.Record == nil || o.Down == nil:
		return fmt.Errorf("link: Options.Publish, Up, Record and Down are needed")
	}
	return nil
}
