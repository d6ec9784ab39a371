// Package peer holds the servers that are compared, each used as its own documentation recommends for speed.
package peer

import (
	"errors"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"time"
)

// Options say what the workload needs. A peer ignores those it has no use for.
type Options struct {
	Deflate   bool          // negotiate permessage-deflate without context takeover, level 1
	Group     bool          // connections are members of what Broadcast reaches
	Rooms     bool          // a message goes to all connections with the same room in their address, and is not echoed
	TLS       bool          // with a certificate of its own
	Hibernate time.Duration // troupe: Config.HibernateAfter
	Reuse     bool          // troupe: the handler is a websock.Borrower
	Copy      bool          // gws: the handler copies a message, as one does that keeps it
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
	// Command is another program instead, which says where it listens as serve does; nil: this one. An error wraps
	// [ErrMissing] when there is no such program on this machine.
	Command func(Options) (*exec.Cmd, error)
	Version func() string // of that program

	Raw       bool   // speaks no WebSocket
	NoEcho    bool   // has a protocol of its own, and can only broadcast
	Variant   string // of another peer, which differs for these workloads only: Idle or Large
	NoDeflate bool   // has no compression, or leaves it to the user
	NoTLS     bool   // needs the descriptor itself, or has TLS of its own
	Hello     string // what a client says first
}

// What a Variant is for.
const (
	Idle  = "idle connections"
	Large = "large messages"
)

// All are the peers in the order of the report.
var All = []Peer{raw, gobwas, gwsPeer, gwsCopy, gorilla, coder, melodyPeer, nbioPeer, bun, centrifugePeer, troupe, troupeReader, troupeReuse}

// ErrMissing is the reason why a peer cannot be measured here.
var ErrMissing = errors.New("not on this machine")

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
