package registry

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/troupe-dev/troupe/actor"
)

// A name has two owners: of the nodes that are connected the two that come first for it, in an order on which all nodes agree, by a
// hash. Whoever wants to start the process of a name asks them, one after the other. An owner answers with the holder that it knows of
// or, if it knows of none, grants a lease, to one after the other. A lease lasts until it is released, or the node that has it is down.
// By then the claim of what was started has come to the owner, on the same link.
//
// There are two because nodes come and go. A node that comes or goes takes the place of at most one of the two. So when each of two
// nodes sees at most one that the other one does not see, itself included, both have to ask the first one of those that both see. It
// knows whose start is running, so nobody else gets both leases. All ask in the order of the hash, so no two wait for each other.

// lease is what the owner of a name knows of those who want to start its process. The lock of the name's shard guards it.
type lease struct {
	granted *ask
	waiting []*ask
}

// ask is one wish for a lease, of this node or a peer.
type ask struct {
	name   string
	id     uint64      // of the peer, or of this node at another owner
	from   *peer       // nil: this node
	owner  *peer       // nil: this node
	answer chan answer // of this node; it has room for the one answer
}

// answer is a holder or, with a zero pid, the lease; or the owner is lost.
type answer struct {
	pid  actor.PID
	lost bool
}

// owners are the nodes that decide who starts the process of a name, the first one first; nil: this one.
func (o *others) owners(name string) []*peer {
	h := hashOf(name)
	weight := func(p *peer) uint64 {
		if p == nil {
			return mix(h ^ o.boot)
		}
		return mix(h ^ p.boot)
	}
	list := []*peer{nil}
	for _, p := range *o.peers.Load() {
		list = append(list, p)
	}
	slices.SortFunc(list, func(p, q *peer) int { return cmp.Compare(weight(q), weight(p)) })
	return list[:min(len(list), 2)]
}

// mix is the end of SplitMix64.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// lease waits for the leases of a name, or for somebody who holds it. release gives them back.
func (o *others) lease(ctx context.Context, name string) (holder actor.PID, release func(), err error) {
	for {
		owners := o.owners(name)
		asks, got, err := o.askAll(ctx, name, owners)
		release := func() {
			for _, a := range asks {
				o.release(a)
			}
		}
		switch {
		case err != nil:
			release()
			return actor.PID{}, nil, ensureError(name, err)
		case got.pid != actor.PID{}:
			release()
			return got.pid, nil, nil
		case got.lost || !slices.Equal(owners, o.owners(name)): // there are other owners now
			release()
		default:
			return actor.PID{}, release, nil
		}
	}
}

// askAll asks the owners until one of them does not grant the lease. got is what the last one has said, err that of ctx.
func (o *others) askAll(ctx context.Context, name string, owners []*peer) (asks []*ask, got answer, err error) {
	for _, p := range owners {
		a := &ask{name: name, owner: p, answer: make(chan answer, 1)}
		asks = append(asks, a)
		o.ask(a)
		select {
		case got = <-a.answer:
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil || got != (answer{}) {
			break
		}
	}
	return asks, got, err
}

// ask asks its owner.
func (o *others) ask(a *ask) {
	if a.owner == nil {
		o.wish(a)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if (*o.peers.Load())[a.owner.Peer] != a.owner {
		a.answer <- answer{lost: true}
		return
	}
	o.lastAsk++
	a.id = o.lastAsk
	o.asks.Put(a.id, a)
	o.sender.Send(a.owner.Peer, appendAsk(recAsk, a.id, a.name))
}

// release ends a wish, whether it was granted or not.
func (o *others) release(a *ask) {
	if a.owner == nil {
		o.forgetWish(a.name, func(other *ask) bool { return other == a })
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.asks.Get(a.id) == a { // else the owner is lost
		o.asks.Delete(a.id)
		o.sender.Send(a.owner.Peer, appendAsk(recRelease, a.id, a.name))
	}
}

func appendAsk(k kind, id uint64, name string) []byte {
	return appendText(binary.AppendUvarint([]byte{byte(k)}, id), name)
}

// ownerless tells those who have asked p that it is lost.
func (o *others) ownerless(p *peer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var of []*ask
	for _, a := range o.asks.All() {
		if a.owner == p {
			of = append(of, a)
		}
	}
	for _, a := range of {
		o.asks.Delete(a.id)
		a.tell(answer{lost: true})
	}
}

// tell answers an ask of this node; one that has its answer waits for no other.
func (a *ask) tell(got answer) {
	select {
	case a.answer <- got:
	default:
	}
}

// receiveLease is the owner's answer.
func (o *others) receiveLease(p *peer, f *fields) {
	id, holder := f.number(), f.pid(o.r.sys)
	if f.bad {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if a := o.asks.Get(id); a != nil && a.owner == p {
		a.tell(answer{pid: holder})
	}
}

// What follows is the owner's part.

func (o *others) receiveAsk(p *peer, f *fields) {
	if a := (&ask{id: f.number(), name: f.text(), from: p}); !f.bad {
		o.wish(a)
	}
}

func (o *others) receiveRelease(p *peer, f *fields) {
	if id, name := f.number(), f.text(); !f.bad {
		o.forgetWish(name, func(a *ask) bool { return a.from == p && a.id == id })
	}
}

// wish enters a.
func (o *others) wish(a *ask) {
	s := o.r.nameShard(a.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.leases.Get(a.name)
	if l == nil {
		l = &lease{}
		s.leases.Put(a.name, l)
	}
	l.waiting = append(l.waiting, a)
	o.review(s, a.name)
}

func (o *others) forgetWish(name string, which func(*ask) bool) {
	s := o.r.nameShard(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.leases.Get(name); l != nil {
		l.forget(which)
		o.review(s, name)
	}
}

func (l *lease) forget(which func(*ask) bool) {
	if l.granted != nil && which(l.granted) {
		l.granted = nil
	}
	l.waiting = slices.DeleteFunc(l.waiting, which)
}

// releaseAll forgets the wishes of p; the shard is locked.
func (o *others) releaseAll(s *nameShard, p *peer) {
	var of []string
	for name, l := range s.leases.All() {
		l.forget(func(a *ask) bool { return a.from == p })
		of = append(of, name)
	}
	for _, name := range of {
		o.review(s, name)
	}
}

// review answers those who wait for a lease, if there is a holder, or grants it to one, if there is none and nobody has it. While a
// holder is ending they wait. The shard is locked; it is called whenever something of this has changed.
func (o *others) review(s *nameShard, name string) {
	l := s.leases.Get(name)
	if l == nil {
		return
	}
	holder, free := s.holder(name)
	switch {
	case holder != actor.PID{}:
		for _, a := range l.waiting {
			o.answer(a, holder)
		}
		l.waiting = nil
	case free && l.granted == nil && len(l.waiting) > 0:
		l.granted = l.waiting[0]
		l.waiting = slices.Delete(l.waiting, 0, 1)
		o.answer(l.granted, actor.PID{})
	}
	if l.granted == nil && len(l.waiting) == 0 {
		s.leases.Delete(name)
	}
}

func (o *others) answer(a *ask, holder actor.PID) {
	if a.from == nil {
		a.tell(answer{pid: holder})
		return
	}
	o.sender.Send(a.from.Peer, appendPID(binary.AppendUvarint([]byte{byte(recLease)}, a.id), holder))
}

// begin is Registry.begin, with the leases of the name.
func (o *others) begin(ctx context.Context, name string, a *attempt, start func(ctx context.Context) (actor.PID, error)) (pid actor.PID, again bool, err error) {
	holder, release, err := o.lease(ctx, name)
	if release == nil {
		if err == nil && !o.r.sys.Owns(holder) && !holder.Alive() { // an owner hears later than this node that one is lost
			return actor.PID{}, true, ensureError(name, fmt.Errorf("%w: %v", actor.ErrNodeDown, holder))
		}
		return holder, false, err
	}
	defer release()
	if pid, _, ok := o.r.Whereis(name); ok { // it has come from a node that the owners do not know
		return pid, false, nil
	}
	return o.r.begin(ctx, name, a, start)
}
