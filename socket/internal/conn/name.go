package conn

import "github.com/troupe-dev/troupe/actor/host"

// NameOf implements host.Namer: what is no message of a user's has the name of the callback that is called for it.
func (*Conn) NameOf(msg any) string {
	switch m := msg.(type) {
	case *frame:
		return m.name()
	case *readEnd:
		return endOfReading
	case drainBegins:
		return callDrain.String()
	case *expiry:
		return callExpiry.String()
	case host.CatchUp:
		return callLag.String()
	case *Description:
		return "Describe"
	case *stream:
		return streamName
	}
	return ""
}
