package sockettest

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/pipe"
)

// Server is a server in memory that the test plays, byte by byte: for testing what a client makes of a server that refuses,
// hangs, breaks the protocol or goes away.
//
// Its methods must be called on the test's own goroutine.
type Server struct {
	URL  string       // where it is
	HTTP *http.Client // how to get there: it knows no other server

	t       testing.TB
	limit   time.Duration // how long Accept waits
	arrived chan struct{} // has a token when an attempt came since it was last looked at
	readers sync.WaitGroup

	mu       sync.Mutex
	down     bool
	ended    bool
	attempts []*Attempt   // that Accept has not returned yet
	dialled  []*pipe.Conn // the server's ends of all connections
	conns    []*Conn
}

// NewServer makes a Server. What a client of WebSockets needs of it are its URL and its HTTP: a [socket.Dialer], or any
// other that takes an http.Client.
//
//	srv := sockettest.NewServer(t)
//	sockettest.Run(t, &socket.Dialer{URL: srv.URL, HTTP: srv.HTTP, Handler: func() websock.Handler { return &bot{} }})
//	conn := srv.Accept().Upgrade(nil)
//	conn.Want(websock.Text("hello"))
//
// A t.Cleanup cuts all connections. So make the Server before what is to end in order, as Run does.
func NewServer(t testing.TB) *Server {
	t.Helper()
	s := &Server{URL: "ws://server.test/ws", t: t, limit: limit(), arrived: make(chan struct{}, 1)}
	transport := &http.Transport{DialContext: s.dial}
	s.HTTP = &http.Client{Transport: transport}
	t.Cleanup(func() {
		t.Helper()
		s.end()
		transport.CloseIdleConnections()
	})
	return s
}

// dial is how HTTP connects.
func (s *Server) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down || s.ended {
		return nil, &net.OpError{Op: "dial", Net: "pipe", Err: syscall.ECONNREFUSED}
	}
	near, far := pipe.New(0)
	s.dialled = append(s.dialled, far)
	s.readers.Go(func() { s.receive(far) })
	return near, nil
}

// receive reads the request of one attempt.
func (s *Server) receive(conn *pipe.Conn) {
	t := newTap(conn)
	a := &Attempt{server: s, conn: t, br: bufio.NewReader(t)}
	r, err := http.ReadRequest(a.br)
	_, lost := errors.AsType[*net.OpError](err)
	switch {
	case err == nil:
		a.Request, a.problem = r, requestProblem(r)
	case lost || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		conn.Reset() // it was given up, or the test has ended
		return
	default:
		a.problem = err.Error()
	}
	s.mu.Lock()
	a.at = time.Now()
	s.attempts = append(s.attempts, a)
	s.mu.Unlock()
	select {
	case s.arrived <- struct{}{}:
	default:
	}
}

// requestProblem is what a handshake lacks (RFC 6455 section 4.1); "": nothing.
func requestProblem(r *http.Request) string {
	has := func(field, token string) bool {
		for v := range strings.SplitSeq(strings.Join(r.Header.Values(field), ","), ",") {
			if strings.EqualFold(strings.TrimSpace(v), token) {
				return true
			}
		}
		return false
	}
	key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key"))
	switch {
	case r.Method != http.MethodGet || !r.ProtoAtLeast(1, 1):
		return fmt.Sprintf("%s in %s, want GET in HTTP/1.1", r.Method, r.Proto)
	case r.Host == "":
		return "no Host"
	case !has("Upgrade", "websocket"):
		return fmt.Sprintf("Upgrade is %q, want websocket", r.Header.Values("Upgrade"))
	case !has("Connection", "upgrade"):
		return fmt.Sprintf("Connection is %q, want Upgrade", r.Header.Values("Connection"))
	case strings.Join(r.Header.Values("Sec-WebSocket-Version"), ",") != "13":
		return fmt.Sprintf("Sec-WebSocket-Version is %q, want 13", r.Header.Values("Sec-WebSocket-Version"))
	case err != nil || len(key) != 16 || len(r.Header.Values("Sec-WebSocket-Key")) != 1:
		return fmt.Sprintf("Sec-WebSocket-Key is %q, want 16 bytes in base64", r.Header.Values("Sec-WebSocket-Key"))
	}
	return ""
}

// Accept waits for the next attempt to connect, in the order in which their requests came. The request must be a WebSocket
// handshake (RFC 6455 section 4.1). One that the client has given up meanwhile is returned as well.
func (s *Server) Accept() *Attempt {
	s.t.Helper()
	timer := time.NewTimer(s.limit)
	defer timer.Stop()
	for {
		if a := s.take(); a != nil {
			if a.problem != "" {
				s.t.Fatalf("sockettest: Accept: got a request that is no WebSocket handshake: %s", a.problem)
			}
			return a
		}
		select {
		case <-s.arrived:
		case <-timer.C:
			s.t.Fatalf("sockettest: Accept: got no request within %v, want one", s.limit)
		}
	}
}

func (s *Server) take() *Attempt {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.attempts) == 0 {
		return nil
	}
	a := s.attempts[0]
	s.attempts = s.attempts[1:]
	return a
}

// WantNothing waits for d and fails the test when a request arrives, or has arrived and was not accepted. One that comes
// exactly d later does not count. What [Server.Down] refuses sends none.
func (s *Server) WantNothing(d time.Duration) {
	s.t.Helper()
	until := time.Now().Add(d)
	timer := time.NewTimer(d)
	defer timer.Stop()
	came := s.waiting(func(*Attempt) bool { return true })
	for over := false; came == 0; came = s.waiting(func(a *Attempt) bool { return a.at.Before(until) }) {
		if over {
			return
		}
		select {
		case <-s.arrived:
		case <-timer.C:
			over = true
		}
	}
	s.t.Fatalf("sockettest: WantNothing: got %d requests, want none for %v", came, d)
}

// waiting is how many attempts wait for Accept, of those that count.
func (s *Server) waiting(counts func(*Attempt) bool) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.attempts {
		if counts(a) {
			n++
		}
	}
	return n
}

// Down says whether the server is away: attempts to connect fail at once then, as where nobody listens. Connections stay as
// they are.
func (s *Server) Down(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = yes
}

// end is the end of the test.
func (s *Server) end() {
	s.t.Helper()
	s.mu.Lock()
	s.ended = true
	dialled, conns := s.dialled, s.conns
	s.mu.Unlock()
	for _, c := range conns {
		c.end()
	}
	for _, c := range dialled {
		c.Reset()
	}
	s.readers.Wait() // they read from what was just reset
}
