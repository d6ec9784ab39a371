package observer_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/observer"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// TestReference: what is answered is in the reference, with its name; for the numbers of the overview that says whose Stats they are.
func TestReference(t *testing.T) {
	b, err := os.ReadFile("../../docs/reference/observer.md")
	must(t, err)
	page := string(b)
	bubble(t, "fields", func(t *testing.T) {
		r := newRig(t, func(cfg *observer.Config, s *socket.Config) {
			mayAct(cfg, s)
			s.Record, s.TapPayload = 1, true
			tree, err := supervisor.New(supervisor.Config{Name: "service"}, supervisor.ChildSpec{
				ID: "counter", Service: supervisor.Actor(cfg.System, func() actor.Actor { return plain{} }, actor.SpawnOptions{})})
			must(t, err)
			cfg.Supervisors = []supervisor.Service{tree}
		})
		c, pid := r.dial("one", "user=ann")
		r.reg.Join("group", pid, 1)
		r.reg.Track("topic", pid, "key", 1)
		must(t, r.reg.Register("name", pid, nil))
		gone, goneAs := r.dial("two", "user=bob")
		gone.Close(4000, "bye")
		time.Sleep(time.Second)
		live := r.mustLive()
		known := func(where string, v map[string]any, but ...string) {
			t.Helper()
			for key := range v {
				if !slices.Contains(but, key) && !strings.Contains(page, "`"+key+"`") && !strings.Contains(page, `"`+key+`"`) {
					t.Errorf("%s: the field %q is not in docs/reference/observer.md", where, key)
				}
			}
		}
		known("hello", next(live))
		watch(live, "overview")
		known("snapshot", nextOf(t, live, "snapshot"))
		stopWatching(t, live)
		tapOf(live, pid)
		known("tapped", nextOf(t, live, "tapped"))
		c.Send(websock.Text("x"), websock.Binary([]byte{0xff}))
		frames := nextOf(t, live, "frames")
		known("frames", frames)
		for _, f := range frames.list("frames") {
			known("frame", f)
		}
		for _, path := range []string{
			"me", "overview", "tree", "sockets", "processes", "processes?kind=all", "groups", "names", "presence", "group?name=group", "topic?name=topic", "nodes",
			"exits", "drain", "process/" + pid.String(), "process/" + goneAs.String(),
		} {
			name, _, _ := strings.Cut(path, "?")
			if name, _, _ = strings.Cut(name, "/"); !strings.Contains(page, "`"+name+"`") && !strings.Contains(page, "`"+name+"/PID`") {
				t.Errorf("the path %s is not in docs/reference/observer.md", name)
			}
			v := r.get(path)
			known(path, v)
			for _, list := range []string{"rows", "servers", "roots", "events", "registrations"} {
				for _, row := range v.list(list) {
					if path != "overview" {
						known(path+", "+list, row)
					}
				}
			}
		}
		known("kick", r.post("process/"+pid.String()+"/kick", ""))
	})
}
