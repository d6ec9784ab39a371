package handshake

import (
	"strconv"
	"strings"
)

// negotiateDeflate answers the offers of permessage-deflate in the lines of a
// Sec-WebSocket-Extensions header (RFC 7692 section 7.1). The first offer that
// can be met wins; ok is false when there is none, and the connection goes on
// without compression. An offer that is malformed is declined like one with
// unknown parameters (RFC 7692 section 7.1); it never fails the handshake.
//
// The answer always says server_no_context_takeover and
// client_no_context_takeover, whether offered or not (RFC 7692 sections 7.1.1.1
// and 7.1.1.2 allow both): so no deflate state outlives a message. It says
// server_max_window_bits=15 when that was offered, because accepting the
// parameter means repeating it (section 7.1.2.1). It never says
// client_max_window_bits: the inflater takes every window up to 15 bits, and
// leaving it out asks nothing of the client (section 7.1.2.2).
func negotiateDeflate(lines []string) (answer string, ok bool) {
	for _, line := range lines {
		for offer := range splitQuoted(line, ',') {
			if answer, ok := acceptOffer(offer); ok {
				return answer, true
			}
		}
	}
	return "", false
}

const deflateAnswer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

// acceptOffer answers one element of the list: a token and its parameters.
// Names are compared exactly: a peer that writes them otherwise would not know
// its own offer in the answer.
func acceptOffer(offer string) (answer string, ok bool) {
	answer = deflateAnswer
	seen := make(map[string]bool, 4)
	first := true
	for part := range splitQuoted(offer, ';') {
		part = strings.Trim(part, " \t")
		if first {
			if part != "permessage-deflate" {
				return "", false
			}
			first = false
			continue
		}
		name, value, hasValue, ok := parseParam(part)
		if !ok || seen[name] { // RFC 7692 section 7.1: each parameter once
			return "", false
		}
		seen[name] = true
		switch name {
		case "server_no_context_takeover", "client_no_context_takeover":
			if hasValue { // RFC 7692 sections 7.1.1.1 and 7.1.1.2
				return "", false
			}
		case "server_max_window_bits":
			// RFC 7692 section 7.1.2.1. Our deflater's window is 15 bits and
			// cannot be made smaller.
			if !hasValue || value != "15" {
				return "", false
			}
			answer += "; server_max_window_bits=15"
		case "client_max_window_bits":
			// RFC 7692 section 7.1.2.2: with a value or without one.
			if hasValue && !isWindowBits(value) {
				return "", false
			}
		default:
			return "", false
		}
	}
	return answer, !first
}

// isWindowBits reports whether v is a decimal from 8 to 15 without leading
// zeros (RFC 7692 section 7.1.2).
func isWindowBits(v string) bool {
	n, err := strconv.ParseUint(v, 10, 8)
	return err == nil && n >= 8 && n <= 15 && v == strconv.FormatUint(n, 10)
}

// parseParam parses token [ "=" ( token | quoted-string ) ] (RFC 6455 section
// 9.1). The content of a quoted string must be a token too.
func parseParam(s string) (name, value string, hasValue, ok bool) {
	name, value, hasValue = strings.Cut(s, "=")
	name = strings.TrimRight(name, " \t")
	if !isToken(name) {
		return "", "", false, false
	}
	if !hasValue {
		return name, "", false, true
	}
	value = strings.TrimLeft(value, " \t")
	if strings.HasPrefix(value, `"`) {
		if value, ok = unquote(value); !ok {
			return "", "", false, false
		}
	}
	return name, value, true, isToken(value)
}

// unquote returns the content of a quoted-string (RFC 2616 section 2.2), which
// s must be from its first byte to its last.
func unquote(s string) (string, bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), i == len(s)-1
		case '\\':
			i++
			if i == len(s) {
				return "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", false
}

// isToken reports whether s is a token (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// splitQuoted yields the parts of s between separators, which do not count
// inside a quoted string. A string that is never closed reaches to the end.
func splitQuoted(s string, sep byte) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		start, quoted := 0, false
		for i := 0; i < len(s); i++ {
			switch c := s[i]; {
			case quoted && c == '\\':
				i++
			case c == '"':
				quoted = !quoted
			case c == sep && !quoted:
				if !yield(s[start:i]) {
					return
				}
				start = i + 1
			}
		}
		yield(s[start:])
	}
}
