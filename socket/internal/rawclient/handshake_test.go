package rawclient_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
)

// answer is the 101 of RFC 6455 section 1.3, with more fields.
func answer(fields ...string) string {
	return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" + strings.Join(append(fields, ""), "\r\n") + "\r\n"
}

// exchange makes a handshake with a server that sends response, then closes
// its side. It returns what the client sent, too.
func exchange(t *testing.T, response string, o rawclient.HandshakeOptions) (sent string, c *rawclient.Client, resp *http.Response, err error) {
	t.Helper()
	conn, server := pipe.New(0)
	if _, err := io.WriteString(server, response); err != nil {
		t.Fatal(err)
	}
	if err := server.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	c, resp, err = rawclient.Handshake(conn, o)
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	p, readErr := io.ReadAll(server)
	if readErr != nil {
		t.Fatal(readErr)
	}
	return string(p), c, resp, err
}

const defaultRequest = "GET / HTTP/1.1\r\nConnection: Upgrade\r\nHost: example.com\r\n" +
	"Sec-Websocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-Websocket-Version: 13\r\nUpgrade: websocket\r\n\r\n"

func TestHandshake_request(t *testing.T) {
	tests := []struct {
		name string
		o    rawclient.HandshakeOptions
		want string
	}{
		{"default", rawclient.HandshakeOptions{}, defaultRequest},
		{
			"request line and host", rawclient.HandshakeOptions{Method: "POST", Path: "/chat?x=1", Proto: "HTTP/1.0", Host: "h:1"},
			strings.NewReplacer("GET / HTTP/1.1", "POST /chat?x=1 HTTP/1.0", "example.com", "h:1").Replace(defaultRequest),
		},
		{
			"extra bytes", rawclient.HandshakeOptions{Extra: []byte("\x81\x80mask")},
			defaultRequest + "\x81\x80mask",
		},
		{
			"added field", rawclient.HandshakeOptions{Header: http.Header{"Origin": {"http://a", "http://b"}}},
			strings.Replace(defaultRequest, "Sec-Websocket-Key", "Origin: http://a\r\nOrigin: http://b\r\nSec-Websocket-Key", 1),
		},
		{
			"replaced field, as it is spelled", rawclient.HandshakeOptions{Header: http.Header{"sec-websocket-version": {"8"}}},
			strings.Replace(strings.Replace(defaultRequest, "Sec-Websocket-Version: 13\r\n", "", 1), "\r\n\r\n", "\r\nsec-websocket-version: 8\r\n\r\n", 1),
		},
		{
			"removed fields", rawclient.HandshakeOptions{Header: http.Header{"Host": nil, "Upgrade": nil}},
			strings.NewReplacer("Host: example.com\r\n", "", "Upgrade: websocket\r\n", "").Replace(defaultRequest),
		},
		{
			"deflate", rawclient.HandshakeOptions{Deflate: true},
			strings.Replace(defaultRequest, "Sec-Websocket-Key", "Sec-Websocket-Extensions: permessage-deflate; client_max_window_bits\r\nSec-Websocket-Key", 1),
		},
		{
			"own offer", rawclient.HandshakeOptions{Deflate: true, Offer: "x-a, x-b"},
			strings.Replace(defaultRequest, "Sec-Websocket-Key", "Sec-Websocket-Extensions: x-a, x-b\r\nSec-Websocket-Key", 1),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _, _, _ := exchange(t, answer(), tt.o)
			if got != tt.want {
				t.Errorf("sent\n%q, want\n%q", got, tt.want)
			}
		})
	}
}

func TestHandshake_accepted(t *testing.T) {
	offer := func(s string) rawclient.HandshakeOptions { return rawclient.HandshakeOptions{Offer: s} }
	deflate := rawclient.HandshakeOptions{Deflate: true}
	const ext = "Sec-WebSocket-Extensions: "
	tests := []struct {
		name     string
		response string
		o        rawclient.HandshakeOptions
		want     rawclient.Extensions
	}{
		{"plain", answer(), rawclient.HandshakeOptions{}, rawclient.Extensions{}},
		{"offer declined", answer(), deflate, rawclient.Extensions{}},
		{"tokens in any case", strings.NewReplacer("Upgrade: websocket", "upgrade: WebSocket", "Connection: Upgrade", "connection: keep-alive, upgrade").Replace(answer()), rawclient.HandshakeOptions{}, rawclient.Extensions{}},
		{"subprotocol", answer("Sec-WebSocket-Protocol: b"), rawclient.HandshakeOptions{Header: http.Header{"Sec-WebSocket-Protocol": {"a, b"}}}, rawclient.Extensions{}},
		{"another key", strings.Replace(answer(), rawclient.DefaultAccept, rawclient.Accept("AQIDBAUGBwgJCgsMDQ4PEA=="), 1), rawclient.HandshakeOptions{Header: http.Header{"sec-websocket-key": {"AQIDBAUGBwgJCgsMDQ4PEA=="}}}, rawclient.Extensions{}},
		{"deflate", answer(ext + "permessage-deflate"), deflate, rawclient.Extensions{Deflate: true}},
		{
			"deflate, all parameters", answer(ext + "permessage-deflate; server_no_context_takeover; client_no_context_takeover;server_max_window_bits=8 ; client_max_window_bits=15"), deflate,
			rawclient.Extensions{Deflate: true, ServerNoContextTakeover: true, ClientNoContextTakeover: true, ServerMaxWindowBits: 8, ClientMaxWindowBits: 15},
		},
		{"deflate, second offer", answer(ext + "permessage-deflate"), offer("permessage-deflate; server_max_window_bits=10, permessage-deflate"), rawclient.Extensions{Deflate: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, c, resp, err := exchange(t, tt.response, tt.o)
			if err != nil || c == nil || resp == nil || resp.StatusCode != 101 {
				t.Fatalf("got client %v, response %v, %v, want a 101", c, resp, err)
			}
			if c.Extensions != tt.want {
				t.Errorf("got %+v, want %+v", c.Extensions, tt.want)
			}
		})
	}
}

func TestHandshake_badServer(t *testing.T) {
	offer := func(s string) rawclient.HandshakeOptions { return rawclient.HandshakeOptions{Offer: s} }
	var none rawclient.HandshakeOptions
	const ext = "Sec-WebSocket-Extensions: "
	tests := []struct {
		name     string
		response string
		o        rawclient.HandshakeOptions
		want     string // part of the error
	}{
		{"HTTP/1.0", strings.Replace(answer(), "HTTP/1.1", "HTTP/1.0", 1), none, "HTTP/1.0"},
		{"no Upgrade", strings.Replace(answer(), "Upgrade: websocket\r\n", "", 1), none, "Upgrade"},
		{"wrong Upgrade", strings.Replace(answer(), "Upgrade: websocket", "Upgrade: h2c", 1), none, "Upgrade"},
		{"no Connection", strings.Replace(answer(), "Connection: Upgrade\r\n", "", 1), none, "Connection"},
		{"wrong Connection", strings.Replace(answer(), "Connection: Upgrade", "Connection: keep-alive", 1), none, "Connection"},
		{"no Accept", strings.Replace(answer(), "Sec-WebSocket-Accept", "X", 1), none, "Sec-WebSocket-Accept"},
		{"wrong Accept", strings.Replace(answer(), "s3pP", "s3pQ", 1), none, "Sec-WebSocket-Accept"},
		{"two Accepts", answer("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), none, "Sec-WebSocket-Accept"},
		{"subprotocol not offered", answer("Sec-WebSocket-Protocol: a"), none, "Sec-WebSocket-Protocol"},
		{"two subprotocols", answer("Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b"), rawclient.HandshakeOptions{Header: http.Header{"Sec-WebSocket-Protocol": {"a, b"}}}, "Sec-WebSocket-Protocol"},
		{"Content-Length", answer("Content-Length: 0"), none, "Content-Length"},
		{"Transfer-Encoding", answer("Transfer-Encoding: chunked"), none, "Transfer-Encoding"},
		{"extension not offered", answer(ext + "permessage-deflate"), none, "not offered"},
		{"another extension", answer(ext + "x-webkit-deflate-frame"), offer("permessage-deflate"), "not offered"},
		{"deflate twice", answer(ext + "permessage-deflate, permessage-deflate"), offer("permessage-deflate"), "twice"},
		{"parameter twice", answer(ext + "permessage-deflate; server_no_context_takeover; server_no_context_takeover"), offer("permessage-deflate"), "twice"},
		{"unknown parameter", answer(ext + "permessage-deflate; fast"), offer("permessage-deflate"), "unknown parameter"},
		{"empty parameter", answer(ext + "permessage-deflate; server_no_context_takeover;"), offer("permessage-deflate"), "unknown parameter"},
		{"value of a flag", answer(ext + "permessage-deflate; server_no_context_takeover=1"), offer("permessage-deflate"), "with a value"},
		{"client_max_window_bits not offered", answer(ext + "permessage-deflate; client_max_window_bits=10"), offer("permessage-deflate"), "not offered"},
		{"window bits without value", answer(ext + "permessage-deflate; client_max_window_bits"), offer("permessage-deflate; client_max_window_bits"), "8 to 15"},
		{"window bits of 7", answer(ext + "permessage-deflate; server_max_window_bits=7"), offer("permessage-deflate"), "8 to 15"},
		{"window bits of 16", answer(ext + "permessage-deflate; server_max_window_bits=16"), offer("permessage-deflate"), "8 to 15"},
		{"window bits of 08", answer(ext + "permessage-deflate; server_max_window_bits=08"), offer("permessage-deflate"), "8 to 15"},
		{"asked no context takeover", answer(ext + "permessage-deflate"), offer("permessage-deflate; server_no_context_takeover"), "accepted without"},
		{"asked a small window", answer(ext + "permessage-deflate"), offer("permessage-deflate; server_max_window_bits=10"), "accepted without"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, c, resp, err := exchange(t, tt.response, tt.o)
			bad, ok := errors.AsType[*rawclient.BadPeerError](err)
			if !ok || !strings.Contains(bad.Rule, tt.want) {
				t.Errorf("got %v, want a *BadPeerError with %q", err, tt.want)
			}
			if c != nil || resp == nil {
				t.Errorf("got client %v, response %v, want no client and the response", c, resp)
			}
		})
	}
}

func TestHandshake_refused(t *testing.T) {
	const response = "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nContent-Length: 4\r\n\r\nwhy\n"
	_, c, resp, err := exchange(t, response, rawclient.HandshakeOptions{})
	if c != nil || err != nil {
		t.Fatalf("got client %v, %v, want neither", c, err)
	}
	if got := resp.Header.Get("Sec-WebSocket-Version"); resp.StatusCode != 426 || got != "13" {
		t.Errorf("got status %d, version %q, want 426 and 13", resp.StatusCode, got)
	}
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "why\n" {
		t.Errorf("got body %q, %v, want why", body, err)
	}
}

func TestHandshake_noAnswer(t *testing.T) {
	for _, response := range []string{"", "HTTP/1.1 101", "SSH-2.0-x\r\n\r\n"} {
		if _, c, resp, err := exchange(t, response, rawclient.HandshakeOptions{}); err == nil || c != nil || resp != nil {
			t.Errorf("%q: got client %v, response %v, %v, want only an error", response, c, resp, err)
		}
	}
	_, c, resp, err := exchange(t, "HTTP/1.1 400 Bad\r\nContent-Length: 10\r\n\r\ncut", rawclient.HandshakeOptions{})
	if !errors.Is(err, io.ErrUnexpectedEOF) || c != nil || resp == nil {
		t.Errorf("a body cut off: got client %v, response %v, %v, want the response and io.ErrUnexpectedEOF", c, resp, err)
	}
	conn, server := pipe.New(0)
	_ = server.Close()
	_ = conn.Close()
	if _, _, err := rawclient.Handshake(conn, rawclient.HandshakeOptions{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed connection: got %v, want net.ErrClosed", err)
	}
}

func TestAccept(t *testing.T) {
	if got := rawclient.Accept(rawclient.DefaultKey); got != rawclient.DefaultAccept {
		t.Errorf("got %q, want %q (RFC 6455 section 1.3)", got, rawclient.DefaultAccept)
	}
}
