package supervisor

import (
	"errors"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
)

// holder is implemented by the error of a registry for a name that is taken: the process exists already.
type holder interface {
	error
	Holder() actor.PID
}

// ignoredError is an error of an Init that a Dynamic treats like ErrIgnore.
type ignoredError struct{ error }

func (e ignoredError) Unwrap() error { return e.error }

func (ignoredError) Is(target error) bool {
	return target == exit.ErrIgnore || target == exit.ErrNormal
}

func (ignoredError) ExitKind() exit.Kind { return exit.Normal }

// ignoreTaken turns an error that says that the process exists already into one that is ErrIgnore.
func ignoreTaken(err error) error {
	if _, ok := errors.AsType[holder](err); ok && !errors.Is(err, exit.ErrIgnore) {
		return ignoredError{err}
	}
	return err
}
