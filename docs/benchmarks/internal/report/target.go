package report

import (
	"fmt"
	"strings"
)

// troupe is the server that the targets are for.
const troupe = "troupe"

// A Target is a figure that Troupe has to reach: at most Limit, or at most Limit times the same figure of Against in
// the same round. The aim is what lies beyond.
type Target struct {
	Title    string
	Workload string
	Figure   string
	Server   string // "": troupe
	Limit    bound
	Aim      bound
	unit     string
}

// What stands as server for the figures that are measured inside a process.
const (
	Million = "1,000,000"
	Send    = "actor.PID_Send"
	Sender  = "actor.PID_Send_only"
	Call    = "actor.Call_betweenActors"
)

// A bound is a number, or a multiple of another server's figure.
type bound struct {
	value    float64
	zero     bool   // value is 0, and that is the bound
	against  string // "": value is absolute
	workload string // "": that of the target
}

// Targets are those of the project.
var Targets = []Target{
	{Title: "echo, one connection", Workload: "echo1", Figure: CPU, Limit: times(1, "gws"), Aim: times(1.1, "bun")},
	{Title: "echo, one connection, against gobwas", Workload: "echo1", Figure: CPU, Limit: times(1, "gobwas")},
	{Title: "echo, 64 connections, one in flight", Workload: "echo64", Figure: CPU, Limit: times(1, "gws"), Aim: times(1.1, "bun")},
	{Title: "echo, 64 connections, one in flight, against gobwas", Workload: "echo64", Figure: CPU, Limit: times(1, "gobwas")},
	{Title: "echo, 1,000 connections, one in flight", Workload: "echo1000", Figure: CPU, Limit: times(1, "gws"), Aim: times(1.1, "bun")},
	{Title: "echo, 1,000 connections, one in flight, against gobwas", Workload: "echo1000", Figure: CPU, Limit: times(1, "gobwas")},
	{Title: "echo, 32 in flight", Workload: "pipelined", Figure: CPU, Limit: times(0.25, "gws"), Aim: times(3, "raw")},
	{Title: "echo, 32 in flight, p99", Workload: "pipelined", Figure: P99, Limit: times(1, "gws"), Aim: times(0.1, "gws")},
	{Title: "echo, 2 KiB, compressed, 64 connections", Workload: "echo2kz64", Figure: CPU, Limit: times(1, "gws"), Aim: times(0.8, "gws")},
	{Title: "echo, 2 KiB, compressed, 1,000 connections", Workload: "echo2kz", Figure: CPU, Limit: times(1, "gws"), Aim: times(0.8, "gws")},
	{Title: "echo, 16 KiB, against gws whose handler copies messages, so that it may keep them, too", Workload: "echo16k", Figure: CPU, Limit: times(1.05, "gws-copy"), Aim: times(0.9, "gws-copy")},
	{Title: "echo, 16 KiB, messages lent to a websock.Borrower", Workload: "echo16k", Server: "troupe-reuse", Figure: CPU, Limit: times(1, "gws"), Aim: times(1, "gobwas")},
	{Title: "echo, 1 MiB, against gws whose handler copies messages", Workload: "echo1m", Figure: CPU, Limit: times(1.05, "gws-copy"), Aim: times(0.9, "gws-copy")},
	{Title: "echo, 1 MiB, messages lent to a websock.Borrower", Workload: "echo1m", Server: "troupe-reuse", Figure: CPU, Limit: times(1, "gws"), Aim: times(1, "gobwas")},
	{Title: "echo, 1 MiB, messages lent to a websock.Borrower, against gobwas", Workload: "echo1m", Server: "troupe-reuse", Figure: CPU, Limit: times(1, "gobwas")},
	{Title: "200 rooms of five", Workload: "rooms", Figure: CPU, Limit: times(1, "gws"), Aim: times(0.8, "gws")},
	{Title: "2,000 rooms of five, on 10,000 connections", Workload: "rooms2000", Figure: CPU, Limit: times(1, "gws"), Aim: times(0.8, "gws")},
	{Title: "64 talkers beside a broadcast to 5,000 each 250 ms, their p99", Workload: "mix5000", Figure: P99, Limit: bound{value: 20_000}, Aim: bound{value: 10_000}, unit: "µs"},
	{Title: "64 talkers beside a broadcast to 5,000 each 250 ms, their p99.9", Workload: "mix5000", Figure: P999, Limit: bound{value: 20_000}, Aim: bound{value: 10_000}, unit: "µs"},
	{Title: "broadcast to 1,000", Workload: "cast1000", Figure: CPU, Limit: times(1, "gws"), Aim: times(1.05, "gobwas")},
	{Title: "broadcast to 10,000", Workload: "cast10000", Figure: CPU, Limit: times(1, "gws"), Aim: times(1.05, "gobwas")},
	{Title: "compressed broadcast to 1,000", Workload: "cast1000z", Figure: CPU, Limit: times(1.1, "gws"), Aim: bound{value: 1.1, against: troupe, workload: "cast1000"}},
	{Title: "compressed broadcast to 10,000", Workload: "cast10000z", Figure: CPU, Limit: times(1.1, "gws"), Aim: bound{value: 1.1, against: troupe, workload: "cast10000"}},
	{Title: "connect, one echo, close", Workload: "connect", Figure: CPU, Limit: times(1, "gws"), Aim: times(1, "gobwas")},
	{Title: "idle memory, asleep", Workload: "idle", Figure: Used, Limit: bound{value: 2}, Aim: bound{value: 1.5}, unit: "KB"},
	{Title: "idle memory, asleep, without a forced collection", Workload: "idle", Figure: Left, Limit: bound{value: 3}, Aim: bound{value: 2}, unit: "KB"},
	{Title: "idle memory over TLS, asleep", Workload: "idletls", Figure: Used, Limit: bound{value: 8}, Aim: bound{value: 6}, unit: "KB"},
	{Title: "idle memory with its reader goroutine", Workload: "idle", Figure: Used, Server: "troupe-reader", Limit: bound{value: 10.5}, Aim: bound{value: 9}, unit: "KB"},
	{Title: "idle memory with compression, asleep", Workload: "idlez", Figure: Used, Limit: bound{value: 6}, Aim: bound{value: 4.8}, unit: "KB"},
	{Title: "1,000,000 connections in memory, all of it", Workload: "million", Server: Million, Figure: Total, Limit: bound{value: 8}, unit: "GB"},
	{Title: "1,000,000 connections in memory, growth of the cost of one", Workload: "million", Server: Million, Figure: Growth, Limit: bound{value: 2}},
	{Title: "send to a local PID, for the sender", Workload: "send", Server: Sender, Figure: Nanos, Limit: bound{value: 80}, unit: "ns"},
	{Title: "send to a local PID, until another core has handled it", Workload: "send", Server: Send, Figure: Nanos, Limit: bound{value: 80}, unit: "ns"},
	{Title: "send to a local PID, allocations beyond the message", Workload: "send", Server: Send, Figure: Allocs, Limit: bound{zero: true}},
	{Title: "Call round trip between two actors", Workload: "send", Server: Call, Figure: Nanos, Limit: bound{value: 2000}, Aim: bound{value: 1000}, unit: "ns"},
}

func times(factor float64, server string) bound { return bound{value: factor, against: server} }

// Met says how far a target is met.
type Met uint8

const (
	Missed   Met = iota // the median does not meet it
	InMedian            // the median of all rounds does
	Always              // every round does
)

func (m Met) String() string { return [...]string{"**no**", "median", "yes"}[m] }

// A Verdict is what became of a target.
type Verdict struct {
	Target
	Reached  Summary // the figure
	Ratio    Summary // to Limit.against, one of each round; without it, the figure
	Rounds   int
	Measured bool
	Met      Met
	AimMet   Met
}

// Judge holds the runs to a target. Ratios are those of one round: what a shared machine does from minute to minute
// hits both.
func (t Target) Judge(runs []Run) Verdict {
	if t.Server == "" {
		t.Server = troupe
	}
	v := Verdict{Target: t}
	v.Reached, _ = figure(runs, t.Workload, t.Server, t.Figure)
	ratios := t.hold(runs, t.Limit)
	v.Ratio, v.Measured = summarize(ratios)
	v.Rounds = len(ratios)
	v.Met = met(ratios, t.Limit)
	if t.Aim.value > 0 {
		v.AimMet = met(t.hold(runs, t.Aim), t.Aim)
	}
	return v
}

func met(values []float64, b bound) Met {
	s, ok := summarize(values)
	switch {
	case ok && s.Max <= b.value:
		return Always
	case ok && s.Median <= b.value:
		return InMedian
	}
	return Missed
}

// hold returns for each round that has both what stands against b.value.
func (t Target) hold(runs []Run, b bound) (all []float64) {
	workload := b.workload
	if workload == "" {
		workload = t.Workload
	}
	for _, run := range runs {
		for _, r := range run.Results {
			reached, ok := r.Values.figure(t.Figure)
			if r.Workload != t.Workload || r.Server != t.Server || !ok {
				continue
			}
			if b.against == "" {
				all = append(all, reached)
			} else if other, ok := run.round(workload, b.against, t.Figure, r.Round); ok && other > 0 {
				all = append(all, reached/other)
			}
		}
	}
	return all
}

// round is one figure of one server in one round.
func (r Run) round(workload, server, name string, round int) (float64, bool) {
	for _, one := range r.Results {
		if one.Workload == workload && one.Server == server && one.Round == round {
			return one.Values.figure(name)
		}
	}
	return 0, false
}

func (t Target) bound(b bound) string {
	switch {
	case b.zero:
		return "0"
	case b.value == 0:
		return ""
	case b.against == "":
		return strings.TrimSpace(number(b.value) + " " + t.unit)
	case b.workload != "":
		return fmt.Sprintf("%.2f × plain", b.value)
	}
	return fmt.Sprintf("%.2f × %s", b.value, b.against)
}
