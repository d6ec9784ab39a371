package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/docs/benchmarks/internal/report"
	"github.com/troupe-dev/troupe/websock"
)

// casts is broadcasts of 64 bytes to a group with one member on each of two other nodes, and of as many to one with one member on
// the sender's node: the local fan-out, which each of the two nodes has as well. What is beyond that is the cost of a node.
// Each node has a NATS server in it, which counts.
func (p registryPlan) casts(round int) (all []report.Result, err error) {
	var at struct{ Addr string }
	sender, err := start(&at, "member", "-name", "sender")
	if err != nil {
		return nil, err
	}
	nodes := []*process{sender}
	defer func() { stopAll(nodes) }()
	for i := range away {
		n, err := start(&struct{}{}, "member", "-name", fmt.Sprint("other", i), "-route", at.Addr)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	if err := tellAll(nodes, command{Do: "serve"}, command{Do: "linked", N: away}); err != nil {
		return nil, err
	}
	members := make([]string, len(nodes))
	for i, n := range nodes {
		if err := n.do(command{Do: "join", To: map[bool]string{true: "here", false: "away"}[i == 0]}, &members[i]); err != nil {
			return nil, err
		}
	}
	for _, w := range []struct {
		workload           string
		n, every, mostSent int
	}{
		{report.Cast, p.casts1(turns), step, ahead * step},
		{report.Cast20, p.casts1(4 * turns), few, few},
	} {
		var here, elsewhere sum
		for i := range 1 + turns { // the first one warms up
			for j := range 2 {
				c := command{Do: "cast", N: w.n, Every: w.every, Ahead: w.mostSent, To: "here", Who: members[:1]}
				s := &here
				if (round+i+j)%2 == 1 {
					c.To, c.Who, s = "away", members[1:], &elsewhere
				}
				cost, err := costOf(nodes, c)
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", w.workload, c.To, err)
				}
				if i > 0 {
					s.add(cost)
				}
			}
		}
		local := micro(here.cpu) / float64(here.n)
		all = append(all, report.Result{Workload: w.workload, Server: troupe, Round: round, Values: report.Values{
			report.LocalCPU: local,
			report.NodeCPU:  micro(elsewhere.cpu)/float64(elsewhere.n)/away - local,
		}})
	}
	return all, nil
}

const (
	away = 2  // nodes that have members
	few  = 20 // broadcasts after which the sender waits until all have them
)

// casts1 is how many broadcasts a turn has, when a round has so many turns.
func (p registryPlan) casts1(turns int) int { return max(p.messages/turns/step, 1) * step }

// costOf has the first of nodes carry out c, and says what that has cost all.
func costOf(nodes []*process, c command) (s sum, err error) {
	before, err := cpuOf(nodes)
	if err != nil {
		return s, err
	}
	var t took
	if err := nodes[0].do(c, &t); err != nil {
		return s, err
	}
	after, err := cpuOf(nodes)
	return sum{c.N, after - before, t}, err
}

func cpuOf(nodes []*process) (all time.Duration, err error) {
	for _, n := range nodes {
		cpu, err := n.cpu()
		if err != nil {
			return 0, err
		}
		all += cpu
	}
	return all, nil
}

// counter is a member: it counts what is broadcast.
type counter struct {
	hello
	n int
}

func (r *counter) Receive(_ context.Context, msg any) error {
	switch m := msg.(type) {
	case hello:
		r.hello, r.n = m, 0
		r.From.Send(0)
	case websock.Message:
		if r.n++; r.n%r.Every == 0 {
			r.From.Send(r.n)
		}
	}
	return nil
}

// join makes a member of a group, and says who it is.
func (m *member) join(c command) (string, error) {
	pid, err := m.sys.Spawn(context.Background(), &counter{}, actor.SpawnOptions{MailboxLimit: 2 * ahead * step})
	if err != nil {
		return "", err
	}
	return pid.String(), m.reg.Join(c.To, pid, nil)
}

// caster hears of several members how many messages they have.
type caster struct {
	counts chan count
	ears   []actor.PID // one process for each member
}

type count struct{ who, n int }

// ear listens to one member.
type ear struct {
	who    int
	counts chan count
}

func (e ear) Receive(_ context.Context, msg any) error {
	if n, ok := msg.(int); ok {
		e.counts <- count{e.who, n}
	}
	return nil
}

// cast broadcasts c.N messages to the group of c.To, the members of which are c.Who. It is c.Ahead messages ahead of them at most.
func (m *member) cast(c command) (t took, err error) {
	if m.sender == nil {
		m.sender = &caster{counts: make(chan count, 4*ahead)}
		for i := range away {
			pid, err := m.sys.Spawn(context.Background(), ear{i, m.sender.counts}, actor.SpawnOptions{})
			if err != nil {
				return t, err
			}
			m.sender.ears = append(m.sender.ears, pid)
		}
	}
	have := make([]int, len(c.Who))
	for i, text := range c.Who {
		have[i] = -1
		pids, err := m.others(text)
		if err != nil {
			return t, err
		}
		if !pids[0].Send(hello{m.sender.ears[i], c.Every}) {
			return t, errors.New("the first message is refused")
		}
	}
	wait := func(least int) error {
		for i := 0; i < len(have); i++ {
			for have[i] < least {
				select {
				case got := <-m.sender.counts:
					have[got.who] = got.n
				case <-time.After(patience / 2):
					return fmt.Errorf("%d messages were sent, and %v have arrived", least, have)
				}
			}
		}
		return nil
	}
	if err := wait(0); err != nil {
		return t, err
	}
	msg := websock.Binary(make([]byte, payload))
	began := time.Now()
	for sent := 0; sent < c.N; sent++ {
		if sent%c.Every == 0 {
			if err := wait(sent + c.Every - c.Ahead); err != nil {
				return t, err
			}
		}
		m.reg.Broadcast(c.To, msg)
	}
	err = wait(c.N / c.Every * c.Every)
	t.All = time.Since(began)
	return t, err
}
