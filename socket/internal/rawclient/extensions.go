package rawclient

import (
	"fmt"
	"strconv"
	"strings"
)

// Extensions is what the server accepted (RFC 7692 section 7.1). Window bits
// are 0 where the answer names none. ReadMessage inflates whatever fits 15
// bits: that the server stays within a smaller window is not checked.
type Extensions struct {
	Deflate                 bool
	ServerNoContextTakeover bool
	ClientNoContextTakeover bool
	ServerMaxWindowBits     int
	ClientMaxWindowBits     int
}

// parseExtensions checks the answer to the offers, each a list of elements of
// Sec-WebSocket-Extensions.
func parseExtensions(answers, offers []string) (Extensions, error) {
	var ext Extensions
	for _, answer := range answers {
		name, params, _ := strings.Cut(answer, ";")
		switch {
		case strings.TrimSpace(name) != "permessage-deflate" || !offered(offers, "permessage-deflate"):
			return ext, fmt.Errorf("extension %q was not offered in %q (RFC 6455 section 4.1)", answer, offers)
		case ext.Deflate:
			return ext, fmt.Errorf("permessage-deflate accepted twice in %q (RFC 7692 section 5)", answers)
		}
		ext.Deflate = true
		if err := ext.parseParams(params, offers); err != nil {
			return ext, fmt.Errorf("extension %q: %w", answer, err)
		}
	}
	// With several offers the answer does not say which one it accepts.
	if ext.Deflate && len(offers) == 1 {
		return ext, ext.checkAsked(offers)
	}
	return ext, nil
}

// checkAsked checks that the answer grants what the only offer asks of the
// server. By accepting an offer a server accepts all of it.
func (e *Extensions) checkAsked(offers []string) error {
	switch {
	case offered(offers, "server_no_context_takeover") && !e.ServerNoContextTakeover:
		return fmt.Errorf("%q accepted without server_no_context_takeover (RFC 7692 section 7.1.1.1)", offers)
	case offered(offers, "server_max_window_bits") && e.ServerMaxWindowBits == 0:
		return fmt.Errorf("%q accepted without server_max_window_bits (RFC 7692 section 7.1.2.1)", offers)
	}
	return nil
}

// parseParams reads what follows "permessage-deflate;".
func (e *Extensions) parseParams(params string, offers []string) error {
	seen := make(map[string]bool)
	for param := range strings.SplitSeq(params, ";") {
		if param = strings.TrimSpace(param); param == "" && params == "" {
			continue
		}
		name, value, hasValue := strings.Cut(param, "=")
		if seen[name] {
			return fmt.Errorf("%s twice (RFC 7692 section 7.1)", name)
		}
		seen[name] = true
		var err error
		switch name {
		case "server_no_context_takeover":
			e.ServerNoContextTakeover = true
			err = noValue(name, hasValue)
		case "client_no_context_takeover":
			e.ClientNoContextTakeover = true
			err = noValue(name, hasValue)
		case "server_max_window_bits":
			e.ServerMaxWindowBits, err = windowBits(name, value)
		case "client_max_window_bits":
			if !offered(offers, name) {
				return fmt.Errorf("%s was not offered in %q (RFC 7692 section 7.1.2.2)", name, offers)
			}
			e.ClientMaxWindowBits, err = windowBits(name, value)
		default:
			return fmt.Errorf("unknown parameter %q (RFC 7692 section 7.1)", param)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// offered says whether any offer has this extension or parameter name.
func offered(offers []string, name string) bool {
	for _, offer := range offers {
		for part := range strings.SplitSeq(offer, ";") {
			part, _, _ = strings.Cut(part, "=")
			if strings.TrimSpace(part) == name {
				return true
			}
		}
	}
	return false
}

func noValue(name string, hasValue bool) error {
	if hasValue {
		return fmt.Errorf("%s with a value (RFC 7692 section 7.1.1)", name)
	}
	return nil
}

func windowBits(name, value string) (int, error) {
	bits, err := strconv.Atoi(value)
	if err != nil || bits < 8 || bits > 15 || strconv.Itoa(bits) != value {
		return 0, fmt.Errorf("%s=%q, want 8 to 15 (RFC 7692 section 7.1.2)", name, value)
	}
	return bits, nil
}
