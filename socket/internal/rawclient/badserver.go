package rawclient

import "fmt"

// BadServerError says which rule the server broke. It is the result of every
// read that follows.
type BadServerError struct {
	Rule string // what was wrong, with the section that forbids it
	Raw  []byte // the bytes of the frame as far as they were read; nil for a handshake
}

// Error names the rule and shows the first bytes.
func (e *BadServerError) Error() string {
	if e.Raw == nil {
		return "rawclient: bad server: " + e.Rule
	}
	return fmt.Sprintf("rawclient: bad server: %s: % x", e.Rule, e.Raw[:min(len(e.Raw), 64)])
}
