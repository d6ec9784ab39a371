package rawclient

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha1" // RFC 6455 section 4.2.2 asks for it
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
)

// DefaultKey is the Sec-WebSocket-Key of a handshake that sets none, from RFC
// 6455 section 1.3. Its answer is DefaultAccept.
const (
	DefaultKey    = "dGhlIHNhbXBsZSBub25jZQ=="
	DefaultAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

// DefaultOffer is what HandshakeOptions.Deflate offers.
const DefaultOffer = "permessage-deflate; client_max_window_bits"

// HandshakeOptions is the request. The zero value is a correct one without
// extensions.
type HandshakeOptions struct {
	Method string // "": GET
	Path   string // "": /
	Proto  string // "": HTTP/1.1
	Host   string // "": example.com

	// Header adds to the default fields (Host, Upgrade, Connection,
	// Sec-WebSocket-Key, Sec-WebSocket-Version, Sec-WebSocket-Extensions) and
	// replaces those it names, in any case. A nil value leaves the field out.
	// Names and values are sent as they are.
	Header http.Header

	// Deflate offers permessage-deflate with DefaultOffer.
	Deflate bool
	// Offer is sent as Sec-WebSocket-Extensions instead, also without Deflate.
	Offer string

	// Extra is sent right after the head, in the same write.
	Extra []byte
}

// Handshake sends the opening handshake (RFC 6455 section 4.1) on conn, reads
// the answer and checks it.
//
//   - 101, and all is right: a Client, the response and nil.
//   - Any other status: a nil Client, the response and nil. The response's
//     body was read and can be read again.
//   - 101, but not as the RFC asks: a nil Client, the response and a
//     *[BadPeerError].
//   - No answer: only an error.
//
// conn stays open in every case. It blocks until the answer is complete; a
// body without a length ends with the connection.
func Handshake(conn net.Conn, o HandshakeOptions) (*Client, *http.Response, error) {
	header := o.fields()
	method := cmp.Or(o.Method, http.MethodGet)
	if _, err := conn.Write(o.request(method, header)); err != nil {
		return nil, nil, fmt.Errorf("rawclient: send handshake: %w", err)
	}
	br := bufio.NewReader(conn)
	resp, err := http.ReadResponse(br, &http.Request{Method: method})
	if err != nil {
		return nil, nil, fmt.Errorf("rawclient: read handshake: %w", err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return nil, resp, fmt.Errorf("rawclient: read the body of a %s: %w", resp.Status, err)
		}
		_ = resp.Body.Close() // all of it was read
		resp.Body = io.NopCloser(bytes.NewReader(body))
		return nil, resp, nil
	}
	ext, err := checkResponse(resp, header)
	if err != nil {
		return nil, resp, err
	}
	return &Client{Mask: DefaultMask, Extensions: ext, conn: conn, br: br}, resp, nil
}

// fields returns the header of the request.
func (o HandshakeOptions) fields() http.Header {
	h := http.Header{
		"Host":                  {cmp.Or(o.Host, "example.com")},
		"Upgrade":               {"websocket"},
		"Connection":            {"Upgrade"},
		"Sec-Websocket-Key":     {DefaultKey},
		"Sec-Websocket-Version": {"13"},
	}
	if o.Offer != "" {
		h.Set("Sec-WebSocket-Extensions", o.Offer)
	} else if o.Deflate {
		h.Set("Sec-WebSocket-Extensions", DefaultOffer)
	}
	for name, values := range o.Header {
		h.Del(name)
		if len(values) > 0 {
			h[name] = values
		}
	}
	return h
}

// request returns all bytes to send, fields sorted by name.
func (o HandshakeOptions) request(method string, header http.Header) []byte {
	b := fmt.Appendf(nil, "%s %s %s\r\n", method, cmp.Or(o.Path, "/"), cmp.Or(o.Proto, "HTTP/1.1"))
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			b = fmt.Appendf(b, "%s: %s\r\n", name, value)
		}
	}
	b = append(b, "\r\n"...)
	return append(b, o.Extra...)
}

// checkResponse checks a 101 as RFC 6455 section 4.1 asks a client to.
func checkResponse(resp *http.Response, sent http.Header) (Extensions, error) {
	bad := func(format string, args ...any) (Extensions, error) {
		return Extensions{}, &BadPeerError{Rule: "handshake: " + fmt.Sprintf(format, args...)}
	}
	if resp.Proto != "HTTP/1.1" {
		return bad("a 101 in %s (RFC 6455 section 4.2.2)", resp.Proto)
	}
	if got := field(resp.Header, "Upgrade"); len(got) != 1 || !strings.EqualFold(got[0], "websocket") {
		return bad("Upgrade is %q, want websocket (RFC 6455 section 4.1)", got)
	}
	if got := list(resp.Header, "Connection"); !slices.ContainsFunc(got, func(v string) bool { return strings.EqualFold(v, "upgrade") }) {
		return bad("Connection is %q, want Upgrade (RFC 6455 section 4.1)", got)
	}
	want := []string{Accept(strings.Join(field(sent, "Sec-WebSocket-Key"), ""))}
	if got := field(resp.Header, "Sec-WebSocket-Accept"); !slices.Equal(got, want) {
		return bad("Sec-WebSocket-Accept is %q, want %q (RFC 6455 section 4.2.2)", got, want)
	}
	if got := field(resp.Header, "Sec-WebSocket-Protocol"); len(got) > 1 ||
		len(got) == 1 && !slices.Contains(list(sent, "Sec-WebSocket-Protocol"), got[0]) {
		return bad("Sec-WebSocket-Protocol is %q, offered %q (RFC 6455 section 4.1)", got, list(sent, "Sec-WebSocket-Protocol"))
	}
	for _, name := range []string{"Content-Length", "Transfer-Encoding"} {
		// http.ReadResponse moves Transfer-Encoding out of the header.
		if len(field(resp.Header, name)) > 0 || name == "Transfer-Encoding" && len(resp.TransferEncoding) > 0 {
			return bad("a 101 with %s (RFC 9110 section 8.6, RFC 9112 section 6.1)", name)
		}
	}
	ext, err := parseExtensions(list(resp.Header, "Sec-WebSocket-Extensions"), list(sent, "Sec-WebSocket-Extensions"))
	if err != nil {
		return bad("%v", err)
	}
	return ext, nil
}

// Accept returns the Sec-WebSocket-Accept that answers key (RFC 6455 section
// 4.2.2, step 5.4).
func Accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// field returns the values of the field name, which may be spelled in h in any
// case.
func field(h http.Header, name string) []string {
	var values []string
	for _, k := range slices.Sorted(maps.Keys(h)) {
		if strings.EqualFold(k, name) {
			values = append(values, h[k]...)
		}
	}
	return values
}

// list returns the members of a comma separated field (RFC 9110 section 5.6.1).
// It knows no quoted commas: none of the fields read here has them.
func list(h http.Header, name string) []string {
	var members []string
	for _, value := range field(h, name) {
		for member := range strings.SplitSeq(value, ",") {
			if member = strings.TrimSpace(member); member != "" {
				members = append(members, member)
			}
		}
	}
	return members
}
