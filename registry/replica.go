package registry

import (
	"encoding/binary"

	"github.com/troupe-dev/troupe/actor/host"
)

// Presence in a cluster: each node tells the others who of its own processes is present. What a peer has told stands in the same
// groups as what is here, so whoever reads sees the union, and watchers are told by the same journal; and it stands in
// peer.tracks, by its Ref, so that it goes when the peer does. A track of a peer is in no entries: its process is not here.

// track tells the peers that tr is there, in place of an older one of the same Ref if there is one; the entries of its process
// are locked. meta is encoded.
func (o *others) track(tr *track, meta []byte) {
	s := o.tracks.at(tr.ref.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m.Put(tr.ref.id, tr)
	if len(s.to) > 0 {
		o.tell(s.to, append(appendTrack(nil, tr), meta...))
	}
}

func (o *others) untrack(tr *track) {
	s := o.tracks.at(tr.ref.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m.Delete(tr.ref.id)
	o.tell(s.to, binary.LittleEndian.AppendUint64([]byte{byte(recUntrack)}, tr.ref.id))
}

// appendTrack appends all but the meta.
func appendTrack(b []byte, tr *track) []byte {
	b = binary.LittleEndian.AppendUint64(append(b, byte(recTrack)), tr.ref.id)
	return appendText(appendText(b, tr.group.name), tr.person.key)
}

// snapshotTracks yields who is present here. False: p wants no more.
func (o *others) snapshotTracks(p *peer, yield func([]byte) bool) bool {
	var b []byte
	for i := range shards {
		for _, e := range o.tracks.begin(i, p) {
			if b = o.appendMeta(appendTrack(b[:0], e.value), e.value.meta); !yield(b) {
				return false
			}
		}
	}
	return true
}

func (o *others) receiveTrack(p *peer, f *fields) {
	ref, topic, key := f.fixed(), f.text(), f.text()
	if f.bad {
		return
	}
	meta, _ := p.Value(f.b) // what cannot be read here is no meta: the person is present all the same
	tr := &track{meta: meta, ref: Ref{ref}}
	old := p.tracks.Get(ref)
	if old != nil && old.group.name == topic && old.person.key == key {
		tr.group, tr.person = old.group, old.person
		p.tracks.Put(ref, tr)
		o.r.deliver(o.r.update(old, tr))
		return
	}
	if old != nil {
		o.forgetTracks([]*track{old})
	}
	p.tracks.Put(ref, tr)
	o.r.deliver(o.r.appear(topic, key, tr))
}

func (o *others) receiveUntrack(p *peer, f *fields) {
	ref := f.fixed()
	if old := p.tracks.Get(ref); old != nil {
		p.tracks.Delete(ref)
		o.forgetTracks([]*track{old})
	}
}

// absent forgets who is present at p, topic by topic: a watcher that has been told everything before is told of all of a topic
// in one diff.
func (o *others) absent(p *peer) {
	byTopic := make(map[*group][]*track)
	for _, tr := range p.tracks.All() {
		byTopic[tr.group] = append(byTopic[tr.group], tr)
	}
	p.tracks = host.Map[uint64, *track]{}
	for _, tracks := range byTopic {
		o.forgetTracks(tracks)
	}
}

// forgetTracks takes tracks of one topic out, and tells the watchers when all are.
func (o *others) forgetTracks(tracks []*track) {
	var all news
	empty := false
	for _, tr := range tracks {
		n, last := tr.disappear(o.r)
		all.readers = append(all.readers, n.readers...)
		empty = empty || last
	}
	if empty {
		o.r.settle(tracks[0].group)
	}
	o.r.deliver(all)
}
