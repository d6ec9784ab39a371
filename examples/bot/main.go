// Bot sits in a room of examples/chat, counts what is said, and tells whoever says "!seen". When the chat is restarted it
// comes back, and knows what it has seen before.
//
//	go run ./examples/chat
//	go run ./examples/bot
//	go run ./examples/bot -url wss://chat.example/ws -name Counter -room lobby
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

func main() {
	err := run(context.Background(), os.Args[1:], os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bot:", err)
		os.Exit(1)
	}
}

// run keeps the bot in its room until ctx is done, a signal comes, or the chat sends it away for good.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("bot", flag.ContinueOnError)
	url := flags.String("url", "ws://127.0.0.1:4000/ws", "`URL` of the chat's socket")
	b := &bot{key: rand.Text(), session: rand.Text()}
	flags.StringVar(&b.name, "name", "Bot", "`name` in the chat")
	flags.StringVar(&b.room, "room", "lobby", "`room` to sit in")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}

	logger := slog.New(slog.NewTextHandler(out, nil))
	sys, err := actor.NewSystem(actor.Config{Logger: logger})
	if err != nil {
		return err
	}
	dialer := &socket.Dialer{
		URL:     *url,
		Name:    "chat",
		Handler: func() websock.Handler { return &visit{bot: b, logger: logger} },
		Config: socket.Config{
			System:         sys,
			MaxMessageSize: 1 << 20, // the last messages of a room, in one
			Compression:    socket.Compression{On: true},
			Logger:         logger,
		},
	}

	// A bot that was sent away for good has nothing more to do, so the program ends.
	ctx, done := context.WithCancel(ctx)
	defer done()
	var sentAway error
	connection := supervisor.ServiceFunc(func(ctx context.Context) error {
		err := dialer.Serve(ctx)
		if ctx.Err() == nil && exit.KindOf(err) != exit.Abnormal {
			sentAway = err
			done()
		}
		return err
	})
	err = supervisor.Run(ctx, supervisor.Config{Name: "bot", Logger: logger},
		supervisor.ChildSpec{ID: "system", Service: sys},
		supervisor.ChildSpec{ID: "chat", Service: connection, Restart: supervisor.Transient, Shutdown: dialer.ShutdownTime()},
	)
	return errors.Join(err, sentAway)
}
