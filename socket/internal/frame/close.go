package frame

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/troupe-dev/troupe/websock"
)

// ParseClose reads the payload of a Close frame (RFC 6455 section 5.5.1), which
// is not masked any more. An empty one has the code 1005 (section 7.1.5).
func ParseClose(p []byte) (websock.CloseDetail, error) {
	switch {
	case len(p) == 0:
		return websock.CloseDetail{Code: websock.CloseNoStatus}, nil
	case len(p) == 1:
		return websock.CloseDetail{}, broken("close payload of one byte (RFC 6455 section 5.5.1)")
	}
	code := websock.CloseCode(binary.BigEndian.Uint16(p))
	if !code.Sendable() {
		return websock.CloseDetail{}, broken("close code %d (RFC 6455 section 7.4)", uint16(code))
	}
	if !utf8.Valid(p[2:]) {
		return websock.CloseDetail{}, Violation(websock.CloseInvalidPayload,
			"close reason not UTF-8 (RFC 6455 section 5.5.1)")
	}
	return websock.CloseDetail{Code: code, Reason: string(p[2:])}, nil
}

// CheckClose returns a [*websock.ResultError] unless d can be sent: Code 0
// stands for an empty payload, and then there is no Reason.
func CheckClose(d websock.CloseDetail) error {
	if d.Code == 0 && d.Reason != "" {
		return &websock.ResultError{Problem: "close reason without a close code (RFC 6455 section 5.5.1)"}
	}
	return websock.Result{Stop: websock.ErrNormal, Close: d}.Check()
}

// CloseLength is the size of d as a payload.
func CloseLength(d websock.CloseDetail) int {
	if d.Code == 0 {
		return 0
	}
	return 2 + len(d.Reason)
}

// AppendClose appends d to p as the payload of a Close frame.
func AppendClose(p []byte, d websock.CloseDetail) []byte {
	if d.Code == 0 {
		return p
	}
	return append(binary.BigEndian.AppendUint16(p, uint16(d.Code)), d.Reason...)
}
