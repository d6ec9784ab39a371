package socket_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// peer is a client that reads to the end of the stream, and answers pings and the Close frame. Its fields may be read
// when done is closed.
type peer struct {
	*client
	done     chan struct{}
	code     uint16 // of the Close frame; 0: none has come
	reason   string
	closedAt time.Time
	others   []string // the data frames, as text
}

// peer connects one.
func (r *rig) peer(h websock.Handler) *peer {
	r.t.Helper()
	return r.read(h, true)
}

// rudePeer is a peer that answers neither the Close frame nor the end of the stream.
func (r *rig) rudePeer(h websock.Handler) *peer {
	r.t.Helper()
	return r.read(h, false)
}

func (r *rig) read(h websock.Handler, polite bool) *peer {
	r.t.Helper()
	p := &peer{client: r.dial(h), done: make(chan struct{})}
	p.conn.SetReadDeadline(time.Time{})
	go func() {
		defer close(p.done)
		for {
			f, err := p.ReadFrame()
			switch {
			case err != nil:
				if polite {
					p.conn.Close()
				}
				return
			case f.Opcode == rawclient.OpPing:
				p.Pong(f.Payload)
			case f.Opcode != rawclient.OpClose:
				p.others = append(p.others, string(f.Payload))
			default:
				p.closedAt, p.code, p.reason = time.Now(), codeOf(f.Payload), ""
				if len(f.Payload) > 2 {
					p.reason = string(f.Payload[2:])
				}
				if polite {
					p.Client.Close(p.code, "")
				}
			}
		}
	}()
	return p
}

// peers are n of them, at rest, each with a handler of its own.
func (r *rig) peers(n int) []*peer {
	r.t.Helper()
	ps := make([]*peer, n)
	for i := range ps {
		ps[i] = r.peer(puppet())
	}
	synctest.Wait()
	return ps
}

// wantCode fails the test when the peer has not got exactly this Close frame.
func (p *peer) wantCode(code uint16, reason string) {
	p.t.Helper()
	<-p.done
	if p.code != code || p.reason != reason {
		p.t.Errorf("Close frame: got %d %q, want %d %q", p.code, p.reason, code, reason)
	}
}

// knock asks for an upgrade. A socket that comes of it ends with the test.
func (r *rig) knock() *http.Response {
	r.t.Helper()
	r.mu.Lock()
	path := "/" + strconv.Itoa(len(r.requests))
	r.requests[path] = &request{h: echo(), done: make(chan struct{})}
	r.mu.Unlock()
	conn, err := r.ln.Dial(context.Background())
	if err != nil {
		r.t.Fatalf("Dial: %v", err)
	}
	r.t.Cleanup(func() { conn.Close() })
	conn.SetReadDeadline(time.Now().Add(time.Hour))
	_, resp, err := rawclient.Handshake(conn, rawclient.HandshakeOptions{Path: path})
	if err != nil {
		r.t.Fatalf("handshake: %v", err)
	}
	return resp
}

// wantRefused fails the test when an upgrade does not get 503 and a Retry-After from 1 up to most.
func (r *rig) wantRefused(most int) {
	r.t.Helper()
	resp := r.knock()
	after, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if resp.StatusCode != 503 || err != nil || after < 1 || after > most {
		r.t.Errorf("upgrade: got %s, Retry-After %q, want 503 and 1 to %d", resp.Status, resp.Header.Get("Retry-After"), most)
	}
}

func (r *rig) wantReady(want error) {
	r.t.Helper()
	if got := r.srv.Ready(); !errors.Is(got, want) || (want == nil && got != nil) {
		r.t.Errorf("Ready: got %v, want %v", got, want)
	}
}

// draining is a Drain that runs.
type draining struct {
	t     testing.TB
	start time.Time
	done  chan struct{}
	err   error
	took  time.Duration
	mu    sync.Mutex
	steps []socket.DrainProgress
}

// drain starts a Drain and waits until it rests.
func (r *rig) drain(ctx context.Context, d socket.Drain) *draining {
	run := &draining{t: r.t, start: time.Now(), done: make(chan struct{})}
	next := d.OnProgress
	d.OnProgress = func(p socket.DrainProgress) {
		run.mu.Lock()
		run.steps = append(run.steps, p)
		run.mu.Unlock()
		if next != nil {
			next(p)
		}
	}
	go func() {
		defer close(run.done)
		run.err = r.srv.Drain(ctx, d)
		run.took = time.Since(run.start)
	}()
	synctest.Wait()
	return run
}

// progress is what OnProgress got so far.
func (d *draining) progress() []socket.DrainProgress {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.steps)
}

func (d *draining) over() bool {
	select {
	case <-d.done:
		return true
	default:
		return false
	}
}

// wantEnd waits for the end of the Drain, which must come without an error and after took.
func (d *draining) wantEnd(took time.Duration) {
	d.t.Helper()
	<-d.done
	if d.err != nil || d.took != took {
		d.t.Errorf("Drain: got %v after %v, want nil after %v", d.err, d.took, took)
	}
}

// wantKilled waits for the end of the Drain, which must say that it killed n sockets because of cause.
func (d *draining) wantKilled(n int, cause error, took time.Duration) {
	d.t.Helper()
	<-d.done
	text := fmt.Sprintf("%d sockets killed", n)
	if d.err == nil || !strings.Contains(d.err.Error(), text) || !errors.Is(d.err, cause) || d.took != took {
		d.t.Errorf("Drain: got %v after %v, want %q because of %v after %v", d.err, d.took, text, cause, took)
	}
}
