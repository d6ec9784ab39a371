package exit_test

import (
	"errors"
	"fmt"

	"github.com/troupe-dev/troupe/actor/exit"
)

func ExampleKindOf() {
	for _, reason := range []error{
		exit.ErrRestart,
		fmt.Errorf("read: %w", exit.ErrRemote),
		errors.New("disk full"),
	} {
		fmt.Println(reason, "is", exit.KindOf(reason))
	}
	// Output:
	// restart is normal
	// read: remote: the peer closed the connection or is gone is shutdown
	// disk full is abnormal
}

// QuotaError ends a process that used up what it may; nobody is to be alarmed.
type QuotaError struct{ User string }

func (e *QuotaError) Error() string       { return "quota of " + e.User + " used up" }
func (e *QuotaError) ExitKind() exit.Kind { return exit.Shutdown }

// A type of an application says its kind itself.
func ExampleKindOf_ownType() {
	reason := fmt.Errorf("upload: %w", &QuotaError{"ann"})
	fmt.Println(reason, "is", exit.KindOf(reason))
	// Output: upload: quota of ann used up is shutdown
}
