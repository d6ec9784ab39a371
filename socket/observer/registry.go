package observer

import (
	"cmp"
	"encoding/base64"
	"iter"
	"net/url"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/actor"
)

// named is a name with a number, or with the process that holds it.
type named struct {
	name string
	n    int
	pid  actor.PID
}

type groupJSON struct {
	Name    string  `json:"name"`
	ID      *string `json:"id,omitempty"`
	Members int     `json:"members"`
}

type nameJSON struct {
	Name string    `json:"name"`
	PID  actor.PID `json:"pid"`
	Node string    `json:"node"`
}

type topicJSON struct {
	Name string  `json:"name"`
	ID   *string `json:"id,omitempty"`
	Keys int     `json:"keys"`
}

// mostID is how many bytes a name may have that is asked for by its id: a live connection takes orders of 4 KiB.
const mostID = 2 << 10

// idOf is how a name is asked for that is not shown as it is: its bytes in base64. nil: it is shown as it is, and asked for by that;
// "": it is too long to be asked for.
func idOf(name string) *string {
	switch {
	case text(name, mostName) == name:
		return nil
	case len(name) > mostID:
		return new("")
	}
	return new(base64.RawURLEncoding.EncodeToString([]byte(name)))
}

// nameOf is the name that is asked for, by an id or by itself.
func nameOf(v url.Values) (string, error) {
	if !v.Has("id") {
		return v.Get("name"), nil
	}
	b, err := base64.RawURLEncoding.DecodeString(v.Get("id"))
	if err != nil || len(b) > mostID {
		return "", failed(400, "bad_request", "id: want one of an answer")
	}
	return string(b), nil
}

var (
	groupSorts = []string{"members", "name"}
	nameSorts  = []string{"name"}
	topicSorts = []string{"keys", "name"}
)

var errNoRegistry = failed(404, "not_found", "observer.Config.Registry is not set")

func (o *Observer) groups(q query, b budget) (any, error) {
	if o.cfg.Registry == nil {
		return nil, errNoRegistry
	}
	return lookAtNames(q, b, counted(o.cfg.Registry.Groups()), func() int { return o.cfg.Registry.Stats().Groups },
		func(r *named) any { return groupJSON{text(r.name, mostName), idOf(r.name), r.n} }), nil
}

func (o *Observer) topics(q query, b budget) (any, error) {
	if o.cfg.Registry == nil {
		return nil, errNoRegistry
	}
	return lookAtNames(q, b, counted(o.cfg.Registry.Topics()), func() int { return o.cfg.Registry.Stats().Topics },
		func(r *named) any { return topicJSON{text(r.name, mostName), idOf(r.name), r.n} }), nil
}

func (o *Observer) names(q query, b budget) (any, error) {
	if o.cfg.Registry == nil {
		return nil, errNoRegistry
	}
	held := func(yield func(named) bool) {
		for name, pid := range o.cfg.Registry.Names() {
			if !yield(named{name: name, pid: pid}) {
				return
			}
		}
	}
	return lookAtNames(q, b, held, func() int { return o.cfg.Registry.Stats().Names },
		func(r *named) any { return nameJSON{text(r.name, mostName), r.pid, r.pid.Node()} }), nil
}

func counted(all iter.Seq2[string, int]) iter.Seq[named] {
	return func(yield func(named) bool) {
		for name, n := range all {
			if !yield(named{name: name, n: n}) {
				return
			}
		}
	}
}

// lookAtNames goes through names, as far as the budget goes. of says how many there are, when that is not seen.
func lookAtNames(q query, b budget, all iter.Seq[named], of func() int, row func(*named) any) list {
	byName := func(a, b *named) bool { return strings.Compare(a.name, b.name) > 0 }
	better := byName
	if q.sort != "name" {
		better = func(a, b *named) bool { return cmp.Or(cmp.Compare(a.n, b.n), strings.Compare(b.name, a.name)) > 0 }
	}
	t := top[named]{limit: q.limit, better: ordered(q, better)}
	c, matched := b.clock(), 0
	for n := range all {
		if c.over() {
			break
		}
		if q.finds(n.name) || n.pid != (actor.PID{}) && q.findsPID(n.pid) {
			matched++
			t.add(&n)
		}
	}
	best := t.best()
	rows := make([]any, len(best))
	for i := range best {
		rows[i] = row(&best[i])
	}
	total := c.n
	if c.cut {
		total = of()
	}
	return c.list(total, matched, rows)
}

// membersJSON are the members of a group, or the keys of a topic.
type membersJSON struct {
	At      time.Time `json:"at"`
	Name    string    `json:"name"`
	Of      int       `json:"of"`
	Sampled bool      `json:"sampled"`
	Rows    []any     `json:"rows"`
}

type memberJSON struct {
	PID    actor.PID  `json:"pid"`
	Meta   *valueJSON `json:"meta"`
	Label  string     `json:"label"`
	Server string     `json:"server,omitempty"`
}

type presentJSON struct {
	Key   string       `json:"key"`
	Metas []*valueJSON `json:"metas"`
}

func (o *Observer) group(name string, limit int, b budget) (any, error) {
	if o.cfg.Registry == nil {
		return nil, errNoRegistry
	}
	v := membersJSON{At: time.Now(), Name: text(name, mostName), Of: o.cfg.Registry.Count(name), Rows: []any{}}
	if v.Of == 0 {
		return nil, failed(404, "not_found", "no process is in the group %q", v.Name)
	}
	c := b.slowClock()
	for pid, meta := range o.cfg.Registry.Members(name) {
		if len(v.Rows) >= limit || c.over() {
			break
		}
		m := memberJSON{PID: pid, Meta: c.valueOf(meta, mostMeta)}
		if info, err := actor.Inspect(pid); err == nil {
			m.Label = text(info.Label, mostName)
		}
		if s, _ := o.serverOf(pid); s != nil {
			m.Server = s.name
		}
		v.Rows = append(v.Rows, m)
	}
	v.Sampled = c.cut
	return v, nil
}

// mostMetas is how many processes of one key are shown.
const mostMetas = 16

func (o *Observer) topic(name string, limit int, b budget) (any, error) {
	if o.cfg.Registry == nil {
		return nil, errNoRegistry
	}
	v := membersJSON{At: time.Now(), Name: text(name, mostName), Rows: []any{}}
	c := b.slowClock()
	for key, metas := range o.cfg.Registry.Present(name) {
		if c.over() {
			break
		}
		if len(v.Rows) >= limit {
			continue
		}
		p := presentJSON{Key: text(key, mostName), Metas: []*valueJSON{}}
		for _, m := range metas[:min(len(metas), mostMetas)] {
			p.Metas = append(p.Metas, c.valueOf(m.Meta, mostMeta))
		}
		v.Rows = append(v.Rows, p)
	}
	v.Of, v.Sampled = c.n, c.cut
	if v.Of == 0 && !v.Sampled {
		return nil, failed(404, "not_found", "nobody is present under %q", v.Name)
	}
	return v, nil
}
