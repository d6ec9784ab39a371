package exit

import (
	"errors"
	"strconv"
)

// Kind says how an exit reason is to be taken. The zero Kind is [Normal], as
// the nil error is: nothing went wrong that anybody told of.
type Kind uint8

// The kinds of exit reasons.
const (
	// Normal: the process was done.
	Normal Kind = iota
	// Shutdown: a peer or an operator ended the process. Never an alarm.
	Shutdown
	// Abnormal: something is broken. Panics and kills are abnormal, and so is
	// every error that does not say otherwise.
	Abnormal
)

// String returns "normal", "shutdown" or "abnormal", and "kind(N)" for a value
// that is none of them.
func (k Kind) String() string {
	switch k {
	case Normal:
		return "normal"
	case Shutdown:
		return "shutdown"
	case Abnormal:
		return "abnormal"
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

// KindOf returns the kind of an exit reason. The first rule that fits decides:
//
//  1. nil is Normal.
//  2. An error with the method ExitKind() Kind, found as by [errors.As], has
//     the kind that it returns.
//  3. What is [ErrNormal], [ErrRestart] or [ErrIgnore], as told by [errors.Is], is
//     Normal.
//  4. What is [ErrShutdown], [ErrRemote], [ErrTimeout] or [ErrOverload] is
//     Shutdown.
//  5. All else is Abnormal, [ErrKilled] and the errors of contexts included.
//
// By the second rule [ErrNodeDown] is Shutdown.
//
// Wrapping therefore keeps the kind: fmt.Errorf("room closed: %w", ErrNormal)
// is Normal. An error that wraps several has the kind of the first rule that
// fits any of them.
func KindOf(reason error) Kind {
	if reason == nil {
		return Normal
	}
	type kinded interface {
		error
		ExitKind() Kind
	}
	if k, ok := errors.AsType[kinded](reason); ok {
		return k.ExitKind()
	}
	if errors.Is(reason, ErrNormal) { // ErrRestart and ErrIgnore wrap it
		return Normal
	}
	for _, sentinel := range [...]error{ErrShutdown, ErrRemote, ErrTimeout, ErrOverload} {
		if errors.Is(reason, sentinel) {
			return Shutdown
		}
	}
	return Abnormal
}
