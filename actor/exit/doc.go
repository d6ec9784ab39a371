// Package exit holds the exit reasons of processes and their kind.
//
// An exit reason is the error a process ended with: a sentinel of this
// package, an error that wraps one, or any other error. A normal end has a
// reason too, [ErrNormal]. [KindOf] sorts reasons into three kinds, by which
// supervisors decide about a restart and logs choose their level.
//
// Applications meet the same values as websock.ErrX and actor.ErrX and rarely
// import this package. They do to give an error type of their own a kind, by
// the method
//
//	ExitKind() exit.Kind
package exit
