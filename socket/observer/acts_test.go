package observer_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/observer"
	"github.com/troupe-dev/troupe/websock"
)

// mayAct lets ann act.
func mayAct(cfg *observer.Config, _ *socket.Config) {
	cfg.Authorize = func(*http.Request) (observer.Access, string) { return observer.Act, "ann" }
}

func TestActs(t *testing.T) {
	bubble(t, "kick", func(t *testing.T) {
		r := newRig(t, mayAct)
		c, pid := r.dial("one", "")
		v := r.post("process/"+pid.String()+"/kick", `{"code":4003,"reason":"be <nice>"}`)
		if v.str("done") != "kicked" || v.str("pid") != pid.String() {
			t.Errorf("kick: got %v", v)
		}
		c.WantClose(4003, "be <nice>")
		c, pid = r.dial("two", "")
		r.post("process/"+pid.String()+"/kick", "")
		c.WantClose(websock.ClosePolicyViolation, "")
		c, pid = r.dial("three", "")
		if v := r.post("process/"+pid.String()+"/kick", `{"kill":true}`); v.str("done") != "killed" {
			t.Errorf("kill: got %v", v)
		}
		c.WantDropped()
		worker := r.spawn("worker")
		r.post("process/"+worker.String()+"/kick", `{}`)
		if reason, err := actor.Wait(context.Background(), worker); err == nil && reason != actor.ErrShutdown {
			t.Errorf("worker: got %v, want ErrShutdown", reason)
		}
		r.wantError(404, "gone", r.ask("POST", "/api/v1/process/"+worker.String()+"/kick", "{}", nil))
		lines := r.logs.lines("act by the observer")
		if len(lines) != 4 || !strings.Contains(lines[0], "who=ann") || !strings.Contains(lines[0], "remote_addr=127.0.0.1:4711") ||
			!strings.Contains(lines[0], "close_code=4003") || !strings.Contains(lines[2], "act=killed") {
			t.Errorf("log: got %q, want 4 lines that say who has done what", lines)
		}
	})
	bubble(t, "what cannot be sent", func(t *testing.T) {
		r := newRig(t, mayAct)
		_, pid := r.dial("one", "")
		path := "/api/v1/process/" + pid.String()
		for body, code := range map[string]string{
			`{"code":1005}`: "bad_request", `{"code":0}`: "bad_request", `{"code":2999}`: "bad_request", `{"code":70000}`: "bad_request",
			`{"reason":"` + strings.Repeat("x", 124) + `"}`: "bad_request", `{"kode":4000}`: "bad_request", `[]`: "bad_request", `{} {}`: "bad_request",
			`{"reason":"` + strings.Repeat("x", 200<<10) + `"}`: "bad_request", `{`: "bad_request",
		} {
			r.wantError(400, code, r.ask("POST", path+"/kick", body, nil))
		}
		for body, status := range map[string]int{`{}`: 400, ``: 400, `{"text":"` + strings.Repeat("x", 64<<10+1) + `"}`: 400, `{"text":1}`: 400} {
			r.wantError(status, "bad_request", r.ask("POST", path+"/send", body, nil))
		}
		r.wantError(404, "not_found", r.ask("POST", path+"/burn", "{}", nil))
		r.wantError(404, "not_found", r.ask("POST", path, "{}", nil))
		r.wantError(404, "not_found", r.ask("POST", "/api/v1/sockets", "{}", nil))
		r.wantError(404, "not_found", r.ask("POST", "/api/v1/drain", `{"server":"other"}`, nil))
		r.wantError(400, "bad_request", r.ask("POST", "/api/v1/drain", `{"server":""}`, nil)) // a variable that was not set is not "all"
		r.wantError(409, "conflict", r.ask("POST", "/api/v1/process/"+r.spawn("w").String()+"/send", `{"text":"x"}`, nil))
		if !pid.Alive() || r.srv.Ready() != nil {
			t.Errorf("after all that was refused: alive %v, ready %v; want true, nil", pid.Alive(), r.srv.Ready())
		}
		if lines := r.logs.lines("act by the observer"); len(lines) != 0 {
			t.Errorf("log: got %q, want nothing about what was not done", lines)
		}
	})
	bubble(t, "send", func(t *testing.T) {
		r := newRig(t, mayAct)
		c, pid := r.dial("one", "")
		long := strings.Repeat("ä", 32<<10)
		r.post("process/"+pid.String()+"/send", `{"text":"hello"}`)
		r.post("process/"+pid.String()+"/send", `{"text":"`+long+`"}`)
		c.Want(websock.Text("hello"), websock.Text(long))
		if lines := r.logs.lines("hello"); len(lines) != 0 {
			t.Errorf("log: got %q, want no payload in it", lines)
		}
	})
	bubble(t, "drain", func(t *testing.T) {
		var step socket.DrainStage
		r := newRig(t, func(cfg *observer.Config, s *socket.Config) {
			mayAct(cfg, s)
			cfg.Drain = socket.Drain{Delay: 2 * time.Second, Close: websock.CloseDetail{Code: 1012},
				OnProgress: func(p socket.DrainProgress) { step = p.Stage }}
		})
		c, _ := r.dial("one", "")
		if d := r.get("drain").list("servers")[0]; d.str("state") != "open" || d["drain"] != nil || d["down"] != nil {
			t.Errorf("before: got %v", d)
		}
		r.post("drain", `{"server":"chat"}`)
		time.Sleep(time.Second)
		d := r.get("drain").list("servers")[0]
		if d.str("state") != "draining" || d.in("drain").str("stage") != "delaying" || d.in("drain").str("by") != "ann" || d.in("down").num("sockets") != 1 {
			t.Errorf("in the delay: got %v", d)
		}
		if o := r.get("overview").list("servers")[0]; !o.yes("draining") || o.str("state") != "draining" {
			t.Errorf("overview in the delay: got %v", o)
		}
		r.wantError(409, "conflict", r.ask("POST", "/api/v1/drain", "", nil))
		c.WantClose(1012, "")
		time.Sleep(time.Second)
		synctest.Wait()
		d = r.get("drain").list("servers")[0]
		if d.str("state") != "closed" || d.in("drain").str("stage") != "done" || d.in("down").num("left") != 0 || step != socket.DrainDone {
			t.Errorf("after: got %v, stage %v", d, step)
		}
		if lines := r.logs.lines("act=drain"); len(lines) != 1 {
			t.Errorf("log: got %q, want one line", lines)
		}
	})
}

// A drain that nobody has asked the observer for, such as that of a deploy, is shown step by step, too, and has no one's name.
func TestDrain_ofTheServer(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := newRig(t, func(cfg *observer.Config, s *socket.Config) {
			mayAct(cfg, s)
			cfg.Drain = socket.Drain{Over: -1}
			s.Drain = socket.Drain{Delay: 2 * time.Second, Over: 4 * time.Second}
		})
		server := func() object { return r.get("drain").list("servers")[0] }
		deploy := func(socks int) {
			t.Helper()
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			served := make(chan error, 1)
			go func() { served <- r.srv.Serve(ctx) }()
			synctest.Wait()
			for range socks {
				r.dial("one", "")
			}
			stop()
			time.Sleep(time.Second)
			d := server().in("drain")
			if d.str("stage") != "delaying" || d.num("left") != float64(socks) || d.num("elapsed_ms") != 1000 || d.str("by") != "" {
				t.Errorf("in the delay: got %v", d)
			}
			must(t, <-served)
			synctest.Wait()
			d = server().in("drain")
			if d.str("stage") != "done" || d.num("closed") != float64(socks) || d.num("left") != 0 || d.str("by") != "" {
				t.Errorf("after: got %v", d)
			}
		}
		deploy(2)
		r.post("drain", "")
		synctest.Wait()
		if d := server().in("drain"); d.str("stage") != "done" || d.str("by") != "ann" {
			t.Errorf("after an act: got %v, want that of ann", d)
		}
		deploy(0)

		// A drain at which nobody has looked comes after that of an act all the same.
		r.post("drain", "")
		synctest.Wait()
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- r.srv.Serve(ctx) }()
		synctest.Wait()
		r.dial("one", "")
		stop()
		must(t, <-served)
		if d := server().in("drain"); d.str("stage") != "done" || d.num("closed") != 1 || d.str("by") != "" {
			t.Errorf("after a drain that nobody has looked at: got %v, want 1 closed, by nobody", d)
		}
	})
}

// TestDrain_actBehindAnother: while the drain of an act waits for its turn, the one that runs is shown.
func TestDrain_actBehindAnother(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := newRig(t, func(cfg *observer.Config, s *socket.Config) {
			mayAct(cfg, s)
			cfg.Drain = socket.Drain{Over: -1}
			s.Drain = socket.Drain{Over: 8 * time.Second}
		})
		server := func() object { return r.get("drain").list("servers")[0] }
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- r.srv.Serve(ctx) }()
		synctest.Wait()
		for range 4 {
			r.dial("one", "")
		}
		stop()
		time.Sleep(3 * time.Second)
		r.post("drain", "")
		synctest.Wait()
		if d := server().in("drain"); d.str("stage") != "closing" || d.num("closed") != 2 || d.num("elapsed_ms") != 3000 || d.str("by") != "" {
			t.Errorf("after an act: got %v, want that of Serve, with 2 closed after 3 s", d)
		}
		must(t, <-served)
		synctest.Wait()
		if d := server().in("drain"); d.str("stage") != "done" || d.num("closed") != 0 || d.str("by") != "ann" {
			t.Errorf("after both: got %v, want that of ann", d)
		}
	})
}

// TestShutdown_waitsForADrain: a drain that an act has begun is waited for, within ctx.
func TestShutdown_waitsForADrain(t *testing.T) {
	bubble(t, "waits", func(t *testing.T) {
		r := newRig(t, func(cfg *observer.Config, s *socket.Config) {
			mayAct(cfg, s)
			cfg.Drain = socket.Drain{Delay: 3 * time.Second}
		})
		r.post("drain", "")
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := r.obs.Shutdown(ctx); err == nil || !strings.Contains(err.Error(), "a drain still runs") {
			t.Errorf("Shutdown with a ctx of 1 s: got %v, want an error about the drain", err)
		}
		begin := time.Now()
		must(t, r.obs.Shutdown(context.Background()))
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("Shutdown: took %v, want the 2 s that were left", took)
		}
	})
}

// TestActs_refused: who tries to act and may not is in the log, once a minute at most.
func TestActs_refused(t *testing.T) {
	bubble(t, "refused", func(t *testing.T) {
		access := observer.View
		r := newRig(t, func(cfg *observer.Config, _ *socket.Config) {
			cfg.Authorize = func(*http.Request) (observer.Access, string) { return access, "eve" }
		})
		_, pid := r.dial("one", "")
		path := "/api/v1/process/" + pid.String() + "/kick"
		for range 100 {
			r.wantError(403, "forbidden", r.ask("POST", path, "{}", nil))
		}
		lines := r.logs.lines("act refused by the observer")
		if len(lines) != 1 || !strings.Contains(lines[0], "level=WARN") || !strings.Contains(lines[0], "who=eve") || !strings.Contains(lines[0], "remote_addr=127.0.0.1:4711") ||
			!strings.Contains(lines[0], pid.String()+"/kick") || !strings.Contains(lines[0], "more=0") {
			t.Errorf("log after 100 acts that were refused: got %q, want one line that says who and what", lines)
		}
		time.Sleep(time.Minute)
		access = observer.Act
		r.wantError(403, "cross_origin", r.ask("POST", "/api/v1/drain", "{}", field("Origin", "https://evil.example")))
		lines = r.logs.lines("act refused by the observer")
		if len(lines) != 2 || !strings.Contains(lines[1], "more=99") || !strings.Contains(lines[1], "act=drain") || !strings.Contains(lines[1], "origin=https://evil.example") {
			t.Errorf("log a minute later, after one of a foreign page: got %q, want a second line with more=99", lines)
		}
	})
}

// TestActs_killIsLoggedFirst: the line is there before anything that the end of the process waits for.
func TestActs_killIsLoggedFirst(t *testing.T) {
	bubble(t, "first", func(t *testing.T) {
		r := newRig(t, mayAct)
		pid := r.spawn("worker")
		logged := 0
		pid.OnExit(func(error) { logged = len(r.logs.lines("act=killed")) })
		r.post("process/"+pid.String()+"/kick", `{"kill":true}`)
		synctest.Wait()
		if logged != 1 {
			t.Errorf("lines about the kill when OnExit runs: got %d, want 1", logged)
		}
	})
}
