package registry

import (
	"encoding/binary"
	"fmt"

	"github.com/troupe-dev/troupe/actor"
)

// ConflictError is the exit reason of a process that has lost its name to one of another node, when Config.OnConflict is nil. Its
// kind is that of a shutdown, so nobody restarts what would only lose again; a socket closes with 1001.
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

// yields takes own, what is held here under the name, out if c is better; the shard is locked. lost is own then, and nil
// otherwise. It stays in the entries of its process until beaten is called.
func (o *others) yields(s *nameShard, name string, c *claim, own *holding) (lost *holding, tell []*nameWatcher) {
	if own == nil || !c.beats(o.mine(name).stamp, c.pid, own.who.pid) {
		return nil, nil
	}
	s.m.Delete(name)
	o.unclaim(name)
	holder := c.pid
	if best := s.away.Get(name); best == nil {
		holder = actor.PID{} // a third node has told of c, which is not linked to this one
	}
	return own, o.r.changed(s, name, holder)
}

// beaten is the end of a holding that has lost to c. When c was made by a Replace of just that process, whoever has called that
// has got its PID, and ends it as it likes; unless c comes late, by a later link: then that may not have got through. No lock
// is held.
func (o *others) beaten(lost *holding, c *claim) {
	if lost == nil {
		return
	}
	if e := lost.who.lock(); e != nil {
		e.remove(lost)
		e.mu.Unlock()
	}
	if c.over != lost.who.pid || c.late {
		o.conflict(lost.name, lost.who.pid, c.pid)
	}
}

// conflict has the loser end, or the user decide.
func (o *others) conflict(name string, lost, won actor.PID) {
	f := o.cfg.OnConflict
	if f != nil && guard(o.r.log, "registry.Config.OnConflict", func() { f(name, lost, won) }) {
		return
	}
	lost.Exit(&ConflictError{Name: name, Winner: won})
}

// appendBeaten tells the node of worse that best, of a third node, is better.
func appendBeaten(name string, worse, best *claim) []byte {
	b := appendText([]byte{byte(recBeaten)}, name)
	b = binary.AppendUvarint(binary.AppendUvarint(b, worse.gen), uint64(worse.at))
	return appendStamp(b, best.stamp, 0, best.pid, best.over)
}

// receiveBeaten is told of a claim that is better than one that this node has made. If that is over, a later one is another
// matter. If the node of the better one is linked to this one, the claim itself comes, or has come.
func (o *others) receiveBeaten(f *fields) {
	name, gen, at := f.text(), f.number(), int64(f.number())
	c := f.claim(o)
	if f.bad {
		return
	}
	o.saw(c.at)
	c.late = true
	s := o.r.nameShard(name)
	s.mu.Lock()
	var lost *holding
	var tell []*nameWatcher
	if mine := o.mine(name); mine.gen == gen && mine.at == at && !c.pid.Alive() {
		lost, tell = o.yields(s, name, c, s.m.Get(name))
	}
	s.mu.Unlock()
	o.r.deliver(news{names: tell})
	o.beaten(lost, c)
}
