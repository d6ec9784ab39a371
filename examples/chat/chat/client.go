package chat

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

const (
	// closeReplaced is the close code of a socket whose page has opened another one.
	closeReplaced websock.CloseCode = 4001

	helloTimeout = 30 * time.Second
	maxRefusals  = 100 // by the rate limit; then the socket is closed
)

// client is the handler of one socket.
type client struct {
	chat    *Chat
	name    string    // empty before hello
	userPID actor.PID // who holds the name
	room    string    // empty before the first join
	roomPID actor.PID
	watch   actor.MonitorRef
	limit   limit
	refused int
}

type helloExpired struct{}

func newClient(c *Chat) *client { return &client{chat: c} }

func (c *client) Init(ctx context.Context) websock.Result {
	actor.SendAfter(ctx, helloTimeout, helloExpired{})
	return websock.OK()
}

func (c *client) HandleIn(ctx context.Context, msg websock.Message) websock.Result {
	var in request
	ok := msg.Opcode == websock.OpText && json.Unmarshal(msg.Data, &in) == nil
	if !c.limit.take(time.Now()) {
		if c.refused++; c.refused > maxRefusals {
			return websock.Close(websock.ClosePolicyViolation, "too many requests")
		}
		return c.answer(in, nil, refuse("rate", "That was too fast. Please wait a moment."))
	}
	if !ok {
		return c.answer(in, nil, refuse("request", "A request is a JSON object, in a text message."))
	}
	if len(in.Ref) > maxToken {
		in.Ref = ""
		return c.answer(in, nil, refuse("request", "A ref has at most %d bytes.", maxToken))
	}
	var out any
	var err error
	switch {
	case in.Type == "hello":
		out, err = c.hello(ctx, in)
	case c.name == "":
		err = refuse("request", "The first request must be hello.")
	case in.Type == "join":
		out, err = c.join(ctx, in)
	case in.Type == "say":
		err = c.say(in)
	default:
		err = refuse("request", "There is no request of type %.20q.", in.Type)
	}
	return c.answer(in, out, err)
}

// answer pushes out, if there is one, or tells the client what was wrong with its request.
func (c *client) answer(in request, out any, err error) websock.Result {
	if err == nil {
		if out == nil {
			return websock.OK()
		}
		return websock.Push(websock.JSON(out))
	}
	no, ok := errors.AsType[*refusal](err)
	if !ok { // our fault: the log gets the error, and the client hears that there was one
		c.chat.logger.Error("request failed", "request", in.Type, "error", err)
		no = &refusal{Type: "error", Code: "server", Text: "That did not work. Please try again."}
	}
	told := *no
	told.Ref = in.Ref
	return websock.Push(websock.JSON(told))
}

// hello gives the socket its name, and replaces an older socket of the same page, which the client has lost without the
// server knowing it.
func (c *client) hello(ctx context.Context, in request) (any, error) {
	if c.name != "" {
		return nil, refuse("request", "You have said hello already.")
	}
	name, err := checkName(in.Name)
	if err != nil {
		return nil, err
	}
	if err := checkTokens(in); err != nil {
		return nil, err
	}
	start := func() actor.Actor { return &user{chat: c.chat, name: name, key: in.Key} }
	mine, err := ask[claimed](ctx, c.chat, c.chat.users, userName(name), start, claim{in.Key})
	if err != nil {
		return nil, err
	}
	if !mine.Granted {
		return nil, refuse("name", "Somebody else is called %s just now.", mine.Name)
	}
	c.name, c.userPID = mine.Name, mine.User
	actor.Monitor(ctx, mine.User)
	me := actor.Self(ctx)
	actor.SetLabel(ctx, c.name)
	if old, err := c.chat.reg.Replace("session:"+userName(name)+"/"+in.Session, me, nil); err == nil {
		old.Exit(&websock.CloseError{Code: closeReplaced, Reason: "this page has connected again"}) // nothing for the zero PID
	}

	c.chat.reg.Join(everyone, me, nil)
	out := welcome{Type: "welcome", Name: c.name, Node: c.chat.node, Time: time.Now().UnixMilli(), Rooms: []roomInfo{}}
	for room, metas := range c.chat.reg.Present(roomList) {
		out.Rooms = append(out.Rooms, roomInfo{room, peopleIn(metas)})
	}
	slices.SortFunc(out.Rooms, func(a, b roomInfo) int { return cmp.Compare(a.Room, b.Room) })
	return out, nil
}

// join enters a room, and then leaves the one before. It becomes a member first, so that nothing is missed from
// then on, and then asks the room for what was said before.
func (c *client) join(ctx context.Context, in request) (any, error) {
	if err := checkRoom(in.Room); err != nil {
		return nil, err
	}
	start := func() actor.Actor { return &room{chat: c.chat, name: in.Room} }
	me, moves := actor.Self(ctx), in.Room != c.room
	if moves {
		c.enter(me, in.Room)
	}
	out, err := ask[entered](ctx, c.chat, c.chat.rooms, roomName(in.Room), start, enter{in.Life, in.After})
	if err != nil && moves {
		c.leave(me, in.Room)
	}
	if errors.Is(err, supervisor.ErrMaxChildren) {
		return nil, refuse("room", "There are %d rooms, which is as many as there can be. Please choose one of them.", maxRooms)
	}
	if err != nil {
		return nil, err
	}
	c.watch.Stop()
	if moves && c.room != "" {
		c.leave(me, c.room)
	}
	c.room, c.roomPID, c.watch = in.Room, out.Room, actor.Monitor(ctx, out.Room)
	return out.Joined, nil
}

// enter makes the socket a member of a room, and present in it. It fails only when the socket is ending.
func (c *client) enter(me actor.PID, room string) {
	c.chat.reg.Join(members(room), me, nil)
	c.chat.reg.Track(present(room), me, c.name, nil)
}

// leave undoes enter. What the room has broadcast and still waits in the mailbox is not written any more.
func (c *client) leave(me actor.PID, room string) {
	c.chat.reg.Leave(members(room), me)
	c.chat.reg.Untrack(present(room), me, c.name)
}

func (c *client) say(in request) error {
	if c.room == "" {
		return refuse("request", "You are in no room.")
	}
	text, err := checkText(in.Text)
	if err != nil {
		return err
	}
	if !c.roomPID.Send(say{c.name, text, in.Ref}) {
		return refuse("server", "The room did not take that message. Please try again.")
	}
	return nil
}

// HandleInfo gets what is for the handler. What rooms say goes to the client without it.
func (c *client) HandleInfo(_ context.Context, msg any) websock.Result {
	switch m := msg.(type) {
	case helloExpired:
		if c.name == "" {
			return websock.Close(websock.ClosePolicyViolation, "no hello")
		}
	case actor.Down:
		// The room or the user has crashed, or its node is lost: the client comes back to a new one. Without its user the
		// socket would have a name that somebody else can get.
		if m.PID == c.roomPID || m.PID == c.userPID {
			return websock.Stop(websock.ErrRestart)
		}
	}
	return websock.OK()
}
