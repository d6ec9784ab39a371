package websock

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// maxControlPayload bounds what a ping, a pong or a close frame carries
// (RFC 6455 section 5.5).
const maxControlPayload = 125

// Message is one complete text or binary message, or one ping or pong.
//
// A Message that [Handler].HandleIn or [ControlHandler].HandleControl received
// belongs to the handler, Data included, unless it is a [Borrower]. A Message that was pushed, or sent to a
// PID, is read-only from then on, even for the code that made it: sockets may
// share it, and it may be written later or more than once. nil Data is an empty
// payload.
//
// Write composite literals with field names; Message may get further fields.
// Compare messages by Equal: == does not compile, and reflect.DeepEqual sees
// whether a message was prepared.
type Message struct {
	Opcode Opcode
	Data   []byte

	cache *cache // set by Prepare
}

// Text returns a text message. s must be UTF-8; see [Message.Check].
func Text(s string) Message { return Message{Opcode: OpText, Data: []byte(s)} }

// TextBytes returns a text message of p, which must be UTF-8. p is not copied
// and must not change any more once the message was pushed or sent.
func TextBytes(p []byte) Message { return Message{Opcode: OpText, Data: p} }

// Binary returns a binary message of p. p is not copied and must not change
// any more once the message was pushed or sent.
func Binary(p []byte) Message { return Message{Opcode: OpBinary, Data: p} }

// JSON returns a text message of v as [json.Marshal] encodes it, without a
// newline at its end. It panics with an error that wraps that of json.Marshal
// when v cannot be encoded: use it for types of your own, and json.Marshal
// with [TextBytes] for values that may fail.
func JSON(v any) Message {
	p, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Errorf("websock: JSON cannot encode a %T: %w", v, err))
	}
	return TextBytes(p)
}

// Ping returns a ping of p, at most 125 bytes. p is not copied. The peer's
// answer reaches [ControlHandler].HandleControl as a pong with the same
// payload.
func Ping(p []byte) Message { return Message{Opcode: OpPing, Data: p} }

// Pong returns a pong of p, at most 125 bytes. p is not copied. Pings are
// answered by the host; a pong that a handler pushes is an unsolicited one
// (RFC 6455 section 5.5.3).
func Pong(p []byte) Message { return Message{Opcode: OpPong, Data: p} }

// Equal reports whether m and o have the same opcode and the same bytes. nil
// Data equals empty Data.
func (m Message) Equal(o Message) bool {
	return m.Opcode == o.Opcode && bytes.Equal(m.Data, o.Data)
}

// String returns the opcode, the length and the first 64 bytes of the payload,
// quoted: text, 5 bytes: "hello". It is for test failures and debugging. Logs
// carry no payloads, so a Message does not belong there.
func (m Message) String() string {
	const preview = 64
	if len(m.Data) <= preview {
		return fmt.Sprintf("%s, %d bytes: %q", m.Opcode, len(m.Data), m.Data)
	}
	return fmt.Sprintf("%s, %d bytes: %q...", m.Opcode, len(m.Data), m.Data[:preview])
}

// Check returns nil when m may be written to a peer, else a [*ResultError]: for
// an opcode that is none of ours, for text that is not UTF-8 and for a ping or
// pong of more than 125 bytes. Hosts call it for a message that was sent to a
// PID; tests may. It does not allocate when m is legal.
func (m Message) Check() error {
	if problem := m.problem(); problem != "" {
		return &ResultError{Problem: problem}
	}
	return nil
}

// problem returns what makes m illegal, "" when nothing does.
func (m Message) problem() string {
	switch m.Opcode {
	case OpText:
		if !m.validText() {
			return "text is not UTF-8 (RFC 6455 section 5.6)"
		}
	case OpBinary:
	case OpPing, OpPong:
		if len(m.Data) > maxControlPayload {
			return fmt.Sprintf("%s payload of %d bytes exceeds %d (RFC 6455 section 5.5)",
				m.Opcode, len(m.Data), maxControlPayload)
		}
	default:
		return fmt.Sprintf("%s cannot be sent (RFC 6455 section 5.2)", m.Opcode)
	}
	return ""
}
