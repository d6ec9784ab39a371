package observer

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/websock"
)

// How long what an act says may be.
const (
	mostBody = 128 << 10
	mostText = 64 << 10
)

// doneJSON is the answer to an act.
type doneJSON struct {
	At      time.Time  `json:"at"`
	PID     *actor.PID `json:"pid,omitempty"`
	Servers []string   `json:"servers,omitempty"`
	Done    string     `json:"done"`
}

// act does what a POST says. Whoever has sent it has the right, and is no page of another origin.
func (o *Observer) act(r *http.Request, path string, who visitor) (any, error) {
	if path == "drain" {
		return o.actDrain(r, who)
	}
	rest, ok := strings.CutPrefix(path, "process/")
	escaped, what, found := strings.Cut(rest, "/")
	if !ok || !found || what != "kick" && what != "send" {
		return nil, failed(404, "not_found", "there is no act api/v1/%s", text(path, 64))
	}
	of, err := url.PathUnescape(escaped)
	if err != nil {
		return nil, failed(400, "bad_request", "malformed escape in the path")
	}
	pid, err := o.pid(of)
	if err != nil {
		return nil, err
	}
	if what == "kick" {
		return o.kick(r, pid, who)
	}
	return o.send(r, pid, who)
}

// body reads the JSON of an act into v, which stays as it is when there is none. The type is checked, too: a form of a foreign
// page cannot have it.
func body(r *http.Request, v any) error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return failed(415, "bad_request", "Content-Type: want application/json")
	}
	b, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, mostBody))
	if err != nil {
		return failed(400, "bad_request", "the body cannot be read, or is longer than %d bytes", mostBody)
	}
	if len(strings.TrimSpace(string(b))) == 0 {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return failed(400, "bad_request", "the body: %s", text(err.Error(), mostName))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return failed(400, "bad_request", "the body has more than one value")
	}
	return nil
}

// logAct says who has done what. What was sent to a client is payload, and not logged.
func (o *Observer) logAct(who visitor, what string, attrs ...slog.Attr) {
	all := append([]slog.Attr{slog.String("act", what), slog.String("who", who.who), slog.String("remote_addr", who.addr)}, attrs...)
	o.log.LogAttrs(context.Background(), slog.LevelInfo, "act by the observer", all...)
}

// logRefused says who has tried what, once a minute at most: it is whoever may look that decides how often it happens.
func (o *Observer) logRefused(r *http.Request, path string, who visitor) {
	if more, yes := o.attempts.now(); yes {
		o.log.Warn("act refused by the observer", slog.String("act", text(path, mostName)), slog.String("who", who.who),
			slog.String("remote_addr", who.addr), slog.String("origin", text(r.Header.Get("Origin"), mostName)), slog.Int("more", more))
	}
}

func (o *Observer) kick(r *http.Request, pid actor.PID, who visitor) (any, error) {
	b := struct {
		Code   websock.CloseCode `json:"code"`
		Reason string            `json:"reason"`
		Kill   bool              `json:"kill"`
	}{Code: websock.ClosePolicyViolation}
	if err := body(r, &b); err != nil {
		return nil, err
	}
	s, _ := o.serverOf(pid)
	var reason error = actor.ErrShutdown
	done := "kicked"
	attrs := []slog.Attr{slog.String("pid", pid.String())}
	switch {
	case b.Kill:
		reason, done = actor.ErrKilled, "killed"
	case s != nil:
		detail := websock.CloseDetail{Code: b.Code, Reason: b.Reason}
		if err := websock.StopWith(websock.ErrNormal, detail).Check(); err != nil || b.Code == 0 {
			return nil, failed(400, "bad_request", "code %d with that reason cannot be sent: want 1000 to 1003, 1007 to 1014 or 3000 to 4999, "+
				"and at most 123 bytes of UTF-8", b.Code)
		}
		reason = &websock.CloseError{Code: b.Code, Reason: b.Reason}
		attrs = append(attrs, slog.Int("close_code", int(b.Code)), slog.String("close_reason", text(b.Reason, mostName)))
	}
	if !pid.Alive() {
		return nil, gone(pid)
	}
	o.logAct(who, done, attrs...) // before what the end may have to wait for
	if !pid.Exit(reason) {
		return nil, gone(pid)
	}
	return doneJSON{At: time.Now(), PID: &pid, Done: done}, nil
}

func (o *Observer) send(r *http.Request, pid actor.PID, who visitor) (any, error) {
	var b struct {
		Text *string `json:"text"`
	}
	if err := body(r, &b); err != nil {
		return nil, err
	}
	switch {
	case b.Text == nil:
		return nil, failed(400, "bad_request", "the body has no text")
	case len(*b.Text) > mostText:
		return nil, failed(400, "bad_request", "text has %d bytes; at most %d can be sent", len(*b.Text), mostText)
	}
	s, _ := o.serverOf(pid)
	if s == nil {
		if _, err := actor.Inspect(pid); err != nil {
			return nil, gone(pid)
		}
		return nil, failed(409, "conflict", "%v is no socket: there is no client to send to", pid)
	}
	if !pid.Send(websock.Text(*b.Text)) {
		return nil, failed(409, "conflict", "%v takes no message: it is ending, or its mailbox is full", pid)
	}
	o.logAct(who, "sent", slog.String("pid", pid.String()), slog.Int("bytes", len(*b.Text)))
	return doneJSON{At: time.Now(), PID: &pid, Done: "sent"}, nil
}

func (o *Observer) actDrain(r *http.Request, who visitor) (any, error) {
	var b struct {
		Server *string `json:"server"`
	}
	if err := body(r, &b); err != nil {
		return nil, err
	}
	servers := o.servers
	switch {
	case b.Server == nil: // all
	case *b.Server == "": // more likely a variable that was not set
		return nil, failed(400, "bad_request", "server is empty: leave it out to drain all servers")
	default:
		s := o.server(*b.Server)
		if s == nil {
			return nil, failed(404, "not_found", "there is no server %q", text(*b.Server, mostName))
		}
		servers = []*server{s}
	}
	if len(servers) == 0 {
		return nil, failed(404, "not_found", "observer.Config.Servers is empty")
	}
	by := who.who
	if by == "" {
		by = who.addr
	}
	if !o.begin(servers, by) {
		return nil, failed(409, "conflict", "a drain that an act has begun is still running")
	}
	v := doneJSON{At: time.Now(), Done: "draining"}
	for _, s := range servers {
		v.Servers = append(v.Servers, s.name)
	}
	o.logAct(who, "drain", slog.Any("servers", v.Servers))
	return v, nil
}
