package observer_test

import (
	"context"
	"encoding/json"
	"io"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket/observer"
	"github.com/troupe-dev/troupe/websock"
)

// hostile are texts that strangers may choose.
var hostile = map[string]string{
	"html":     `<script>alert(1)</script><img src=x onerror=alert(1)>"'&`,
	"control":  "a\x00b\x1b]0;title\x07\x1b[31mred\r\x7f\u0085c",
	"bidi":     "a\u202egnp.exe\u2066\u200f\u2028",
	"no utf-8": "a\xff\xfe\xc3(\xed\xa0\x80",
	"long":     strings.Repeat("x", 1<<20),
	"wide":     strings.Repeat("ä€🜚", 1<<18),
	"nulls":    strings.Repeat("\x00", 1<<20),
}

func TestText(t *testing.T) {
	for name, s := range hostile {
		for most := 1; most < 40; most++ {
			got := observer.Text(s, most)
			wantText(t, name, got, 3*most+len("…")) // U+FFFD takes three bytes
		}
	}
	for s, want := range map[string]string{
		"":                 "",
		"plain":            "plain",
		"line\n\tnext":     "line\n\tnext",
		"0123456789":       "0123456789",
		"0123456789a":      "0123456789…",
		"01234567ää":       "01234567ä…",
		"012345678ä":       "012345678…",
		"ok\x00":           "ok\ufffd",
		"\u202eok":         "\ufffdok",
		"01234567\xff\xff": "01234567\ufffd\ufffd",
	} {
		if got := observer.Text(s, 10); got != want {
			t.Errorf("text(%q, 10): got %q, want %q", s, got, want)
		}
	}
}

// wantText fails the test when s may not be shown.
func wantText(t *testing.T, name, s string, most int) {
	t.Helper()
	if len(s) > most {
		t.Errorf("%s: %d bytes are shown, want at most %d", name, len(s), most)
	}
	if !utf8.ValidString(s) {
		t.Errorf("%s: %q is no UTF-8", name, s[:min(len(s), 100)])
	}
	for _, r := range s {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			t.Errorf("%s: %q has the control character %U in it", name, s[:min(len(s), 100)], r)
			return
		}
	}
}

// wantShown walks through an answer and checks every text.
func wantShown(t *testing.T, name string, v any) {
	t.Helper()
	switch v := v.(type) {
	case string:
		wantText(t, name, v, 3*4096)
	case []any:
		for _, x := range v {
			wantShown(t, name, x)
		}
	case map[string]any:
		for key, x := range v {
			wantText(t, name, key, 3*4096)
			wantShown(t, name+"."+key, x)
		}
	}
}

// shouts is a value and an error that a program may have, and whose methods do what they like.
type shouts struct{ s string }

func (e shouts) Error() string { return e.s }

type bomb struct{}

func (bomb) Error() string                { panic("boom\x1b[31m") }
func (bomb) MarshalJSON() ([]byte, error) { panic("boom\x1b[31m") }

type loop struct{ Next *loop }

// TestHostile_opened: what is listed under a name that is not shown as it is can be opened all the same, by its id; what is too long for
// that says so.
func TestHostile_opened(t *testing.T) {
	for name, s := range hostile {
		bubble(t, name, func(t *testing.T) {
			r := newRig(t, nil)
			pid := r.spawn("x")
			opened := 0
			for _, long := range []string{s, s[:min(len(s), 300)], s[:min(len(s), 2049)]} {
				r.reg.Join(long, pid, nil)
				r.reg.Track(long, pid, "k", nil)
				for list, one := range map[string]string{"groups": "group", "presence": "topic"} {
					rows := r.get(list).list("rows")
					for _, row := range rows {
						query := url.Values{"name": {row.str("name")}}
						if id, there := row["id"].(string); there {
							query = url.Values{"id": {id}}
							if id == "" {
								if len(long) <= 2048 {
									t.Errorf("%s: a name of %d bytes has no id, want one up to 2,048 bytes", list, len(long))
								}
								continue
							}
						}
						path := one + "?" + query.Encode()
						if v := r.get(path); v.num("of") != 1 || v.str("name") != row.str("name") {
							t.Errorf("%s of %.60q: got %v", path, long, v)
						}
						if len(path) > 3500 {
							t.Errorf("%s: a path of %d bytes, want one that a live connection can watch", one, len(path))
						}
						opened++
					}
				}
				for _, row := range r.get("process/" + pid.String()).list("registrations") {
					if id, there := row["id"].(string); there != (observer.Text(long, 256) != long) || len(long) <= 2048 && there && id == "" {
						t.Errorf("registration of %.60q: id %q, there %v", long, id, there)
					}
				}
				r.reg.Leave(long, pid)
				r.reg.Untrack(long, pid, "k")
			}
			if opened < 2 {
				t.Errorf("opened: got %d, want the short one in both lists at least", opened)
			}
		})
	}
	bubble(t, "an id that is none", func(t *testing.T) {
		r := newRig(t, nil)
		r.wantError(400, "bad_request", r.ask("GET", "/api/v1/group?id=%25", "", nil))
		r.wantError(404, "not_found", r.ask("GET", "/api/v1/topic?id=YQ", "", nil))
	})
}

// TestHostile: whatever a label, a subject, a name, a meta, a close reason, an error says, it is shown as text, and not for long.
func TestHostile(t *testing.T) {
	for name, s := range hostile {
		bubble(t, name, func(t *testing.T) {
			r := newRig(t, nil)
			_, pid := r.dial(s, "")
			synctest.Wait()
			worker := r.spawn(s)
			must(t, r.reg.Register(s, pid, s))
			r.reg.Join(s, pid, map[string]any{s: []any{s, 1, nil}})
			r.reg.Track(s, pid, s, shouts{s})
			leaving, _ := r.dial(s, "")
			closeReason := s[:min(len(s), 100)]
			if !utf8.ValidString(closeReason) {
				closeReason = strings.ToValidUTF8(closeReason, "")
			}
			leaving.Close(4000, closeReason)
			time.Sleep(time.Second)
			worker.Send(shouts{s})
			bad := r.spawn("bad")
			bad.Send(bomb{})
			time.Sleep(time.Second)
			for _, path := range []string{
				"overview", "tree", "sockets", "processes?kind=all", "groups", "names", "presence", "nodes", "exits", "drain", "me",
				"process/" + pid.String(), "process/" + worker.String(), "process/" + bad.String(),
				"group?name=" + url.QueryEscape(s), "topic?name=" + url.QueryEscape(s),
			} {
				resp := r.ask("GET", "/api/v1/"+path, "", nil)
				b, err := io.ReadAll(resp.Body)
				must(t, err)
				if len(b) > 64<<10 || strings.ContainsAny(string(b), "<>\x00\x1b") {
					t.Errorf("%s: %d bytes, want at most 64 KiB, and none of < > NUL ESC in them", path, len(b))
				}
				var v any
				if err := json.Unmarshal(b, &v); err != nil || resp.StatusCode != 200 {
					t.Fatalf("%s: got %d, %v: %.200s", path, resp.StatusCode, err, b)
				}
				wantShown(t, path, v)
			}
			if name == "html" {
				if got := r.get("sockets").list("rows")[0].str("label"); got != s {
					t.Errorf("label: got %q, want %q: it is harmless as text", got, s)
				}
			}
		})
	}
}

// TestHostile_values: a value whose methods panic, or that has no end, is named.
func TestHostile_values(t *testing.T) {
	bubble(t, "values", func(t *testing.T) {
		r := newRig(t, nil)
		ring := &loop{}
		ring.Next = ring
		for name, tt := range map[string]struct {
			meta any
			want string
		}{
			"panics":  {bomb{}, "panics"},
			"cycle":   {ring, "cycle"},
			"channel": {make(chan int), "unsupported"},
			"long":    {strings.Repeat("x", 1<<20), `"xxx`},
		} {
			r.reg.Join(name, r.spawn(name), tt.meta)
			m := r.get("group?name=" + name).list("rows")[0].in("meta")
			if !strings.Contains(m.str("text"), tt.want) || len(m.str("text")) > 5000 || m.str("type") == "" {
				t.Errorf("%s: got type %v, text %.100q; want %q in it", name, m["type"], m.str("text"), tt.want)
			}
		}
		m := r.get("group?name=long").list("rows")[0].in("meta")
		if !m.yes("cut") || m.num("bytes") != 1<<20+2 {
			t.Errorf("long: got cut %v, bytes %v; want true, %d", m["cut"], m["bytes"], 1<<20+2)
		}
	})
}

// TestHostile_sweep: a method of a user's that panics in a sweep is an answer, and the next sweep is made.
func TestHostile_sweep(t *testing.T) {
	bubble(t, "panic", func(t *testing.T) {
		r := newRig(t, nil)
		_, pid := r.dial("x", "")
		pid.Send(func(ctx context.Context) websock.Result { return websock.Stop(bomb{}) })
		time.Sleep(time.Second)
		rows := r.get("exits").list("rows")
		if len(rows) != 1 || !strings.Contains(rows[0].str("reason"), "bomb whose Error panics") {
			t.Errorf("exits: got %v", rows)
		}
	})
}

var _ actor.Actor = plain{}
