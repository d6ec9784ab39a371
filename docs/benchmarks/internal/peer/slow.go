package peer

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// SlowOptions are what a server of slow clients is made with.
type SlowOptions struct {
	SendBuffer   int           // Config.SendBuffer
	MailboxLimit int           // Config.MailboxLimit
	Size         int           // of a message
	Every        time.Duration // between two messages of a stream or of the ticker
	Keys         int           // of the messages that are broadcast, which take turns; 0: they have no Delivery
	Way          string        // of a stream; "": a socket gets what is broadcast
	Messages     int           // of a stream
}

// The ways of a stream.
const (
	BySend     = "Send"
	BySendWait = "SendWait"
	ByStream   = "Stream"
)

// A SlowState is what a server of slow clients says about itself.
type SlowState struct {
	Sent       uint64 `json:"sent"` // broadcasts, or messages of streams
	LeftOut    uint64 `json:"left_out"`
	Dropped    uint64 `json:"dropped"` // with sockets that have ended
	Sockets    int    `json:"sockets"`
	Members    int    `json:"members"`    // of the group that broadcasts reach
	Overloaded uint64 `json:"overloaded"` // sockets that have ended because of it
	Waiting    int    `json:"waiting"`    // messages, in the mailbox that has the most
	Heap       uint64 `json:"heap_bytes"` // after a garbage collection
}

// A Slow is a server of slow clients. Each message begins with its number in 8 bytes and the time in 8, in nanoseconds since 1970.
type Slow struct {
	o       SlowOptions
	sockets *socket.Server
	reg     *registry.Registry
	stop    chan struct{}
	ticking sync.WaitGroup

	mu      sync.Mutex
	sent    uint64
	dropped uint64
}

// ServeSlow serves slow clients.
func ServeSlow(ln net.Listener, o SlowOptions) (*Slow, error) {
	s := &Slow{o: o}
	var err error
	s.sockets, err = socket.New(socket.Config{
		SendBuffer: o.SendBuffer, MailboxLimit: o.MailboxLimit,
		WriteTimeout: time.Minute, // on a busy machine a slow client is slower still, and is to stay
		Logger:       slog.New(slog.NewTextHandler(io.Discard, nil)),
		OnClose: func(c socket.Closed) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.dropped += c.Dropped
		},
	})
	if err != nil {
		return nil, err
	}
	s.reg = registry.New(s.sockets.System())
	serveHTTP(ln, s.sockets.Handler(func(*http.Request) (websock.Handler, error) {
		if o.Way == "" {
			return member{reg: s.reg}, nil
		}
		return streamer{slow: s}, nil
	}).ServeHTTP)
	return s, nil
}

// message is the next one.
func (s *Slow) message() (m websock.Message, number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	number = s.sent
	s.sent++
	p := make([]byte, s.o.Size)
	binary.BigEndian.PutUint64(p, number)
	binary.BigEndian.PutUint64(p[8:], uint64(time.Now().UnixNano()))
	return websock.Binary(p), number
}

// Cast broadcasts one message.
func (s *Slow) Cast() {
	m, number := s.message()
	if s.o.Keys > 0 {
		m = m.Deliver(websock.Delivery{Key: fmt.Sprint(number % uint64(s.o.Keys))})
	}
	s.reg.Broadcast(group, m)
}

// Tick begins to broadcast, until Halt.
func (s *Slow) Tick() {
	s.stop = make(chan struct{})
	s.ticking.Go(func() {
		for next := time.Now(); ; next = next.Add(s.o.Every) {
			select {
			case <-s.stop:
				return
			case <-time.After(time.Until(next)):
				s.Cast()
			}
		}
	})
}

// Halt ends what Tick has begun.
func (s *Slow) Halt() {
	close(s.stop)
	s.ticking.Wait()
}

// State tells the state.
func (s *Slow) State() SlowState {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	st := s.sockets.Stats()
	s.mu.Lock()
	defer s.mu.Unlock()
	return SlowState{
		Sent: s.sent, LeftOut: st.LeftOut, Dropped: s.dropped, Sockets: st.Open, Members: s.reg.Count(group), Overloaded: st.Closed[socket.CauseOverload], Waiting: st.MailboxMax,
		Heap: m.HeapAlloc,
	}
}

// A streamer is one socket of a stream.
type streamer struct {
	echo
	slow *Slow
}

func (h streamer) Init(ctx context.Context) websock.Result {
	o := h.slow.o
	if o.Way == ByStream {
		return websock.Stream(func(yield func(websock.Message) bool) {
			for range o.Messages {
				if m, _ := h.slow.message(); !yield(m) {
					return
				}
			}
		})
	}
	self := actor.Self(ctx)
	actor.Async(ctx, func(ctx context.Context) (struct{}, error) {
		next := time.Now()
		for range o.Messages {
			next = next.Add(o.Every)
			time.Sleep(time.Until(next))
			m, _ := h.slow.message()
			if o.Way == BySend {
				if !self.Send(m) {
					return struct{}{}, actor.ErrNoProcess
				}
			} else if err := actor.SendWait(ctx, self, m); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	return websock.OK()
}
