package main

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
)

const (
	boardEvery = time.Second
	boardRows  = 5 // so that the board fits through a slow network
)

// board tells everybody, once a second, of which tabs most was left out, and how far they are behind. Only the newest of its
// messages waits for a slow tab, too.
type board struct {
	reg     *registry.Registry
	sockets *socket.Server
	n       int
}

// look is what a board is sent, by itself.
type look struct{}

func (b *board) Init(ctx context.Context) error {
	actor.SendEvery(ctx, boardEvery, look{})
	return nil
}

func (b *board) Receive(context.Context, any) error {
	rows := []row{}
	for _, info := range b.sockets.Sockets() {
		rows = append(rows, row{info.Label, info.Lag.Age.Milliseconds(), info.Lag.Messages, info.Lag.LeftOut})
	}
	count := len(rows)
	slices.SortFunc(rows, func(x, y row) int {
		return cmp.Or(cmp.Compare(y.LeftOut, x.LeftOut), cmp.Compare(y.Age, x.Age), cmp.Compare(x.Tab, y.Tab))
	})
	b.n++
	b.reg.Broadcast(everybody, newest("tabs", tabs{"tabs", b.n, count, rows[:min(count, boardRows)]}))
	return nil
}
