package observer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/host"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/supervisor"
)

// Config says what is shown, and to whom. Either System or a Server is needed; all else may be left out.
type Config struct {
	// Servers are those whose sockets are shown. Give each a socket.Config.Name: when two have the same, the second one is
	// NAME-2, and so on, in the order of this list.
	Servers []*socket.Server
	// System is that of the processes; the live connections of the page are processes of it. nil: that of the first Server.
	System *actor.System
	// Supervisors are the roots of the tree: each a *supervisor.Supervisor or a *supervisor.Dynamic.
	Supervisors []supervisor.Service
	// Registry is that of names, groups and presence.
	Registry *registry.Registry
	// Node is that of the cluster.
	Node *cluster.Node

	// Authorize says what a request may do, and who has made it, for the log of acts; "" when that is not known. It is asked
	// for each request, and for a live connection once in 15 minutes, on the goroutine of the request. One that goes by the
	// address must look at r.Host, too, as [Loopback] does: a page of a stranger can have its own name lead here.
	//
	// nil: requests for which Loopback is true may View; all others get 403, and the first of each is in the log. Nobody may Act.
	// Do not mount it so where a proxy on this machine passes requests on: not all of them can be told, see [Loopback].
	Authorize func(r *http.Request) (Access, string)

	// Drain is what the act "drain" does. Zero: 1,000 sockets a second.
	Drain socket.Drain

	// Logger gets a line for each act and each tap: what, by whom, from where; and once a minute at most one about acts that were
	// refused. nil: slog.Default().
	Logger *slog.Logger
}

// Observer is an http.Handler for every path under where it is mounted: the page, and what is below api/v1/. Mount it with
// http.StripPrefix, on a path that ends with a slash, and on a listener of its own: the package comment shows how.
//
// Its live connections are processes of Config.System and end with it, if not by [Observer.Shutdown] before. So it can be
// made and forgotten; put it into a supervision tree, or call Shutdown, to have its end waited for. All methods may be
// called from any goroutine.
type Observer struct {
	cfg      Config
	log      *slog.Logger
	sys      *actor.System
	node     string
	since    time.Time
	servers  []*server // Config.Servers
	all      []*server // and the one of the live connections
	live     *socket.Server
	connect  http.Handler // to live
	protect  *http.CrossOriginProtection
	looks    sweeper // at what calls no methods of the program's types
	calls    sweeper // and at what does
	drains   drains
	states   states
	refused  sync.Once // the line in the log that says so
	admitted sync.Once // and that one
	attempts seldom    // acts that were refused
}

// Handler makes an Observer. It panics when cfg has neither a System nor a Server, when one of the lists has a nil in it, when a
// supervisor is of another type, and when Drain cannot be carried out: all these are mistakes of the program.
func Handler(cfg Config) *Observer {
	o := &Observer{
		cfg: cfg, log: cfg.Logger, sys: cfg.System, since: time.Now(), protect: http.NewCrossOriginProtection(),
		drains: drains{acts: make(map[*server]*actDrain), down: make(map[*server]*downSighting)},
	}
	if o.log == nil {
		o.log = slog.Default()
	}
	names := make(map[string]int)
	for i, s := range cfg.Servers {
		if s == nil {
			panic(fmt.Sprintf("observer: Handler: Config.Servers[%d] is nil", i))
		}
		o.servers = append(o.servers, &server{s, unique(names, text(s.String(), mostName))})
	}
	for i, s := range cfg.Supervisors {
		isNil := false
		switch s := s.(type) {
		case *supervisor.Supervisor:
			isNil = s == nil
		case *supervisor.Dynamic:
			isNil = s == nil
		default:
			panic(fmt.Sprintf("observer: Handler: Config.Supervisors[%d] is a %T; want a *supervisor.Supervisor or a *supervisor.Dynamic", i, s))
		}
		if isNil {
			panic(fmt.Sprintf("observer: Handler: Config.Supervisors[%d] is nil", i))
		}
	}
	if o.sys == nil && len(o.servers) > 0 {
		o.sys = o.servers[0].System()
	}
	if o.sys == nil {
		panic("observer: Handler: Config has neither a System nor a Server")
	}
	o.node, _ = host.Identity(o.sys)
	between := new(pause)
	o.looks = sweeper{budget: defaultBudget, log: o.log, pause: between}
	o.calls = sweeper{budget: defaultBudget, log: o.log, pause: between}
	if _, err := socket.New(socket.Config{System: o.sys, Logger: o.log, Drain: cfg.Drain}); err != nil {
		panic(fmt.Sprintf("observer: Handler: Config.Drain: %v", err))
	}
	var err error
	if o.live, err = socket.New(o.liveConfig()); err != nil {
		panic(fmt.Sprintf("observer: Handler: %v", err))
	}
	o.connect = o.live.Handler(o.newPage)
	o.all = append(o.servers[:len(o.servers):len(o.servers)], &server{o.live, unique(names, "observer")})
	return o
}

// unique is name, or name with a number when it is taken.
func unique(names map[string]int, name string) string {
	names[name]++
	if n := names[name]; n > 1 {
		return unique(names, name+"-"+strconv.Itoa(n))
	}
	return name
}

func goVersion() string { return runtime.Version() }

// Shutdown ends the live connections and waits for them, and for drains that acts have begun. It waits until ctx is done at
// most; the error says what is still there.
func (o *Observer) Shutdown(ctx context.Context) error {
	err := o.live.Shutdown(ctx)
	if drainErr := o.drains.wait(ctx); drainErr != nil {
		err = errors.Join(err, fmt.Errorf("observer: shutdown: a drain still runs: %w", drainErr))
	}
	return err
}

// Serve waits until ctx is done and then ends the live connections, and waits for drains, as Shutdown does, for a short time: it is
// a supervisor.Service. Start it before the sockets that are to be seen draining.
func (o *Observer) Serve(ctx context.Context) error {
	err := o.live.Serve(ctx)
	rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), serveGrace)
	defer cancel()
	if drainErr := o.drains.wait(rest); drainErr != nil {
		err = errors.Join(err, fmt.Errorf("observer: a drain still runs: %w", drainErr))
	}
	return err
}

const serveGrace = 2 * time.Second // for the drains of acts; usually they are over before, as the sockets are

// ShutdownTime is how long Serve takes at most to end, for the supervisor.
func (o *Observer) ShutdownTime() time.Duration { return o.live.ShutdownTime() + serveGrace }

// String is "observer", for those who name the services they run.
func (o *Observer) String() string { return "observer" }

// ServeHTTP answers a request, if it may be answered.
func (o *Observer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	headers(w.Header())
	who := o.admit(r)
	if who.access < View {
		writeError(w, failed(403, "forbidden", "the observer is not for you"))
		return
	}
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/")
	api, ok := strings.CutPrefix(path, "api/v1/")
	switch {
	case r.Method == http.MethodPost && ok:
		o.post(w, r, api, who)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD, POST")
		writeError(w, failed(405, "method_not_allowed", "want GET, or POST for an act"))
	case !ok:
		servePage(w, r, path)
	case foreign(r):
		writeError(w, failed(403, "cross_origin", "a page of another origin may not look"))
	case api == "live":
		o.connect.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), visitorKey{}, who)))
	case api == "me":
		writeJSON(w, http.StatusOK, o.me(who))
	default:
		v, err := o.view(r.Context(), api, r.URL.Query())
		if err != nil {
			writeError(w, asFailure(err))
			return
		}
		writeJSON(w, http.StatusOK, v)
	}
}

func (o *Observer) post(w http.ResponseWriter, r *http.Request, path string, who visitor) {
	if err := o.protect.Check(r); err != nil {
		o.logRefused(r, path, who)
		writeError(w, failed(403, "cross_origin", "a page of another origin may not act"))
		return
	}
	if who.access < Act {
		o.logRefused(r, path, who)
		writeError(w, failed(403, "forbidden", "you may look, not act: observer.Config.Authorize gives Act"))
		return
	}
	v, err := o.act(r, path, who)
	if err != nil {
		writeError(w, asFailure(err))
		return
	}
	writeJSON(w, http.StatusAccepted, v)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil { // what is of users' types was marshalled before
		writeError(w, failed(500, "unavailable", "the answer cannot be written as JSON"))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the client has gone
}

type errorJSON struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

func errorOf(f *failure) (v errorJSON) {
	v.Error.Code, v.Error.Message = f.code, f.message
	return v
}

func writeError(w http.ResponseWriter, f *failure) {
	if f.status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, f.status, errorOf(f))
}
