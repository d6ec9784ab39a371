package registry

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// ConflictError is the exit reason of a process that has lost its name to one of another node, when Config.OnConflict is nil. It
// is actor.ErrShutdown, and so is its kind: a socket closes with 1001. It is actor.ErrIgnore, too, as told by errors.Is: the process is
// not needed on this node. So no supervisor restarts it, whatever the Restart of the child is: a child of supervisor.New stays where
// it is, stopped, and a Dynamic forgets it. Whoever is to take over when the winner ends watches the name ([Registry.WatchName]).
type ConflictError struct {
	Name   string
	Winner actor.PID
}

// Error names the name and the winner.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("registry: the name %q belongs to %v", e.Name, e.Winner)
}

// Unwrap returns actor.ErrShutdown.
func (e *ConflictError) Unwrap() error { return actor.ErrShutdown }

// Is tells that target is actor.ErrIgnore.
func (e *ConflictError) Is(target error) bool { return target == actor.ErrIgnore }

// maxConflicts is how many conflicts may wait for OnConflict.
const maxConflicts = 1 << 16

// A claim that is better than another one may be over already, while the word of that is still on its way, on another link than
// what has led to the other one. So whoever sees two asks the node of the better one whether it still stands. The answer comes
// after all that this node has to say of it. Then the loser's node acts, or is told, if it is a third one: it may not be
// linked to the other. A Replace of just the process that has the name needs no such question: it has taken it, whatever has
// become of the new holder since.

// confirm asks the node of the best claim of others, if that is better than another one; the shard is locked.
func (o *others) confirm(s *nameShard, name string) {
	best, own := s.away.Get(name), s.m.Get(name)
	if best == nil {
		return
	}
	if own != nil && best.beats(o.mine(name).stamp, best.pid, own.who.pid()) || own == nil && best.next != nil {
		o.sender.Send(best.from.Peer, appendConfirm(recConfirm, name, best.stamp))
	}
}

func appendConfirm(k kind, name string, s stamp) []byte {
	b := appendText([]byte{byte(k)}, name)
	return binary.AppendUvarint(binary.AppendUvarint(b, s.gen), uint64(s.at))
}

// receiveConfirm says that a claim of this node stands, if it does. One that is ending gives way.
func (o *others) receiveConfirm(p *peer, f *fields) {
	name, gen, at := f.text(), f.number(), int64(f.number())
	s := o.r.nameShard(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.m.Get(name)
	if mine := o.mine(name); h != nil && h.who.ref.Alive() && mine.gen == gen && mine.at == at {
		o.sender.Send(p.Peer, appendConfirm(recConfirmed, name, mine.stamp))
	}
}

// receiveConfirmed acts on a claim of p that is better than others.
func (o *others) receiveConfirmed(p *peer, f *fields) {
	name, gen, at := f.text(), f.number(), int64(f.number())
	s := o.r.nameShard(name)
	s.mu.Lock()
	c := s.away.Get(name)
	if c == nil || c.from != p || c.gen != gen || c.at != at { // there is a better one now, or none of p
		s.mu.Unlock()
		return
	}
	for worse := c.next; worse != nil; worse = worse.next {
		o.sender.Send(worse.from.Peer, appendBeaten(name, worse, c))
	}
	lost, tell := o.yields(s, name, c)
	s.mu.Unlock()
	o.r.deliver(news{names: tell})
	o.beaten(lost, c)
}

// yields takes out what is held here under the name, if c is better; the shard is locked. It stays in the entries of its process
// until left is called.
func (o *others) yields(s *nameShard, name string, c *claim) (lost *holding, tell []*nameWatcher) {
	own := s.m.Get(name)
	if own == nil || !c.beats(o.mine(name).stamp, c.pid, own.who.pid()) {
		return nil, nil
	}
	s.m.Delete(name)
	o.unclaim(name)
	holder := c.pid
	if s.away.Get(name) == nil {
		holder = actor.PID{} // a third node has told of c, which is not linked to this one
	}
	return own, o.r.changed(s, name, holder)
}

// left takes what has lost out of the entries of its process. No lock is held.
func (o *others) left(lost *holding) {
	if lost == nil {
		return
	}
	if e := lost.who.lock(); e != nil {
		e.remove(lost)
		e.mu.Unlock()
	}
}

// beaten is left of what has lost to c without having been replaced by it: its process ends, or the user decides.
func (o *others) beaten(lost *holding, c *claim) {
	if lost != nil {
		o.left(lost)
		o.conflict(lost.name, lost.who.pid(), c.pid)
	}
}

// conflict has the loser end, or the user decide.
func (o *others) conflict(name string, lost, won actor.PID) {
	if c := (conflict{name, lost, won}); !o.judge.Send(c) { // the zero PID takes nothing
		c.end()
	}
}

// conflict is what a judge is told.
type conflict struct {
	name      string
	lost, won actor.PID
}

func (c conflict) end() { c.lost.Exit(&ConflictError{Name: c.name, Winner: c.won}) }

// judge is the process that calls Config.OnConflict, so that it may take its time and wait for other nodes: all that they send
// comes by the goroutine that has found the conflict. The System ends it, with all its processes.
type judge struct {
	log        *host.Log
	onConflict func(name string, lost, won actor.PID)
}

// newJudge spawns the judge; it is the zero PID when there is no OnConflict.
func newJudge(sys *actor.System, log *host.Log, f func(name string, lost, won actor.PID)) (actor.PID, error) {
	if f == nil {
		return actor.PID{}, nil
	}
	return sys.Spawn(context.Background(), &judge{log, f}, actor.SpawnOptions{Label: "registry.Config.OnConflict", MailboxLimit: maxConflicts})
}

// Receive implements actor.Actor.
func (j *judge) Receive(_ context.Context, msg any) error {
	c, ok := msg.(conflict)
	if ok && !guard(j.log, "registry.Config.OnConflict", func() { j.onConflict(c.name, c.lost, c.won) }) {
		c.end()
	}
	return nil
}

// appendBeaten tells the node of worse that best, of a third node, is better.
func appendBeaten(name string, worse, best *claim) []byte {
	b := appendText([]byte{byte(recBeaten)}, name)
	b = binary.AppendUvarint(binary.AppendUvarint(b, worse.gen), uint64(worse.at))
	return appendStamp(b, best.stamp, 0, best.pid, actor.PID{}) // whom it has replaced does not count
}

// receiveBeaten is told of a claim that is better than one that this node has made. If that is over, a later one is another
// matter. If the node of the better one is linked to this one, this one asks it itself. The link may be about to end, so that
// this never gets an answer: then beatenBy asks the third node to say it again.
func (o *others) receiveBeaten(f *fields) {
	name, gen, at := f.text(), f.number(), int64(f.number())
	c, _, _ := f.claim(o)
	if f.bad {
		return
	}
	o.saw(c.at)
	s := o.r.nameShard(name)
	s.mu.Lock()
	var lost *holding
	var tell []*nameWatcher
	mine := o.mine(name)
	switch {
	case mine.h == nil || mine.gen != gen || mine.at != at:
	case c.pid.Alive():
		_, boot, _ := host.Parts(c.pid)
		o.mark(name, boot)
	default:
		lost, tell = o.yields(s, name, c)
		o.confirm(s, name)
	}
	s.mu.Unlock()
	o.r.deliver(news{names: tell})
	o.beaten(lost, c)
}

// mark notes whose claim is better than that of this node; the name's shard is locked. A node that is lost is out of the
// sessions, by which Alive goes, before unnamed is called for it: so beatenBy sees the mark, or Alive was false.
func (o *others) mark(name string, boot uint64) {
	s := o.claims.at(o.r.hash(name))
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.m.Get(name)
	c.beaten = boot
	s.m.Put(name, c)
}

// beatenBy has the other nodes say again which claims of p, whose link has ended, are better than those of this node.
func (o *others) beatenBy(p *peer) {
	for i := range shards {
		s := &o.claims.shards[i]
		s.mu.Lock()
		for name, c := range s.m.All() {
			if c.beaten == p.boot {
				o.tell(s.to, appendText([]byte{byte(recAgain)}, name))
			}
		}
		s.mu.Unlock()
	}
}

// receiveAgain asks anew, for a node that has lost the link to the one with the best claim.
func (o *others) receiveAgain(f *fields) {
	name := f.text()
	if f.bad {
		return
	}
	s := o.r.nameShard(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	o.confirm(s, name)
}
