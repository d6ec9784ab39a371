package websock

import (
	"fmt"
	"strconv"
	"unicode/utf8"
)

// maxCloseReason is what two bytes of close code leave of a control payload.
const maxCloseReason = maxControlPayload - 2

// CloseCode is the status code of a close frame (RFC 6455 section 7.4).
// 3000-3999 are registered by libraries and frameworks, 4000-4999 are for
// applications. The zero CloseCode stands for "none given".
type CloseCode uint16

// The codes of the IANA WebSocket Close Code Number Registry below 3000.
const (
	CloseNormal             CloseCode = 1000 // Normal Closure
	CloseGoingAway          CloseCode = 1001 // Going Away: the server shuts down, the browser leaves the page
	CloseProtocolError      CloseCode = 1002 // Protocol error
	CloseUnsupportedData    CloseCode = 1003 // Unsupported Data
	CloseNoStatus           CloseCode = 1005 // No Status Rcvd: never sent; stands for a close frame without a code
	CloseAbnormal           CloseCode = 1006 // Abnormal Closure: never sent; stands for an end without a close frame
	CloseInvalidPayload     CloseCode = 1007 // Invalid frame payload data: not UTF-8, bad deflate data
	ClosePolicyViolation    CloseCode = 1008 // Policy Violation
	CloseMessageTooBig      CloseCode = 1009 // Message Too Big
	CloseMandatoryExtension CloseCode = 1010 // Mandatory Ext.: a client misses an extension
	CloseInternalError      CloseCode = 1011 // Internal Error
	CloseServiceRestart     CloseCode = 1012 // Service Restart: come back
	CloseTryAgainLater      CloseCode = 1013 // Try Again Later: overload
	CloseBadGateway         CloseCode = 1014 // Bad Gateway
	CloseTLSHandshake       CloseCode = 1015 // TLS handshake: never sent; stands for a handshake that failed
)

// Sendable reports whether c may stand in a close frame: 1000-1003, 1007-1014
// and 3000-4999. The same set is legal from a peer.
func (c CloseCode) Sendable() bool {
	return c >= 1000 && c <= 1003 || c >= 1007 && c <= 1014 || c >= 3000 && c <= 4999
}

// String returns the number and, where c is one of the constants, its name in
// the IANA registry: "1001 Going Away", "4001".
func (c CloseCode) String() string {
	text := strconv.Itoa(int(c))
	if name := c.name(); name != "" {
		return text + " " + name
	}
	return text
}

func (c CloseCode) name() string {
	switch c {
	case CloseNormal:
		return "Normal Closure"
	case CloseGoingAway:
		return "Going Away"
	case CloseProtocolError:
		return "Protocol error"
	case CloseUnsupportedData:
		return "Unsupported Data"
	case CloseNoStatus:
		return "No Status Rcvd"
	case CloseAbnormal:
		return "Abnormal Closure"
	case CloseInvalidPayload:
		return "Invalid frame payload data"
	case ClosePolicyViolation:
		return "Policy Violation"
	case CloseMessageTooBig:
		return "Message Too Big"
	case CloseMandatoryExtension:
		return "Mandatory Ext."
	case CloseInternalError:
		return "Internal Error"
	case CloseServiceRestart:
		return "Service Restart"
	case CloseTryAgainLater:
		return "Try Again Later"
	case CloseBadGateway:
		return "Bad Gateway"
	case CloseTLSHandshake:
		return "TLS handshake"
	}
	return ""
}

// CloseDetail is what a close frame says. Code must be [CloseCode.Sendable],
// or 0: derived from the exit reason, as the package comment lists it. Reason
// is UTF-8, at most 123 bytes, and goes to the peer. The zero CloseDetail
// leaves all of it to the exit reason.
type CloseDetail struct {
	Code   CloseCode
	Reason string
}

// problem returns what makes d illegal, "" when nothing does.
func (d CloseDetail) problem() string {
	switch {
	case d.Code != 0 && !d.Code.Sendable():
		return fmt.Sprintf("close code %s cannot be sent; legal are 1000-1003, 1007-1014 and 3000-4999 (RFC 6455 section 7.4)",
			d.Code)
	case len(d.Reason) > maxCloseReason:
		return fmt.Sprintf("close reason of %d bytes exceeds %d (RFC 6455 section 5.5)",
			len(d.Reason), maxCloseReason)
	case !utf8.ValidString(d.Reason):
		return "close reason is not UTF-8 (RFC 6455 section 5.5.1)"
	}
	return ""
}
