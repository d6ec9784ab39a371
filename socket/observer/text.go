package observer

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/troupe-dev/troupe/actor/exit"
)

// How many bytes of a text are shown.
const (
	mostName  = 256  // labels, names, subjects, addresses
	mostError = 1024 // errors and close reasons
)

// text is what is shown of a text that anybody may have written: at most so many bytes of it, as valid UTF-8, without control
// characters but newline and tab, and without those that turn the direction of writing. A text that was cut ends with "…".
func text(s string, most int) string {
	cut := len(s) > most
	if cut {
		s = s[:most]
		s = s[:whole(s)]
	}
	s = strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029') {
			return utf8.RuneError
		}
		return r // Map gives RuneError for each byte that is no UTF-8
	}, s)
	if cut {
		s += "…"
	}
	return s
}

// whole is how many bytes of s are there without a character that is cut in two at the end.
func whole(s string) int {
	for i := len(s) - 1; i >= 0 && i > len(s)-utf8.UTFMax; i-- {
		if utf8.RuneStart(s[i]) {
			if !utf8.FullRuneInString(s[i:]) {
				return i
			}
			break
		}
	}
	return len(s)
}

// errorText is the text of an error that may be anybody's: its methods may panic.
func errorText(err error) (s string) {
	if err == nil {
		return ""
	}
	defer func() {
		if recover() != nil {
			s = fmt.Sprintf("a %T whose Error panics", err)
		}
	}()
	return text(err.Error(), mostError)
}

// kindText is the kind of an exit reason.
func kindText(err error) (s string) {
	defer func() {
		if recover() != nil {
			s = exitKinds[exit.Abnormal]
		}
	}()
	return exitKinds[min(exit.KindOf(err), exit.Abnormal)]
}

var exitKinds = map[exit.Kind]string{exit.Normal: "normal", exit.Shutdown: "shutdown", exit.Abnormal: "abnormal"}

// containsFold tells whether s contains q, which is in lower case, whatever the case of s.
func containsFold(s, q string) bool {
	const most = 4096 // of what is searched: a text without end must not cost time without end
	s = s[:min(len(s), most)]
	if len(q) > len(s) && utf8.RuneCountInString(q) > len(s) {
		return false
	}
	return strings.Contains(strings.ToLower(s), q)
}

// failure is an answer that is an error.
type failure struct {
	status  int
	code    string
	message string
}

func (f *failure) Error() string { return f.message }

func failed(status int, code, format string, args ...any) *failure {
	return &failure{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

func asFailure(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	return failed(503, "unavailable", "%v", err)
}
