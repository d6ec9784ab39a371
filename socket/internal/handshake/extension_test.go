package handshake_test

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/socket/internal/handshake"
)

const answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

// negotiate upgrades with offers, one header line each, and returns the answer.
func negotiate(t testing.TB, offers ...string) string {
	t.Helper()
	r := request()
	r.Header["Sec-Websocket-Extensions"] = offers
	conn := new(script)
	w := &hijackable{conn: conn, header: http.Header{"Sec-Websocket-Extensions": {"set by middleware"}}}
	a, err := handshake.Accept(w, r, handshake.Options{Compress: true})
	if err != nil {
		t.Fatalf("offers %q: %v; a bad offer must not fail the upgrade", offers, err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(conn.written)), r)
	if err != nil {
		t.Fatalf("offers %q: the answer %q is no response: %v", offers, conn.written, err)
	}
	got := strings.Join(resp.Header.Values("Sec-WebSocket-Extensions"), "|")
	if a.Deflate != (got != "") {
		t.Fatalf("offers %q: answered %q, but Deflate = %t", offers, got, a.Deflate)
	}
	return got
}

// TestAccept_offers is RFC 7692 section 7.1 and RFC 6455 section 9.1. The
// answer to an offer that is accepted always resets both contexts and leaves
// client_max_window_bits out, unlike Bandit's.
func TestAccept_offers(t *testing.T) {
	tests := []struct {
		name   string
		offers []string
		want   string // "": declined
	}{
		{"no offer", nil, ""},
		{"plain", []string{"permessage-deflate"}, answer},
		{"client_max_window_bits", []string{"permessage-deflate;client_max_window_bits"}, answer},
		{"client_max_window_bits=12", []string{"permessage-deflate;client_max_window_bits=12"}, answer},
		{"client_max_window_bits=8", []string{"permessage-deflate;client_max_window_bits=8"}, answer},
		{"server_max_window_bits=12", []string{"permessage-deflate;server_max_window_bits=12"}, ""},
		{"server_max_window_bits=15", []string{"permessage-deflate;server_max_window_bits=15"}, answer + "; server_max_window_bits=15"},
		{"server_no_context_takeover", []string{"permessage-deflate;server_no_context_takeover"}, answer},
		{"client_no_context_takeover", []string{"permessage-deflate;client_no_context_takeover"}, answer},
		{"second offer", []string{"permessage-deflate;server_max_window_bits=99,permessage-deflate;client_max_window_bits"}, answer},
		{"second line", []string{"permessage-deflate;server_max_window_bits=10", "permessage-deflate"}, answer},
		{"first acceptable wins", []string{"permessage-deflate; server_max_window_bits=15, permessage-deflate"}, answer + "; server_max_window_bits=15"},
		{"unknown extension", []string{"not-a-real-extension"}, ""},
		{"unknown extension first", []string{"x-webkit-deflate-frame, foo; a=\"b, permessage-deflate\", permessage-deflate"}, answer},
		{"unknown parameter", []string{"permessage-deflate; this_is_not_an_option"}, ""},
		{"repeated", []string{"permessage-deflate;client_max_window_bits;client_max_window_bits"}, ""},
		{"repeated, no value and value", []string{"permessage-deflate;client_max_window_bits;client_max_window_bits=15"}, ""},
		{"repeated flag", []string{"permessage-deflate;server_no_context_takeover;server_no_context_takeover"}, ""},
		{"server_max_window_bits without value", []string{"permessage-deflate;server_max_window_bits"}, ""},
		{"max_inflate_ratio", []string{"permessage-deflate;max_inflate_ratio=5"}, ""},
		{"12abc", []string{"permessage-deflate;server_max_window_bits=12abc"}, ""},
		{"15abc", []string{"permessage-deflate;server_max_window_bits=15abc"}, ""},
		{"a=b=c", []string{"permessage-deflate;a=b=c"}, ""},
		{"x=", []string{"permessage-deflate;x="}, ""},
		{"value on a flag", []string{"permessage-deflate;server_no_context_takeover=1"}, ""},
		{"client bits 7", []string{"permessage-deflate;client_max_window_bits=7"}, ""},
		{"client bits 16", []string{"permessage-deflate;client_max_window_bits=16"}, ""},
		{"client bits 99", []string{"permessage-deflate;client_max_window_bits=99"}, ""},
		{"client bits 08", []string{"permessage-deflate;client_max_window_bits=08"}, ""},
		{"client bits +9", []string{"permessage-deflate;client_max_window_bits=+9"}, ""},
		{"client bits huge", []string{"permessage-deflate;client_max_window_bits=99999999999999999999"}, ""},
		{"client bits empty", []string{"permessage-deflate;client_max_window_bits="}, ""},
		{"server bits 015", []string{"permessage-deflate;server_max_window_bits=015"}, ""},
		{"all four", []string{"permessage-deflate; client_max_window_bits=10; server_max_window_bits=15; client_no_context_takeover; server_no_context_takeover"},
			answer + "; server_max_window_bits=15"},
		{"quoted value", []string{`permessage-deflate; client_max_window_bits="10"`}, answer},
		{"quoted value with escapes", []string{`permessage-deflate; client_max_window_bits="\1\0"`}, answer},
		{"quoted value, no token", []string{`permessage-deflate; client_max_window_bits="1 0"`}, ""},
		{"quoted value, empty", []string{`permessage-deflate; client_max_window_bits=""`}, ""},
		{"quoted value, more after it", []string{`permessage-deflate; client_max_window_bits="10"0`}, ""},
		{"quote never closed", []string{`permessage-deflate; client_max_window_bits="10`}, ""},
		{"quote never closed eats the line only", []string{`permessage-deflate; a="10, permessage-deflate`, "permessage-deflate"}, answer},
		{"spaces and tabs", []string{" permessage-deflate ;\tclient_max_window_bits = 10 ,"}, answer},
		{"empty elements", []string{", ,permessage-deflate"}, answer},
		{"empty line", []string{""}, ""},
		{"empty parameter", []string{"permessage-deflate;"}, ""},
		{"other case", []string{"Permessage-Deflate"}, ""},
		{"parameter without name", []string{"permessage-deflate; =15"}, ""},
		{"longer name", []string{"permessage-deflate2"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := negotiate(t, tt.offers...); got != tt.want {
				t.Errorf("offers %q:\nanswer %q\nwant   %q", tt.offers, got, tt.want)
			}
		})
	}
}

func FuzzExtensions(f *testing.F) {
	for _, s := range []string{
		"", "permessage-deflate", "permessage-deflate; client_max_window_bits", "permessage-deflate; server_max_window_bits=15",
		`permessage-deflate; client_max_window_bits="1\0"`, "a;b=\"c,d\", permessage-deflate", "permessage-deflate;server_max_window_bits=10,permessage-deflate",
		`"`, `\`, ";=,", "permessage-deflate; client_no_context_takeover; server_no_context_takeover", "permessage-deflate;;",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		got := negotiate(t, line)
		switch got {
		case "":
		case answer + "; server_max_window_bits=15":
			if !strings.Contains(line, "server_max_window_bits") {
				t.Errorf("offer %q: answered %q, which was not offered", line, got)
			}
			fallthrough
		case answer:
			if !strings.Contains(line, "permessage-deflate") {
				t.Errorf("offer %q: answered %q, which was not offered", line, got)
			}
		default:
			t.Errorf("offer %q: answered %q", line, got)
		}
		// What a line holds does not spoil the next.
		if second := negotiate(t, line, "permessage-deflate"); second == "" || got != "" && second != got {
			t.Errorf("offer %q answered %q, and with a plain one after it %q", line, got, second)
		}
	})
}
