package observer_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"testing/synctest"
	"unicode/utf8"

	"github.com/troupe-dev/troupe/socket/observer"
	"github.com/troupe-dev/troupe/websock"
)

// FuzzText: whatever the text, what is shown is short, valid and tame.
func FuzzText(f *testing.F) {
	for _, s := range hostile {
		f.Add(s[:min(len(s), 4096)], 10)
	}
	f.Add("0123456789ä", 11)
	f.Fuzz(func(t *testing.T, s string, most int) {
		if most < 1 || most > 1<<16 {
			return
		}
		got := observer.Text(s, most)
		wantText(t, s, got, 3*most+len("…"))
		if len(s) <= most && utf8.ValidString(s) && utf8.RuneCountInString(got) != utf8.RuneCountInString(s) {
			t.Errorf("text(%q, %d) = %q: characters are lost", s, most, got)
		}
	})
}

// FuzzRequest: whatever is asked for, there is an answer in JSON, and nobody who may not act does.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "sockets", "sort=lag&q=a&limit=3&order=asc&server=chat", "")
	f.Add("GET", "process/1.0123456789abcdef@local", "", "")
	f.Add("GET", "process/%40", "", "")
	f.Add("GET", "group", "name=%00", "")
	f.Add("POST", "process/1.0123456789abcdef@local/kick", "", `{"code":4000,"reason":"x"}`)
	f.Add("POST", "drain", "", `{"server":"chat"}`)
	f.Add("GET", "exits", "cause=panic&limit=0", "")
	r := newRig(f, nil)
	f.Fuzz(func(t *testing.T, method, path, query, body string) {
		if method != "GET" && method != "POST" {
			return
		}
		req := httptest.NewRequest(method, "/", nil)
		req.URL = &url.URL{Path: "/api/v1/" + path, RawQuery: query}
		req.Body = io.NopCloser(readerOf(body))
		req.RemoteAddr, req.Host = "127.0.0.1:1", "localhost"
		req.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		r.obs.ServeHTTP(w, req)
		if path != "live" && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %q?%q: %d, no JSON: %q", method, path, query, w.Code, w.Body)
		}
		if method == "POST" && w.Code != http.StatusForbidden {
			t.Errorf("POST %q: got %d, want 403", path, w.Code)
		}
		if r.srv.Ready() != nil {
			t.Fatalf("%s %q: the server was drained", method, path)
		}
	})
}

// FuzzLive: whatever a page says, it gets an answer or is ended in order, and the next page is served.
func FuzzLive(f *testing.F) {
	f.Add(`{"op":"watch","paths":["overview","sockets?sort=lag"]}`)
	f.Add(`{"op":"tap","pid":"1.0123456789abcdef@local"}`)
	f.Add(`{"op":"untap","pid":""}`)
	f.Add(`{"op":"watch","paths":["process/%zz","group?name=%"]}`)
	f.Add(`[`)
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 4096 || !utf8.ValidString(s) {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, nil)
			c := r.mustLive()
			next(c)
			c.Send(websock.Text(s))
			c.Send(websock.Text("an error is the answer"))
			nextOf(t, c, "error")
			c.Close(1000, "")
		})
	})
}
