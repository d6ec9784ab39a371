package engine

import (
	"errors"
	"sync"

	proto "github.com/asynkron/protoactor-go/actor"
)

// Open is what Middleware must know of a process: its messages, which the engine does not see otherwise. Its methods are for
// the goroutine that handles the message, while it does.
type Open interface {
	// Due is the message that the process is to handle; false: none. It is asked for once.
	Due() (msg any, ok bool)
	// Handle is Receive, with msg in the place of the message. It must not panic.
	Handle(msg any) error
	// Asked says, when the message is a Call, who waits for the answer: sender is what was given to Target.Ask, if it came that
	// way. from is nil when it is no Call.
	Asked() (sender any, from Asker)
	// Guard runs f, and makes an exit reason of a panic and of a runtime.Goexit.
	Guard(f func() error) error
}

// Asker waits for an answer.
type Asker interface{ Reply(v any) bool }

// Middleware is proto's receiver middleware for any number of processes, with one Props for all of them, as with proto's
// own actors.
type Middleware struct {
	mu    sync.Mutex
	props *proto.Props
	cell  *Cell // of the process that is being spawned
}

// NewMiddleware makes a Middleware of list, the outermost first.
func NewMiddleware(list ...proto.ReceiverMiddleware) *Middleware {
	m := &Middleware{}
	m.props = proto.PropsFromProducer(
		func() proto.Actor { return (*openShell)(m.cell) },
		proto.WithMailbox(func() proto.Mailbox { return (*mailbox)(m.cell) }),
		proto.WithReceiverMiddleware(list...),
	)
	return m
}

// Use has the process of c, which is not spawned yet, use m.
func (c *Cell) Use(m *Middleware) { c.invoker = &seen{middleware: m} }

var errOwn = errors.New("actor: spawn: receiver middleware needs an ActorSystem of the program's own; see proto.NewSystem")

func (m *Middleware) spawn(s *System, num uint64, c *Cell) error {
	if !s.Adopted() {
		return errOwn
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cell = c
	defer func() { m.cell = nil }()
	return s.spawn(m.props, num)
}

// seen is proto's invocation for a process whose messages are seen by middleware: the message takes the place of the Cell.
type seen struct {
	middleware           *Middleware
	proto.MessageInvoker // set by the mailbox
}

// InvokeUserMessage implements proto.MessageInvoker.
func (s *seen) InvokeUserMessage(message any) {
	c := message.(*Cell)
	if err := c.process.Guard(func() error { s.invoke(c); return nil }); err != nil {
		c.result = err // the middleware's: a process recovers its own panics
	}
}

func (s *seen) invoke(c *Cell) {
	msg, ok := c.process.Due()
	if !ok {
		return
	}
	env := &proto.MessageEnvelope{Message: msg}
	if special(msg) {
		env.Message = &kept{msg}
	}
	sender, from := c.process.Asked()
	if pid, ok := sender.(*proto.PID); ok {
		env.Sender = pid
	} else if from != nil {
		system, _ := c.process.Address()
		r := system.NewReply(func(v any, gone bool) {
			if !gone {
				from.Reply(v)
			}
		})
		defer r.Drop()
		env.Sender = r.PID()
	}
	s.MessageInvoker.InvokeUserMessage(env)
}

// special tells whether proto takes a message for one of its own, when it sees it, and does something else with it than to
// give it to the actor.
func special(msg any) bool {
	switch msg.(type) {
	case proto.AutoReceiveMessage, proto.AutoRespond, proto.SystemMessage, proto.MailboxMessage, *proto.MessageEnvelope:
		return true
	}
	return false
}

// kept is a message that proto must not see.
type kept struct{ msg any }

// openShell is the proto actor of a process whose messages are seen by middleware, which may have put another one in the
// place of the message, and may call it any number of times.
type openShell Cell

func (c *openShell) Receive(ctx proto.Context) {
	msg := ctx.Message()
	if k, ok := msg.(*kept); ok {
		msg = k.msg
	}
	if err := c.process.Handle(msg); c.result == nil {
		c.result = err
	}
}
