package supervisor_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/supervisor"
)

// readyService is a service that can say why it is not ready.
type readyService struct {
	*service
	not error
}

func (s *readyService) Ready() error { return s.not }

func TestProbe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		slow := newService()
		slow.begin = func(ctx context.Context) error { time.Sleep(time.Second); supervisor.Ready(ctx); return errCarryOn }
		sockets := &readyService{service: newService()}
		inner, err := supervisor.New(supervisor.Config{Name: "inner", Logger: quiet, Backoff: time.Second}, spec("leaf", newService(), 0), spec("sockets", sockets, 0))
		if err != nil {
			t.Fatal(err)
		}
		job := supervisor.ServiceFunc(func(context.Context) error { return nil })
		s, err := supervisor.New(supervisor.Config{Name: "main", Logger: quiet}, spec("job", job, supervisor.Transient),
			supervisor.ChildSpec{ID: "slow", Service: slow, StartTimeout: time.Minute}, spec("inner", inner, 0))
		if err != nil {
			t.Fatal(err)
		}
		probe := supervisor.Probe(s)
		want := func(when string, status int, text string) {
			t.Helper()
			synctest.Wait()
			w := httptest.NewRecorder()
			probe.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			if w.Code != status || !strings.Contains(w.Body.String(), text) {
				t.Errorf("%s: %d %q, want %d with %q", when, w.Code, w.Body, status, text)
			}
		}
		want("before Serve", 503, "not running")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		served := make(chan error, 1)
		go func() { served <- s.Serve(ctx) }()
		want("while a child starts", 503, `"slow" is starting`)
		time.Sleep(2 * time.Second)
		want("when all is up", 200, "ready")
		sockets.not = errors.New("draining")
		want("when a service is not ready", 503, "draining")
		sockets.not = nil
		sockets.end(errCrash)
		want("while a child below is restarted", 503, `supervisor inner: child "sockets" is restarting`)
		time.Sleep(2 * time.Second)
		want("then", 200, "ready")
		slow.stop = func(context.Context) error { time.Sleep(time.Second); return nil }
		cancel()
		want("while it stops", 503, "stopping")
		<-served
		want("after Serve", 503, "not running")
	})
}

// A service hears whether it is stopped for good, or will be started again; and so do those below it.
func TestErrRestarting(t *testing.T) {
	bubble(t, func(t *testing.T) {
		causes := map[string]error{}
		listens := func(id string) *service {
			s := newService()
			s.stop = func(ctx context.Context) error { causes[id] = context.Cause(ctx); return nil }
			return s
		}
		inner, err := supervisor.New(supervisor.Config{Logger: quiet}, spec("leaf", listens("leaf"), 0))
		if err != nil {
			t.Fatal(err)
		}
		a := newService()
		r := serve(t, supervisor.Config{Strategy: supervisor.OneForAll}, spec("a", a, 0), spec("b", listens("b"), 0),
			spec("c", listens("c"), supervisor.Temporary), spec("inner", inner, 0))
		a.end(errCrash)
		synctest.Wait()
		for id, restarts := range map[string]bool{"b": true, "c": false, "leaf": true} {
			if got := causes[id]; errors.Is(got, supervisor.ErrRestarting) != restarts || !errors.Is(got, actor.ErrShutdown) || exit.KindOf(got) != exit.Shutdown {
				t.Errorf("a sibling crashes: the cause of %s is %v, want ErrRestarting: %v, and ErrShutdown", id, got, restarts)
			}
		}
		wantErr(t, "Serve", r.end(), nil)
		for _, id := range []string{"b", "leaf"} {
			if got := causes[id]; got != actor.ErrShutdown {
				t.Errorf("the end: the cause of %s is %v, want ErrShutdown", id, got)
			}
		}
	})
}

// Children that stop more slowly than MaxRestarts allows are odd.
func TestNew_tooSlowToCount(t *testing.T) {
	for name, test := range map[string]struct {
		cfg      supervisor.Config
		shutdown time.Duration
		warns    bool
	}{
		"OneForAll":               {supervisor.Config{Strategy: supervisor.OneForAll, MaxRestarts: 3, Within: 300 * time.Millisecond}, 120 * time.Millisecond, true},
		"RestForOne":              {supervisor.Config{Strategy: supervisor.RestForOne, MaxRestarts: 3, Within: 300 * time.Millisecond}, 120 * time.Millisecond, true},
		"OneForOne":               {supervisor.Config{MaxRestarts: 3, Within: 300 * time.Millisecond}, 120 * time.Millisecond, false},
		"fast enough":             {supervisor.Config{Strategy: supervisor.OneForAll, MaxRestarts: 3, Within: 300 * time.Millisecond}, 50 * time.Millisecond, false},
		"no restarts":             {supervisor.Config{Strategy: supervisor.OneForAll, MaxRestarts: -1}, time.Minute, false},
		"Infinity":                {supervisor.Config{Strategy: supervisor.OneForAll}, supervisor.Infinity, true},
		"Kill":                    {supervisor.Config{Strategy: supervisor.OneForAll}, supervisor.Kill, false},
		"nothing but the default": {supervisor.Config{Strategy: supervisor.OneForAll}, 0, false},
	} {
		var j journal
		test.cfg.Logger, test.cfg.OnEvent = quiet, j.add
		_, err := supervisor.New(test.cfg, supervisor.ChildSpec{ID: "a", Service: newService(), Shutdown: test.shutdown},
			supervisor.ChildSpec{ID: "b", Service: newService(), Shutdown: test.shutdown})
		wantErr(t, "New", err, nil)
		if got := j.words(); (got == "warning") != test.warns || !test.warns && got != "" {
			t.Errorf("%s: events %q, want a warning: %v", name, got, test.warns)
		}
	}
}
