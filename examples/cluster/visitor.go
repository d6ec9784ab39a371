package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/websock"
)

// maxWatched is how many processes one page watches at a time.
const maxWatched = 100

// visitor is the socket of one page. It sends what the page asks for to processes of any node, watches each that it has
// sent to, and tells the page what comes and goes.
type visitor struct {
	node    *cluster.Node
	watched map[actor.PID]bool // those it has sent to, which have not ended since
}

func (v *visitor) Init(ctx context.Context) websock.Result {
	v.watched = map[actor.PID]bool{}
	self := actor.Self(ctx)
	v.node.Watch(self) // a NodeUp for each node that is up, too
	return show(news{Type: "you", Node: self.Node(), PID: self.String(), Process: os.Getpid()})
}

func (v *visitor) HandleIn(ctx context.Context, msg websock.Message) websock.Result {
	r, err := parseRequest(msg)
	if err != nil {
		return show(news{Type: "problem", Text: err.Error()})
	}
	to := actor.Self(ctx) // it comes back
	if r.To != "" {
		to, err = v.node.System().ParsePID(r.To)
		if err != nil || to == (actor.PID{}) {
			return show(news{Type: "problem", Text: "That is no PID. A PID looks like 12.0123456789abcdef@web-2, and each page shows its own."})
		}
	}
	if problem := v.send(ctx, to, r.Text); problem != "" {
		return show(news{Type: "problem", Text: problem})
	}
	return show(news{Type: "sent", PID: to.String(), Text: r.Text})
}

// send sends a text, and says why it could not.
func (v *visitor) send(ctx context.Context, to actor.PID, text string) (problem string) {
	self := actor.Self(ctx)
	var monitor actor.MonitorRef
	if to != self && !v.watched[to] {
		if len(v.watched) == maxWatched {
			return fmt.Sprintf("This page has written to %d processes that live. It can write to those, but to no further one.", maxWatched)
		}
		monitor = actor.Monitor(ctx, to) // before the Send: then no end is missed
	}
	if !to.Send(letter{From: self, Text: text}) {
		monitor.Stop()
		return v.refusal(self, to)
	}
	if to != self {
		v.watched[to] = true
	}
	return ""
}

// refusal says what false from Send means: nothing was delivered.
func (v *visitor) refusal(self, to actor.PID) string {
	switch {
	case to.Alive():
		return fmt.Sprintf("Not sent: %v has too much to read. Try again later.", to)
	case v.node.System().Owns(to):
		return fmt.Sprintf("Not sent: %v has ended.", to)
	case to.Node() == self.Node():
		return fmt.Sprintf("Not sent: %v has ended, with the process that this node was before.", to)
	}
	return fmt.Sprintf("Not sent: %v is on a node that is not connected, or was started anew since.", to)
}

func (v *visitor) HandleInfo(_ context.Context, msg any) websock.Result {
	switch m := msg.(type) {
	case letter:
		return show(news{Type: "said", PID: m.From.String(), Text: m.Text})
	case actor.Down:
		delete(v.watched, m.PID)
		return show(news{Type: "down", PID: m.PID.String(), Text: ending(m.Reason)})
	case cluster.NodeUp:
		return show(news{Type: "up", Node: m.Node, Boot: m.Boot})
	case cluster.NodeDown:
		text := "fell silent: it may be dead, or cut off"
		if errors.Is(m.Reason, actor.ErrShutdown) {
			text = "said goodbye"
		}
		return show(news{Type: "gone", Node: m.Node, Boot: m.Boot, Text: text})
	}
	return websock.OK()
}

// ending says what an exit reason means.
func ending(reason error) string {
	switch {
	case errors.Is(reason, actor.ErrNodeDown): // before ErrNoProcess, which it is as well
		return "cannot be reached any more: its node is lost, and nobody knows whether it lives"
	case errors.Is(reason, actor.ErrNoProcess):
		return "had ended before; the text was not delivered"
	case errors.Is(reason, websock.ErrRemote):
		return "has ended: its page was closed"
	case exit.KindOf(reason) == exit.Shutdown:
		return "has ended: it was shut down"
	case exit.KindOf(reason) == exit.Normal:
		return "has ended"
	}
	return "has crashed"
}
