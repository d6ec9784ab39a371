package supervisor_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/supervisor"
)

func TestNew_rejects(t *testing.T) {
	ok := newService()
	for _, test := range []struct {
		name     string
		cfg      supervisor.Config
		children []supervisor.ChildSpec
		want     []string
	}{
		{"an empty ID", supervisor.Config{}, []supervisor.ChildSpec{{Service: ok}}, []string{"ChildSpec.ID is empty"}},
		{"an ID twice", supervisor.Config{}, []supervisor.ChildSpec{{ID: "a", Service: ok}, {ID: "a", Service: ok}}, []string{`"a"`, "given twice"}},
		{"no Service", supervisor.Config{}, []supervisor.ChildSpec{{ID: "a"}}, []string{`"a"`, "ChildSpec.Service is nil"}},
		{"a nil func", supervisor.Config{}, []supervisor.ChildSpec{{ID: "a", Service: supervisor.ServiceFunc(nil)}}, []string{"ChildSpec.Service is nil"}},
		{"a nil pointer", supervisor.Config{}, []supervisor.ChildSpec{{ID: "a", Service: (*service)(nil)}}, []string{"ChildSpec.Service is nil"}},
		{"Restart", supervisor.Config{}, []supervisor.ChildSpec{{ID: "a", Service: ok, Restart: 4}}, []string{"ChildSpec.Restart is restart(4)"}},
		{"StartTimeout", supervisor.Config{}, []supervisor.ChildSpec{{ID: "a", Service: ok, StartTimeout: -1}}, []string{"ChildSpec.StartTimeout"}},
		{"Shutdown", supervisor.Config{}, []supervisor.ChildSpec{{ID: "a", Service: ok, Shutdown: -5}}, []string{"ChildSpec.Shutdown"}},
		{"Strategy", supervisor.Config{Strategy: 3}, nil, []string{"Config.Strategy is strategy(3)"}},
		{"Within", supervisor.Config{Within: -1}, nil, []string{"Config.Within"}},
		{"Backoff", supervisor.Config{Backoff: -1}, nil, []string{"Config.Backoff"}},
		{"all at once", supervisor.Config{Name: "main", Within: -1}, []supervisor.ChildSpec{{ID: "a"}, {Service: ok}},
			[]string{"supervisor main", "Config.Within", "ChildSpec.Service is nil", "ChildSpec.ID is empty"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := supervisor.New(test.cfg, test.children...)
			if err == nil || s != nil {
				t.Fatalf("New: %v, %v, want an error", s, err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("New: %q does not say %q", err, want)
				}
			}
		})
	}
}

func TestNewDynamic_rejects(t *testing.T) {
	for want, cfg := range map[string]supervisor.DynamicConfig{
		"MaxChildren": {MaxChildren: -1}, "Partitions": {Partitions: -1}, "Restart": {Restart: 4}, "Shutdown": {Shutdown: -5}, "Within": {Within: -1},
	} {
		if _, err := supervisor.NewDynamic(cfg); err == nil || !strings.Contains(err.Error(), "DynamicConfig."+want) {
			t.Errorf("NewDynamic(%+v): %v, want an error about DynamicConfig.%s", cfg, err, want)
		}
	}
}

// New and StartChild warn when a child gets less time than its Service asks for.
func TestNew_warns(t *testing.T) {
	minute := asking{newService(), time.Minute}
	nested := func(s supervisor.Service) supervisor.Service {
		sup, err := supervisor.New(supervisor.Config{Logger: quiet}, spec("x", s, 0), spec("y", newService(), 0))
		if err != nil {
			t.Fatal(err)
		}
		return sup
	}
	for _, test := range []struct {
		name     string
		service  supervisor.Service
		shutdown time.Duration
		warns    bool
	}{
		{"asks for nothing", newService(), 1, false},
		{"default", minute, 0, false},
		{"enough", minute, time.Minute, false},
		{"Infinity", minute, supervisor.Infinity, false},
		{"too little", minute, time.Minute - 1, true},
		{"Kill", minute, supervisor.Kill, true},
		{"no limit asked", asking{newService(), supervisor.Infinity}, time.Hour, true},
		{"no limit asked, none given", asking{newService(), supervisor.Infinity}, 0, false},
		{"a supervisor, default", nested(minute), 0, false},
		{"a supervisor, the sum of its children", nested(minute), 65 * time.Second, false},
		{"a supervisor, less", nested(minute), 65*time.Second - 1, true},
		{"a supervisor below, the sum", nested(nested(minute)), 70 * time.Second, false},
		{"a supervisor below, less", nested(nested(minute)), 70*time.Second - 1, true},
		{"a supervisor without limit", nested(asking{newService(), supervisor.Infinity}), time.Hour, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var j journal
			_, err := supervisor.New(supervisor.Config{Name: "main", Logger: quiet, OnEvent: j.add}, supervisor.ChildSpec{ID: "a", Service: test.service, Shutdown: test.shutdown})
			if err != nil {
				t.Fatal(err)
			}
			events := j.take()
			if test.warns != (len(events) == 1) {
				t.Fatalf("events: %v, want a warning: %v", events, test.warns)
			}
			if test.warns {
				if e := events[0]; e.Kind != supervisor.EventWarning || e.Child != "a" || e.Supervisor != "main" || e.Reason == nil {
					t.Errorf("event: %+v, want a warning about a of main", e)
				}
			}
		})
	}
	bubble(t, func(t *testing.T) {
		r := serve(t, supervisor.Config{})
		wantErr(t, "StartChild", r.StartChild(context.Background(), supervisor.ChildSpec{ID: "a", Service: asking{newService(), time.Minute}, Shutdown: 1}), nil)
		r.want("StartChild", "warning a +a")
	})
}
