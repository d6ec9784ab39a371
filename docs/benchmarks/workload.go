package main

import (
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/load"
	"github.com/troupe-dev/troupe/docs/benchmarks/internal/peer"
	"github.com/troupe-dev/troupe/docs/benchmarks/internal/report"
)

// A workload is one of the things that servers have to do.
type workload struct {
	name    string
	once    bool // takes long and varies little: one round is enough
	few     bool // has no target: three rounds are enough
	options peer.Options
	takes   func(peer.Peer) bool
	run     func(*server, scale) (report.Values, error)
}

// rounds is how many of all rounds run this workload.
func (w workload) rounds(all int) int {
	switch {
	case w.once:
		return min(all, 1)
	case w.few:
		return min(all, 3)
	}
	return all
}

// A scale says how long to look, and at how many.
type scale struct {
	warm, window time.Duration
	idle         int           // connections of the workloads about idle ones
	quiet        time.Duration // how long they are silent before a look at them, for all servers
}

// hibernate is Config.HibernateAfter for Troupe where connections are idle: nobody has to wait for the default of 15 s.
const hibernate = 500 * time.Millisecond

func workloads() []workload {
	return []workload{
		echo("echo1", load.Echo{Conns: 1, InFlight: 1, Size: 128}),
		echo("echo64", load.Echo{Conns: 64, InFlight: 1, Size: 128}),
		echo("echo1000", load.Echo{Conns: 1000, InFlight: 1, Size: 128}),
		echo("pipelined", load.Echo{Conns: 64, InFlight: 32, Size: 128}),
		echo("echo16k", load.Echo{Conns: 64, InFlight: 1, Size: 16 << 10}).of(large),
		echo("echo1m", load.Echo{Conns: 8, InFlight: 1, Size: 1 << 20}).of(large),
		echo("echo2kz64", load.Echo{Conns: 64, InFlight: 1, Size: 2 << 10}).with(peer.Options{Deflate: true}),
		echo("echo2kz", load.Echo{Conns: 1000, InFlight: 1, Size: 2 << 10}).with(peer.Options{Deflate: true}),
		echo("echotls", load.Echo{Conns: 64, InFlight: 1, Size: 128}).with(peer.Options{TLS: true}).seldom(),
		rooms("rooms", 200),
		rooms("rooms2000", 2000),
		mix("mix", 1000, 20*time.Millisecond).seldom(),
		mix("mix5000", 5000, 250*time.Millisecond),
		broadcast("cast1000", 1000, false),
		broadcast("cast10000", 10_000, false),
		broadcast("cast1000z", 1000, true),
		broadcast("cast10000z", 10_000, true),
		{name: "connect", takes: echoes, run: connect},
		idle("idle", 128, 1, peer.Options{}),
		idle("idlez", 2<<10, 4, peer.Options{Deflate: true}),
		idle("idletls", 128, 4, peer.Options{TLS: true}),
		{
			name: "wake", once: true, run: wake, options: peer.Options{Group: true, Hibernate: hibernate},
			takes: func(p peer.Peer) bool { return p.Variant != peer.Large },
		},
	}
}

func echoes(p peer.Peer) bool { return !p.NoEcho && p.Variant == "" }

func large(p peer.Peer) bool { return !p.NoEcho && (p.Variant == "" || p.Variant == peer.Large) }

func echo(name string, e load.Echo) workload {
	return workload{
		name: name, takes: echoes,
		run: func(s *server, sc scale) (report.Values, error) {
			e := e
			e.Warm, e.For = sc.warm, sc.window
			sample, err := e.Run(s.target())
			return values(sample), err
		},
	}
}

// seldom returns the workload with fewer rounds.
func (w workload) seldom() workload {
	w.few = true
	return w
}

// with returns the workload for servers with these options.
func (w workload) with(o peer.Options) workload {
	w.options = o
	return w
}

// can tells whether the peer can do what the options ask for.
func can(p peer.Peer, o peer.Options) bool { return !(o.Deflate && p.NoDeflate) && !(o.TLS && p.NoTLS) }

// of returns the workload for the peers that takes accepts.
func (w workload) of(takes func(peer.Peer) bool) workload {
	w.takes = takes
	return w
}

func broadcast(name string, conns int, deflate bool) workload {
	return workload{
		name: name, options: peer.Options{Group: true, Deflate: deflate},
		takes: func(p peer.Peer) bool { return p.Variant == "" },
		run: func(s *server, sc scale) (report.Values, error) {
			b := load.Broadcast{Conns: conns, Size: 128, Warm: sc.warm, For: sc.window, Send: s.broadcast}
			if deflate {
				b.Size = 512
			}
			sample, err := b.Run(s.target())
			return values(sample), err
		},
	}
}

func connect(s *server, sc scale) (report.Values, error) {
	sample, err := load.Churn{Clients: 16, Size: 128, Warm: sc.warm, For: sc.window}.Run(s.target())
	return values(sample), err
}

// idle divides the number of connections by part.
func idle(name string, size, part int, o peer.Options) workload {
	o.Group, o.Hibernate = true, hibernate
	return workload{
		name: name, once: true, options: o,
		takes: func(p peer.Peer) bool { return !p.NoEcho && p.Variant != peer.Large },
		run: func(s *server, sc scale) (report.Values, error) {
			w := load.Idle{Conns: sc.idle / part, Size: size, Quiet: sc.quiet, Memory: s.memory}
			f, err := w.Run(s.target())
			if err != nil {
				return nil, err
			}
			again, err := start(s.peer, s.options)
			if err != nil {
				return nil, err
			}
			defer again.stop()
			w.Memory, w.Now = again.memory, again.resident
			left, err := w.Run(again.target())
			return report.Values{report.Fresh: f.Fresh / 1000, report.Used: f.Used / 1000, report.Left: left.Used / 1000}, err
		},
	}
}

func rooms(name string, n int) workload {
	return workload{
		name: name, options: peer.Options{Rooms: true},
		takes: func(p peer.Peer) bool { return echoes(p) && !p.Raw },
		run: func(s *server, sc scale) (report.Values, error) {
			sample, err := load.Rooms{Rooms: n, Each: 5, Size: 128, Warm: sc.warm, For: sc.window}.Run(s.target())
			return values(sample), err
		},
	}
}

// mix is 64 talkers among conns connections that get a broadcast every so often.
func mix(name string, conns int, every time.Duration) workload {
	return workload{
		name: name, options: peer.Options{Group: true},
		takes: func(p peer.Peer) bool { return echoes(p) && !p.Raw },
		run: func(s *server, sc scale) (report.Values, error) {
			m := load.Mix{Conns: conns, Talkers: 64, Size: 128, Every: every, Warm: sc.warm, For: sc.window, Send: s.broadcast}
			sample, err := m.Run(s.target())
			return values(sample), err
		},
	}
}

// wake is one broadcast to connections that have been idle.
func wake(s *server, sc scale) (report.Values, error) {
	sample, err := load.Broadcast{Conns: sc.idle, Size: 128, Quiet: sc.quiet, Send: s.broadcast}.Run(s.target())
	v := values(sample)
	if err == nil {
		v[report.Time] = sample.Wall.Seconds() * 1e3
	}
	return v, err
}

// values returns the figures of a sample, times in microseconds.
func values(s load.Sample) report.Values {
	if s.Count == 0 {
		return nil
	}
	micros := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
	v := report.Values{
		report.CPU:  micros(s.CPU) / float64(s.Count),
		report.Rate: float64(s.Count) / s.Wall.Seconds(),
		report.Load: s.Load.Seconds() / s.Wall.Seconds(),
	}
	if s.Cast != nil {
		v[report.CastP99] = micros(s.Cast.Quantile(0.99))
	}
	if s.Latency != nil {
		v[report.P50] = micros(s.Latency.Quantile(0.50))
		v[report.P99] = micros(s.Latency.Quantile(0.99))
		v[report.P999] = micros(s.Latency.Quantile(0.999))
	}
	return v
}
