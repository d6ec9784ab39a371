package embedded

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/natsengine"
)

// Config configures a [Server]. The zero Config is a server that no other process reaches: a node alone.
type Config struct {
	// Listen is the host and port at which servers of other nodes connect. On anything but a loopback address TLS, User and
	// Password are required: whoever reaches a server may do everything to every process. Port 0: any free one, see
	// [Server.Addr]. "": it does not listen.
	Listen string
	// Routes are hosts and ports, as their Listen has them, of servers of other nodes. One that lives is enough to find
	// the rest, but only these are tried for ever, so name all that have addresses of their own. The own address may be among
	// them. They need Listen.
	Routes []string
	// TLS is for all connections, both ways: Certificates, RootCAs, and ClientCAs with ClientAuth. A server checks the host
	// of a route as Routes has it. nil: none.
	TLS *tls.Config
	// User and Password are those of this server and of all others, and of clients at ClientListen.
	User, Password string
	// ClientListen is the host and port for other NATS clients, such as the nats command. "": only the own node connects,
	// within the process. What Listen requires it requires, too.
	ClientListen string
	// Logger gets the warnings and errors of the server, at Warn, but for those that end Start. nil: slog.Default().
	Logger *slog.Logger
}

const startTimeout = 10 * time.Second

// Server is a NATS server within the process. All methods may be called from any goroutine.
type Server struct {
	opts   *server.Options // of the next start, with the ports of the first one
	log    *slog.Logger
	engine *natsengine.Engine

	addr, clientAddr string

	mu      sync.Mutex
	serving bool
	server  *server.Server // of the last start
}

// Start starts a server. When it returns, the server listens; its routes may still be on their way. The caller must have
// [Server.Serve] run, which ends it. The error says what of cfg is wrong or missing, or that an address is taken.
func Start(cfg Config) (*Server, error) {
	opts, err := options(cfg)
	if err != nil {
		return nil, err
	}
	s := &Server{opts: opts, log: cfg.Logger}
	if s.log == nil {
		s.log = slog.Default()
	}
	engine, err := natsengine.New(natsengine.Config{Options: []nats.Option{
		nats.InProcessServer((*inProcess)(s)), nats.UserInfo(opts.Username, opts.Password),
	}})
	if err != nil {
		return nil, err
	}
	s.engine = engine
	if err := s.start(); err != nil {
		return nil, err
	}
	s.keepPorts(cfg)
	return s, nil
}

// start starts the server of opts.
func (s *Server) start() error {
	opts := s.opts.Clone() // the server changes it
	if err := free(opts); err != nil {
		return err
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("embedded: %w", err)
	}
	log := &logger{slog: s.log}
	srv.SetLogger(log, false, false)
	srv.Start()
	if !srv.ReadyForConnections(startTimeout) {
		// Somebody has taken the address after free. The server is not shut down: it would wait for its listener for ever,
		// since nats-server ends the process here.
		if fatal := log.fatal(); fatal != "" {
			return errors.New("embedded: " + fatal)
		}
		return fmt.Errorf("embedded: the server is not ready after %v", startTimeout)
	}
	s.mu.Lock()
	s.server = srv
	s.mu.Unlock()
	return nil
}

// keepPorts notes where the server listens. One that is started again listens there, too.
func (s *Server) keepPorts(cfg Config) {
	if a, ok := s.server.Addr().(*net.TCPAddr); ok && cfg.ClientListen != "" {
		s.clientAddr, s.opts.Port = a.String(), a.Port
	}
	if a := s.server.ClusterAddr(); a != nil {
		s.addr, s.opts.Cluster.Port = a.String(), a.Port
	}
}

// free tells whether the server can listen at its addresses.
func free(opts *server.Options) error {
	for _, a := range []struct {
		host string
		port int
	}{{opts.Host, opts.Port}, {opts.Cluster.Host, opts.Cluster.Port}} {
		if a.port <= 0 { // it does not listen, or any port will do
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort(a.host, strconv.Itoa(a.port)))
		if err != nil {
			return fmt.Errorf("embedded: %w", err)
		}
		if err := l.Close(); err != nil {
			return fmt.Errorf("embedded: %w", err)
		}
	}
	return nil
}

// current is the server of the last start.
func (s *Server) current() *server.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.server
}

// inProcess is how the engine connects. nats.go asks at each connect, so it finds a server that was started again.
type inProcess Server

func (s *inProcess) InProcessConn() (net.Conn, error) { return (*Server)(s).current().InProcessConn() }

// Engine is the engine over this server, for cluster.Config.Engine.
func (s *Server) Engine() cluster.Engine { return s.engine }

// Addr is the address of Config.Listen, with the port that was chosen; "" when it does not listen.
func (s *Server) Addr() string { return s.addr }

// ClientAddr is the address of Config.ClientListen, with the port that was chosen; "" when it does not listen.
func (s *Server) ClientAddr() string { return s.clientAddr }

// Serve is a supervisor.Service: it waits until ctx is done, ends the server, and returns nil when all its connections are
// closed and its goroutines have ended. Served again, it starts the server again, at the same addresses. Serve it before the
// node, so that it ends after that. It returns an error at once when it runs already, and when it cannot start the server.
func (s *Server) Serve(ctx context.Context) error {
	if !s.begin(true) {
		return errors.New("embedded: Serve: this Server is served already")
	}
	defer s.begin(false)
	if !s.current().Running() {
		if err := s.start(); err != nil {
			return err
		}
	}
	srv := s.current()
	ended := make(chan struct{})
	go func() { // ends with the server, which ends before Serve returns
		srv.WaitForShutdown()
		close(ended)
	}()
	select {
	case <-ctx.Done():
		srv.Shutdown()
		<-ended
		return nil
	case <-ended:
		return errors.New("embedded: the server has ended by itself")
	}
}

// begin changes serving; false: it was so already.
func (s *Server) begin(serving bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := s.serving != serving
	s.serving = serving
	return changed
}
