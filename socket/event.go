package socket

import (
	"net"
	"net/http"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket/internal/conn"
)

// Event is something that has happened to a Server or to one of its sockets: an [Opened], [Closed], [Refused], [Overflowed],
// [SlowCallback], [Abandoned] or [Draining]. There may be more kinds in later versions. See Config.OnEvent.
type Event interface{ event() }

func (Opened) event()       {}
func (Closed) event()       {}
func (Refused) event()      {}
func (Overflowed) event()   {}
func (SlowCallback) event() {}
func (Abandoned) event()    {}
func (Draining) event()     {}

// Opened says that a request has become a socket, or that a Dialer is connected. Each Opened is followed by a [Closed],
// unless calls of OnEvent were dropped.
type Opened struct {
	Server      string // Config.Name
	PID         actor.PID
	Subject     string // what Config.Subject has returned
	RemoteAddr  net.Addr
	Subprotocol string
	Compressed  bool          // permessage-deflate was negotiated
	Handshake   time.Duration // from when the request had been checked, and newHandler had returned, until the 101 was written
}

// Refused says that a request has become no socket. Everything in it but Reason and Status is what a stranger has sent, or
// what your newHandler has returned. Strangers may cause any number of them, so only 1,024 wait for OnEvent, and take no room from
// other events; more are dropped. [Stats] counts them all.
type Refused struct {
	Server string // Config.Name
	Refusal
	Err        *UpgradeError
	RemoteAddr string // the first KiB
	Host, Path string // of the request, the first KiB of each; the query is left out, as it may carry tokens
	Origin     string // likewise
}

// Overflowed says that more waited for a socket than Config.MailboxLimit, MailboxBytes or MaxLag allow. It is ending with
// ErrOverload.
type Overflowed struct {
	Server  string // Config.Name
	PID     actor.PID
	Subject string
}

// SlowCallback says that a callback has been running for longer than Config.SlowCallback: once for each.
type SlowCallback struct {
	Server   string // Config.Name
	PID      actor.PID
	Label    string
	Subject  string
	Handling string // as actor.ProcessInfo has it
	For      time.Duration
}

// Abandoned says that a callback of a socket has not returned 0.1 s after the socket was ended without it: killed, or after its
// ShutdownTimeout or AbandonAfter. Its goroutine is left to itself. It may come before or after [Closed], and, when System is
// not the Server's own, after Shutdown has returned.
type Abandoned struct {
	Server   string // Config.Name
	PID      actor.PID
	Label    string
	Subject  string
	Handling string // as actor.ProcessInfo has it
	For      time.Duration
	Stack    string // of the goroutine, or why it was not taken; see actor.Config.Logger
}

// Draining is a step of a drain; see Drain.OnProgress.
type Draining struct {
	Server string // Config.Name
	DrainProgress
}

// tell has OnEvent called with e.
func (s *Server) tell(e Event) {
	if f := s.cfg.OnEvent; f != nil {
		s.events.Do(func() { f(e) })
	}
}

// tellMinor is tell for what strangers cause at any rate: such calls take no room from the others.
func (s *Server) tellMinor(e Event) {
	if f := s.cfg.OnEvent; f != nil {
		s.events.DoMinor(func() { f(e) })
	}
}

func (s *Server) tellOpened(c *conn.Conn) {
	if s.cfg.OnEvent == nil {
		return
	}
	i := c.Brief()
	s.tell(Opened{
		Server: s.cfg.Name, PID: i.PID, Subject: i.Subject, RemoteAddr: i.RemoteAddr, Subprotocol: i.Subprotocol,
		Compressed: i.Compressed, Handshake: time.Since(i.Since),
	})
}

// noteRefused counts a request that becomes no socket, and tells of it.
func (s *Server) noteRefused(r *http.Request, e *UpgradeError) {
	refusal := Refusal{e.reason, e.Status}
	s.refused.add(refusal)
	if s.cfg.OnEvent == nil {
		return
	}
	s.tellMinor(Refused{
		Server: s.cfg.Name, Refusal: refusal, Err: e, RemoteAddr: beginning(r.RemoteAddr),
		Host: beginning(r.Host), Path: beginning(r.URL.Path), Origin: beginning(r.Header.Get("Origin")),
	})
}

func (s *Server) abandoned(c *conn.Conn, handling string, d time.Duration, stack string) {
	if s.cfg.OnEvent != nil {
		label, subject := c.Who()
		s.tell(Abandoned{Server: s.cfg.Name, PID: c.PID(), Label: label, Subject: subject, Handling: handling, For: d, Stack: stack})
	}
}

func (s *Server) overflowed(c *conn.Conn) {
	if s.cfg.OnEvent != nil {
		s.tell(Overflowed{Server: s.cfg.Name, PID: c.PID(), Subject: c.Brief().Subject})
	}
}
