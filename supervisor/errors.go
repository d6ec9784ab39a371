package supervisor

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/actor/exit"
)

var (
	// ErrNotRunning says that the supervisor is not served, or is stopping.
	ErrNotRunning = errors.New("the supervisor is not running")
	// ErrServing says that Serve was called while another Serve of the same supervisor runs.
	ErrServing = errors.New("the supervisor is served already")
	// ErrNotFound says that there is no child of that ID.
	ErrNotFound = errors.New("no such child")
	// ErrAlreadyPresent says that there is a child of that ID. The error is ErrRunning, too, when that child runs.
	ErrAlreadyPresent error = presentError{}
	// ErrRunning says that the child runs, so that it cannot be restarted or deleted: terminate it first.
	ErrRunning = errors.New("the child is running")
	// ErrTerminated says that a child was terminated before it was ready.
	ErrTerminated = errors.New("the child was terminated while it started")
	// ErrStartTimeout says that a child did not call Ready within its ChildSpec.StartTimeout.
	ErrStartTimeout = errors.New("not ready within ChildSpec.StartTimeout")
	// ErrMaxChildren says that a Dynamic has DynamicConfig.MaxChildren children.
	ErrMaxChildren = errors.New("DynamicConfig.MaxChildren reached")

	// ErrRestarting, as the error of a command, says that the child waits for its start or restart: terminate it first.
	//
	// It is also the cause of the end of a service's ctx when the service is to be started again: because the strategy
	// says so, or because its supervisor is being restarted or has given up and will be restarted. If that changes before
	// the service has begun again, its Shutdown is called, if it has one; see Service. ErrRestarting is actor.ErrShutdown,
	// too, which is the cause when the service is to end for good.
	ErrRestarting = fmt.Errorf("the child is restarting: %w", exit.ErrShutdown)

	errEarly = errors.New("a permanent child ended before it was ready")
)

// presentError is ErrAlreadyPresent; see host.Present.
type presentError struct{}

func (presentError) Error() string  { return "a child of that ID is present" }
func (presentError) TroupePresent() {}

// StartError is the error of a start that failed. It unwraps to what Serve returned, an actor's Init returned, or
// ErrStartTimeout.
type StartError struct {
	Supervisor string // Config.Name
	Child      string // ChildSpec.ID
	Err        error
}

func (e *StartError) Error() string {
	return fmt.Sprintf("supervisor %s: child %q did not start: %v", e.Supervisor, e.Child, e.Err)
}

// Unwrap returns Err.
func (e *StartError) Unwrap() error { return e.Err }

// ExitKind makes it abnormal, whatever the child ended with.
func (e *StartError) ExitKind() exit.Kind { return exit.Abnormal }

// IntensityError is what a supervisor fails with when it gives up: one more restart would have been more than
// Config.MaxRestarts within Config.Within. It unwraps to the exit reason of the child that was to be restarted.
//
// It is abnormal, so that a transient supervisor that gave up is restarted by its own. (OTP's ends with shutdown and
// is not.)
type IntensityError struct {
	Supervisor  string // Config.Name
	Child       string // ChildSpec.ID of the child that was to be restarted
	MaxRestarts int
	Within      time.Duration
	Err         error // its exit reason
}

func (e *IntensityError) Error() string {
	return fmt.Sprintf("supervisor %s gave up: restarting %q would be more than Config.MaxRestarts %d within %v: %v",
		e.Supervisor, e.Child, e.MaxRestarts, e.Within, e.Err)
}

// Unwrap returns Err.
func (e *IntensityError) Unwrap() error { return e.Err }

// ExitKind makes it abnormal, whatever the child ended with.
func (e *IntensityError) ExitKind() exit.Kind { return exit.Abnormal }

// AbandonedError says that children did not return within their shutdown time and were abandoned, still running.
type AbandonedError struct {
	Supervisor string
	Children   []string // IDs, those of the children of a supervisor below as "id/id"
}

func (e *AbandonedError) Error() string {
	return fmt.Sprintf("supervisor %s: did not end within ChildSpec.Shutdown and were abandoned: %s", e.Supervisor,
		strings.Join(e.Children, ", "))
}

// SignalError is the cause of the end of a Run that was ended by a signal, and what Run returns when a second one has
// ended the wait.
type SignalError struct{ Signal os.Signal }

func (e *SignalError) Error() string { return "supervisor: ended by signal: " + e.Signal.String() }

// failed is err with the names of the supervisor and of the child, as far as they are known and err does not have them.
func (r *reporter) failed(child string, err error) error {
	var start *StartError
	var abandoned *AbandonedError
	switch {
	case err == nil || errors.As(err, &start) || errors.As(err, &abandoned):
		return err
	case child == "":
		return fmt.Errorf("supervisor %s: %w", r.name, err)
	}
	return fmt.Errorf("supervisor %s: child %q: %w", r.name, child, err)
}
