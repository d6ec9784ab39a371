package main

import (
	"fmt"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/report"
)

// names measures what it costs that one node has many names, and then many groups, and two others know of them: first told one by one,
// then all at once, to a node that comes. The NATS server is a process of its own, and does not count.
func (p registryPlan) names(round int) (all []report.Result, err error) {
	engine, url, err := startServer()
	if err != nil {
		return nil, err
	}
	defer engine.stop()
	nodes, err := startMembers(url, "holder", "one", "two")
	defer func() { stopAll(nodes) }()
	if err != nil {
		return nil, err
	}
	if err := tellAll(nodes, command{Do: "serve"}, command{Do: "linked", N: 2}); err != nil {
		return nil, err
	}
	for _, w := range []struct {
		workload, do string
		n            int
	}{{report.Names, "names", p.names1}, {report.Groups, "groups", p.groups1}} {
		if err := nodes[0].do(command{Do: "spawn", N: w.n}, new(bool)); err != nil {
			return nil, err
		}
		before, err := p.look(nodes)
		if err != nil {
			return nil, err
		}
		began := time.Now()
		mark := "the end of " + w.do
		if err := tellAll(nodes[:1], command{Do: w.do}, command{Do: "mark", To: mark}); err != nil {
			return nil, err
		}
		if err := tellAll(nodes, command{Do: "marked", To: mark}); err != nil {
			return nil, err
		}
		took := time.Since(began)
		after, err := p.look(nodes)
		if err != nil {
			return nil, err
		}
		n := float64(w.n)
		all = append(all, report.Result{Workload: w.workload, Server: troupe, Round: round, Values: report.Values{
			report.HolderBytes: float64(after[0].bytes-before[0].bytes) / n,
			report.OtherBytes:  float64(after[1].bytes-before[1].bytes+after[2].bytes-before[2].bytes) / 2 / n,
			report.HolderCPU:   micro(used(before[0], after[0])) / n,
			report.OtherCPU:    micro(used(before[1], after[1])+used(before[2], after[2])) / 2 / n,
			report.Time:        float64(took) / float64(time.Millisecond),
		}})
	}
	late, err := p.late(url, nodes)
	return append(all, report.Result{Workload: report.Late, Server: troupe, Round: round, Values: late}), err
}

// late is a node that comes when all has been told.
func (p registryPlan) late(url string, nodes []*process) (report.Values, error) {
	comes, err := startMembers(url, "late")
	defer func() { stopAll(comes) }()
	if err != nil {
		return nil, err
	}
	both := []*process{comes[0], nodes[0]}
	before, err := p.look(both)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := tellAll(comes, command{Do: "serve"}, command{Do: "linked", N: 3}, command{Do: "marked", To: "the end of groups"}); err != nil {
		return nil, err
	}
	took := time.Since(began)
	after, err := p.look(both)
	if err != nil {
		return nil, err
	}
	return report.Values{
		report.OtherCPU:  float64(used(before[0], after[0])) / float64(time.Millisecond),
		report.HolderCPU: float64(used(before[1], after[1])) / float64(time.Millisecond),
		report.Time:      float64(took) / float64(time.Millisecond),
	}, nil
}

// crowds measures what a node with many sockets costs each of two others, that have a process that watches who is present: when these
// sockets come one by one, when the node is killed, when it is there again with all of them, and when more come now and then.
func (p registryPlan) crowds(round int) (all []report.Result, err error) {
	engine, url, err := startServer()
	if err != nil {
		return nil, err
	}
	defer engine.stop()
	nodes, err := startMembers(url, "one", "two")
	defer func() { stopAll(nodes) }()
	if err != nil {
		return nil, err
	}
	if err := tellAll(nodes, command{Do: "serve"}, command{Do: "linked", N: 1}, command{Do: "watch"}); err != nil {
		return nil, err
	}
	phase := func(workload string, present int, do func() error) error {
		before, err := p.look(nodes)
		if err != nil {
			return err
		}
		had, err := heardOf(nodes, "crowd")
		if err != nil {
			return err
		}
		began := time.Now()
		if err := do(); err != nil {
			return fmt.Errorf("%s: %w", workload, err)
		}
		if err := tellAll(nodes, command{Do: "present", N: present}); err != nil {
			return fmt.Errorf("%s: %w", workload, err)
		}
		took := time.Since(began)
		after, err := p.look(nodes)
		if err != nil {
			return err
		}
		has, err := heardOf(nodes, "crowd")
		if err != nil {
			return err
		}
		v := report.Values{
			report.OtherCPU:   float64(used(before[0], after[0])+used(before[1], after[1])) / 2 / float64(time.Millisecond),
			report.OtherBytes: float64(after[0].bytes-before[0].bytes+after[1].bytes-before[1].bytes) / 2 / float64(p.sockets),
			report.Diffs:      float64(after[0].diffs-before[0].diffs+after[1].diffs-before[1].diffs) / 2,
			report.Time:       float64(took) / float64(time.Millisecond),
		}
		if present > 0 {
			v[report.Records] = float64(has.Records-min(had.Records, has.Records)) / 2
			v[report.Wire] = float64(has.Bytes-min(had.Bytes, has.Bytes)) / 2
		}
		all = append(all, report.Result{Workload: workload, Server: troupe, Round: round, Values: v})
		return nil
	}
	crowd, err := startMembers(url, "crowd")
	defer func() { stopAll(crowd) }()
	if err != nil {
		return nil, err
	}
	if err := tellAll(crowd, command{Do: "spawn", N: p.sockets}, command{Do: "serve"}, command{Do: "linked", N: 2}); err != nil {
		return nil, err
	}
	if err := phase(report.Joins, p.sockets, func() error { return tellAll(crowd, command{Do: "enter"}) }); err != nil {
		return nil, err
	}
	if err := phase(report.Dies, 0, func() error { crowd[0].stop(); return nil }); err != nil { // SIGKILL
		return nil, err
	}
	if crowd, err = startMembers(url, "crowd"); err != nil {
		return nil, err
	}
	if err := tellAll(crowd, command{Do: "spawn", N: p.sockets}, command{Do: "enter"}); err != nil {
		return nil, err
	}
	if err := phase(report.Back, p.sockets, func() error { return tellAll(crowd, command{Do: "serve"}) }); err != nil {
		return nil, err
	}
	return p.trickle(round, all, append(nodes, crowd[0]))
}

// trickle is a few more sockets of the last of nodes, that come one in a millisecond: what is told of them leaves at once, since nothing
// else waits.
func (p registryPlan) trickle(round int, all []report.Result, nodes []*process) ([]report.Result, error) {
	few := max(p.sockets/10, 1)
	last := nodes[len(nodes)-1:]
	if err := tellAll(last, command{Do: "spawn", N: few}); err != nil {
		return nil, err
	}
	before, err := p.look(nodes)
	if err != nil {
		return nil, err
	}
	if err := tellAll(last, command{Do: "enter", Settle: time.Millisecond}); err != nil {
		return nil, err
	}
	if err := tellAll(nodes[:2], command{Do: "present", N: p.sockets + few}); err != nil {
		return nil, err
	}
	after, err := p.look(nodes)
	if err != nil {
		return nil, err
	}
	n := float64(few)
	return append(all, report.Result{Workload: report.Trickle, Server: troupe, Round: round, Values: report.Values{
		report.OtherCPU:  micro(used(before[0], after[0])+used(before[1], after[1])) / 2 / n,
		report.HolderCPU: micro(used(before[2], after[2])) / n,
		report.Diffs:     float64(after[0].diffs-before[0].diffs+after[1].diffs-before[1].diffs) / 2,
	}}), nil
}

// looked is what a process holds, and has used until and since the garbage collections that show it.
type looked struct {
	bytes, diffs int64
	until, since time.Duration
}

// used is the CPU between two looks.
func used(before, after looked) time.Duration { return after.until - before.since }

// look looks at each of nodes when what has been done before is over.
func (p registryPlan) look(nodes []*process) (all []looked, err error) {
	for _, n := range nodes {
		var l looked
		if l.until, err = n.cpu(); err != nil {
			return nil, err
		}
		if err := n.do(command{Do: "held", Settle: p.settle}, &l.bytes); err != nil {
			return nil, err
		}
		if err := n.do(command{Do: "diffs"}, &l.diffs); err != nil {
			return nil, err
		}
		if l.since, err = n.cpu(); err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

// heardOf is what all of nodes have heard of one.
func heardOf(nodes []*process, name string) (all traffic, err error) {
	for _, n := range nodes {
		var t traffic
		if err := n.do(command{Do: "heard", To: name}, &t); err != nil {
			return all, err
		}
		all.Records += t.Records
		all.Bytes += t.Bytes
	}
	return all, nil
}

func startServer() (p *process, url string, err error) {
	var at struct{ Addr string }
	p, err = start(&at, "links", "-server")
	return p, "nats://" + at.Addr, err
}

func startMembers(url string, names ...string) (all []*process, err error) {
	for _, name := range names {
		p, err := start(&struct{}{}, "member", "-name", name, "-url", url)
		if err != nil {
			return all, err
		}
		all = append(all, p)
	}
	return all, nil
}

// tellAll has each of nodes carry out one command after the other: all the first one, then all the next.
func tellAll(nodes []*process, commands ...command) error {
	for _, c := range commands {
		for _, n := range nodes {
			if err := n.do(c, new(any)); err != nil {
				return fmt.Errorf("%s: %w", c.Do, err)
			}
		}
	}
	return nil
}

func stopAll(nodes []*process) {
	for _, n := range nodes {
		n.stop()
	}
}
