package socket

import (
	"errors"
	"fmt"
)

// Overflow says what becomes of messages without a websock.Delivery when more waits for a socket than its Config allows; see
// Config.MailboxLimit, MailboxBytes and MaxLag. Those that are left out were taken by Send and Broadcast; they are counted in
// websock.Lag and [Stats], and a websock.LagHandler is told when the client has caught up.
//
// Only messages for the client are left out: a websock.Message that was sent or broadcast. Messages for HandleInfo never are, nor is
// what actor.SendWait sends, nor one with a Delivery, unless that allows it. When one of those comes and there is no room, others
// are left out for it; and when there are none, the socket ends with ErrOverload all the same, or SendWait waits. SendWait waits,
// too, while half of MailboxLimit or MailboxBytes is taken by what it has sent.
type Overflow uint8

const (
	// OverflowClose ends the socket with ErrOverload and 1013: its client comes back, and knows that it has missed something. It is
	// for messages of which each counts.
	OverflowClose Overflow = iota
	// LeaveOutOldest leaves out the oldest of those that wait: the client gets the newest, after a gap. With MaxLag it gets none
	// of those that have waited longer.
	LeaveOutOldest
	// LeaveOutNewest leaves out the one that comes, with MaxLag while the oldest has waited longer: the client gets what waits, and
	// then what comes when there is room again. When a message comes that is never left out, the newest of those that wait is left
	// out for it.
	LeaveOutNewest
)

// checkOverflow checks what is about it.
func (cfg *Config) checkOverflow() error {
	if cfg.MaxLag < 0 {
		return fmt.Errorf("socket: Config.MaxLag %v: negative; 0 means no limit", cfg.MaxLag)
	}
	if cfg.Overflow > LeaveOutNewest {
		return errors.New("socket: Config.Overflow: want OverflowClose, LeaveOutOldest or LeaveOutNewest")
	}
	return nil
}
