package socket_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"unsafe"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// partOf reports whether s lies in the memory of whole. As long as s is kept, so is whole.
func partOf(s, whole string) bool {
	if s == "" || whole == "" {
		return false
	}
	at, start := uintptr(unsafe.Pointer(unsafe.StringData(s))), uintptr(unsafe.Pointer(unsafe.StringData(whole)))
	return at >= start && at < start+uintptr(len(whole))
}

// request of a stranger whose head is much larger than what is kept of it. A proxy's X-Forwarded-For has become its RemoteAddr, as
// middleware does it.
var largeRequest = rawclient.HandshakeOptions{
	Path: "/ws?user=ann&padding=" + strings.Repeat("x", 5000),
	Header: http.Header{
		"Origin":          {"https://app.example"},
		"X-Forwarded-For": {"192.0.2.7, " + strings.Repeat("192.0.2.8, ", 500)},
	},
}

// keeping is a site whose newHandler gives each request to seen and returns err.
func keeping(t *testing.T, cfg socket.Config, seen func(*http.Request), err error) *site {
	cfg.OriginPatterns = []string{"https://app.example"}
	h := newSite(t, cfg)
	next := h.srv.Handler(func(r *http.Request) (websock.Handler, error) {
		seen(r)
		return puppet(), err
	})
	h.overMemory(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RemoteAddr, _, _ = strings.Cut(r.Header.Get("X-Forwarded-For"), ",")
		next.ServeHTTP(w, r)
	}))
	return h
}

// A Refused that a user keeps, and the line in the log that waits, hold nothing of the request but what they show: a head may be a
// megabyte.
func TestRefused_keepsNoRequest(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		var j eventList
		var r *http.Request
		h := keeping(t, socket.Config{OnEvent: j.add}, func(got *http.Request) { r = got }, &socket.UpgradeError{Status: 401})
		h.refused(largeRequest)
		synctest.Wait()
		events := j.take()
		if len(events) != 1 {
			t.Fatalf("events: %+v", events)
		}
		e := events[0].(socket.Refused)
		if e.Path != "/ws" || e.RemoteAddr != "192.0.2.7" || e.Origin != "https://app.example" || e.Host == "" {
			t.Errorf("the event is %+v", e)
		}
		line := h.logs.refusals()
		if len(line) != 1 {
			t.Fatalf("%d lines in the log, want 1", len(line))
		}
		for name, s := range map[string]string{
			"Refused.Path": e.Path, "Refused.Host": e.Host, "Refused.Origin": e.Origin, "Refused.RemoteAddr": e.RemoteAddr,
			"path": line[0].attrs["path"].String(), "host": line[0].attrs["host"].String(), "origin": line[0].attrs["origin"].String(),
			"remote_addr": line[0].attrs["remote_addr"].String(),
		} {
			for part, whole := range map[string]string{
				"request line": r.RequestURI, "Host": r.Host, "Origin": r.Header.Get("Origin"), "X-Forwarded-For": r.Header.Get("X-Forwarded-For"),
			} {
				if partOf(s, whole) {
					t.Errorf("%s, %q, keeps the %d bytes of the %s", name, s, len(whole), part)
				}
			}
		}
	})
}

// What a socket keeps of its request, as long as it lives and longer, is what Subject and LogAttrs have returned, not the request.
func TestConfig_keepsNoRequest(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		var r *http.Request
		user := func(r *http.Request) string { return r.URL.Query().Get("user") }
		group := []slog.Attr{slog.Int("n", 1), {}}
		h := keeping(t, socket.Config{
			Subject: user,
			LogAttrs: func(r *http.Request) []slog.Attr {
				group[1] = slog.String("name", user(r))
				return []slog.Attr{slog.String("user", user(r)), {Key: "tenant", Value: slog.GroupValue(group...)}}
			},
		}, func(got *http.Request) { r = got }, nil)
		c := h.connect(largeRequest)
		c.Close(1000, "")
		c.ReadMessage()
		c.Conn().Close()
		h.wantEnds(1)
		synctest.Wait()
		closed := h.srv.LastClosed()
		line := h.logs.of("socket closed", closed[0].PID)
		if len(line) != 1 {
			t.Fatalf("%d lines in the log, want 1", len(line))
		}
		tenant := line[0].attrs["tenant"].Group()
		if len(tenant) != 2 || tenant[0].Value.Int64() != 1 {
			t.Fatalf("tenant is %v, want a group with n=1 and the name", tenant)
		}
		for name, s := range map[string]string{
			"ConnInfo.Subject": closed[0].Subject, "subject": line[0].attrs["subject"].String(), "user": line[0].attrs["user"].String(),
			"tenant.name": tenant[1].Value.String(),
		} {
			if s != "ann" {
				t.Errorf("%s is %q, want ann", name, s)
			}
			if partOf(s, r.RequestURI) {
				t.Errorf("%s, %q, keeps the %d bytes of the request line", name, s, len(r.RequestURI))
			}
		}
	})
}
