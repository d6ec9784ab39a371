package socket

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/socket/internal/handshake"
)

// UpgradeError says that a request has not become a socket, and what the client was told. When the newHandler of
// [Server.Handler] returns one, it decides what the client is told. Of a [Dialer] it is an attempt to connect that has
// failed, and what the server has answered.
type UpgradeError struct {
	// Status is the HTTP status. It is 101 when the transport failed after the answer was on its way, or when the
	// request had already become a socket. At a Dialer, 101 says that the answer was not what it should be, or that
	// the connection could not be used; 0 that there was no answer.
	Status int
	// Header is added to the answer. At a Dialer it is that of the answer.
	Header http.Header
	// Err is the cause. The client sees it only when it is about its own request.
	Err error

	reason RefuseReason
	hint   string // for the log: what an operator can do
	logged bool   // it is in the log already
}

func (e *UpgradeError) Error() string {
	if e.Status == 0 {
		return fmt.Sprintf("socket: upgrade: %v", e.Err)
	}
	if e.Err == nil {
		return fmt.Sprintf("socket: upgrade: %d %s", e.Status, http.StatusText(e.Status))
	}
	return fmt.Sprintf("socket: upgrade: %d %s: %v", e.Status, http.StatusText(e.Status), e.Err)
}

// Unwrap returns Err.
func (e *UpgradeError) Unwrap() error { return e.Err }

// ExitKind is [exit.Shutdown]: a Dialer that has ended with it, because its Backoff.Retry says so, was turned away by a peer.
func (e *UpgradeError) ExitKind() exit.Kind { return exit.Shutdown }

// hidden marks an error whose text is not for the client.
type hidden struct{ error }

func (h hidden) Unwrap() error { return h.error }

func refusal(r *handshake.Refusal, why RefuseReason) *UpgradeError {
	e := &UpgradeError{Status: r.Status, Header: r.Header, Err: r.Err, reason: why, hint: r.Hint}
	if r.Status == http.StatusInternalServerError || r.Status == http.StatusNotImplemented { // it is about us, not the request
		e.Err = hidden{r.Err}
	}
	return e
}

func (s *Server) unavailable(err error) *UpgradeError {
	return &UpgradeError{
		Status: http.StatusServiceUnavailable,
		Header: http.Header{"Retry-After": {s.retryAfter()}},
		Err:    err,
		reason: unavailableFor(err),
	}
}

func unavailableFor(err error) RefuseReason {
	switch err { //nolint:errorlint // never wrapped
	case ErrFull:
		return RefusedFull
	case ErrDraining:
		return RefusedDraining
	}
	return RefusedClosed
}

// refuse logs and answers a request that becomes no socket.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, e *UpgradeError) {
	s.noteRefused(r, e)
	s.logRefusal(r, e)
	h := w.Header()
	for k, v := range e.Header {
		h[http.CanonicalHeaderKey(k)] = v
	}
	endConnection(w, r)
	text := http.StatusText(e.Status)
	if _, secret := e.Err.(hidden); !secret && e.Err != nil {
		text = e.Err.Error()
	}
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "text/plain; charset=utf-8")
	}
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(e.Status)
	fmt.Fprintln(w, text)
}

// refusedBody is how long the body of a refused request is read and thrown away, so that no RST destroys the answer.
const refusedBody = time.Second

// endConnection has net/http close the connection after the answer, whatever the http.Server is set to: a client that
// wanted a WebSocket has no use for it. Over HTTP/2 it belongs to the whole page.
func endConnection(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 1 {
		return
	}
	h := w.Header()
	h["Connection"] = slices.Concat([]string{"close"}, h["Connection"]) // net/http looks at the first line alone
	if r.ContentLength != 0 {
		// Not an error where it cannot be set: then the limits of that http.Server hold.
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(refusedBody)) //nolint:errcheck,gosec // see above
	}
}

// logRefusal writes the line about a refused upgrade: at Info when it says what an operator can do, else at Debug. It names
// only the path of the request's URL: queries may carry tokens.
func (s *Server) logRefusal(r *http.Request, e *UpgradeError) {
	if handshake.AsksOverHTTP2(r) {
		s.overHTTP2.Do(func() {
			s.cfg.Logger.Warn("browsers open WebSockets over HTTP/2, and fail: GODEBUG has http2xconnect=1", "hint", e.hint)
		})
	}
	level, limit := slog.LevelDebug, &s.refusals[0]
	switch {
	case e.reason == RefusedRate || e.reason == RefusedAddress:
		level, limit = slog.LevelInfo, &s.refusals[2]
	case e.hint != "":
		level, limit = slog.LevelInfo, &s.refusals[1]
	}
	if e.logged || !s.cfg.Logger.Enabled(context.Background(), level) {
		return
	}
	omitted, ok := limit.allow(time.Now())
	if !ok {
		return
	}
	attrs := []slog.Attr{
		slog.Int("status", e.Status),
		slog.String("error", beginning(errorText(e))),
		slog.String("path", beginning(r.URL.Path)),
		slog.String("host", beginning(r.Host)),
		slog.String("remote_addr", beginning(r.RemoteAddr)), // middleware may have taken it from a header
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		attrs = append(attrs, slog.String("origin", beginning(origin)))
	}
	if e.hint != "" {
		attrs = append(attrs, slog.String("hint", e.hint))
	}
	if omitted > 0 {
		attrs = append(attrs, slog.Int("omitted", omitted))
	}
	s.cfg.Logger.LogAttrs(context.Background(), level, "upgrade refused", attrs...)
}

// logFault writes a line about a fault of the application's, at Error. How often it happens is decided by strangers, too: each
// request may fail while a database is down.
func (s *Server) logFault(r *http.Request, fault string, err error) {
	omitted, ok := s.refusals[3].allow(time.Now())
	if !ok {
		return
	}
	attrs := []any{"remote_addr", beginning(r.RemoteAddr), "path", beginning(r.URL.Path), "error", err}
	if omitted > 0 {
		attrs = append(attrs, "omitted", omitted)
	}
	s.cfg.Logger.Error(fault, attrs...)
}

// errorText is the text of e.Err, which may be any error, with methods that may panic or block.
func errorText(e *UpgradeError) (text string) {
	defer func() {
		if p := recover(); p != nil {
			text = fmt.Sprintf("a %T whose Error panics", e.Err)
		}
	}()
	if e.Err == nil {
		return http.StatusText(e.Status)
	}
	return e.Err.Error()
}

// beginning shortens text that a stranger has written. It is a copy: what net/http gives out lies in the memory of the request
// line, which may be a megabyte and would be kept with it.
func beginning(s string) string {
	const most = 1024
	if len(s) > most {
		return s[:most] + "..."
	}
	return strings.Clone(s)
}

// lineLimit bounds how many lines strangers can cause: lineBurst in each second, or one in each time of every. The next line
// then says how many were omitted.
type lineLimit struct {
	every   time.Duration // 0: lineBurst in a second
	mu      sync.Mutex
	since   time.Time // of the second that is counted
	lines   int       // in it
	omitted int       // since the last line
}

const (
	lineBurst     = 10
	rateLineEvery = 10 * time.Second // of the lines about a rate: a storm is one thing to be told of
)

// allow tells whether a line may be written now, and how many were omitted since the last one.
func (l *lineLimit) allow(now time.Time) (omitted int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	most, every := lineBurst, time.Second
	if l.every > 0 {
		most, every = 1, l.every
	}
	if now.Sub(l.since) >= every {
		l.since, l.lines = now, 0
	}
	if l.lines == most {
		l.omitted++
		return 0, false
	}
	l.lines++
	omitted, l.omitted = l.omitted, 0
	return omitted, true
}

var errUpgradedBefore = errors.New("the request has become a socket before")
