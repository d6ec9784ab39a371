package socket

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
	"github.com/troupe-dev/troupe/socket/internal/conn"
	"github.com/troupe-dev/troupe/socket/internal/handshake"
	"github.com/troupe-dev/troupe/socket/internal/wire"
)

// Server hosts WebSockets of one kind: one Config, usually one route. All methods may be called from any goroutine.
//
// It owns its sockets: [Server.Shutdown] ends them. It is not an http.Server and does not listen; mount
// [Server.Handler], or call [Server.Upgrade] in a handler of your own.
type Server struct {
	cfg       Config       // its Logger is log
	logger    *slog.Logger // the user's
	log       *host.Log
	closes    *host.Calls // of Config.OnClose
	events    *host.Calls // of Config.OnEvent
	sys       *actor.System
	ownSystem bool
	shards    []serverShard
	origins   *handshake.Origins
	refusals  [4]lineLimit // lines about refused upgrades: at Debug, at Info, of those for which there is a rate, and at Error
	door      door
	subjects  subjects
	refused   refusedCounts
	trips     roundTrips
	leftOut   atomic.Uint64 // messages
	last      lastClosed
	cutOff    atomic.Uint64 // sockets that drains have killed
	taps      taps
	asked     descriptions
	misuse    sync.Once
	overHTTP2 sync.Once
	drains    chan struct{} // a token: one Drain at a time
	opener    *wire.Opener
	group     *conn.Group
	gone      func(actor.PID) // of a Dialer: its TCP is closed; nil: nobody wants to know

	mu        sync.Mutex
	serving   bool
	shutdowns shutdowns
	phase     phase
	drainBy   time.Time     // until when a Drainer may go on; zero: no Drainer is asked
	drain     *Drain        // the one that runs or has run last; nil: none since Serve or Shutdown
	killing   bool          // a socket that opens now is killed
	drained   *drained      // the last step of the last drain; nil: there was none
	places    int           // taken: sockets, and upgrades on their way
	reports   int           // for how many reports there is room
	emptied   chan struct{} // closed when places comes to 0; nil while nobody waits for that
}

// role is who has called whom.
type role uint8

const (
	serverRole role = iota // clients call: a Server
	clientRole             // it is a Dialer's, and calls a server: one socket at a time, and one more whose TCP is still open
)

// shards is how many locks the table of sockets has.
func (r role) shards() int {
	if r == clientRole {
		return 1
	}
	return 64
}

type serverShard struct {
	mu    sync.Mutex
	conns host.Map[uint64, *conn.Conn] // by the number of the PID, which takes half the memory of the whole one
	ended ended
}

// append appends the connections to cs; sh.mu is held.
func (sh *serverShard) append(cs []*conn.Conn) []*conn.Conn {
	cs = slices.Grow(cs, sh.conns.Len())
	for _, c := range sh.conns.All() {
		cs = append(cs, c)
	}
	return cs
}

// phase is what a Server lets in.
type phase uint8

const (
	phaseOpen     phase = iota
	phaseDraining       // the Delay of a Drain: upgrades get 503
	phaseClosed         // and no socket is to open any more
)

// String is Config.Name, for those who name the services they run.
func (s *Server) String() string { return s.cfg.Name }

// New makes a Server. An error names the field of cfg that cannot be carried out.
func New(cfg Config) (*Server, error) { return newServer(cfg, serverRole) }

func newServer(cfg Config, r role) (*Server, error) {
	named := cfg.Name != ""
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	origins, err := handshake.NewOrigins(cfg.OriginPatterns)
	if err != nil {
		return nil, fmt.Errorf("socket: Config.OriginPatterns: %w", err)
	}
	log := host.NewLog(cfg.Logger)
	s := &Server{
		trips:  roundTrips{h: newHistogram(roundTripBounds)},
		last:   lastClosed{most: max(cmp.Or(cfg.LastClosed, defaultLastClosed), 0)},
		logger: cfg.Logger, log: log, closes: host.NewCalls("Config.OnClose", log),
		events:  host.NewCalls("Config.OnEvent", log),
		origins: origins, sys: cfg.System, drains: make(chan struct{}, 1),
		shards: make([]serverShard, r.shards()), opener: wire.NewOpener(cfg.wireOptions(r)),
	}
	s.refusals[2].every = rateLineEvery
	s.door.init(&cfg)
	s.subjects.most, s.subjects.replace = cfg.MaxPerSubject, cfg.SubjectPolicy == ReplaceOldest
	cfg.Logger = log.Logger
	if named {
		cfg.Logger = log.With("server", cfg.Name)
	}
	s.cfg = cfg
	if n, ok := descriptorLimit(); ok && cfg.MaxSockets > 0 && uint64(cfg.MaxSockets) >= n {
		log.Warn("Config.MaxSockets is not below the limit of descriptors: at that limit nothing is accepted any more, probes included",
			"max_sockets", cfg.MaxSockets, "descriptors", n)
	}
	if s.sys == nil {
		if s.sys, err = actor.NewSystem(actor.Config{Logger: s.logger}); err != nil {
			return nil, fmt.Errorf("socket: %w", err)
		}
		s.ownSystem = true
	}
	s.group = conn.NewGroup(s.connOptions())
	if cfg.Revocations != nil {
		cfg.Revocations.OnRevoke(cfg.Name, s.revoked)
	}
	return s, nil
}

// System is the actor system that runs the sockets. It is always the same one. When it is the Server's own, Shutdown and the
// end of Serve end all its processes, and Spawn returns ErrShutdown until the next Serve opens it again. So what was built
// on it, a Registry for example, can still be used then; PIDs from before stay dead, and are never used again.
func (s *Server) System() *actor.System { return s.sys }

// endOwnSystem shuts the System down if it is the Server's own.
func (s *Server) endOwnSystem(ctx context.Context) error {
	if !s.ownSystem {
		return nil
	}
	return s.sys.Shutdown(ctx)
}

func (s *Server) setPhase(p phase, d *Drain) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != phaseClosed || p != phaseDraining { // what is closed stays closed
		s.phase = p
	}
	s.drain, s.killing = d, false
}

// room tells why there is no place for one more socket, or nil; s.mu is held.
func (s *Server) room() error {
	switch {
	case s.phase == phaseDraining:
		return ErrDraining
	case s.phase == phaseClosed:
		return ErrClosed
	case s.cfg.MaxSockets > 0 && s.places >= s.cfg.MaxSockets:
		return ErrFull
	}
	return nil
}

// open returns why there is no room; it does not take a place.
func (s *Server) open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.room()
}

// take takes a place, under the lock with which Shutdown and Drain close the Server: they end whoever has a place by then,
// and nobody gets one later.
func (s *Server) take() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.room(); err != nil {
		return err
	}
	s.places++
	if s.places > s.reports { // all of them may end at once
		s.reports = 2 * s.places
		s.log.Room(s.reports)
		s.closes.Room(s.reports)
		s.events.Room(s.reports)
	}
	return nil
}

// release gives a place back.
func (s *Server) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.places--
	if s.places == 0 && s.emptied != nil {
		close(s.emptied)
		s.emptied = nil
	}
}

// waitEmpty waits until no place is taken. The error is why ctx is done.
func (s *Server) waitEmpty(ctx context.Context) error {
	s.mu.Lock()
	if s.places == 0 {
		s.mu.Unlock()
		return nil
	}
	if s.emptied == nil {
		s.emptied = make(chan struct{})
	}
	emptied := s.emptied
	s.mu.Unlock()
	select {
	case <-emptied:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// shard is where a connection stands, and under which key.
func (s *Server) shard(p actor.PID) (sh *serverShard, num uint64) {
	_, _, num = host.Parts(p)
	return &s.shards[host.Spread(num, len(s.shards))], num
}

// get returns the connection of p; nil: there is none. A PID of another node, or of another boot of this one, may have the
// number of a connection.
func (s *Server) get(p actor.PID) *conn.Conn {
	sh, num := s.shard(p)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if c := sh.conns.Get(num); c != nil && c.PID() == p {
		return c
	}
	return nil
}

func (s *Server) add(c *conn.Conn) {
	sh, num := s.shard(c.PID())
	sh.mu.Lock()
	sh.conns.Put(num, c)
	sh.ended.opened++
	sh.mu.Unlock()
	s.tellOpened(c)
	s.mu.Lock()
	closed, d, killing := s.phase == phaseClosed, s.drain, s.killing
	delaying, by := s.phase == phaseDraining, s.drainBy
	s.mu.Unlock()
	if delaying && !by.IsZero() && c.Drains() {
		c.AskDrain(by)
	}
	if !closed {
		return
	}
	reason := actor.ErrShutdown // Shutdown, or a Drain, may have swept this shard before
	switch {
	case killing:
		s.killForDrain(c)
		return
	case d != nil:
		reason = d.exitReason()
	}
	c.PID().Exit(reason)
}

// remove takes a connection out that has ended, and counts it among those. counts are its last ones.
func (s *Server) remove(c *conn.Conn, cl *Closed, counts wire.Counts) {
	sh, num := s.shard(c.PID())
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.conns.Delete(num)
	sh.ended.note(s, cl, counts)
}

// all yields the connections shard by shard, each shard as it was at one moment, without a lock held.
func (s *Server) all() iter.Seq[*conn.Conn] {
	return func(yield func(*conn.Conn) bool) {
		var cs []*conn.Conn
		for i := range s.shards {
			sh := &s.shards[i]
			sh.mu.Lock()
			cs = sh.append(cs[:0])
			sh.mu.Unlock()
			for _, c := range cs {
				if !yield(c) {
					return
				}
			}
		}
	}
}

// byAge returns the connections, the oldest first. They lie in memory in about that order, so to go through many of them
// takes half the time.
func (s *Server) byAge() []*conn.Conn {
	return slices.SortedFunc(s.all(), func(a, b *conn.Conn) int { return cmp.Compare(a.Since(), b.Since()) })
}

// Sockets yields all sockets whose TCP connection is open, in no order. The loop body may do what it likes.
func (s *Server) Sockets() iter.Seq2[actor.PID, ConnInfo] {
	return func(yield func(actor.PID, ConnInfo) bool) {
		for c := range s.all() {
			if !yield(c.PID(), s.infoOf(c.Info())) {
				return
			}
		}
	}
}

// Count is the number of sockets, those included whose process has ended while their TCP connection is still open.
func (s *Server) Count() int {
	n := 0
	for i := range s.shards {
		s.shards[i].mu.Lock()
		n += s.shards[i].conns.Len()
		s.shards[i].mu.Unlock()
	}
	return n
}

// find returns the connection of p, or an error that says that there is none.
func (s *Server) find(p actor.PID) (*conn.Conn, error) {
	if c := s.get(p); c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("socket: %w: %v is no socket of this server", actor.ErrNoProcess, p)
}

// Info describes one socket. The error is actor.ErrNoProcess when p is no socket of this Server.
func (s *Server) Info(p actor.PID) (ConnInfo, error) {
	c, err := s.find(p)
	if err != nil {
		return ConnInfo{}, err
	}
	return s.infoOf(c.Info()), nil
}

// Shutdown ends all sockets with ErrShutdown (1001 to their peers), the oldest first, and waits until their TCP
// connections are closed. Upgrades get 503 from the call on. Each socket has Config.ShutdownTimeout; when ctx is done,
// those that are left are killed, and the error says how many. A System of the Server's own is shut down, too. A later
// call waits likewise. Shutdown returns after OnClose and the Logger have got what there was for them, but does not
// wait for one that is stuck. With the ctx of a socket's callback it would wait for itself: it returns an error at
// once, and nothing is shut down.
func (s *Server) Shutdown(ctx context.Context) error {
	if err := s.waitsForItself(ctx, "shutdown"); err != nil {
		return err
	}
	defer s.reported(ctx)
	s.beginShutdown()
	defer s.endShutdown()
	s.setPhase(phaseClosed, nil)
	for _, c := range s.byAge() {
		c.PID().Exit(actor.ErrShutdown)
	}
	err := s.waitEmpty(ctx)
	if err != nil {
		err = fmt.Errorf("socket: shutdown: %d sockets killed: %w", s.killAll(), err)
	}
	if sysErr := s.endOwnSystem(ctx); err == nil {
		err = sysErr
	}
	return err
}

// reported waits until OnClose and the Logger have taken what was reported, as long as they make progress.
func (s *Server) reported(ctx context.Context) {
	s.taps.wait(ctx)
	s.closes.Wait(ctx)
	s.events.Wait(ctx)
	s.log.Wait(ctx)
}

// waitsForItself returns an error when ctx is that of a process that s would wait for: a socket of s, a child of one,
// or any process of a System of its own.
func (s *Server) waitsForItself(ctx context.Context, what string) error {
	self := actor.Self(ctx)
	if self == (actor.PID{}) {
		return nil
	}
	waits := false
	if s.ownSystem {
		own, err := s.sys.ParsePID(self.String())
		waits = err == nil && own == self && self.Alive()
	}
	for pid := self; !waits && pid != (actor.PID{}); {
		waits = s.has(pid)
		info, _ := actor.Inspect(pid) // a dead one has no Parent
		pid = info.Parent
	}
	if !waits {
		return nil
	}
	return fmt.Errorf("socket: %s by %v, for whose end it would wait", what, self)
}

// has tells whether p is a socket of s.
func (s *Server) has(p actor.PID) bool { return s.get(p) != nil }

// killAll ends all sockets at once and returns how many there were.
func (s *Server) killAll() int {
	killed := 0
	for c := range s.all() {
		c.Kill()
		killed++
	}
	return killed
}
