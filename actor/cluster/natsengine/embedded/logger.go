package embedded

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// logger is a server.Logger that writes warnings and errors to slog. Both are warnings there: most are about a peer that is
// not there, and nothing has ended. A fatal error does not end the process: Start returns it.
type logger struct {
	slog *slog.Logger

	mu   sync.Mutex
	last string // fatal
}

func (l *logger) Noticef(string, ...any) {}
func (l *logger) Debugf(string, ...any)  {}
func (l *logger) Tracef(string, ...any)  {}

func (l *logger) Warnf(format string, v ...any)  { l.warn(format, v) }
func (l *logger) Errorf(format string, v ...any) { l.warn(format, v) }

func (l *logger) warn(format string, v []any) {
	if strings.HasPrefix(format, "Plaintext passwords") { // meant for files: here they are in the memory of the process
		return
	}
	l.slog.Warn("embedded NATS server", "text", fmt.Sprintf(format, v...))
}

func (l *logger) Fatalf(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = fmt.Sprintf(format, v...)
}

func (l *logger) fatal() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}
