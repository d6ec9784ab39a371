package socket

import (
	"fmt"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket/internal/conn"
)

// Recorded is one of the last things that have happened to a socket; see Config.Record. It has sizes and types, and nothing of
// what a message says.
type Recorded struct {
	// At is when it began, counted from ConnInfo.Since.
	At time.Duration
	// Sent says that it is a frame that was written, or was about to be; else it is a callback.
	Sent bool
	// What is "text", "binary", "ping", "pong" or "close" for frames and what the peer has sent; "init", "terminate", "drain",
	// "expiry" and "lag" for Init, Terminate, HandleDrain, HandleExpiry and HandleLag; "end of reading" where the peer's Close or
	// a timeout ends the socket; "websock.Message to the client" for a message that is written without HandleInfo; and else the
	// type of the message, as %T says it. Describe is not recorded. Of a websock.Stream the frames are that it writes.
	What string
	// Size is the payload in bytes, before compression or after inflation.
	Size int
	// Took is how long the callback ran; negative: it had not returned.
	Took time.Duration
	// Waiting is how many messages waited in the mailbox when the callback began.
	Waiting int
}

// String is the entry as it stands in the log, such as "+1.2s text 5 B 3ms 2 waiting" or "+1.203s sent close 2 B".
func (r Recorded) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "+%v ", r.At)
	if r.Sent {
		b.WriteString("sent ")
	}
	b.WriteString(r.What)
	if r.Size > 0 {
		fmt.Fprintf(&b, " %d B", r.Size)
	}
	switch {
	case r.Sent:
	case r.Took < 0:
		b.WriteString(" not returned")
	default:
		fmt.Fprintf(&b, " %v", r.Took)
	}
	if r.Waiting > 0 {
		fmt.Fprintf(&b, " %d waiting", r.Waiting)
	}
	return b.String()
}

// Recorded returns what has happened to a socket last, the oldest first: at most 64 entries. It is nil when the socket is not
// among those of Config.Record. The error is actor.ErrNoProcess when p is no socket of this Server.
func (s *Server) Recorded(p actor.PID) ([]Recorded, error) {
	c, err := s.find(p)
	if err != nil {
		return nil, err
	}
	return recordedOf(c.Record()), nil
}

func recordedOf(moments []conn.Moment) []Recorded {
	if moments == nil {
		return nil
	}
	all := make([]Recorded, len(moments))
	for i, m := range moments {
		all[i] = Recorded{At: m.At, Sent: m.Sent, What: m.What, Size: int(m.Size), Took: m.Took, Waiting: int(m.Waiting)}
	}
	return all
}

// recordText is the record as the log has it.
func recordText(record []Recorded) []string {
	lines := make([]string, len(record))
	for i, r := range record {
		lines[i] = r.String()
	}
	return lines
}
