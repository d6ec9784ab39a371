package main

import (
	"context"
	"maps"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/websock"
)

// A change is told at once when it has been quiet, and else no sooner than these times after what was told before: so what
// a client hears of comings and goings does not grow with the number of people.
const (
	roomsEvery  = time.Second            // to everyone, which rooms there are
	peopleEvery = 500 * time.Millisecond // to the members of a room, who is there
)

// directory tells everyone how many people are in which room, of those that have changed.
type directory struct {
	chat    *chat
	now     map[string][]registry.Meta // a room's number of people is the meta of its name
	told    map[string]int
	all     bool // what clients knew before counts no longer
	resting bool
}

type directoryRested struct{}

func (d *directory) Init(ctx context.Context) error {
	d.now = map[string][]registry.Meta{}
	return d.chat.reg.Watch(roomList, actor.Self(ctx))
}

func (d *directory) Receive(ctx context.Context, msg any) error {
	switch m := msg.(type) {
	case registry.PresenceDiff:
		m.Apply(d.now)
		if m.Whole {
			d.told, d.all = map[string]int{}, true
		}
	case directoryRested:
		d.resting = false
	}
	if !d.resting {
		d.tell(ctx)
	}
	return nil
}

func (d *directory) tell(ctx context.Context) {
	news := rooms{Type: "rooms", All: d.all, Rooms: []roomInfo{}}
	for room, metas := range d.now {
		if people := peopleIn(metas); d.told[room] != people {
			d.told[room] = people
			news.Rooms = append(news.Rooms, roomInfo{room, people})
		}
	}
	for room := range maps.Keys(d.told) {
		if len(d.now[room]) == 0 {
			delete(d.told, room)
			news.Rooms = append(news.Rooms, roomInfo{room, 0})
		}
	}
	if len(news.Rooms) == 0 && !d.all {
		return
	}
	d.chat.reg.Broadcast(everyone, websock.JSON(news))
	d.all, d.resting = false, true
	actor.SendAfter(ctx, roomsEvery, directoryRested{})
}

func peopleIn(metas []registry.Meta) int {
	people := 0
	for _, m := range metas {
		n, _ := m.Meta.(int)
		people += n // one process, but for the moment in which a new one takes the name
	}
	return people
}
