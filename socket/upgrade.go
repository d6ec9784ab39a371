package socket

import (
	"errors"
	"net/http"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/actor/host"
	"github.com/troupe-dev/troupe/socket/internal/conn"
	"github.com/troupe-dev/troupe/socket/internal/handshake"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// Handler upgrades every request, with a handler that newHandler makes for it: the place for authentication.
//
// newHandler runs on the HTTP goroutine, after the request has been checked (RFC 6455 section 4.2.1, Origin, room for one
// more socket, PerAddress, UpgradeRate) and before the handshake. If it returns an *UpgradeError, that chooses status and headers; any other error
// is logged and becomes a 500, whose body does not show it. What is subscribed to, registered or spawned for the socket
// belongs in Init.
//
// The request's context ends when the upgrade returns, before the first HandleIn, so a handler must not keep
// r.Context(). Callbacks get a ctx of their own; Config.Context gives it values of the request. Nor should it keep a string of the
// request as it is: that lies in the memory of the whole request line, or of a header, which may be a megabyte (see
// http.Server.MaxHeaderBytes); strings.Clone has memory of its own.
func (s *Server) Handler(newHandler func(*http.Request) (websock.Handler, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.check(r); err != nil {
			s.refuse(w, r, err)
			return
		}
		u := s.begin()
		defer s.over(u)
		h, err := newHandler(r)
		if err == nil && h == nil {
			err = errors.New("newHandler returned nil and no error")
		}
		if err != nil {
			s.refuse(w, r, s.newHandlerError(r, err))
			return
		}
		s.upgrade(w, r, h, u) // has answered, whatever it returns
	})
}

func (s *Server) newHandlerError(r *http.Request, err error) *UpgradeError {
	var ue *UpgradeError
	if errors.As(err, &ue) && ue != nil && ue.Status >= 300 && ue.Status <= 599 {
		return &UpgradeError{Status: ue.Status, Header: ue.Header, Err: hidden{err}, reason: RefusedHandler}
	}
	s.logFault(r, "newHandler failed", err)
	return &UpgradeError{Status: http.StatusInternalServerError, Err: hidden{err}, reason: RefusedHandler, logged: true}
}

// Upgrade makes r a socket that h serves, and returns its PID, which may be used at once. When the HTTP handler returns,
// net/http frees all that belongs to the request. Upgrade checks the request first, as Handler does.
//
// After an error the client has its answer: a *UpgradeError says which, and the connection is closed. With Status 101
// the transport failed after the handshake, or r had already become a socket. There is no process after an error, and
// no method of h was called.
//
// Headers and cookies that are set in w stay in the 101. Init runs in the process, not on a goroutine of net/http.
func (s *Server) Upgrade(w http.ResponseWriter, r *http.Request, h websock.Handler) (actor.PID, error) {
	if h == nil {
		panic("socket: Server.Upgrade: nil Handler")
	}
	if err := s.check(r); err != nil {
		s.refuse(w, r, err)
		return actor.PID{}, err
	}
	u := s.begin()
	defer s.over(u)
	return s.upgrade(w, r, h, u)
}

// check tells what is wrong with a request.
func (s *Server) check(r *http.Request) *UpgradeError {
	if err := handshake.CheckRequest(r); err != nil {
		return refusal(err, RefusedMalformed)
	}
	if err := s.origins.Check(r); err != nil {
		return refusal(err, RefusedOrigin)
	}
	if err := s.open(); err != nil {
		return s.unavailable(err)
	}
	return s.knock(r)
}

// upgrade hosts a request that has been checked.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, h websock.Handler, u upgrading) (actor.PID, error) {
	sc := s.scope(r)
	c, err := s.admit(h, sc) // before the 101, after which only the transport can fail
	if err != nil {
		e := s.unavailable(err)
		s.refuse(w, r, e)
		return actor.PID{}, e
	}
	if e := s.seat(c, sc, u); e != nil {
		s.refuse(w, r, e)
		return actor.PID{}, e
	}
	wc, err := s.accept(w, r, c)
	if err != nil {
		return actor.PID{}, s.notAccepted(w, r, err)
	}
	c.Open(wc)
	return c.PID(), nil
}

// admit takes a place and makes the process.
func (s *Server) admit(h websock.Handler, sc *conn.Scope) (*conn.Conn, error) {
	if err := s.take(); err != nil {
		return nil, err
	}
	c, err := s.group.Spawn(h, sc)
	if err != nil {
		s.release()
		return nil, ErrClosed
	}
	return c, nil
}

// notAccepted answers a request whose connection could not be taken over, if that can still be done.
func (s *Server) notAccepted(w http.ResponseWriter, r *http.Request, err error) error {
	if ref, ok := errors.AsType[*handshake.Refusal](err); ok {
		e := refusal(ref, RefusedServer)
		if e.Status >= http.StatusInternalServerError { // else newHandler has changed the request
			s.misuse.Do(func() { // once: strangers decide how often it happens
				s.cfg.Logger.Error("upgrades fail: the handler is mounted where a connection cannot be taken over",
					"path", beginning(r.URL.Path), "error", e)
			})
		}
		s.refuse(w, r, e)
		return e
	}
	if errors.Is(err, http.ErrHijacked) { // there is nobody to answer
		s.logFault(r, "upgrade of a request that has been upgraded before", errUpgradedBefore)
		e := &UpgradeError{Status: http.StatusSwitchingProtocols, Err: errUpgradedBefore, reason: RefusedServer}
		s.noteRefused(r, e)
		return e
	}
	s.cfg.Logger.Debug("connection lost at the upgrade", "remote_addr", beginning(r.RemoteAddr), "error", err)
	e := &UpgradeError{Status: http.StatusSwitchingProtocols, Err: err, reason: RefusedLost}
	s.noteRefused(r, e)
	return e
}

// dismiss undoes admit. The process has never run, so nothing has failed: it must not count as abnormal.
func (s *Server) dismiss(c *conn.Conn) {
	host.Kill(c.PID(), exit.ErrRemote)
	s.subjects.leave(c)
	s.release()
}

// accept does the handshake. When it fails, or a ResponseWriter panics, there is no process and no place taken any more.
func (s *Server) accept(w http.ResponseWriter, r *http.Request, c *conn.Conn) (wc *wire.Conn, err error) {
	defer func() {
		if wc == nil {
			s.dismiss(c)
		}
	}()
	a, err := handshake.Accept(w, r, s.cfg.handshakeOptions())
	if err != nil {
		return nil, err
	}
	return s.opener.Open(a.Conn, a.Subprotocol, a.Deflate, a.Early), nil
}
