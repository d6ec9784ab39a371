package frame

import (
	"fmt"

	"github.com/troupe-dev/troupe/websock"
)

// Violation is a breach of a rule that is answered with code.
func Violation(code websock.CloseCode, format string, args ...any) *websock.ProtocolError {
	return &websock.ProtocolError{Code: code, Rule: fmt.Sprintf(format, args...)}
}
