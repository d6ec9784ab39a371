package natsengine_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/natsengine"
	"github.com/troupe-dev/troupe/actor/cluster/natsengine/embedded"
)

// A child is this test binary as a node, or as a NATS server, of its own process. It is told what to do on its standard input
// and ends with it.
const childEnv = "TROUPE_CHILD"

// childConfig is what the environment says to a child.
type childConfig struct {
	Name      string
	DownAfter time.Duration
	Port      int      // > 0: it is no node but a NATS server at that port
	URL       string   // of a NATS server; "": it has one of its own
	Listen    string   // of its own server
	Routes    []string // of its own server
}

// item is what nodes send to each other. N counts all that From has tried to send to this receiver.
type item struct {
	From string
	N    int
	Pad  string
}

func newTypes() *cluster.Types {
	types := new(cluster.Types)
	cluster.Register[item](types, "item")
	return types
}

// spans are numbers that only grow, as pairs of the first and the last of each row.
type spans [][2]int

func (s *spans) add(n int) {
	if k := len(*s) - 1; k >= 0 && (*s)[k][1] == n-1 {
		(*s)[k][1] = n
		return
	}
	*s = append(*s, [2]int{n, n})
}

func (s spans) last() int {
	if len(s) == 0 {
		return 0
	}
	return s[len(s)-1][1]
}

func (s spans) count() (n int) {
	for _, row := range s {
		n += row[1] - row[0] + 1
	}
	return n
}

// each yields the numbers of s that are not in o.
func (s spans) without(o spans) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		k := 0
		for _, row := range s {
			for n := row[0]; n <= row[1]; n++ {
				for k < len(o) && o[k][1] < n {
					k++
				}
				if (k == len(o) || n < o[k][0]) && !yield(n) {
					return
				}
			}
		}
	}
}

// account is what a node knows of what it has sent and received.
type account struct {
	PID      string
	Sent     map[string]spans // by receiver: what Send has said true to
	Downs    map[string][]int // by receiver: how far it had come at each Down
	Received map[string]spans // by sender
	Wrong    []string         // what came twice or after later ones
}

// teller sends items to all that it knows, and keeps the account.
type teller struct {
	self, pad string
	ctx       context.Context
	sending   int // items at each tick, for each receiver
	to        map[actor.PID]*lane
	account   account
}

type lane struct {
	tried int
	sent  spans
	downs []int
}

type (
	tick  struct{}
	watch struct{ pid actor.PID }
	add   struct{ pid actor.PID }
	speed struct{ items int }
	tell  struct{}
)

func newTeller() *teller {
	return &teller{to: map[actor.PID]*lane{}, account: account{Received: map[string]spans{}}, pad: strings.Repeat(".", 200)}
}

func (t *teller) Init(ctx context.Context) error {
	t.ctx, t.self = ctx, actor.Self(ctx).String()
	actor.SendEvery(ctx, 5*time.Millisecond, tick{})
	return nil
}

func (t *teller) Receive(ctx context.Context, msg any) error {
	switch m := msg.(type) {
	case tick:
		for pid := range t.to {
			t.send(pid, t.sending)
		}
	case item:
		got := t.account.Received[m.From]
		if m.N <= got.last() {
			t.account.Wrong = append(t.account.Wrong, fmt.Sprintf("%d of %s after %d", m.N, m.From, got.last()))
		} else {
			got.add(m.N)
			t.account.Received[m.From] = got
		}
	case add:
		t.to[m.pid] = &lane{}
		actor.Monitor(ctx, m.pid)
	case watch:
		actor.Monitor(ctx, m.pid)
	case speed:
		t.sending = m.items
	case actor.Down:
		l := t.to[m.PID]
		if n := len(l.downs); n == 0 || l.downs[n-1] != l.tried {
			l.downs = append(l.downs, l.tried)
		}
		actor.SendAfter(ctx, 50*time.Millisecond, watch{m.PID})
	case tell:
		actor.Reply(ctx, t.told())
	}
	return nil
}

func (t *teller) send(pid actor.PID, items int) {
	l := t.to[pid]
	for range items {
		l.tried++
		if pid.Send(item{From: t.self, N: l.tried, Pad: t.pad}) {
			l.sent.add(l.tried)
		}
	}
}

// told is a copy of the account.
func (t *teller) told() account {
	a := account{PID: t.self, Sent: map[string]spans{}, Downs: map[string][]int{}, Received: map[string]spans{}, Wrong: t.account.Wrong}
	for pid, l := range t.to {
		a.Sent[pid.String()] = append(spans(nil), l.sent...)
		a.Downs[pid.String()] = append([]int(nil), l.downs...)
	}
	for from, got := range t.account.Received {
		a.Received[from] = append(spans(nil), got...)
	}
	return a
}

// mailbox has room for all that may come while a test runs: a message that a full mailbox refuses is no fault of the link.
var mailbox = actor.SpawnOptions{MailboxLimit: 1 << 22}

// child runs a child; the error is printed.
func child(text string) error {
	var cfg childConfig
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		return err
	}
	in := bufio.NewScanner(os.Stdin)
	if cfg.Port > 0 {
		s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: cfg.Port, NoLog: true, NoSigs: true})
		if err != nil {
			return err
		}
		s.Start()
		if !s.ReadyForConnections(patience) {
			return errors.New("the NATS server is not ready")
		}
		fmt.Println("ready")
		in.Scan()
		return nil
	}
	engine, addr, stopServer, err := childEngine(cfg)
	if err != nil {
		return err
	}
	defer stopServer()
	sys, err := actor.NewSystem(actor.Config{Node: cfg.Name, Logger: silent})
	if err != nil {
		return err
	}
	node, err := cluster.New(sys, cluster.Config{Engine: engine, Types: newTypes(), DownAfter: cfg.DownAfter, Logger: silent})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- node.Serve(ctx) }()
	pid, err := sys.Spawn(context.Background(), newTeller(), mailbox)
	if err != nil {
		return err
	}
	fmt.Println("ready", pid, addr)
	for in.Scan() {
		what, arg, _ := strings.Cut(in.Text(), " ")
		switch what {
		case "add":
			other, err := sys.ParsePID(arg)
			if err != nil {
				return err
			}
			pid.Send(add{other})
		case "speed":
			var s speed
			if _, err := fmt.Sscan(arg, &s.items); err != nil {
				return err
			}
			pid.Send(s)
		case "tell":
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			a, err := actor.Call[account](ctx, pid, tell{})
			cancel()
			if err != nil {
				return err
			}
			if err := json.NewEncoder(os.Stdout).Encode(a); err != nil {
				return err
			}
		}
	}
	err = sys.Shutdown(context.Background())
	cancel()
	return errors.Join(err, <-served)
}

// childEngine is the engine that cfg names, and the address of the server that comes with it.
func childEngine(cfg childConfig) (e cluster.Engine, addr string, stop func(), err error) {
	if cfg.URL != "" {
		e, err := natsengine.New(natsengine.Config{URL: cfg.URL})
		return e, "", func() {}, err
	}
	s, err := embedded.Start(embedded.Config{Listen: cfg.Listen, Routes: cfg.Routes, Logger: silent})
	if err != nil {
		return nil, "", nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	return s.Engine(), s.Addr(), func() { cancel(); <-served }, nil
}
