package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

// tick is what streamers send to sockets.
type tick struct {
	From string
	N    int
}

// line is the socket of a client: it writes its ticks to it, and keeps them.
type line struct {
	conn  *sockettest.Conn
	pid   actor.PID
	ended time.Time
	journal[tick]
}

func (l *line) Init(ctx context.Context) websock.Result                  { l.pid = actor.Self(ctx); return websock.OK() }
func (l *line) HandleIn(context.Context, websock.Message) websock.Result { return websock.OK() }
func (l *line) HandleInfo(_ context.Context, msg any) websock.Result {
	l.add(msg.(tick))
	return websock.Push(text(msg.(tick)))
}

func (l *line) Terminate(context.Context, error) { l.ended = time.Now() }

func text(m tick) websock.Message { return websock.Text(fmt.Sprint(m.From, " ", m.N)) }

// streamer is a process that monitors sockets and sends to each of them, again and again, until its Down.
type streamer struct {
	pid actor.PID

	mu    sync.Mutex
	sent  map[actor.PID]int // how many Sends were true
	live  []actor.PID
	downs map[actor.PID][]end
	nodes []end // NodeDowns
}

// stream has a streamer send.
type stream struct{}

func (s *streamer) Init(ctx context.Context) error {
	actor.SendEvery(ctx, 10*time.Millisecond, stream{})
	return nil
}

type end struct {
	reason error
	at     time.Time
}

func (s *streamer) Receive(ctx context.Context, msg any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch m := msg.(type) {
	case actor.PID:
		actor.Monitor(ctx, m)
		s.live = append(s.live, m)
	case stream:
		for _, to := range s.live {
			if to.Send(tick{s.pid.String(), s.sent[to] + 1}) {
				s.sent[to]++
			}
		}
	case actor.Down:
		s.downs[m.PID] = append(s.downs[m.PID], end{m.Reason, time.Now()})
		s.live = slices.DeleteFunc(s.live, func(p actor.PID) bool { return p == m.PID })
	case cluster.NodeDown:
		s.nodes = append(s.nodes, end{m.Reason, time.Now()})
	}
	return nil
}

// site is a node with its sockets.
type site struct {
	sockets  *socket.Server
	lines    []*line
	streamer *streamer
}

// Three nodes with 100 sockets each are restarted one after the other under a stream of Sends: the sockets end over a second,
// then the node. The others know of each end
// within milliseconds, and none is taken for a crash; each client got all that was sent to it up to some moment, in order, and
// a Close frame.
func TestRollingRestart(t *testing.T) {
	sockets := 100
	if raceEnabled {
		sockets = 10
	}
	const within = 50 * time.Millisecond // what is on its way takes up to 5 ms
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 3, Seed: 1, Delay: 5 * time.Millisecond, Node: func(int, *actor.System) cluster.Config {
			types := &cluster.Types{}
			cluster.Register[tick](types, "tick")
			return cluster.Config{Types: types}
		}})
		sites := make([]*site, 3)
		for i := range sites {
			sites[i] = newSite(t, c, i, sockets)
		}
		for i := range sites {
			join(c, sites, i)
		}
		wait(time.Second)
		for i, old := range sites {
			if err := old.sockets.Drain(context.Background(), socket.Drain{Over: time.Second}); err != nil {
				t.Errorf("Drain of the sockets of node %d: %v", i, err)
			}
			began := time.Now()
			c.Stop(i)
			took := time.Since(began)
			if took > within {
				t.Errorf("node %d took %v to end, want at most %v", i, took, within)
			}
			wait(within)
			for j, other := range sites {
				if i != j {
					other.streamer.checkEnds(t, c, j, old, began, took+within)
				}
			}
			for _, l := range old.lines {
				checkLine(t, l, sites)
			}
			c.Restart(i)
			c.Connect()
			sites[i] = newSite(t, c, i, sockets)
			join(c, sites, i)
			for j := range sites {
				if i != j {
					for _, l := range sites[j].lines {
						sites[i].streamer.pid.Send(c.At(i, l.pid))
					}
				}
			}
			wait(500 * time.Millisecond)
		}
		for _, s := range sites {
			if err := s.sockets.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
}

// newSite gives node i sockets and a streamer.
func newSite(t *testing.T, c *clustertest.Cluster, i, sockets int) *site {
	t.Helper()
	server, err := socket.New(socket.Config{System: c.System(i), Logger: discard})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{sockets: server, streamer: &streamer{sent: make(map[actor.PID]int), downs: make(map[actor.PID][]end)}}
	for range sockets {
		l := &line{}
		l.conn, _ = sockettest.Dial(t, server.Handler(func(*http.Request) (websock.Handler, error) { return l, nil }), nil)
		s.lines = append(s.lines, l)
	}
	synctest.Wait()
	s.streamer.pid = spawn(t, c.System(i), s.streamer, actor.SpawnOptions{MailboxLimit: -1})
	c.Node(i).Watch(s.streamer.pid)
	return s
}

// join has the streamers of the other nodes send to the sockets of node i.
func join(c *clustertest.Cluster, sites []*site, i int) {
	for j, s := range sites {
		if i != j {
			for _, l := range sites[i].lines {
				s.streamer.pid.Send(c.At(j, l.pid))
			}
		}
	}
	synctest.Wait()
}

// checkEnds checks what the streamer of node j was told of the end of another node, which began to stop at that time, and of
// its sockets.
func (s *streamer) checkEnds(t *testing.T, c *clustertest.Cluster, j int, gone *site, began time.Time, within time.Duration) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range gone.lines {
		ends := s.downs[c.At(j, l.pid)]
		if len(ends) != 1 {
			t.Errorf("node %d was told %d times of the end of %v, want once: %v", j, len(ends), l.pid, ends)
			continue
		}
		late := ends[0].at.Sub(l.ended)
		if e := ends[0]; !errors.Is(e.reason, actor.ErrShutdown) || errors.Is(e.reason, actor.ErrNodeDown) || late < 0 || late > within {
			t.Errorf("node %d: Down of %v with %v after %v, want ErrShutdown within %v", j, l.pid, e.reason, late, within)
		}
	}
	if n := len(s.nodes); n == 0 || s.nodes[n-1].reason != actor.ErrShutdown || s.nodes[n-1].at.Sub(began) > within {
		t.Errorf("node %d: the NodeDowns are %v, want one more, with ErrShutdown, within %v of %v", j, s.nodes, within, began)
	}
}

// checkLine checks that a socket that has ended got what was sent to it, in order, and its client, too.
func checkLine(t *testing.T, l *line, sites []*site) {
	t.Helper()
	last, all := make(map[string]int), l.all()
	for _, m := range all {
		if m.N != last[m.From]+1 {
			t.Errorf("%v got %v after %d", l.pid, m, last[m.From])
		}
		last[m.From] = m.N
	}
	if len(last) < 2 {
		t.Errorf("%v got ticks of %d streamers, want those of two nodes", l.pid, len(last))
	}
	for _, s := range sites {
		s.streamer.mu.Lock()
		for p, n := range s.streamer.sent {
			const onTheWay = 3 // until the streamer knows
			if got := last[s.streamer.pid.String()]; p.String() == l.pid.String() && (got > n || got < n-onTheWay) {
				t.Errorf("%v got %d ticks, %d were sent", l.pid, got, n)
			}
		}
		s.streamer.mu.Unlock()
	}
	var want []websock.Message
	for _, m := range all {
		want = append(want, text(m))
	}
	l.conn.Want(want...)
	l.conn.WantClose(1001, "")
}
