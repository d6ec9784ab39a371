package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/websock"
)

// The messages of the chat, as far as the bot needs them: see examples/chat/README.md.
type (
	request struct {
		Type    string `json:"type"`
		Name    string `json:"name,omitempty"`
		Key     string `json:"key,omitempty"`
		Session string `json:"session,omitempty"`
		Room    string `json:"room,omitempty"`
		Life    string `json:"life,omitempty"`
		After   int64  `json:"after,omitempty"`
		Text    string `json:"text,omitempty"`
		Ref     string `json:"ref,omitempty"`
	}
	event struct {
		Type     string  `json:"type"`
		Room     string  `json:"room"`
		Life     string  `json:"life"`
		ID       int64   `json:"id"`
		Name     string  `json:"name"`
		Text     string  `json:"text"`
		Ref      string  `json:"ref"`
		Code     string  `json:"code"`
		Messages []event `json:"messages"`
	}
)

// visit is the handler of one connection. All that is to outlive it is the bot's.
type visit struct {
	bot    *bot
	logger *slog.Logger
}

type sayAgain struct{}

// patience is how long the bot waits when the chat says that it was too fast.
const patience = 3 * time.Second

func (v *visit) Init(context.Context) websock.Result { return push(v.bot.hello()) }

func (v *visit) HandleIn(ctx context.Context, msg websock.Message) websock.Result {
	var e event
	if err := json.Unmarshal(msg.Data, &e); err != nil {
		return websock.Stop(err) // this is no chat: the supervisor is to know
	}
	switch e.Type {
	case "welcome":
		return push(v.bot.join())
	case "joined":
		v.logger.Info("joined", "room", e.Room, "missed", len(e.Messages))
		return push(v.bot.joined(e.Life, e.Messages)...)
	case "message":
		return push(v.bot.heard(e)...)
	case "error":
		v.logger.Warn("refused", "code", e.Code, "text", e.Text)
		if e.Code == "rate" || e.Code == "server" {
			actor.SendAfter(ctx, patience, sayAgain{})
			return websock.OK()
		}
		return websock.Stop(websock.ErrRestart) // the name, for example: somebody else has it just now. Come back later
	}
	return websock.OK()
}

func (v *visit) HandleInfo(_ context.Context, msg any) websock.Result {
	if _, ok := msg.(sayAgain); ok {
		return push(v.bot.waiting()...)
	}
	return websock.OK()
}

func push(rs ...request) websock.Result {
	ms := make([]websock.Message, len(rs))
	for i, r := range rs {
		ms[i] = websock.JSON(r)
	}
	return websock.Push(ms...)
}
