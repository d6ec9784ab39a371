package report

// A section is a workload on the page.
type section struct {
	workload string
	title    string
	figure   string // the one in the chart
	axis     string // what it is
	note     string
}

var sections = []section{
	{"echo64", "Echo: 64 connections, one message in flight", CPU, "server CPU, µs per message", "128 bytes."},
	{"echo1000", "Echo: 1,000 connections, one message in flight", CPU, "server CPU, µs per message", "128 bytes."},
	{"pipelined", "Echo: 64 connections, 32 messages in flight", CPU, "server CPU, µs per message", "128 bytes. A client writes the next messages together when it has read several answers together."},
	{"echo16k", "Echo: 16 KiB", CPU, "server CPU, µs per message", "64 connections, one message in flight."},
	{"echo1m", "Echo: 1 MiB", CPU, "server CPU, µs per message", "8 connections, one message in flight."},
	{"cast1000", "Broadcast to 1,000", CPU, "server CPU, µs per delivery", "128 bytes. Latency is the time from the call of the broadcast to the arrival at each client."},
	{"cast10000", "Broadcast to 10,000", CPU, "server CPU, µs per delivery", "The same with more clients."},
	{"cast1000z", "Compressed broadcast to 1,000", CPU, "server CPU, µs per delivery", "512 bytes of JSON, permessage-deflate without context takeover, level 1."},
	{"cast10000z", "Compressed broadcast to 10,000", CPU, "server CPU, µs per delivery", "The same with more clients."},
	{"connect", "Connect, one echo, close", CPU, "server CPU, µs per connection", "16 clients at once, each with the handshake, one message of 128 bytes and both Close frames. Latency is for all of it."},
	{"idle", "Memory of an idle connection", Used, "KB of resident memory per connection, after one message", "Before and after one message of 128 bytes on each connection. troupe is hibernated, troupe-reader keeps its goroutine."},
	{"idlez", "Memory of an idle connection with compression", Used, "KB of resident memory per connection, after one message", "The same with permessage-deflate and one compressed message of 2 KiB."},
	{"wake", "A broadcast to connections that have been idle", Time, "ms from the call to the last client", "One broadcast of 128 bytes to all connections, after they have been silent."},
	{"million", "Connections in memory", Deliver, "ns per delivery of a broadcast", "Troupe alone, over pipes in the same process instead of the kernel, with all cores. Memory is that of both ends, asleep, with " +
		"process, group entry and deadline. A drain ends when each client has answered its Close. Growth is the largest of the costs against that of 10,000."},
	{"send", "Go benchmarks", Nanos, "ns per operation", "`go test -bench` of the packages, medians of 5, with all cores. The first two are those of the targets."},
}

// A column is a figure in the tables.
type column struct {
	figure, title string
	span          bool
}

var columns = []column{
	{CPU, "CPU, µs", true},
	{Rate, "per second", false},
	{P50, "p50, µs", false},
	{P99, "p99, µs", false},
	{P999, "p99.9, µs", false},
	{Time, "all of it, ms", true},
	{Fresh, "fresh, KB", true},
	{Used, "after one message, KB", true},
	{Total, "memory, GB", true},
	{Heap, "bytes of heap", true},
	{Pipe, "of them pipe", false},
	{Connect, "connect, ns", true},
	{Deliver, "delivery, ns", true},
	{Drain, "drain, ns", true},
	{Goroutines, "goroutines at most", false},
	{Growth, "growth", true},
	{Nanos, "ns", true},
	{Bytes, "bytes allocated", false},
	{Allocs, "allocations", false},
}
