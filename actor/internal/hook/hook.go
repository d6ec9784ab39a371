// Package hook lets packages host and proto call methods of package actor that nobody else can call.
package hook

import "time"

// Key opens the methods of package actor that are for packages host and proto. Nobody else can make one.
type Key struct{ _ [0]byte }

// Options are host.Options.
type Options struct {
	FlushesItself bool
	AbandonAfter  time.Duration
	ClassOf       func(msg any) (c *Class, size int)
	LeftOut       func()
	MailboxBytes  int64
	MaxLag        time.Duration
	Overflow      Overflow
}

// Overflow is host.Overflow.
type Overflow uint8

// See host.Overflow.
const (
	Exit Overflow = iota
	LeaveOutOldest
	LeaveOutNewest
)

// Delivery is host.Delivery.
type Delivery uint8

// See host.Delivery.
const (
	Ended Delivery = iota
	Going
	Queued
	Relieved
)

// ActorKey is the context key under which a process keeps its actor.
type ActorKey struct{}

// SystemKey is the context key under which a process keeps its System.
type SystemKey struct{}

// SenderKey is the context key under which a Call that came from protoactor keeps who has asked.
type SenderKey struct{}

// Unhandled is the error Err of a Call that has reached no callback; see host.Unhandled.
type Unhandled struct{ Err error }

func (e Unhandled) Error() string { return e.Err.Error() }
func (e Unhandled) Unwrap() error { return e.Err }

// Carried is host.Carried.
type Carried struct {
	Msg  any
	With string
}

// Room is host.Room.
type Room struct{ Msg any }

// Class is host.Class.
type Class struct {
	Key      string
	Volatile bool
	Expires  time.Duration
}

// CatchUp is host.CatchUp.
type CatchUp struct{}
