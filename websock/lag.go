package websock

import "time"

// Lag is how far a socket is behind with what it has to do and to send, at one moment. Zero: it is not behind.
type Lag struct {
	// Messages is how many messages wait for the process: those that were sent to it, and what its client has sent.
	Messages int
	// Bytes is how much waits for the client: the payloads of messages to be forwarded to it that wait, and what was pushed
	// and is not written yet. What the kernel has taken does not count.
	Bytes int64
	// Age is how long the oldest of Messages has waited. It is never less than that, and more by at most as long as the
	// callback ran that was running when it came, or the time in which 31 more came after it.
	Age time.Duration
}
