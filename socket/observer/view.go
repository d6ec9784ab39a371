package observer

import (
	"context"
	"net/url"
	"strings"
	"time"
)

// view answers what is asked for by a path below api/v1/, with its query: for a GET, and for what a live connection watches.
func (o *Observer) view(ctx context.Context, path string, v url.Values) (any, error) {
	if pid, ok := strings.CutPrefix(path, "process/"); ok && !strings.Contains(pid, "/") {
		of, err := url.PathUnescape(pid)
		if err != nil {
			return nil, failed(400, "bad_request", "malformed escape in the path")
		}
		return o.process(ctx, of)
	}
	a, err := o.question(path, v)
	if err != nil {
		return nil, err
	}
	s := &o.looks
	if a.calls {
		s = &o.calls
	}
	return s.ask(ctx, o, keyOf(path, v), a)
}

// parameters are those that mean something, by path.
var parameters = map[string][]string{
	"sockets": {"sort", "order", "q", "limit", "server"}, "processes": {"sort", "order", "q", "limit", "kind"},
	"groups": {"sort", "order", "q", "limit"}, "names": {"sort", "order", "q", "limit"}, "presence": {"sort", "order", "q", "limit"},
	"exits": {"sort", "order", "q", "limit", "cause"}, "group": {"name", "id", "limit"}, "topic": {"name", "id", "limit"},
}

// keyOf is the same for questions that have the same answer.
func keyOf(path string, v url.Values) string {
	known := make(url.Values)
	for _, key := range parameters[path] {
		if v.Has(key) {
			known.Set(key, v.Get(key))
		}
	}
	return path + "?" + known.Encode()
}

// question is what the next sweep is to answer.
func (o *Observer) question(path string, v url.Values) (*ask, error) {
	switch path {
	case "sockets":
		q, err := queryOf(v, socketSorts)
		if err != nil {
			return nil, err
		}
		if name := v.Get("server"); name != "" && o.server(name) == nil {
			return nil, failed(404, "not_found", "there is no server %q", text(name, mostName))
		}
		return &ask{sockets: newSocketAsk(q, v.Get("server"))}, nil
	case "processes":
		q, err := queryOf(v, processSorts)
		if err != nil {
			return nil, err
		}
		kind, ok := processKinds[v.Get("kind")]
		if !ok {
			return nil, failed(400, "bad_request", "kind: want process, socket or all")
		}
		return &ask{processes: newProcessAsk(q, kind)}, nil
	case "overview":
		return &ask{look: o.overview}, nil
	case "tree":
		return &ask{look: o.tree, calls: true}, nil
	case "nodes":
		return &ask{look: func(budget) (any, error) { return o.nodes() }}, nil
	case "drain":
		return &ask{look: func(budget) (any, error) { return o.drainNow() }}, nil
	case "groups":
		return listed(v, groupSorts, o.groups, false)
	case "names":
		return listed(v, nameSorts, o.names, false)
	case "presence":
		return listed(v, topicSorts, o.topics, false)
	case "exits":
		return listed(v, []string{"ended"}, func(q query, b budget) (any, error) { return o.exits(q, v.Get("cause"), b) }, true)
	case "group", "topic":
		name, err := nameOf(v)
		if err != nil {
			return nil, err
		}
		look := o.group
		if path == "topic" {
			look = o.topic
		}
		return listed(v, []string{""}, func(q query, b budget) (any, error) { return look(name, q.limit, b) }, true)
	}
	return nil, failed(404, "not_found", "there is no api/v1/%s", text(path, 64))
}

// listed is a question about a list that is no list of sockets or processes. calls: look calls methods of the program's types.
func listed(v url.Values, sorts []string, look func(q query, b budget) (any, error), calls bool) (*ask, error) {
	q, err := queryOf(v, sorts, "name")
	if err != nil {
		return nil, err
	}
	return &ask{look: func(b budget) (any, error) { return look(q, b) }, calls: calls}, nil
}

// server finds one of Config.Servers by the name under which it is shown.
func (o *Observer) server(name string) *server {
	for _, s := range o.servers {
		if s.name == name {
			return s
		}
	}
	return nil
}

// meJSON is what a visitor may do here, and what there is.
type meJSON struct {
	At      time.Time `json:"at"`
	Version int       `json:"version"`
	Access  string    `json:"access"`
	Who     string    `json:"who"`
	Node    string    `json:"node"`
	Go      string    `json:"go"`
	Servers []string  `json:"servers"`
	Has     struct {
		Tree     bool `json:"tree"`
		Registry bool `json:"registry"`
		Cluster  bool `json:"cluster"`
	} `json:"has"`
	Limits struct {
		Rows  int `json:"rows"`
		Watch int `json:"watch"`
		Taps  int `json:"taps"`
		Live  int `json:"live"`
	} `json:"limits"`
}

func (o *Observer) me(who visitor) meJSON {
	v := meJSON{At: time.Now(), Version: 1, Access: who.access.String(), Who: who.who, Node: o.node, Go: goVersion(), Servers: []string{}}
	for _, s := range o.servers {
		v.Servers = append(v.Servers, s.name)
	}
	v.Has.Tree, v.Has.Registry, v.Has.Cluster = len(o.cfg.Supervisors) > 0, o.cfg.Registry != nil, o.cfg.Node != nil
	v.Limits.Rows, v.Limits.Watch, v.Limits.Taps, v.Limits.Live = mostRows, mostWatched, mostTaps, mostLive
	return v
}
