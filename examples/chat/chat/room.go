package chat

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/websock"
)

// roomKept is how long an empty room keeps its history.
const roomKept = 10 * time.Minute

// room gives each message its number, keeps the last ones, and tells the members. All that members hear of a room comes
// from this one process, so all of them hear it in the same order.
type room struct {
	chat    *Chat
	name    string
	life    string // numbers of different lives have nothing to do with each other
	last    int64
	history []message
	present map[string][]registry.Meta // who is present, by name
	here    map[string]bool            // who is present, as the members were told
	resting bool                       // they were told a moment ago
	expiry  actor.Timer
}

type (
	// enter asks for what a socket that has just become a member has not seen: a Call, answered with an entered.
	enter struct {
		Life  string
		After int64
	}
	// entered is what the client gets, and which process of that name has answered.
	entered struct {
		Joined joined
		Room   actor.PID
	}
	// say is a message for all. It has no answer but the message itself.
	say struct {
		Name, Text, Ref string
	}
	roomExpired struct{}
	roomRested  struct{}
)

// members is the group of a room's sockets, present the topic of its people.
func members(room string) string { return "members:" + room }
func present(room string) string { return "present:" + room }

func roomName(room string) string { return "room:" + room }

func (r *room) Init(ctx context.Context) error {
	me := actor.Self(ctx)
	r.life = me.String() // a PID is never used twice, not even after a restart of the program
	r.present, r.here = map[string][]registry.Meta{}, map[string]bool{}
	if err := r.chat.reg.Register(roomName(r.name), me, nil); err != nil {
		return err
	}
	r.chat.reg.Watch(present(r.name), me)
	r.expiry = actor.SendAfter(ctx, roomKept, roomExpired{}) // if nobody comes
	return nil
}

func (r *room) Receive(ctx context.Context, msg any) error {
	switch m := msg.(type) {
	case enter:
		if from, ok := actor.Caller(ctx); ok {
			r.enter(ctx, from, m)
		}
	case say:
		r.say(m)
	case registry.PresenceDiff:
		m.Apply(r.present)
		if !r.resting {
			r.changed(ctx)
		}
	case roomRested:
		r.resting = false
		r.changed(ctx)
	case roomExpired:
		if r.empty() {
			return actor.ErrNormal
		}
	}
	return nil
}

// empty asks the registry, which knows of people that the room has not been told of yet. It asks who is present, on
// whatever node, since what it knows of members is about this one.
func (r *room) empty() bool {
	for range r.chat.reg.Present(present(r.name)) {
		return false
	}
	return true
}

// enter answers with the past. The caller is a member already, and what is said since then waits in its mailbox until the
// callback that waits for this answer has returned, so nothing is missed. The page recognises by its id what comes twice.
func (r *room) enter(ctx context.Context, from actor.From, m enter) {
	answer := joined{Type: "joined", Room: r.name, Life: r.life, People: []string{}, Messages: []message{}} // never null in JSON
	answer.People = slices.AppendSeq(answer.People, maps.Keys(r.here))
	first := int64(0) // the first id that the client does not have
	switch {
	case m.Life == r.life:
		first = m.After + 1
	case m.Life != "":
		answer.Gap = true // it knows another life, whose messages are gone
	}
	for i, said := range r.history {
		if i == 0 && m.Life == r.life && said.ID > first {
			answer.Gap = true
		}
		if said.ID >= first {
			answer.Messages = append(answer.Messages, said)
		}
	}
	from.Reply(entered{Joined: answer, Room: actor.Self(ctx)}) // if the caller has given up, there is nothing to undo
}

func (r *room) say(m say) {
	if m.Ref != "" && slices.ContainsFunc(r.history, func(old message) bool { return old.Name == m.Name && old.Ref == m.Ref }) {
		return // sent again after a reconnect, because the client did not see it
	}
	r.last++
	said := message{"message", r.name, r.last, m.Name, m.Text, time.Now().UnixMilli(), m.Ref}
	r.history = append(r.history, said)
	if len(r.history) > maxHistory {
		r.history = slices.Delete(r.history, 0, 1)
	}
	r.chat.reg.Broadcast(members(r.name), websock.JSON(said))
}

// changed tells the members who came and who went since they were told last, and the directory how many are here.
func (r *room) changed(ctx context.Context) {
	news := presence{"presence", r.name, []string{}, []string{}}
	for name := range r.present {
		if !r.here[name] {
			r.here[name] = true
			news.Joined = append(news.Joined, name)
		}
	}
	for name := range r.here {
		if len(r.present[name]) == 0 {
			delete(r.here, name)
			news.Left = append(news.Left, name)
		}
	}
	if len(news.Joined)+len(news.Left) == 0 {
		return
	}
	r.chat.reg.Broadcast(members(r.name), websock.JSON(news))
	r.resting = true
	actor.SendAfter(ctx, peopleEvery, roomRested{})
	if len(r.here) == 0 {
		r.expiry.Stop()
		r.expiry = actor.SendAfter(ctx, roomKept, roomExpired{})
		r.chat.reg.Untrack(roomList, actor.Self(ctx), r.name)
	} else {
		r.chat.reg.Track(roomList, actor.Self(ctx), r.name, len(r.here))
	}
}
