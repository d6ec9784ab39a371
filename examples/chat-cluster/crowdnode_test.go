package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/natsengine/embedded"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// crowdNode is the program of TestCrowd: a node whose sockets use all that a registry of a cluster has, and which tells all that it
// knows, so that the test can compare it with what lives.
type crowdNode struct {
	Name, Addr, Listen string
	Routes             []string
	People, Rooms      int

	sys    *actor.System
	node   *cluster.Node
	reg    *registry.Registry
	record actor.PID
}

// picture is all that a node knows of the others, and of its own sockets.
type picture struct {
	Peers    []string
	Present  map[string]map[string]int // by room and name: how many sockets
	Replayed map[string]map[string]int // the same, as the diffs of a Watch have told it
	Names    map[string]string         // by name: the PID of whoever holds it
	Sockets  int                       // of this node
	Members  int                       // of the rooms on this node
	Stats    registry.Stats
	AllNames int // that the registry lists
	HeapMB   uint64
	Conns    []cluster.PeerInfo
}

// news is what a socket of a crowdNode says: who it is, what somebody has said, or who has come and gone.
type crowdNews struct {
	PID, Node string         `json:",omitempty"`
	From      string         `json:",omitempty"`
	N         int            `json:",omitempty"`
	Whole     bool           `json:",omitempty"`
	Now       map[string]int `json:",omitempty"`
	Went      []string       `json:",omitempty"`
}

func members(room string) string { return "members:" + room }
func topicOf(room string) string { return "present:" + room }
func user(name string) string    { return "user:" + name }

// runCrowdNode runs the node that the environment variable describes until a signal comes.
func runCrowdNode(config string) error {
	c := &crowdNode{}
	if err := json.Unmarshal([]byte(config), c); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	nats, err := embedded.Start(embedded.Config{Listen: c.Listen, Routes: c.Routes, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if c.sys, err = actor.NewSystem(actor.Config{Node: c.Name, Logger: log}); err != nil {
		return err
	}
	if c.node, err = cluster.New(c.sys, cluster.Config{Name: "crowd", Engine: nats.Engine(), Logger: log}); err != nil {
		return err
	}
	if c.reg, err = registry.NewCluster(c.node, registry.Config{}); err != nil {
		return err
	}
	sockets, err := socket.New(socket.Config{System: c.sys, Drain: socket.Drain{Over: time.Second}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /ws", sockets.Handler(func(r *http.Request) (websock.Handler, error) {
		return &crowdSocket{node: c, name: r.FormValue("name"), room: r.FormValue("room")}, nil
	}))
	mux.HandleFunc("GET /picture", func(w http.ResponseWriter, r *http.Request) {
		p, err := c.picture(r.Context(), sockets)
		if err == nil {
			err = json.NewEncoder(w).Encode(p)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("POST /tell", func(_ http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.FormValue("n"))
		for i := range c.Rooms {
			c.reg.Broadcast(members(roomOf(i)), websock.JSON(crowdNews{From: c.Name, N: n}))
		}
	})
	server := &http.Server{Addr: c.Addr, Handler: mux, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: time.Minute}
	return supervisor.Run(context.Background(), supervisor.Config{Name: c.Name, Logger: log},
		supervisor.ChildSpec{ID: "actors", Service: c.sys},
		supervisor.ChildSpec{ID: "nats", Service: nats},
		supervisor.ChildSpec{ID: "node", Service: c.node},
		supervisor.ChildSpec{ID: "record", Service: supervisor.Actor(c.sys, func() actor.Actor { return &record{node: c} }, actor.SpawnOptions{})},
		supervisor.ChildSpec{ID: "http", Service: supervisor.HTTP(server, nil), Shutdown: 2 * time.Second},
		supervisor.ChildSpec{ID: "sockets", Service: sockets},
	)
}

func roomOf(i int) string   { return fmt.Sprint("room-", i) }
func personOf(i int) string { return fmt.Sprint("person-", i) }

// crowdSocket is a member of a room, present there, and the only socket of its name.
type crowdSocket struct {
	node       *crowdNode
	name, room string
	said       int
}

func (s *crowdSocket) Init(ctx context.Context) websock.Result {
	me, reg := actor.Self(ctx), s.node.reg
	old, err := reg.Replace(user(s.name), me, nil)
	if err != nil {
		return websock.Stop(err)
	}
	old.Exit(&websock.CloseError{Code: 4001, Reason: "elsewhere"})
	if err := errors.Join(reg.Join(members(s.room), me, nil), reg.Track(topicOf(s.room), me, s.name, nil), reg.Watch(topicOf(s.room), me)); err != nil {
		return websock.Stop(err)
	}
	return websock.Push(websock.JSON(crowdNews{PID: me.String(), Node: s.node.Name}))
}

func (s *crowdSocket) HandleIn(ctx context.Context, _ websock.Message) websock.Result {
	s.said++
	s.node.reg.Broadcast(members(s.room), websock.JSON(crowdNews{From: actor.Self(ctx).String(), N: s.said}))
	return websock.OK()
}

func (s *crowdSocket) HandleInfo(_ context.Context, msg any) websock.Result {
	if d, ok := msg.(registry.PresenceDiff); ok {
		return websock.Push(websock.JSON(crowdNews{Whole: d.Whole, Now: counts(d.Now), Went: slices.Collect(maps.Keys(d.Went))}))
	}
	return websock.OK()
}

func counts(present map[string][]registry.Meta) map[string]int {
	n := map[string]int{}
	for name, metas := range present {
		n[name] = len(metas)
	}
	return n
}

// record replays the diffs of all rooms from the start of the node.
type record struct {
	node    *crowdNode
	present map[string]map[string][]registry.Meta
}

func (r *record) Init(ctx context.Context) error {
	r.present = map[string]map[string][]registry.Meta{}
	r.node.record = actor.Self(ctx)
	for i := range r.node.Rooms {
		r.present[topicOf(roomOf(i))] = map[string][]registry.Meta{}
		if err := r.node.reg.Watch(topicOf(roomOf(i)), actor.Self(ctx)); err != nil {
			return err
		}
	}
	return nil
}

func (r *record) Receive(ctx context.Context, msg any) error {
	switch m := msg.(type) {
	case registry.PresenceDiff:
		m.Apply(r.present[m.Topic])
	case string:
		all := map[string]map[string]int{}
		for topic, p := range r.present {
			all[topic] = counts(p)
		}
		actor.Reply(ctx, all)
	}
	return nil
}

func (c *crowdNode) picture(ctx context.Context, sockets *socket.Server) (p picture, err error) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	p = picture{Present: map[string]map[string]int{}, Names: map[string]string{}, HeapMB: m.HeapAlloc >> 20, Stats: c.reg.Stats(), Sockets: sockets.Count()}
	for info := range c.node.Peers() {
		p.Peers = append(p.Peers, info.Node)
		p.Conns = append(p.Conns, info)
	}
	slices.Sort(p.Peers)
	for range c.reg.Names() {
		p.AllNames++
	}
	for i := range c.Rooms {
		p.Present[topicOf(roomOf(i))] = counts(maps.Collect(c.reg.Present(topicOf(roomOf(i)))))
		p.Members += c.reg.Count(members(roomOf(i)))
	}
	for i := range c.People {
		if pid, _, ok := c.reg.Whereis(user(personOf(i))); ok {
			p.Names[personOf(i)] = pid.String()
		}
	}
	p.Replayed, err = actor.Call[map[string]map[string]int](ctx, c.record, "replayed")
	return p, err
}

// freeAddr is an address that nothing listens at.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
