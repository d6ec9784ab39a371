package socket_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

func TestNew_subjects(t *testing.T) {
	subject := func(*http.Request) string { return "" }
	for want, cfg := range map[string]socket.Config{
		"Config.MaxPerSubject -1: negative":             {Subject: subject, MaxPerSubject: -1},
		"Config.SubjectPolicy 2: want RefuseNewest":     {Subject: subject, MaxPerSubject: 1, SubjectPolicy: 2},
		"Config.SubjectPolicy without MaxPerSubject":    {Subject: subject, SubjectPolicy: socket.ReplaceOldest},
		"Config.MaxPerSubject without Subject":          {MaxPerSubject: 1},
		"Config.Revocations without Subject":            {Name: "chat", Revocations: nowhere{}},
		"Config.Revocations without Name, by which the": {Subject: subject, Revocations: nowhere{}},
	} {
		if _, err := socket.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New: got %v, want an error with %q", err, want)
		}
	}
}

// nowhere is a cluster of one node.
type nowhere struct{}

func (nowhere) Revoke(string, string, error)         {}
func (nowhere) OnRevoke(string, func(string, error)) {}

// bySubject is a site whose clients say who they are.
func bySubject(t testing.TB, cfg socket.Config, newHandler func(*http.Request) (websock.Handler, error)) *site {
	t.Helper()
	if cfg.Subject == nil {
		cfg.Subject = subjectOf
	}
	cfg.Record = 2 // half of the sockets have another actor, and a scope of their own
	h := newSite(t, cfg)
	if newHandler == nil {
		newHandler = func(*http.Request) (websock.Handler, error) { return idleHandler{}, nil }
	}
	return h.overMemory(h.srv.Handler(newHandler))
}

func subjectOf(r *http.Request) string { return r.Header.Get("X-Subject") }

func as(subject string) rawclient.HandshakeOptions {
	return rawclient.HandshakeOptions{Header: http.Header{"X-Subject": {subject}}}
}

func TestServer_maxPerSubject(t *testing.T) {
	bubble(t, "the newest is refused", func(t *testing.T) {
		var events eventList
		h := bySubject(t, socket.Config{MaxPerSubject: 2, OnEvent: events.add}, nil)
		first := h.connect(as("ann"))
		h.connect(as("ann"))
		for range 3 {
			resp, body := h.refused(as("ann"))
			if resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" || !strings.Contains(body, "too many sockets") {
				t.Errorf("the third of ann got %d %q, header %v; want 429 with a Retry-After", resp.StatusCode, body, resp.Header)
			}
		}
		h.connect(as("bob"))
		for range 5 {
			h.connect(as("")) // nobody
		}
		goodbye(t, first)
		h.connect(as("ann"))
		h.refused(as("ann"))
		synctest.Wait()
		refusal := socket.Refusal{Reason: socket.RefusedSubject, Status: 429}
		if st := h.srv.Stats(); st.Refused[refusal] != 4 || refusal.Reason.String() != "subject" || st.Opened != 9 {
			t.Errorf("Stats: refused %v, opened %d; want 4 for the subject, 9", st.Refused, st.Opened)
		}
		if got := strings.Count(events.words(), "Refused:subject"); got != 4 {
			t.Errorf("%d events, want 4", got)
		}
	})
	bubble(t, "the oldest is replaced", func(t *testing.T) {
		ends := &handler{}
		n := 0
		h := bySubject(t, socket.Config{MaxPerSubject: 2, SubjectPolicy: socket.ReplaceOldest}, func(*http.Request) (websock.Handler, error) {
			if n++; n == 1 {
				return ends, nil
			}
			return idleHandler{}, nil
		})
		var ann []*rawclient.Client
		for range 4 {
			ann = append(ann, h.connect(as("ann")))
		}
		other := h.connect(as("bob"))
		for i := range 2 {
			op, p, err := ann[i].ReadMessage()
			if err != nil || op != rawclient.OpClose || codeOf(p) != 4001 || string(p[2:]) != "replaced" {
				t.Errorf("socket %d of ann: got opcode %#x, %q, %v; want Close 4001 replaced", i, op, p, err)
			}
		}
		synctest.Wait()
		if got := ends.terminated(); len(got) != 1 || !errors.Is(got[0], websock.ErrReplaced) {
			t.Errorf("Terminate got %v, want ErrReplaced", got)
		}
		ann[0].Close(4001, "")
		ann[1].Close(4001, "")
		synctest.Wait()
		if st := h.srv.Stats(); st.Open != 3 || st.Closed[socket.CauseReplaced] != 2 {
			t.Errorf("%d open, closed %v; want 3, 2 replaced", st.Open, st.Closed)
		}
		goodbye(t, ann[2])
		goodbye(t, other)
		h.connect(as("ann"))
		synctest.Wait()
		if st := h.srv.Stats(); st.Closed[socket.CauseReplaced] != 2 {
			t.Errorf("one is replaced although there was room: %v", st.Closed)
		}
	})
}

// TestServer_subjectPlaceIsGivenBack: in whatever way a socket ends, or never begins, its subject may have another one, and only
// one.
func TestServer_subjectPlaceIsGivenBack(t *testing.T) {
	boom := func() websock.Result { panic("boom") }
	info := func(f func(ctx context.Context) websock.Result) func(h *site, pid actor.PID, c *rawclient.Client) {
		return func(_ *site, pid actor.PID, _ *rawclient.Client) { pid.Send(do(f)) }
	}
	for name, end := range map[string]func(h *site, pid actor.PID, c *rawclient.Client){
		"the peer closes":    func(_ *site, _ actor.PID, c *rawclient.Client) { goodbye(t, c) },
		"the peer is gone":   func(_ *site, _ actor.PID, c *rawclient.Client) { c.Conn().Close() },
		"the peer is silent": func(*site, actor.PID, *rawclient.Client) { time.Sleep(2 * time.Minute) },
		"the peer lies":      func(_ *site, _ actor.PID, c *rawclient.Client) { c.WriteBytes([]byte{0xff, 0}) },
		"it stops":           info(func(context.Context) websock.Result { return websock.Stop(websock.ErrNormal) }),
		"it fails":           info(func(context.Context) websock.Result { return websock.Stop(errors.New("boom")) }),
		"it panics":          info(func(context.Context) websock.Result { return boom() }),
		"it is told to":      func(_ *site, pid actor.PID, _ *rawclient.Client) { pid.Exit(websock.ErrShutdown) },
		"it is killed":       func(_ *site, pid actor.PID, _ *rawclient.Client) { pid.Exit(actor.ErrKilled) },
		"it is stuck, and killed": func(_ *site, pid actor.PID, _ *rawclient.Client) {
			pid.Send(do(func(ctx context.Context) websock.Result { <-ctx.Done(); return websock.OK() }))
			pid.Exit(websock.ErrShutdown)
			time.Sleep(time.Minute)
		},
		"it is overrun": func(_ *site, pid actor.PID, _ *rawclient.Client) {
			pid.Send(do(func(context.Context) websock.Result { time.Sleep(time.Second); return websock.OK() }))
			for range 2000 {
				pid.Send("more")
			}
			time.Sleep(time.Minute)
		},
		"its Terminate hangs": func(_ *site, pid actor.PID, c *rawclient.Client) {
			pid.Exit(websock.ErrNormal) // TestServer_subjectPlaceBeforeTheClose has the moment
			time.Sleep(time.Minute)
		},
	} {
		for _, policy := range []socket.SubjectPolicy{socket.RefuseNewest, socket.ReplaceOldest} {
			bubble(t, fmt.Sprintf("%s, policy %d", name, policy), func(t *testing.T) {
				cfg := socket.Config{MaxPerSubject: 2, SubjectPolicy: policy, IdleTimeout: -1}
				if name == "the peer is silent" {
					cfg.IdleTimeout = time.Minute
				}
				h := bySubject(t, cfg, func(*http.Request) (websock.Handler, error) {
					p := puppet()
					if name == "its Terminate hangs" {
						p.terminate = func(ctx context.Context, _ error) { <-ctx.Done() }
					}
					return p, nil
				})
				h.connect(as("ann"))
				time.Sleep(time.Millisecond)
				c := h.connect(as("ann"))
				end(h, h.newest(), c)
				c.Conn().Close()
				synctest.Wait()
				if name == "the peer is silent" { // so is the other one
					h.connect(as("ann"))
				}
				h.connect(as("ann"))
				wantPerSubject(t, h, policy, 2)
			})
		}
	}
	lost := func(h *site, r *http.Request) {
		a, b := net.Pipe()
		a.Close()
		b.Close()
		h.srv.Upgrade(&directWriter{conn: a}, r, idleHandler{})
	}
	for name, fail := range map[string]func(h *site, r *http.Request){
		"lost at the handshake": lost,
		"cannot be taken over":  func(h *site, r *http.Request) { h.srv.Upgrade(new(plainWriter), r, idleHandler{}) },
		"the ResponseWriter panics": func(h *site, r *http.Request) {
			defer func() { recover() }()
			h.srv.Upgrade(panicWriter{new(plainWriter)}, r, idleHandler{})
		},
		"Config.LogAttrs panics": func(h *site, r *http.Request) {
			defer func() { recover() }()
			r.Header.Set("X-Panic", "yes")
			h.srv.Upgrade(new(plainWriter), r, idleHandler{})
		},
		"newHandler panics": func(h *site, r *http.Request) {
			defer func() { recover() }()
			h.srv.Handler(func(*http.Request) (websock.Handler, error) { panic("boom") }).ServeHTTP(new(plainWriter), r)
		},
		"newHandler refuses": func(h *site, r *http.Request) {
			h.srv.Handler(func(*http.Request) (websock.Handler, error) { return nil, errors.New("no") }).ServeHTTP(new(plainWriter), r)
		},
	} {
		bubble(t, name, func(t *testing.T) {
			h := bySubject(t, socket.Config{MaxPerSubject: 2, LogAttrs: func(r *http.Request) []slog.Attr {
				if r.Header.Get("X-Panic") != "" {
					panic("boom")
				}
				return nil
			}}, nil)
			h.connect(as("ann"))
			for range 3 {
				r := goodRequest()
				r.Header.Set("X-Subject", "ann")
				fail(h, r)
			}
			h.connect(as("ann"))
			wantPerSubject(t, h, socket.RefuseNewest, 2)
			h.srv.Revoke("ann", nil)
		})
	}
}

// newest is the socket that was opened last.
func (h *site) newest() actor.PID {
	synctest.Wait()
	all := maps.Collect(h.srv.Sockets())
	return slices.MaxFunc(slices.Collect(maps.Keys(all)), func(a, b actor.PID) int { return all[a].Since.Compare(all[b].Since) })
}

// wantPerSubject wants n sockets of ann, and no room for another one.
func wantPerSubject(t *testing.T, h *site, policy socket.SubjectPolicy, n int) {
	t.Helper()
	replaced := h.srv.Stats().Closed[socket.CauseReplaced]
	if replaced != 0 {
		t.Errorf("%d sockets were replaced, although there was room", replaced)
	}
	if policy == socket.RefuseNewest {
		h.refused(as("ann"))
	} else {
		h.connect(as("ann"))
		synctest.Wait()
		if replaced = h.srv.Stats().Closed[socket.CauseReplaced]; replaced > 1 {
			t.Errorf("%d sockets were replaced, want 1", replaced)
		}
	}
	if got := h.srv.Revoke("ann", actor.ErrKilled); got != n {
		t.Errorf("there are %d sockets of ann, want %d", got, n)
	}
}

// panicWriter is a ResponseWriter whose Hijack panics.
type panicWriter struct{ *plainWriter }

func (panicWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) { panic("boom") }

// TestServer_subjectPlaceBeforeTheClose: a client that has seen our Close frame can come back, though Terminate still runs.
func TestServer_subjectPlaceBeforeTheClose(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		h := bySubject(t, socket.Config{MaxPerSubject: 1}, func(*http.Request) (websock.Handler, error) {
			return &handler{terminate: func(context.Context, error) { time.Sleep(10 * time.Second) }}, nil
		})
		for range 100 {
			c := h.connect(as("ann"))
			c.Close(1000, "")
			if op, p, err := c.ReadMessage(); op != rawclient.OpClose || err != nil {
				t.Fatalf("got opcode %#x, %q, %v, want the Close", op, p, err)
			}
		}
	})
}

// TestServer_maxPerSubjectAtOnce: of upgrades that come at once exactly as many get in as there may be, and a place is held
// while the upgrade is on its way.
func TestServer_maxPerSubjectAtOnce(t *testing.T) {
	const most, come = 7, 60
	for _, policy := range []socket.SubjectPolicy{socket.RefuseNewest, socket.ReplaceOldest} {
		bubble(t, fmt.Sprintf("policy %d", policy), func(t *testing.T) {
			gate := make(chan struct{})
			h := bySubject(t, socket.Config{MaxPerSubject: most, SubjectPolicy: policy}, func(*http.Request) (websock.Handler, error) {
				<-gate
				return idleHandler{}, nil
			})
			var all sync.WaitGroup
			var mu sync.Mutex
			in, out := 0, 0
			for range come {
				all.Go(func() {
					c, resp, err := h.shake(as("ann"))
					mu.Lock()
					defer mu.Unlock()
					switch {
					case c != nil:
						in++
						t.Cleanup(func() { c.Conn().Close() })
						background(t, func() { // answers a Close
							if op, p, _ := c.ReadMessage(); op == rawclient.OpClose {
								c.Close(codeOf(p), "")
							}
						})
					case resp != nil && resp.StatusCode == 429:
						out++
					default:
						t.Errorf("%+v, %v", resp, err)
					}
				})
			}
			synctest.Wait()
			close(gate)
			all.Wait()
			synctest.Wait()
			wantIn := most
			if policy == socket.ReplaceOldest {
				wantIn = come
			}
			if in != wantIn || in+out != come {
				t.Errorf("%d got in, %d were refused; want %d, %d", in, out, wantIn, come-wantIn)
			}
			st := h.srv.Stats()
			if st.Open != most || st.Closed[socket.CauseReplaced] != uint64(in-most) {
				t.Errorf("%d are open, %d were replaced; want %d, %d", st.Open, st.Closed[socket.CauseReplaced], most, in-most)
			}
			if n := h.srv.Revoke("ann", actor.ErrKilled); n != most {
				t.Errorf("%d sockets are found, want %d", n, most)
			}
		})
	}
	bubble(t, "a place is held on the way", func(t *testing.T) {
		h := bySubject(t, socket.Config{MaxPerSubject: 1}, nil)
		r := goodRequest()
		r.Header.Set("X-Subject", "ann")
		ours, theirs := net.Pipe() // nobody reads the 101
		background(t, func() { h.srv.Upgrade(&directWriter{conn: ours}, r, idleHandler{}) })
		synctest.Wait()
		h.refused(as("ann"))
		theirs.Close()
		synctest.Wait()
		h.connect(as("ann"))
	})
}

// TestServer_subjectsUnderStress: when sockets have come and gone in every way, at once, all places are free again.
func TestServer_subjectsUnderStress(t *testing.T) {
	const most, subjects, rounds = 3, 5, 40
	for _, policy := range []socket.SubjectPolicy{socket.RefuseNewest, socket.ReplaceOldest} {
		t.Run(fmt.Sprintf("policy %d", policy), func(t *testing.T) {
			h := bySubject(t, socket.Config{MaxPerSubject: most, SubjectPolicy: policy, CloseTimeout: time.Millisecond,
				Logger: slog.New(slog.DiscardHandler)}, nil)
			var all sync.WaitGroup
			for w := range 12 {
				all.Go(func() {
					who := as(fmt.Sprint("user ", w%subjects))
					for i := range rounds {
						c, resp, err := h.shake(who)
						if c == nil {
							// 403: another worker has revoked the subject meanwhile
							if resp == nil || resp.StatusCode != 403 && (resp.StatusCode != 429 || policy == socket.ReplaceOldest) {
								t.Errorf("refused with %+v, %v", resp, err)
							}
							continue
						}
						switch (w + i) % 4 {
						case 0:
							c.Close(1000, "")
							c.ReadMessage()
						case 1:
							c.WriteBytes([]byte{0xff})
						case 2:
							h.srv.Revoke(who.Header.Get("X-Subject"), nil)
						}
						c.Conn().Close()
					}
				})
			}
			all.Wait()
			h.waitFor("the end of all", func() bool { return h.srv.Count() == 0 })
			for who := range subjects { // an upgrade whose client has gone may have its place still, and counts nowhere
				h.waitFor(fmt.Sprint("user ", who, " to have no sockets"), func() bool { return h.srv.Revoke(fmt.Sprint("user ", who), nil) == 0 })
			}
			for who := range subjects {
				for range most {
					h.connect(as(fmt.Sprint("user ", who)))
				}
				if policy == socket.RefuseNewest {
					h.refused(as(fmt.Sprint("user ", who)))
				}
			}
		})
	}
}

// TestServer_revokeReplaced: a socket that was replaced, and has not come to its end, is still one of its subject.
func TestServer_revokeReplaced(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		stuck := make(chan struct{})
		h := bySubject(t, socket.Config{MaxPerSubject: 2, SubjectPolicy: socket.ReplaceOldest}, func(*http.Request) (websock.Handler, error) {
			return &handler{in: func(context.Context, websock.Message) websock.Result {
				<-stuck
				return websock.Result{}
			}}, nil
		})
		defer close(stuck)
		for range 5 { // the first three are replaced, in a callback
			h.connect(as("ann")).Text("x")
			synctest.Wait()
		}
		if st := h.srv.Stats(); st.Open != 5 {
			t.Fatalf("%d are open, want 5: those that were replaced are in a callback", st.Open)
		}
		if n := h.srv.Revoke("ann", actor.ErrKilled); n != 5 {
			t.Errorf("Revoke = %d, want 5", n)
		}
		synctest.Wait()
		if st := h.srv.Stats(); st.Open != 0 {
			t.Errorf("after a Revoke that kills %d sockets of the subject are open, want none", st.Open)
		}
		h.connect(as("ann"))
		h.connect(as("ann"))
		synctest.Wait() // a client has its 101 before the server counts its socket
		if st := h.srv.Stats(); st.Closed[socket.CauseReplaced] != 0 || st.Open != 2 {
			t.Errorf("%d were replaced, %d are open; want none, 2: all places were given back", st.Closed[socket.CauseReplaced], st.Open)
		}
	})
}
