package main

import (
	"context"
	"encoding/json"
	"iter"
	"slices"
	"unicode/utf8"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/websock"
)

const maxPrompt = 2000 // characters

// request is what a page sends.
type request struct {
	Type   string `json:"type"`   // ask or stop
	Answer int    `json:"answer"` // a number that the page chooses, so that it can tell its answers apart
	Prompt string `json:"prompt"` // of ask
}

// What a page gets.
type (
	hello struct {
		Type string `json:"type"` // hello: once, at the beginning
		Most int    `json:"most"` // answers at once
		Rate int    `json:"rate"` // tokens a second that the model makes for each
	}
	token struct {
		Type   string `json:"type"` // token
		Answer int    `json:"answer"`
		Text   string `json:"text"`
	}
	end struct {
		Type   string `json:"type"` // end: of an answer, after its last token
		Answer int    `json:"answer"`
		How    string `json:"how"`    // done, stopped or failed
		Tokens int    `json:"tokens"` // how many there have been
	}
	refused struct {
		Type   string `json:"type"` // refused
		Answer int    `json:"answer"`
		Why    string `json:"why"`
	}
)

// client is the handler of one socket. An answer is a function that runs beside its callbacks, so the page can ask and stop at any
// time; the function waits, in SendWait, for the page.
type client struct {
	ask  func(ctx context.Context, prompt string) iter.Seq2[string, error]
	rate int // of the model, for the page
	most int // answers at once

	answers []*answer // those under way
}

// answer is one that is under way.
type answer struct {
	number  int
	task    actor.TaskRef
	stopped bool // the page has said stop
}

func (c *client) Init(context.Context) websock.Result {
	return push(hello{"hello", c.most, c.rate})
}

func (c *client) HandleIn(ctx context.Context, msg websock.Message) websock.Result {
	var in request
	if msg.Opcode != websock.OpText || json.Unmarshal(msg.Data, &in) != nil {
		return websock.Close(websock.ClosePolicyViolation, "a request is a JSON object, in a text message")
	}
	running := slices.IndexFunc(c.answers, func(a *answer) bool { return a.number == in.Answer })
	switch {
	case in.Type == "stop" && running >= 0:
		c.answers[running].stopped = true
		c.answers[running].task.Cancel()
		return websock.OK()
	case in.Type == "stop": // it has ended meanwhile, and the page hears so, or has
		return websock.OK()
	case in.Type != "ask":
		return refuse(in, "a request is of type ask or stop")
	case running >= 0:
		return refuse(in, "there is an answer with that number")
	case len(c.answers) >= c.most:
		return refuse(in, "too many answers at once")
	case in.Prompt == "" || utf8.RuneCountInString(in.Prompt) > maxPrompt:
		return refuse(in, "a prompt has 1 to 2000 characters")
	}
	c.answers = append(c.answers, &answer{number: in.Answer, task: c.start(ctx, in)})
	return websock.OK()
}

// start streams an answer to the client until it is over, the page says stop, or the socket ends: in the last two cases its ctx is
// done. The result is how many tokens have gone into the mailbox. It has one token in its hands, and half of the mailbox
// at most is full of those before it: so a page that reads slowly, or not at all, costs that much, and its socket lives.
func (c *client) start(ctx context.Context, in request) actor.TaskRef {
	ask, self := c.ask, actor.Self(ctx)
	return actor.Async(ctx, func(ctx context.Context) (n int, err error) {
		for text, err := range ask(ctx, in.Prompt) {
			if err != nil {
				return n, err
			}
			if err := actor.SendWait(ctx, self, websock.JSON(token{"token", in.Answer, text})); err != nil {
				return n, err
			}
			n++
		}
		return n, nil
	})
}

// HandleInfo gets the end of each answer, after its last token: both wait in the same mailbox.
func (c *client) HandleInfo(_ context.Context, msg any) websock.Result {
	done, ok := msg.(actor.Done[int])
	if !ok {
		return websock.OK()
	}
	i := slices.IndexFunc(c.answers, func(a *answer) bool { return a.task == done.Ref })
	if i < 0 {
		return websock.OK()
	}
	a := c.answers[i]
	c.answers = slices.Delete(c.answers, i, i+1)
	how := "done"
	switch {
	case done.Err != nil && a.stopped:
		how = "stopped"
	case done.Err != nil:
		how = "failed"
	}
	return push(end{"end", a.number, how, done.Value})
}

func refuse(in request, why string) websock.Result {
	return push(refused{"refused", in.Answer, why})
}

func push(v any) websock.Result { return websock.Push(websock.JSON(v)) }
