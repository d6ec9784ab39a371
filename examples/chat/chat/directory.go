package chat

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/websock"
)

// A change is told at once, but not sooner than this after the change that was told before it. So what a client is told
// of comings and goings does not grow with the number of people.
const (
	roomsEvery  = time.Second            // to everyone, which rooms there are
	peopleEvery = 500 * time.Millisecond // to the members of a room, who is there
)

// directory tells everyone on its node how many people are in the rooms that have changed. A room whose number has changed
// back is told, too: a client may have been welcomed in between.
type directory struct {
	chat    *Chat
	now     map[string][]registry.Meta // a room's number of people is the meta of its name
	changed map[string]bool            // rooms, since the last news
	all     bool                       // what clients knew before no longer counts
	resting bool
}

type directoryRested struct{}

func (d *directory) Init(ctx context.Context) error {
	d.now, d.changed = map[string][]registry.Meta{}, map[string]bool{}
	return d.chat.reg.Watch(roomList, actor.Self(ctx))
}

func (d *directory) Receive(ctx context.Context, msg any) error {
	switch m := msg.(type) {
	case registry.PresenceDiff:
		m.Apply(d.now)
		d.all = d.all || m.Whole
		for room := range m.Now {
			d.changed[room] = true
		}
		for room := range m.Went {
			d.changed[room] = true
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
	for room := range d.changed {
		if people := peopleIn(d.now[room]); people > 0 || !d.all {
			news.Rooms = append(news.Rooms, roomInfo{room, people})
		}
	}
	clear(d.changed)
	if len(news.Rooms) == 0 && !d.all {
		return
	}
	d.chat.reg.BroadcastWhere(everyone, onThisNode, websock.JSON(news))
	d.all, d.resting = false, true
	actor.SendAfter(ctx, roomsEvery, directoryRested{})
}

// onThisNode is for BroadcastWhere, which stays on its node: each node has a directory.
func onThisNode(actor.PID, any) bool { return true }

func peopleIn(metas []registry.Meta) int {
	people := 0
	for _, m := range metas {
		n, _ := m.Meta.(int)
		people += n // usually of one process; of two while a new one takes the name
	}
	return people
}
