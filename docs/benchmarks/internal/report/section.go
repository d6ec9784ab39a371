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
	{"echo1", "Echo: one connection, one message in flight", CPU, "server CPU, µs per message", "128 bytes. Both sides wait for each other: no core is busy, and a good part of the CPU is falling asleep and waking up."},
	{"echo64", "Echo: 64 connections, one message in flight", CPU, "server CPU, µs per message", "128 bytes."},
	{"echo1000", "Echo: 1,000 connections, one message in flight", CPU, "server CPU, µs per message", "128 bytes."},
	{"pipelined", "Echo: 64 connections, 32 messages in flight", CPU, "server CPU, µs per message", "128 bytes. A client writes the next messages together when it has read several answers together."},
	{"echo16k", "Echo: 16 KiB", CPU, "server CPU, µs per message", "64 connections, one message in flight."},
	{"echo1m", "Echo: 1 MiB", CPU, "server CPU, µs per message", "8 connections, one message in flight."},
	{"echo2kz64", "Echo: 2 KiB, compressed, 64 connections", CPU, "server CPU, µs per message", "JSON, one message in flight, permessage-deflate without context takeover, level 1: the server inflates and deflates each."},
	{"echo2kz", "Echo: 2 KiB, compressed", CPU, "server CPU, µs per message", "JSON, 1,000 connections, one message in flight, permessage-deflate without context takeover, level 1: the server inflates and deflates each."},
	{"echotls", "Echo over TLS", CPU, "server CPU, µs per message", "128 bytes, 64 connections, one message in flight. TLS 1.3 of Go's standard library on both sides; the load has a goroutine for each connection, and costs more than elsewhere."},
	{"rooms", "200 rooms of five", CPU, "server CPU, µs per delivery", "128 bytes. In each room one member after the other says something, the next when all five have it."},
	{"rooms2000", "2,000 rooms of five", CPU, "server CPU, µs per delivery", "The same on 10,000 connections."},
	{"mix", "64 talkers beside broadcasts", P99, "p99 of an echo, µs", "1,000 connections get a broadcast of 128 bytes 50 times a second, while 64 of them have one echo of 128 bytes in flight. CPU and rate are those of echoes and deliveries together, the other latencies those of the echoes."},
	{"mix5000", "64 talkers beside long broadcasts", P999, "p99.9 of an echo, µs", "The same with 5,000 connections, which get a broadcast four times a second."},
	{"cast1000", "Broadcast to 1,000", CPU, "server CPU, µs per delivery", "128 bytes. Latency is the time from the call of the broadcast to the arrival at each client."},
	{"cast10000", "Broadcast to 10,000", CPU, "server CPU, µs per delivery", "The same with more clients."},
	{"cast1000z", "Compressed broadcast to 1,000", CPU, "server CPU, µs per delivery", "512 bytes of JSON, permessage-deflate without context takeover, level 1."},
	{"cast10000z", "Compressed broadcast to 10,000", CPU, "server CPU, µs per delivery", "The same with more clients."},
	{"connect", "Connect, one echo, close", CPU, "server CPU, µs per connection", "16 clients at once, each with the handshake, one message of 128 bytes and both Close frames. Latency is for all of it."},
	{"idle", "Memory of an idle connection", Used, "KB of resident memory per connection, after one message", "Before and after one message of 128 bytes on each connection, both after a garbage collection that was asked for; then as it is when nobody asks. troupe sleeps, troupe-reader keeps its goroutine."},
	{"idlez", "Memory of an idle connection with compression", Used, "KB of resident memory per connection, after one message", "The same with permessage-deflate and one compressed message of 2 KiB."},
	{"idletls", "Memory of an idle connection over TLS", Used, "KB of resident memory per connection, after one message", "The same over TLS: the state of crypto/tls is most of it."},
	{"wake", "A broadcast to connections that have been idle", Time, "ms from the call to the last client", "One broadcast of 128 bytes to all connections, after they have been silent."},
	{"million", "Connections in memory", Deliver, "ns per delivery of a broadcast", "Troupe alone, over pipes in the same process instead of the kernel, with all cores. Memory is that of both ends, asleep, with " +
		"process, group entry and deadline. A drain ends when each client has answered its Close. Growth is the largest of the costs against that of 10,000."},
	{"send", "Go benchmarks", Nanos, "ns per operation", "`go test -bench` of the packages, medians of 5, with all cores. The first three are those of the targets."},
}

// A column is a figure in the tables.
type column struct {
	figure, title string
	span          bool
}

var columns = []column{
	{CPU, "CPU, µs", true},
	{Rate, "per second", false},
	{Cores, "cores", false},
	{Load, "of the load", false},
	{P50, "p50, µs", false},
	{P99, "p99, µs", false},
	{P999, "p99.9, µs", false},
	{CastP99, "p99 of a broadcast, µs", false},
	{Time, "all of it, ms", true},
	{Fresh, "fresh, KB", true},
	{Used, "after one message, KB", true},
	{Left, "without a forced collection, KB", true},
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
