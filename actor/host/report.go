package host

import (
	"log/slog"

	"github.com/troupe-dev/troupe/actor/internal/report"
)

// Log is a Logger that never blocks and never panics, whatever the user's Logger does. Its lines wait, in order and
// bounded, for the user's Logger, which gets them on a goroutine that exists only while there are any. Lines for which
// there is no room are dropped and counted; the next line that gets through says how many. Its owner calls Wait at its
// end.
type Log = report.Log

// NewLog makes a Log for the user's Logger; nil: slog.Default().
func NewLog(to *slog.Logger) *Log { return report.NewLog(to) }

// Calls makes the calls of one of the user's callbacks as a [Log] writes lines: in order, one at a time, on a goroutine
// of their own, so that nothing that must go on waits for them. Its owner calls Wait at its end, before that of the
// Log.
type Calls = report.Queue

// NewCalls makes Calls for the callback of this name. A panic, and calls that were dropped, are logged.
func NewCalls(name string, log *Log) *Calls { return report.NewCalls(name, log) }
