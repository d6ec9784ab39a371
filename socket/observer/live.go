package observer

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// What live connections may cost.
const (
	mostLive    = 16               // connections
	mostWatched = 4                // by one of them
	mostTaps    = 4                // of one of them
	liveFor     = 15 * time.Minute // then the page has to come again, and its rights are asked for anew
	liveEvery   = time.Second      // a snapshot
)

func (o *Observer) liveConfig() socket.Config {
	return socket.Config{
		Name: "observer", System: o.sys, Logger: o.log, MaxSockets: mostLive, MaxMessageSize: 4 << 10, LastClosed: -1,
		ShutdownTimeout: 2 * time.Second, CloseTimeout: 2 * time.Second, Drain: socket.Drain{Over: -1, OnProgress: func(socket.DrainProgress) {}},
	}
}

// visitorKey is the key of the visitor in the context of a request for a live connection.
type visitorKey struct{}

func (o *Observer) newPage(r *http.Request) (websock.Handler, error) {
	who, _ := r.Context().Value(visitorKey{}).(visitor)
	return &page{o: o, who: who, watched: make(map[string]*watched), looks: make(map[actor.TaskRef]*watched), taps: make(map[actor.PID]*tap)}, nil
}

// page is a live connection. What is looked at is looked at on a goroutine of its own, so that the process is never held up; it ends
// with the process. There is one for each path that is watched, and no more than mostOnTheWay with those for paths that were: these are
// cancelled, and end at once but for one that makes the sweep.
type page struct {
	o       *Observer
	who     visitor
	ctx     context.Context            // of the process
	watched map[string]*watched        // by the path as it was asked for
	looks   map[actor.TaskRef]*watched // those on their way
	taps    map[actor.PID]*tap
}

const mostOnTheWay = 2 * mostWatched

// watched is a path that the page watches, or did when the last look at it began.
type watched struct {
	full    string // as it was asked for
	path    string // without the query
	query   url.Values
	looking bool // an answer is on its way,
	task    actor.TaskRef
}

// shown is the answer to a look.
type shown []byte

type (
	tick  struct{} // time for a snapshot
	again struct{} // liveFor is over
)

type helloJSON struct {
	Type string `json:"type"`
	meJSON
}

// order is what a page says.
type order struct {
	Op    string   `json:"op"`
	Paths []string `json:"paths"`
	PID   string   `json:"pid"`
}

type opErrorJSON struct {
	Type string `json:"type"`
	Op   string `json:"op"`
	PID  string `json:"pid,omitempty"`
	errorJSON
}

type snapshotJSON struct {
	Type  string          `json:"type"`
	Path  string          `json:"path"`
	Data  json.RawMessage `json:"data,omitempty"`
	Error any             `json:"error,omitempty"`
}

func (p *page) Init(ctx context.Context) websock.Result {
	p.ctx = ctx
	actor.SetLabel(ctx, "observer")
	actor.SendEvery(ctx, liveEvery, tick{})
	actor.SendAfter(ctx, liveFor, again{})
	return websock.Push(websock.JSON(helloJSON{"hello", p.o.me(p.who)}))
}

func (p *page) HandleIn(ctx context.Context, msg websock.Message) websock.Result {
	var ord order
	if msg.Opcode != websock.OpText || json.Unmarshal(msg.Data, &ord) != nil {
		return p.refuse(order{}, failed(400, "bad_request", "want JSON with an op, in a text message"))
	}
	switch ord.Op {
	case "watch":
		return p.watch(ctx, ord)
	case "tap":
		return p.tap(ctx, ord)
	case "untap":
		return p.untap(ord)
	}
	return p.refuse(ord, failed(400, "bad_request", "op: want watch, tap or untap"))
}

func (p *page) refuse(ord order, f *failure) websock.Result {
	return websock.Push(websock.JSON(opErrorJSON{"error", text(ord.Op, 64), text(ord.PID, mostName), errorOf(f)}))
}

// watch replaces what is watched.
func (p *page) watch(ctx context.Context, ord order) websock.Result {
	if len(ord.Paths) > mostWatched {
		return p.refuse(ord, failed(400, "bad_request", "%d paths; at most %d are watched at a time", len(ord.Paths), mostWatched))
	}
	next := make(map[string]*watched, len(ord.Paths))
	for _, full := range ord.Paths {
		path, rawQuery, _ := strings.Cut(full, "?")
		values, err := url.ParseQuery(rawQuery)
		if err != nil {
			return p.refuse(ord, failed(400, "bad_request", "malformed query in a path"))
		}
		if w := p.watched[full]; w != nil { // a look at it may be on its way
			next[full] = w
			continue
		}
		next[full] = &watched{full: full, path: path, query: values}
	}
	for full, w := range p.watched {
		if next[full] == nil && w.looking {
			w.task.Cancel()
		}
	}
	p.watched = next
	p.look(ctx)
	return websock.OK()
}

// look has all that is watched looked at, but for what is being looked at already. What there is no room for waits for the next tick.
func (p *page) look(ctx context.Context) {
	for _, w := range p.watched {
		if w.looking || len(p.looks) >= mostOnTheWay {
			continue
		}
		o, full, path, query := p.o, w.full, w.path, w.query
		w.looking = true
		w.task = actor.Async(ctx, func(ctx context.Context) (shown, error) { return o.snapshot(ctx, full, path, query), nil })
		p.looks[w.task] = w
	}
}

// snapshot looks at a path and makes a message of what it sees; nil when nobody waits for it any more.
func (o *Observer) snapshot(ctx context.Context, full, path string, query url.Values) []byte {
	s := snapshotJSON{Type: "snapshot", Path: full}
	v, err := o.view(ctx, path, query)
	if ctx.Err() != nil {
		return nil
	}
	if err == nil {
		s.Data, err = json.Marshal(v)
	}
	if err != nil {
		s.Error = errorOf(asFailure(err)).Error
	}
	b, err := json.Marshal(s)
	if err != nil { // what is of users' types was marshalled before
		panic(err)
	}
	return b
}

func (p *page) HandleInfo(ctx context.Context, msg any) websock.Result {
	switch msg := msg.(type) {
	case tick:
		p.look(ctx)
	case again:
		return websock.Close(websock.CloseServiceRestart, "come again")
	case tapped:
		return p.showFrames(msg.t)
	case actor.Done[shown]:
		return p.show(msg)
	}
	return websock.OK()
}

func (p *page) show(done actor.Done[shown]) websock.Result {
	w := p.looks[done.Ref]
	delete(p.looks, done.Ref)
	w.looking = false
	switch {
	case done.Err != nil: // it has panicked: look again at the next tick
		if more, yes := p.o.calls.panics.now(); yes {
			p.o.log.Error("panic while the observer looked", "error", done.Err, "more", more)
		}
		return websock.OK()
	case p.watched[w.full] != w || done.Value == nil:
		return websock.OK() // it is not watched any more
	}
	return websock.Push(websock.TextBytes(done.Value))
}

var _ http.Handler = (*Observer)(nil)
