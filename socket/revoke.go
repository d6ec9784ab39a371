package socket

import (
	"errors"
	"net/http"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
	"github.com/troupe-dev/troupe/socket/internal/conn"
	"github.com/troupe-dev/troupe/websock"
)

// Revocations carries what [Server.Revoke] is told to the Servers of other nodes. A *registry.Registry made by
// registry.NewCluster does.
type Revocations interface {
	// Revoke tells the Servers of this Config.Name on all other nodes. It must not block.
	Revoke(server, subject string, reason error)
	// OnRevoke has f called for each Revoke of another node that is about this Config.Name. f does not block. New calls it.
	OnRevoke(server string, f func(subject string, reason error))
}

// Revoke ends all sockets of a subject, as Config.Subject names it, because the subject may not be here any more: signed out
// everywhere, banned, paid no longer. It returns how many it has told to end, and does not wait for them. For "", which is
// nobody, it does nothing.
//
// First see to it that newHandler refuses the subject, then call Revoke. Then nobody slips through:
//
//   - A socket that is there gets an Exit: that is never refused by a full mailbox, and takes its place after what was sent to
//     the socket before. One that was replaced, by ReplaceOldest, and still has to come to its end is among them.
//   - An upgrade of [Server.Handler] whose newHandler had been called when Revoke began is refused with 403, or becomes a socket
//     that ends right after its Init. This holds however long newHandler takes, and although nobody can know yet whose
//     upgrade it is. (What is returned does not count those. An upgrade during whose newHandler there were more than 1,024
//     calls of Revoke gets 503, for it may be one of them.)
//   - One whose newHandler is called later is for newHandler to refuse.
//
// With [Server.Upgrade] the same holds from its call on: what was decided before it is not known. Authenticate in a
// newHandler when you revoke.
//
// The Close frame is 4403 "revoked". A reason that is or wraps a *websock.CloseError has its code and its text, bound as
// those of PID.Exit are. What Terminate gets is errors.Is [websock.ErrRevoked] and errors.Is reason. With actor.ErrKilled the
// sockets are killed, even in a callback that is stuck: no Close frame, no Terminate.
//
// With Config.Revocations the sockets of the subject on all nodes that are connected are ended. A node that is not
// connected is not told later; its newHandler, and [Expire], are what holds there.
//
// Any goroutine may call it, a callback of a socket that ends by it, too. It panics when Config.Subject is not set: such a Server knows no subjects.
func (s *Server) Revoke(subject string, reason error) int {
	if s.cfg.Subject == nil {
		panic("socket: Server.Revoke without Config.Subject")
	}
	if subject == "" {
		return 0
	}
	reason = revocation(reason)
	n := s.revoke(subject, reason)
	if r := s.cfg.Revocations; r != nil {
		r.Revoke(s.cfg.Name, subject, reason)
	}
	return n
}

// revoked is what the Servers of other nodes are told.
func (s *Server) revoked(subject string, reason error) { s.revoke(subject, revocation(reason)) }

// revoke is Revoke on this node.
func (s *Server) revoke(subject string, reason error) (n int) {
	exit := actor.PID.Exit
	if errors.Is(reason, actor.ErrKilled) {
		exit = host.Kill // does not wait for functions of OnExit
	}
	for _, c := range s.subjects.revoke(subject) {
		if exit(c.PID(), reason) {
			n++
		}
	}
	return n
}

const revokedCode = 4403

// revocation is the exit reason that Revoke makes of what it is given.
func revocation(reason error) error {
	switch {
	case reason == nil:
		return websock.ErrRevoked
	case errors.Is(reason, actor.ErrKilled), errors.Is(reason, websock.ErrRevoked):
		return reason
	}
	e := &websock.CloseError{Code: revokedCode, Reason: "revoked", Err: revokedFor{reason}}
	if carried, ok := errors.AsType[*websock.CloseError](reason); ok && carried != nil && carried.Code != 0 {
		e.Code, e.Reason = carried.Code, carried.Reason
	}
	return e
}

// revokedFor is an ErrRevoked with the reason that the caller of Revoke has given.
type revokedFor struct{ reason error }

func (r revokedFor) Error() string   { return "revoked: " + r.reason.Error() }
func (r revokedFor) Unwrap() []error { return []error{websock.ErrRevoked, r.reason} }

// Why a subject's upgrade is refused.
var (
	errRevoked    = errors.New("socket: revoked")
	errUnknown    = errors.New("socket: try again") // it may have been revoked
	errPerSubject = errors.New("socket: too many sockets of one subject")
)

// begin notes that an upgrade begins; nil: there are no subjects.
func (s *Server) begin() upgrading {
	if s.cfg.Subject == nil {
		return nil
	}
	return s.subjects.begin()
}

// over notes that it has become a socket, or has failed.
func (s *Server) over(u upgrading) {
	if u != nil {
		s.subjects.over(u)
	}
}

// seat gives c, which has a process and no connection yet, its place among those of its subject. When it
// must not have one, nothing is left of c, and the result says what to answer.
func (s *Server) seat(c *conn.Conn, sc *conn.Scope, u upgrading) *UpgradeError {
	if s.cfg.Subject == nil {
		return nil
	}
	replaced, err := s.subjects.sit(c, sc, u)
	if replaced != nil {
		replaced.PID().Exit(websock.ErrReplaced)
	}
	if err == nil {
		return nil
	}
	s.dismiss(c)
	e := &UpgradeError{Status: http.StatusTooManyRequests, Err: err, reason: RefusedSubject}
	switch err { //nolint:errorlint // never wrapped
	case errRevoked:
		return &UpgradeError{Status: http.StatusForbidden, Err: err, reason: RefusedRevoked}
	case errUnknown:
		e.Status, e.reason = http.StatusServiceUnavailable, RefusedRevoked
	}
	e.Header = http.Header{"Retry-After": {s.retryAfter()}}
	return e
}
