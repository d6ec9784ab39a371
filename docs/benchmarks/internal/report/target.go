package report

import (
	"fmt"
	"slices"
	"strings"
)

// troupe is the server that the targets are for.
const troupe = "troupe"

// A Target is a figure that Troupe has to reach: at most Limit, or at most Limit times the same figure of Against in
// the same run. The aim is what lies beyond.
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
	{Title: "echo, 64 connections, one in flight", Workload: "echo64", Figure: CPU, Limit: times(1.10, "gws"), Aim: times(1, "gws")},
	{Title: "echo, 1,000 connections, one in flight", Workload: "echo1000", Figure: CPU, Limit: times(1.10, "gws"), Aim: times(1, "gws")},
	{Title: "echo, 32 in flight", Workload: "pipelined", Figure: CPU, Limit: times(0.25, "gws"), Aim: times(3, "raw")},
	{Title: "echo, 32 in flight, p99", Workload: "pipelined", Figure: P99, Limit: times(1, "gws"), Aim: times(0.1, "gws")},
	{Title: "echo, 16 KiB", Workload: "echo16k", Figure: CPU, Limit: times(1.20, "gws"), Aim: times(1, "gws")},
	{Title: "the same, against gws whose handler may keep messages, too", Workload: "echo16k", Figure: CPU, Limit: times(1.20, "gws-keep"), Aim: times(1, "gws-keep")},
	{Title: "the same, Config.ReuseBuffers", Workload: "echo16k", Server: "troupe-reuse", Figure: CPU, Limit: times(1.20, "gws"), Aim: times(1, "gws")},
	{Title: "echo, 1 MiB", Workload: "echo1m", Figure: CPU, Limit: times(1.20, "gws"), Aim: times(1, "gws")},
	{Title: "the same, Config.ReuseBuffers", Workload: "echo1m", Server: "troupe-reuse", Figure: CPU, Limit: times(1.20, "gws"), Aim: times(1, "gws")},
	{Title: "broadcast to 1,000", Workload: "cast1000", Figure: CPU, Limit: times(1, "gws"), Aim: times(1.05, "gobwas")},
	{Title: "broadcast to 10,000", Workload: "cast10000", Figure: CPU, Limit: times(1, "gws"), Aim: times(1.05, "gobwas")},
	{Title: "compressed broadcast to 1,000", Workload: "cast1000z", Figure: CPU, Limit: times(1.1, "gws"), Aim: bound{value: 1.1, against: troupe, workload: "cast1000"}},
	{Title: "compressed broadcast to 10,000", Workload: "cast10000z", Figure: CPU, Limit: times(1.1, "gws"), Aim: bound{value: 1.1, against: troupe, workload: "cast10000"}},
	{Title: "connect, one echo, close", Workload: "connect", Figure: CPU, Limit: times(1.1, "gorilla"), Aim: times(1, "gws")},
	{Title: "idle memory, hibernated", Workload: "idle", Figure: Used, Limit: bound{value: 4.8}, Aim: bound{value: 3.5}, unit: "KB"},
	{Title: "idle memory with its reader goroutine", Workload: "idle", Figure: Used, Server: "troupe-reader", Limit: bound{value: 10.5}, Aim: bound{value: 9}, unit: "KB"},
	{Title: "idle memory with compression, hibernated", Workload: "idlez", Figure: Used, Limit: bound{value: 6}, Aim: bound{value: 4.8}, unit: "KB"},
	{Title: "1,000,000 connections in memory, all of it", Workload: "million", Server: Million, Figure: Total, Limit: bound{value: 8}, unit: "GB"},
	{Title: "1,000,000 connections in memory, growth of the cost of one", Workload: "million", Server: Million, Figure: Growth, Limit: bound{value: 2}},
	{Title: "send to a local PID", Workload: "send", Server: Send, Figure: Nanos, Limit: bound{value: 150}, Aim: bound{value: 80}, unit: "ns"},
	{Title: "send to a local PID, allocations beyond the message", Workload: "send", Server: Send, Figure: Allocs, Limit: bound{zero: true}},
	{Title: "Call round trip between two actors", Workload: "send", Server: Call, Figure: Nanos, Limit: bound{value: 2000}, Aim: bound{value: 1000}, unit: "ns"},
}

func times(factor float64, server string) bound { return bound{value: factor, against: server} }

// A Verdict is what became of a target.
type Verdict struct {
	Target
	Reached  Summary // the figure
	Ratio    Summary // to Limit.against, one of each run
	Measured bool
	Met      bool // in every run
	AimMet   bool
}

// Judge holds the runs to a target. Ratios are those of the medians within one run: two runs on a shared machine differ
// more than two servers.
func (t Target) Judge(runs []Run) Verdict {
	if t.Server == "" {
		t.Server = troupe
	}
	v := Verdict{Target: t}
	v.Reached, v.Measured = figure(runs, t.Workload, t.Server, t.Figure)
	if !v.Measured {
		return v
	}
	ratios, ok := t.hold(runs, t.Limit)
	v.Measured = ok
	v.Ratio, _ = summarize(ratios)
	v.Met = ok && slices.Max(ratios) <= t.Limit.value
	if ratios, ok := t.hold(runs, t.Aim); ok && t.Aim.value > 0 {
		v.AimMet = slices.Max(ratios) <= t.Aim.value
	}
	return v
}

// hold returns for each run that has both what stands against b.value.
func (t Target) hold(runs []Run, b bound) ([]float64, bool) {
	var all []float64
	for _, run := range runs {
		one := []Run{run}
		reached, ok := figure(one, t.Workload, t.Server, t.Figure)
		if !ok {
			continue
		}
		if b.against == "" {
			all = append(all, reached.Median)
			continue
		}
		workload := b.workload
		if workload == "" {
			workload = t.Workload
		}
		if other, ok := figure(one, workload, b.against, t.Figure); ok && other.Median > 0 {
			all = append(all, reached.Median/other.Median)
		}
	}
	return all, len(all) > 0
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
