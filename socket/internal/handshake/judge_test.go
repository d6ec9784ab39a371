package handshake_test

import (
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/socket/internal/handshake"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
)

// TestDial_badAnswer: what is wrong with an answer is said, and its connection is closed.
func TestDial_badAnswer(t *testing.T) {
	lines := func(lines ...string) respond {
		return func(r *http.Request, _ net.Conn) string { return switching(r, "", lines...) }
	}
	head := func(lines ...string) respond {
		return func(*http.Request, net.Conn) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }
	}
	for name, tt := range map[string]struct {
		answer respond
		o      handshake.DialOptions
		status int    // of the AnswerError; 0: it is another error
		want   string // part of the text
	}{
		"wrong accept": {head("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
			"Sec-WebSocket-Accept: "+rawclient.DefaultAccept), handshake.DialOptions{}, 101, "invalid Sec-WebSocket-Accept"},
		"no accept": {head("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"),
			handshake.DialOptions{}, 101, "invalid Sec-WebSocket-Accept"},
		"two accepts":        {lines("Sec-WebSocket-Accept: x"), handshake.DialOptions{}, 101, "'Sec-Websocket-Accept' header given 2 times"},
		"no upgrade":         {head("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade"), handshake.DialOptions{}, 101, "Upgrade"},
		"another protocol":   {head("HTTP/1.1 101 Switching Protocols", "Upgrade: h2c", "Connection: Upgrade"), handshake.DialOptions{}, 101, `does not contain websocket`},
		"no connection":      {head("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket"), handshake.DialOptions{}, 101, "Connection"},
		"HTTP/1.0":           {func(r *http.Request, _ net.Conn) string { return strings.Replace(switching(r, ""), "1.1", "1.0", 1) }, handshake.DialOptions{}, 101, "HTTP/1.0"},
		"subprotocol":        {lines("Sec-WebSocket-Protocol: c"), handshake.DialOptions{Subprotocols: []string{"a", "b"}}, 101, `"c", which was not offered: ["a" "b"]`},
		"subprotocol's case": {lines("Sec-WebSocket-Protocol: A"), handshake.DialOptions{Subprotocols: []string{"a"}}, 101, `"A", which was not offered`},
		"two subprotocols": {lines("Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b"),
			handshake.DialOptions{Subprotocols: []string{"a", "b"}}, 101, "given 2 times"},
		"extension":      {lines("Sec-WebSocket-Extensions: permessage-deflate"), handshake.DialOptions{}, 101, `"permessage-deflate": it was not offered`},
		"refused":        {head("HTTP/1.1 403 Forbidden", "Content-Length: 0"), handshake.DialOptions{}, 403, "403 Forbidden"},
		"refused, said":  {head("HTTP/1.1 503 Service Unavailable", "Content-Type: text/plain; charset=utf-8", "Content-Length: 9", "Retry-After: 7", "", "too full\n"), handshake.DialOptions{}, 503, `503 Service Unavailable: "too full"`},
		"refused, HTML":  {head("HTTP/1.1 502 Bad Gateway", "Content-Type: text/html", "Content-Length: 8", "", "<html>\r\n"), handshake.DialOptions{}, 502, "502 Bad Gateway"},
		"plain page":     {head("HTTP/1.1 200 OK", "Content-Length: 0"), handshake.DialOptions{}, 200, "200 OK"},
		"garbage":        {head("SSH-2.0-OpenSSH_9.6"), handshake.DialOptions{}, 0, "malformed HTTP"},
		"nothing":        {func(_ *http.Request, conn net.Conn) string { conn.Close(); return "" }, handshake.DialOptions{}, 0, "EOF"},
		"an endless 302": {head("HTTP/1.1 302 Found", "Location: /", "Content-Length: 0"), handshake.DialOptions{}, 0, "stopped after 10 redirects"},
	} {
		t.Run(name, func(t *testing.T) {
			s := inMemory(t, tt.answer)
			_, err := s.dial(t, t.Context(), "ws://user:secret@server.test/?token=secret", tt.o)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") {
				t.Fatalf("got error %v, want %q in it, and no secret", err, tt.want)
			}
			status := 0
			if e, ok := errors.AsType[*handshake.AnswerError](err); ok {
				status = e.Status
			}
			if status != tt.status {
				t.Errorf("got status %d of %v, want %d", status, err, tt.status)
			}
			if status == 101 {
				s.mu.Lock()
				defer s.mu.Unlock()
				if n, err := s.conns[0].Read(make([]byte, 1)); n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("the connection of the server: read %d, %v, want its end", n, err)
				}
			}
		})
	}
}

// TestDial_anyCase: the tokens of a 101 are compared in any case, and Connection is a list (RFC 6455 section 4.1).
func TestDial_anyCase(t *testing.T) {
	for _, fields := range []string{"Upgrade: WebSocket\r\nConnection: upgrade", "upgrade: WEBSOCKET\r\nconnection: keep-alive ,\tUPGRADE"} {
		s := inMemory(t, func(r *http.Request, _ net.Conn) string {
			return strings.Replace(switching(r, "early"), "Upgrade: websocket\r\nConnection: Upgrade", fields, 1)
		})
		d, err := s.dial(t, t.Context(), "ws://server.test/", handshake.DialOptions{})
		if err != nil || string(d.Early) != "early" {
			t.Fatalf("%q: got %q early, error %v, want early", fields, d.Early, err)
		}
		wantBothWays(t, d.Conn, s.conns[0])
	}
}

// TestDial_answerHeader: the header of an answer is there, that of a 101 with its extensions.
func TestDial_answerHeader(t *testing.T) {
	s := inMemory(t, func(r *http.Request, _ net.Conn) string {
		return switching(r, "", "Sec-WebSocket-Extensions: x", "X-Served-By: a7")
	})
	_, err := s.dial(t, t.Context(), "ws://server.test/", handshake.DialOptions{})
	e, ok := errors.AsType[*handshake.AnswerError](err)
	if !ok || e.Header.Get("X-Served-By") != "a7" || e.Header.Get("Sec-WebSocket-Extensions") != "x" {
		t.Errorf("got %#v, want an AnswerError with the header of the 101", err)
	}
}

// TestDial_deflate: answers to our offer of permessage-deflate.
func TestDial_deflate(t *testing.T) {
	const both = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	for _, tt := range []struct {
		answer string
		want   string // part of the error; "": accepted
	}{
		{both, ""},
		{"permessage-deflate;server_no_context_takeover", ""}, // we keep nothing, whether it wants that or not
		{both + "; server_max_window_bits=15", ""},
		{both + `; server_max_window_bits="8"`, ""},
		{" , " + both + ",", ""},
		{"permessage-deflate", "server_no_context_takeover is missing"},
		{"permessage-deflate; client_no_context_takeover", "server_no_context_takeover is missing"},
		{both + "; client_max_window_bits=15", "client_max_window_bits was not offered"},
		{both + "; server_max_window_bits", "wants a number from 8 to 15"},
		{both + "; server_max_window_bits=7", "wants a number from 8 to 15"},
		{both + "; server_max_window_bits=016", "wants a number from 8 to 15"},
		{both + "; server_no_context_takeover", "server_no_context_takeover is repeated"},
		{"permessage-deflate; server_no_context_takeover=1", "server_no_context_takeover has no value"},
		{both + "; x", `"x" is unknown`},
		{both + "; ", `"" is malformed`},
		{both + ", " + both, "there is one already"},
		{both + "\r\nSec-WebSocket-Extensions: " + both, "there is one already"},
		{"Permessage-Deflate; server_no_context_takeover", "it was not offered"},
		{"x-webkit-deflate-frame", "it was not offered"},
	} {
		s := inMemory(t, func(r *http.Request, _ net.Conn) string {
			return switching(r, "", "Sec-WebSocket-Extensions: "+tt.answer)
		})
		d, err := s.dial(t, t.Context(), "ws://server.test/", handshake.DialOptions{Compress: true})
		if tt.want == "" && (err != nil || !d.Deflate) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%q: got deflate %v, error %v, want %q", tt.answer, d.Deflate, err, tt.want)
		}
	}
}
