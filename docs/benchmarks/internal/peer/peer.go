// Package peer holds the servers that are compared, each used as its own documentation recommends for speed.
package peer

import (
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Options say what the workload needs. A peer ignores those it has no use for.
type Options struct {
	Deflate   bool          // negotiate permessage-deflate without context takeover, level 1
	Group     bool          // connections are members of what Broadcast reaches
	Hibernate time.Duration // troupe: Config.HibernateAfter
	Reuse     bool          // troupe: Config.ReuseBuffers
	Keep      bool          // gws: messages are not given back
}

// maxMessage is larger than any message of the workloads.
const maxMessage = 4 << 20

// A Broadcast sends one text message to all connections. Only a server with Options.Group has it.
type Broadcast func(payload []byte) error

// A Peer is one way to build a WebSocket server.
type Peer struct {
	Name   string
	Module string // its path; "" for the standard library
	// Serve takes connections from the listener until it is closed.
	Serve func(net.Listener, Options) (Broadcast, error)

	Raw       bool   // speaks no WebSocket
	NoEcho    bool   // has a protocol of its own, and can only broadcast
	Variant   string // of another peer, which differs for these workloads only: Idle or Large
	NoDeflate bool   // has no compression, or leaves it to the user
	Hello     string // what a client says first
}

// What a Variant is for.
const (
	Idle  = "idle connections"
	Large = "large messages"
)

// All are the peers in the order of the report.
var All = []Peer{raw, gobwas, gwsPeer, gwsKeep, gorilla, coder, melodyPeer, centrifugePeer, troupe, troupeReader, troupeReuse}

// Find returns the peer of that name.
func Find(name string) (Peer, bool) {
	i := slices.IndexFunc(All, func(p Peer) bool { return p.Name == name })
	if i < 0 {
		return Peer{}, false
	}
	return All[i], true
}

// serveHTTP serves /ws with net/http.
func serveHTTP(ln net.Listener, handler http.HandlerFunc) {
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", handler)
	go http.Serve(ln, mux)
}

// A set is the connections of a peer that has no groups of its own.
type set[C comparable] struct {
	mu  sync.Mutex
	all map[C]struct{}
}

func newSet[C comparable](use bool) *set[C] {
	if !use {
		return nil
	}
	return &set[C]{all: map[C]struct{}{}}
}

// add puts c in. A nil set ignores it.
func (s *set[C]) add(c C) {
	if s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all[c] = struct{}{}
	}
}

func (s *set[C]) remove(c C) {
	if s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.all, c)
	}
}

// each calls f for all, up to the first error.
func (s *set[C]) each(f func(C) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.all {
		if err := f(c); err != nil {
			return err
		}
	}
	return nil
}
