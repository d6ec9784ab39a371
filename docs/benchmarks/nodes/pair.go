package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/report"
)

const (
	payload = 64    // bytes of a message
	step    = 8_192 // the receiver of a flood says after each so many messages how many it has
	ahead   = 8     // and the sender is so many of these ahead at most: without that NATS loses messages
)

// turns is in how many a round is cut: both kinds take turns, so that what else the machine does hits both.
const turns = 40

// both measures floods and calls from one node to another, each a process with a NATS server.
func (p plan) both(round int) (all []report.Result, err error) {
	var pairs []*pair
	for _, with := range []string{report.NATS, troupe} {
		pr, err := p.start(with)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", with, err)
		}
		defer pr.stop()
		pairs = append(pairs, pr)
	}
	for _, w := range []struct {
		workload, do string
		n            int
	}{
		{report.Flood, "flood", max(p.messages/turns/step, 1) * step},
		{report.Ask, "call", max(p.calls/turns, 1)},
	} {
		sums := make([]sum, len(pairs))
		for i := range 1 + turns { // the first one warms up
			for j := range pairs {
				k := (round + i + j) % len(pairs)
				c, err := pairs[k].cost(command{Do: w.do, To: pairs[k].to, N: w.n})
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", pairs[k].with, w.workload, err)
				}
				if i > 0 {
					sums[k].add(c)
				}
			}
		}
		for k, pr := range pairs {
			all = append(all, report.Result{Workload: w.workload, Server: pr.with, Round: round, Values: sums[k].values()})
		}
	}
	return all, nil
}

// pair is two nodes.
type pair struct {
	with             string
	sender, receiver *process
	to               string // where the receiver is to be found
}

func (p plan) start(with string) (*pair, error) {
	var a, b struct{ Addr string }
	receiver, err := start(&a, "node", "-with", with, "-name", "receiver")
	if err != nil {
		return nil, err
	}
	pr := &pair{with: with, receiver: receiver}
	if pr.sender, err = start(&b, "node", "-with", with, "-name", "sender", "-route", a.Addr); err == nil {
		err = receiver.do(command{Do: "serve"}, &pr.to)
	}
	if err != nil {
		pr.stop()
		return nil, err
	}
	return pr, nil
}

func (pr *pair) stop() {
	if pr.sender != nil {
		pr.sender.stop()
	}
	pr.receiver.stop()
}

// cpu is that of both processes.
func (pr *pair) cpu() (time.Duration, error) {
	s, err := pr.sender.cpu()
	if err != nil {
		return 0, err
	}
	r, err := pr.receiver.cpu()
	return s + r, err
}

// cost has the sender do c, and says what that has cost both processes.
func (pr *pair) cost(c command) (s sum, err error) {
	before, err := pr.cpu()
	if err != nil {
		return s, err
	}
	var t took
	if err := pr.sender.do(c, &t); err != nil {
		return s, err
	}
	after, err := pr.cpu()
	return sum{c.N, after - before, t}, err
}

// sum is what some turns have cost.
type sum struct {
	n   int
	cpu time.Duration
	took
}

func (s *sum) add(o sum) {
	s.n += o.n
	s.cpu += o.cpu
	s.All += o.All
	s.Each = append(s.Each, o.Each...)
}

func (s *sum) values() report.Values {
	v := report.Values{
		report.CPU:  micro(s.cpu) / float64(s.n),
		report.Rate: float64(s.n) / s.All.Seconds(),
	}
	if n := len(s.Each); n > 0 {
		slices.Sort(s.Each)
		v[report.P50], v[report.P99] = micro(s.Each[n/2]), micro(s.Each[n*99/100])
	}
	return v
}

func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// took is how long something has taken.
type took struct {
	All  time.Duration
	Each []time.Duration
}

// end is one end of a connection between two nodes.
type end interface {
	// addr is where the server of the next node is to connect to.
	addr() string
	// serve counts what floods bring, answers calls, and returns where it is to be found.
	serve() (string, error)
	// open finds it. received gets the numbers that it says.
	open(to string, received func(n int)) (other, error)
	close() error
}

// other is the other end.
type other interface {
	send(b []byte) error
	call(b []byte) error
}

// node is the process of one end.
func node(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("node", flag.ContinueOnError)
	with := flags.String("with", troupe, "what sends")
	name := flags.String("name", "", "of the node")
	route := flags.String("route", "", "address of the other server")
	if err := flags.Parse(args); err != nil {
		return err
	}
	open := map[string]func(name, route string) (end, error){troupe: openTroupe, report.NATS: openNATS}[*with]
	if open == nil {
		return fmt.Errorf("-with %q", *with)
	}
	e, err := open(*name, *route)
	if err != nil {
		return err
	}
	defer e.close()
	if err := json.NewEncoder(out).Encode(map[string]string{"Addr": e.addr()}); err != nil {
		return err
	}
	s := &sender{received: make(chan int, 2*ahead)}
	return obey(in, out, func(c command) (any, error) {
		if c.Do == "serve" {
			return e.serve()
		}
		if s.to == nil {
			to, err := e.open(c.To, func(n int) { s.received <- n })
			if err != nil {
				return nil, err
			}
			s.to = to
		}
		if c.Do == "flood" {
			return s.flood(c.N)
		}
		return s.calls(c.N)
	})
}

// sender is the end that is measured.
type sender struct {
	to       other
	received chan int
	sent     int // in all floods
	known    int // of them to have been received
}

// flood sends n messages, as fast as the receiver takes them.
func (s *sender) flood(n int) (t took, err error) {
	b := make([]byte, payload)
	began := time.Now()
	await := func(most int) error {
		for s.sent-s.known > most {
			select {
			case s.known = <-s.received:
			case <-time.After(patience / 2):
				return fmt.Errorf("%d messages were sent, %d have arrived", s.sent, s.known)
			}
		}
		return nil
	}
	for range n {
		if err := s.to.send(b); err != nil {
			return t, err
		}
		if s.sent++; s.sent%step == 0 {
			if err := await((ahead - 1) * step); err != nil {
				return t, err
			}
		}
	}
	err = await(0)
	t.All = time.Since(began)
	return t, err
}

// calls makes n calls, one after the other.
func (s *sender) calls(n int) (t took, err error) {
	b := make([]byte, payload)
	each := make([]time.Duration, n)
	began := time.Now()
	for i := range each {
		at := time.Now()
		if err := s.to.call(b); err != nil {
			return t, err
		}
		each[i] = time.Since(at)
	}
	t.All, t.Each = time.Since(began), each
	return t, nil
}
