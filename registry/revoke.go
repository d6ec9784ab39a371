package registry

import (
	"slices"
	"sync"

	"github.com/troupe-dev/troupe/websock"
)

// revocations are the functions of OnRevoke.
type revocations struct {
	mu sync.Mutex
	of map[string][]func(subject string, reason error) // by the name of a Server
}

// Revoke tells the functions of OnRevoke on the other nodes of a cluster that a subject of the servers of this name was revoked;
// with a Registry of one node it does nothing. It is for socket.Config.Revocations: call socket.Server.Revoke. It reaches the
// nodes that are connected, after what the caller has broadcast before, and is not refused by a node's window, nor by
// cluster.Config.MaxMessage. It does not block. A reason keeps its close code and its text.
func (r *Registry) Revoke(server, subject string, reason error) {
	if r.others != nil {
		r.others.revoke(server, subject, reason)
	}
}

// OnRevoke has f called for each Revoke on another node that is about the servers of this name. It is for
// socket.Config.Revocations. f is called on the goroutine of the link to that node, so it must not block, for as long as there
// is the Registry.
func (r *Registry) OnRevoke(server string, f func(subject string, reason error)) {
	v := &r.revocations
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.of == nil {
		v.of = make(map[string][]func(string, error))
	}
	v.of[server] = append(slices.Clip(v.of[server]), f)
}

func (o *others) revoke(server, subject string, reason error) {
	if len(server) > maxName || len(subject) > maxName {
		o.r.log.Error("a subject is revoked on this node alone: its name, or that of the server, is too long", "server", len(server), "subject", len(subject), "most", maxName)
		return
	}
	closing, ok := reason.(*websock.CloseError) //nolint:errorlint // what wraps one is no value that crosses
	if !ok {
		closing = &websock.CloseError{Err: reason}
	}
	b, err := o.sender.Append(appendText(appendText([]byte{byte(recRevoke)}, server), subject), closing)
	if err != nil {
		return // a CloseError always can, whatever MaxMessage is
	}
	for _, p := range *o.peers.Load() {
		o.sender.Send(p.Peer, b)
	}
}

func (o *others) receiveRevoke(p *peer, f *fields) {
	server, subject := f.text(), f.text()
	if f.bad {
		return
	}
	v, err := p.Value(f.b)
	if err != nil {
		return
	}
	reason, ok := v.(error)
	if !ok {
		f.bad = true
		return
	}
	o.r.revocations.mu.Lock()
	tell := o.r.revocations.of[server]
	o.r.revocations.mu.Unlock()
	for _, f := range tell {
		f(subject, reason)
	}
}
