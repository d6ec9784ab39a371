package exit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/troupe-dev/troupe/actor/exit"
)

func TestReasons_texts(t *testing.T) {
	tests := []struct {
		err  error
		want string
	}{
		{exit.ErrNormal, "normal"},
		{exit.ErrShutdown, "shutdown"},
		{exit.ErrKilled, "killed"},
		{exit.ErrOverload, "overload: more messages than the process can handle"},
		{exit.ErrTimeout, "timeout"},
		{exit.ErrRemote, "remote: the peer closed the connection or is gone"},
		{exit.ErrRestart, "restart"},
		{exit.ErrIgnore, "ignore: not needed"},
		{exit.ErrNoProcess, "actor: no such process"},
		{exit.ErrNodeDown, "node down: its processes cannot be reached"},
	}
	for _, tt := range tests {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestReasons_areDistinctButForNormal(t *testing.T) {
	all := []error{
		exit.ErrNormal, exit.ErrShutdown, exit.ErrKilled, exit.ErrOverload,
		exit.ErrTimeout, exit.ErrRemote, exit.ErrRestart, exit.ErrIgnore, exit.ErrNoProcess, exit.ErrNodeDown,
	}
	for i, err := range all {
		for j, target := range all {
			want := i == j || (err == exit.ErrRestart || err == exit.ErrIgnore) && target == exit.ErrNormal ||
				err == exit.ErrNodeDown && target == exit.ErrNoProcess
			if got := errors.Is(err, target); got != want {
				t.Errorf("errors.Is(%v, %v) = %t, want %t", err, target, got, want)
			}
		}
	}
}

// kinded is an application's error that says its kind, whatever it wraps.
type kinded struct {
	kind exit.Kind
	err  error
}

func (k kinded) Error() string       { return fmt.Sprintf("kinded %v", k.err) }
func (k kinded) Unwrap() error       { return k.err }
func (k kinded) ExitKind() exit.Kind { return k.kind }

func TestKindOf(t *testing.T) {
	tests := []struct {
		name   string
		reason error
		want   exit.Kind
	}{
		{"nil", nil, exit.Normal},
		{"ErrNormal", exit.ErrNormal, exit.Normal},
		{"ErrRestart", exit.ErrRestart, exit.Normal},
		{"ErrIgnore", exit.ErrIgnore, exit.Normal},
		{"ErrShutdown", exit.ErrShutdown, exit.Shutdown},
		{"ErrRemote", exit.ErrRemote, exit.Shutdown},
		{"ErrTimeout", exit.ErrTimeout, exit.Shutdown},
		{"ErrOverload", exit.ErrOverload, exit.Shutdown},
		{"ErrNodeDown", exit.ErrNodeDown, exit.Shutdown},
		{"ErrKilled", exit.ErrKilled, exit.Abnormal},
		{"ErrNoProcess", exit.ErrNoProcess, exit.Abnormal},
		{"any error", io.EOF, exit.Abnormal},
		{"same text as a sentinel", errors.New("normal"), exit.Abnormal},
		{"cancelled", context.Canceled, exit.Abnormal},
		{"deadline, which is no ErrTimeout", context.DeadlineExceeded, exit.Abnormal},
		{"a type's kind", kinded{exit.Shutdown, nil}, exit.Shutdown},
		{"a type's kind before a normal sentinel", kinded{exit.Abnormal, exit.ErrNormal}, exit.Abnormal},
		{"a type's kind before no sentinel", kinded{exit.Normal, io.EOF}, exit.Normal},
		{"outer type's kind before an inner one", kinded{exit.Shutdown, kinded{exit.Normal, nil}}, exit.Shutdown},
		{"joined", errors.Join(io.EOF, exit.ErrShutdown), exit.Shutdown},
		{"joined, normal first", errors.Join(exit.ErrShutdown, exit.ErrNormal), exit.Normal},
		{"joined, type first", errors.Join(exit.ErrNormal, kinded{exit.Abnormal, nil}), exit.Abnormal},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := exit.KindOf(tt.reason); got != tt.want {
				t.Errorf("KindOf(%v) = %v, want %v", tt.reason, got, tt.want)
			}
			if tt.reason == nil {
				return
			}
			wrapped := fmt.Errorf("room 7: %w", tt.reason)
			if got := exit.KindOf(wrapped); got != tt.want {
				t.Errorf("KindOf(%v) = %v, want %v", wrapped, got, tt.want)
			}
		})
	}
}

func TestKind_zeroIsNormal(t *testing.T) {
	var zero exit.Kind
	if zero != exit.Normal {
		t.Errorf("zero Kind is %v, want %v", zero, exit.Normal)
	}
}

func TestKind_String(t *testing.T) {
	for kind, want := range map[exit.Kind]string{
		exit.Normal:   "normal",
		exit.Shutdown: "shutdown",
		exit.Abnormal: "abnormal",
		9:             "kind(9)",
	} {
		if got := kind.String(); got != want {
			t.Errorf("Kind(%d).String() = %q, want %q", uint8(kind), got, want)
		}
	}
}
