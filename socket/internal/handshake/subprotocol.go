package handshake

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// CheckSubprotocols returns an error for the first of names that can never be negotiated: it is not a token (RFC 6455
// section 4.1), or it is listed twice.
func CheckSubprotocols(names []string) error {
	for i, name := range names {
		if !isToken(name) {
			return fmt.Errorf("handshake: subprotocol %q is not a token; make each a string of its own", name)
		}
		if slices.Contains(names[:i], name) {
			return fmt.Errorf("handshake: subprotocol %q is listed twice", name)
		}
	}
	return nil
}

// chooseSubprotocol returns the first of ours that the client offers; else the one that the application has set in w, if
// the client offers it, since browsers fail a connection whose 101 names another. "": none. One with a line break, which
// no request can offer and no answer can have, is none.
func chooseSubprotocol(ours []string, w, r http.Header) string {
	for _, name := range ours {
		if offers(r, name) {
			return name
		}
	}
	if chosen := w.Get("Sec-Websocket-Protocol"); chosen != "" && !strings.ContainsAny(chosen, "\r\n") && offers(r, chosen) {
		return strings.Clone(chosen) // without the memory of the request
	}
	return ""
}

// offers reports whether the client offers a subprotocol, in exactly this spelling: RFC 6455 does not say whether case
// counts, but to browsers it does.
func offers(h http.Header, subprotocol string) bool {
	return hasItem(h, "Sec-Websocket-Protocol", func(item string) bool { return item == subprotocol })
}
