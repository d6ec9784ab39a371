package rawclient

import "fmt"

// BadPeerError says which rule the peer broke. It is the result of every
// read that follows.
type BadPeerError struct {
	Rule string // what was wrong, with the section that forbids it
	Raw  []byte // the bytes of the frame as far as they were read; nil for a handshake
}

// Error names the rule and shows the first bytes.
func (e *BadPeerError) Error() string {
	if e.Raw == nil {
		return "rawclient: bad peer: " + e.Rule
	}
	return fmt.Sprintf("rawclient: bad peer: %s: % x", e.Rule, e.Raw[:min(len(e.Raw), 64)])
}
