package peer

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// SoakOptions are what the server of a soak is made with.
type SoakOptions struct {
	Hibernate  time.Duration // Config.HibernateAfter
	Ping       time.Duration // Config.PingInterval
	MaxSockets int           // Config.MaxSockets
	Every      time.Duration // between two broadcasts
}

// A SoakState is what the server of a soak says about itself, after a garbage collection.
type SoakState struct {
	Heap       uint64 `json:"heap_bytes"`
	Goroutines int    `json:"goroutines"`
	Sockets    int    `json:"sockets"`
	Asleep     int    `json:"asleep"`     // of the sockets, hibernated
	Members    int    `json:"members"`    // of the group
	Broadcasts uint64 `json:"broadcasts"` // so far
}

// ServeSoak serves echoes and broadcasts numbers without pause: "#1 ...", "#2 ..." to all that are in the group. "join" and
// "leave" are commands of a client. What they answer tells which numbers it has to get: after "joined S" all above S;
// after "left" none at all, not even one that was under way. The func that is returned tells the state.
func ServeSoak(ln net.Listener, o SoakOptions) (func() SoakState, error) {
	sockets, err := socket.New(socket.Config{
		Compression: socket.Compression{On: true}, HibernateAfter: o.Hibernate, PingInterval: o.Ping, MaxSockets: o.MaxSockets,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		return nil, err
	}
	s := &soak{reg: registry.New(sockets.System())}
	serveHTTP(ln, sockets.Handler(func(*http.Request) (websock.Handler, error) { return soaker{soak: s}, nil }).ServeHTTP)
	go s.broadcast(o.Every)
	return func() SoakState {
		for range 3 { // pools keep what they have for one collection more
			runtime.GC()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		state := SoakState{Heap: m.HeapAlloc, Goroutines: runtime.NumGoroutine(), Members: s.reg.Count(group), Broadcasts: s.done.Load()}
		for _, info := range sockets.Sockets() {
			state.Sockets++
			if info.Hibernated {
				state.Asleep++
			}
		}
		return state
	}, nil
}

type soak struct {
	reg         *registry.Registry
	begun, done atomic.Uint64 // broadcasts
}

func (s *soak) broadcast(every time.Duration) {
	rest := " " + strings.Repeat("what everybody is to hear, ", 24)
	for range time.Tick(every) {
		n := s.begun.Add(1)
		s.reg.Broadcast(group, websock.Text(fmt.Sprint("#", n, rest)))
		s.done.Store(n)
	}
}

type soaker struct {
	echo
	*soak
}

func (s soaker) HandleIn(ctx context.Context, msg websock.Message) websock.Result {
	switch string(msg.Data) {
	case "join":
		s.reg.Join(group, actor.Self(ctx), nil)
		return websock.Push(websock.Text(fmt.Sprint("joined ", s.begun.Load())))
	case "leave":
		s.reg.Leave(group, actor.Self(ctx))
		return websock.Push(websock.Text("left"))
	}
	return websock.Push(msg)
}
