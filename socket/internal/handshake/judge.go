package handshake

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// deflateOffer is what a client of ours offers. Its inflater keeps nothing from message to message, and neither does its
// deflater.
const deflateOffer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

// judge looks at what websocket.Dial does not look at, or not closely: lines that are repeated, the subprotocol, which it
// compares in any case, and the extensions.
func (t *takeover) judge(resp *http.Response) error {
	if !resp.ProtoAtLeast(1, 1) {
		return fmt.Errorf("the 101 is one of %s, not of HTTP/1.1 (RFC 6455 section 4.1)", resp.Proto)
	}
	for _, name := range [...]string{"Sec-Websocket-Accept", "Sec-Websocket-Protocol"} {
		if lines := resp.Header[name]; len(lines) > 1 {
			return fmt.Errorf("'%s' header given %d times: %s (RFC 6455 sections 11.3.3 and 11.3.4)", name, len(lines), quoteAll(lines))
		}
	}
	if chosen := resp.Header["Sec-Websocket-Protocol"]; len(chosen) > 0 {
		if !slices.Contains(t.o.Subprotocols, chosen[0]) {
			return fmt.Errorf("the server has chosen the subprotocol %s, which was not offered: %q (RFC 6455 section 4.1)",
				quote(chosen[0]), t.o.Subprotocols)
		}
		t.dialed.Subprotocol = chosen[0]
	}
	var err error
	t.dialed.Deflate, err = agreedDeflate(resp.Header["Sec-Websocket-Extensions"], t.o.Compress)
	return err
}

var errNotOffered = errors.New("it was not offered")

// agreedDeflate looks at a server's answer to deflateOffer, in the lines of a Sec-WebSocket-Extensions header. What cannot
// be carried out fails the connection (RFC 7692 section 5).
func agreedDeflate(lines []string, offered bool) (deflate bool, err error) {
	for _, line := range lines {
		for element := range splitQuoted(line, ',') {
			if trim(element) == "" {
				continue // RFC 9110 section 5.6.1
			}
			switch {
			case !offered:
				err = errNotOffered
			case deflate:
				err = errors.New("there is one already")
			default:
				err = checkAgreement(element)
			}
			if err != nil {
				return false, fmt.Errorf("the server has chosen the extension %s: %w (RFC 6455 section 4.1, RFC 7692 section 5)",
					quote(trim(element)), err)
			}
			deflate = true
		}
	}
	return deflate, nil
}

// checkAgreement checks one element of the answer: a token and its parameters.
func checkAgreement(element string) error {
	seen := make(map[string]bool, 4)
	first := true
	for part := range splitQuoted(element, ';') {
		part = trim(part)
		if first {
			if part != "permessage-deflate" {
				return errNotOffered
			}
			first = false
			continue
		}
		name, value, hasValue, ok := parseParam(part)
		switch {
		case !ok:
			return fmt.Errorf("%s is malformed", quote(part))
		case seen[name]:
			return fmt.Errorf("%s is repeated", name)
		}
		seen[name] = true
		switch name {
		case "server_no_context_takeover", "client_no_context_takeover":
			if hasValue { // RFC 7692 sections 7.1.1.1 and 7.1.1.2
				return fmt.Errorf("%s has no value", name)
			}
		case "server_max_window_bits":
			// RFC 7692 section 7.1.2.1: the server may restrict itself. Our inflater has the largest window.
			if !hasValue || !isWindowBits(value) {
				return fmt.Errorf("%s wants a number from 8 to 15", name)
			}
		case "client_max_window_bits": // RFC 7692 section 7.1.2.2: only when offered, and our deflater cannot
			return fmt.Errorf("%s was not offered", name)
		default:
			return fmt.Errorf("%s is unknown", quote(name))
		}
	}
	if !seen["server_no_context_takeover"] { // RFC 7692 section 7.1.1.1: whoever accepts the offer says so
		return errors.New("server_no_context_takeover is missing, which was asked for")
	}
	return nil
}

func trim(s string) string { return strings.Trim(s, " \t") }
