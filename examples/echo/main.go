// Echo answers every message with itself. The socket is at /ws, a page to try it with at /.
//
//	go run ./examples/echo
//	go run ./examples/echo -addr 127.0.0.1:4000 -compress -max-message 20000000 -idle 60s
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	err := run(ctx, os.Args[1:], os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}

// echo is the handler. It has no state, so all sockets could share one.
type echo struct{}

func (echo) Init(context.Context) websock.Result                            { return websock.OK() }
func (echo) HandleIn(_ context.Context, msg websock.Message) websock.Result { return websock.Push(msg) }
func (echo) HandleInfo(context.Context, any) websock.Result                 { return websock.OK() }

//go:embed index.html
var page []byte

// run serves until ctx is done, then says goodbye (1001) to every client.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("echo", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:4000", "`address` to listen on")
	compress := flags.Bool("compress", false, "negotiate permessage-deflate")
	maxMessage := flags.Int64("max-message", 0, "largest message in `bytes`; 0: 10 MB")
	idle := flags.Duration("idle", 0, "end sockets whose peer is silent for so long; 0: 60s")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}

	sockets, err := socket.New(socket.Config{
		MaxMessageSize: *maxMessage,
		IdleTimeout:    *idle,
		Compression:    socket.Compression{On: *compress},
		Logger:         slog.New(slog.NewTextHandler(out, nil)),
	})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/ws", sockets.Handler(func(*http.Request) (websock.Handler, error) { return echo{}, nil }))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(page)
	})

	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "echo: http://%s/ (socket at /ws)\n", listener.Addr())
	server := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       time.Minute,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	// A socket may take 15 s to end and its peer 5 s to say goodbye (Config.ShutdownTimeout, CloseTimeout).
	ctx, cancel := context.WithTimeout(context.Background(), 25*time.Second)
	defer cancel()
	// The sockets first: http.Server does not know connections that were upgraded.
	err = errors.Join(sockets.Shutdown(ctx), server.Shutdown(ctx))
	<-served
	return err
}
