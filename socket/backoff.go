package socket

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/websock"
)

// Backoff says how long a [Dialer] waits before it connects again, and when it does not. The zero value is a good one.
//
// Each wait is drawn at random between nothing and a limit ("full jitter"), so that those who have lost their server in the
// same moment do not come back in the same moment. The limit is Min at first, doubles with each failure, and is never more
// than Max.
type Backoff struct {
	// Min is the limit of the wait after the first failure: a connection that was lost, or an attempt. 0: 1 s.
	Min time.Duration
	// Max is the limit of every wait. 0: 30 s, or Min if that is more.
	Max time.Duration
	// Steady is how long a connection must have lasted to be a good one: the next wait has the limit Min again. 0: 5 s.
	Steady time.Duration
	// MaxRetryAfter is how much of a server's hint is honoured. A hint is a Retry-After, in seconds or as a date, in an
	// answer that refuses the upgrade, or a close reason that ends with "retry-after=N", as Drain.ComeBack makes it: N
	// seconds. The Dialer then waits that long first, and the random time on top. 0: 10 min; negative: hints are ignored.
	MaxRetryAfter time.Duration
	// Retry tells whether to connect again after err: a *UpgradeError for an attempt that has failed, else the exit
	// reason of the connection, as Terminate got it. Serve returns after a false. It runs on the goroutine of Serve and
	// must not block. nil: [ComesBack].
	Retry func(err error) bool
}

const (
	defaultBackoffMin    = time.Second
	defaultBackoffMax    = 30 * time.Second
	defaultSteady        = 5 * time.Second
	defaultMaxRetryAfter = 10 * time.Minute
)

// ComesBack is the Retry of a [Backoff] that has none. It says no when somebody has decided that the connection is over:
//
//   - the server, with a Close frame of 1000, 1008 or 4000 to 4999;
//   - the handler, with an exit reason that is normal, such as that of websock.Close. websock.ErrRestart is a yes: the
//     handler asks for another connection;
//   - whoever has ended the process with ErrShutdown;
//   - nobody, when the exit reason is abnormal: a panic, an error of the handler, a kill. That is for a supervisor to
//     judge: it counts restarts.
//
// It says yes after everything else: a connection that was lost or timed out, a server that goes (1001), restarts (1012), is
// overloaded (1013) or fails (1011), a server that breaks the protocol, and every attempt that has failed. Refused upgrades
// are among these, whatever their status: Dialer.Header is asked for a fresh token before the next attempt, and in the middle
// of a deploy a proxy says 404 for a while.
func ComesBack(err error) (again bool) {
	defer func() {
		if recover() != nil { // an exit reason may be anybody's error, whose methods may do anything
			again = false
		}
	}()
	if _, ok := errors.AsType[*UpgradeError](err); ok {
		return true
	}
	if closed, ok := errors.AsType[*websock.RemoteCloseError](err); ok {
		return closed.Code != websock.CloseNormal && closed.Code != websock.ClosePolicyViolation &&
			(closed.Code < 4000 || closed.Code > 4999)
	}
	return errors.Is(err, websock.ErrRestart) || exit.KindOf(err) == exit.Shutdown && !errors.Is(err, websock.ErrShutdown)
}

// withDefaults checks b and replaces zeros.
func (b Backoff) withDefaults() (Backoff, error) {
	for _, f := range [...]struct {
		name string
		d    *time.Duration
		def  time.Duration
	}{
		{"Min", &b.Min, defaultBackoffMin},
		{"Max", &b.Max, max(defaultBackoffMax, b.Min)},
		{"Steady", &b.Steady, defaultSteady},
	} {
		if *f.d < 0 {
			return b, fmt.Errorf("socket: Dialer.Backoff.%s %v: negative", f.name, *f.d)
		}
		if *f.d == 0 {
			*f.d = f.def
		}
	}
	if b.Max < b.Min {
		return b, fmt.Errorf("socket: Dialer.Backoff.Max %v is less than Min %v", b.Max, b.Min)
	}
	if b.MaxRetryAfter == 0 {
		b.MaxRetryAfter = defaultMaxRetryAfter
	}
	if b.Retry == nil {
		b.Retry = ComesBack
	}
	return b, nil
}

// wait is how long to wait after so many failures in a row, at least one, of which err is the last.
func (b Backoff) wait(failures int, err error) time.Duration {
	hint := time.Duration(0)
	if b.MaxRetryAfter > 0 {
		hint = min(retryAfter(err, time.Now()), b.MaxRetryAfter)
	}
	return sum(hint, time.Duration(rand.Int64N(int64(b.limit(failures)))))
}

// limit is Min, doubled for each failure but the first, at most Max.
func (b Backoff) limit(failures int) time.Duration {
	limit := b.Min
	for ; failures > 1 && limit < b.Max; failures-- {
		limit = min(sum(limit, limit), b.Max)
	}
	return limit
}

// retryAfter is how long the server has asked to stay away; 0: it has not.
func retryAfter(err error, now time.Time) time.Duration {
	if closed, ok := errors.AsType[*websock.RemoteCloseError](err); ok {
		word := closed.Reason[strings.LastIndexByte(closed.Reason, ' ')+1:]
		if hint, ok := strings.CutPrefix(word, "retry-after="); ok {
			return seconds(hint)
		}
		return 0
	}
	refused, ok := errors.AsType[*UpgradeError](err)
	if !ok {
		return 0
	}
	hint := refused.Header.Get("Retry-After")
	at, err := http.ParseTime(hint)
	if err != nil {
		return seconds(hint)
	}
	if date, err := http.ParseTime(refused.Header.Get("Date")); err == nil {
		now = date // by the server's own clock, which may be wrong
	}
	return max(at.Sub(now), 0)
}

// seconds is a number of seconds; 0 for what is none.
func seconds(digits string) time.Duration {
	const most = math.MaxInt64 / uint64(time.Second)
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0
	}
	return time.Duration(min(n, most)) * time.Second // n is the largest there is when it was out of range
}
