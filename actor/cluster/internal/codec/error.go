package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/actor/host"
	"github.com/troupe-dev/troupe/websock"
)

// The forms of errors, the first byte of each. They are part of the protocol.
const (
	formNil         = 0
	formSentinel    = 1 // name, kind, text
	formClose       = 2 // websock.CloseError: code, close reason, cause
	formRemoteClose = 3 // websock.RemoteCloseError: code, close reason
	formProtocol    = 4 // websock.ProtocolError: code, rule, cause
	formResult      = 5 // websock.ResultError: problem, the exit reason that was asked for
	formPanic       = 6 // actor.PanicError: value as text, stack
	formRegistered  = 7 // number of the type, its bytes with their length, then as formForeign, for who does not know the type
	formForeign     = 8 // node, kind, text, names of sentinels, errors of known types with their length
)

// What of an error crosses. An error is told whatever happens: what is longer is cut.
const (
	// MaxError bounds an encoded error.
	MaxError = 40 << 10

	maxText       = 4 << 10
	maxStack      = 16 << 10
	maxRegistered = 8 << 10 // the bytes of an error of a registered type; beyond it is foreign
	maxDepth      = 4       // causes within causes
	maxParts      = 8       // errors of known types in one that is foreign
	maxVisits     = 64      // errors that are looked at
	maxSentinels  = 32

	// What is accepted is more, so that a later version can send more.
	maxErrorAccepted = 4 * MaxError
	maxDepthAccepted = 4 * maxDepth
)

// AppendError appends an exit reason, or the error of an answer, to dst; nil, too. It has no length of its own, so it must
// be the last field of its record. It cannot fail: an error whose methods panic is sent as its text. It is at most
// [MaxError] long. Methods of err run on the caller's goroutine.
func (c *Codec) AppendError(dst []byte, err error) (b []byte) {
	defer func() {
		if recover() != nil { // fmt survives the methods of err
			b = appendText(append(dst, formForeign, 0), exit.Abnormal, fmt.Sprintf("%v", err))
			b = append(b, 0, 0)
		}
	}()
	e := errorEncoder{c: c, limit: len(dst) + MaxError, visits: maxVisits}
	return e.append(dst, err, 0)
}

// errorEncoder encodes one error with its causes.
type errorEncoder struct {
	c      *Codec
	limit  int // of the length of what is written
	visits int // that are left
}

func (e *errorEncoder) append(dst []byte, err error, depth int) []byte {
	if err == nil {
		return append(dst, formNil)
	}
	for _, s := range e.c.sentinels {
		if err == s.err {
			return appendText(appendShort(append(dst, formSentinel), s.name), exit.KindOf(err), textOf(err))
		}
	}
	if depth < maxDepth {
		if b, ok := e.appendKnown(dst, err, depth); ok {
			return b
		}
	}
	return e.appendForeign(append(dst, formForeign), err, depth)
}

// appendKnown appends an error of a type that the other side has, too. It does not look at what err wraps.
func (e *errorEncoder) appendKnown(dst []byte, err error, depth int) (b []byte, ok bool) {
	switch err := err.(type) {
	case *websock.CloseError:
		dst = appendCode(append(dst, formClose), err.Code)
		dst = appendLong(dst, cut(err.Reason, maxText))
		return e.append(dst, err.Err, depth+1), true
	case *websock.RemoteCloseError:
		dst = appendCode(append(dst, formRemoteClose), err.Code)
		return append(dst, cut(err.Reason, maxText)...), true
	case *websock.ProtocolError:
		dst = appendCode(append(dst, formProtocol), err.Code)
		dst = appendLong(dst, cut(err.Rule, maxText))
		return e.append(dst, err.Err, depth+1), true
	case *websock.ResultError:
		dst = appendLong(append(dst, formResult), cut(err.Problem, maxText))
		return e.append(dst, err.Err, depth+1), true
	case *actor.PanicError:
		dst = appendLong(append(dst, formPanic), cut(fmt.Sprint(err.Value), maxText))
		return append(dst, err.Stack[:min(len(err.Stack), maxStack)]...), true
	}
	return e.appendRegistered(dst, err, depth)
}

func appendCode(dst []byte, code websock.CloseCode) []byte {
	return binary.LittleEndian.AppendUint16(dst, uint16(code))
}

func appendText(dst []byte, kind exit.Kind, text string) []byte {
	return appendLong(append(dst, byte(kind)), cut(text, maxText))
}

// textOf is the text of an error, whatever its Error does.
func textOf(err error) string { return fmt.Sprintf("%v", err) }

func (e *errorEncoder) appendRegistered(dst []byte, err error, depth int) ([]byte, bool) {
	t := e.c.cfg.Types.byType[reflect.TypeOf(err)]
	if t == nil || isNilPointer(err) {
		return nil, false
	}
	own, failed := t.appendTo(nil, err)
	if failed != nil || len(own) > maxRegistered {
		return nil, false
	}
	dst = binary.AppendUvarint(append(dst, formRegistered), t.number)
	return e.appendForeign(appendLong(dst, own), err, depth), true
}

func isNilPointer(v any) bool {
	p := reflect.ValueOf(v)
	return p.Kind() == reflect.Pointer && p.IsNil()
}

func (e *errorEncoder) appendForeign(dst []byte, err error, depth int) []byte {
	node, text := "", "" // no node: the sender
	if f, ok := e.c.cfg.Origin(err); ok {
		node, text = f.Node, f.Text
	} else {
		text = textOf(err)
	}
	dst = appendText(appendShort(dst, node), exit.KindOf(err), text)

	count := len(dst)
	dst = append(dst, 0)
	for _, s := range e.c.sentinels {
		if dst[count] < maxSentinels && len(dst)+len(s.name)+2 <= e.limit && errors.Is(err, s.err) {
			dst = appendShort(dst, s.name)
			dst[count]++
		}
	}

	count = len(dst)
	dst = append(dst, 0)
	if depth == maxDepth {
		return dst
	}
	for _, part := range e.wrapped(nil, err) {
		own := e.append(nil, part, depth+1)
		if len(dst)+len(own)+binary.MaxVarintLen16 > e.limit {
			continue
		}
		dst = appendLong(dst, own)
		dst[count]++
	}
	return dst
}

// wrapped adds to parts the errors of known types that err wraps, from the outside in, but none that are within another.
func (e *errorEncoder) wrapped(parts []error, err error) []error {
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		parts = e.part(parts, u.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range u.Unwrap() {
			parts = e.part(parts, err)
		}
	}
	return parts
}

func (e *errorEncoder) part(parts []error, err error) []error {
	if err == nil || e.visits == 0 || len(parts) == maxParts {
		return parts
	}
	e.visits--
	switch err.(type) {
	case *websock.CloseError, *websock.RemoteCloseError, *websock.ProtocolError, *websock.ResultError, *actor.PanicError:
		return append(parts, err)
	}
	if e.c.cfg.Types.byType[reflect.TypeOf(err)] != nil {
		return append(parts, err)
	}
	return e.wrapped(parts, err)
}

// Error decodes what [Codec.AppendError] has written at the peer; the reason may be nil. b is only read, and only during the
// call. err is a [*DecodeError].
func (p *Peer) Error(b []byte) (reason, err error) {
	r := reader{b: b}
	if len(b) <= maxErrorAccepted {
		reason = p.error(&r, 0)
	}
	if !r.done() {
		return nil, &DecodeError{"an error", errBroken}
	}
	return reason, nil
}

func (p *Peer) error(r *reader, depth int) error {
	if depth > maxDepthAccepted {
		r.bad = true
		return nil
	}
	switch r.byte() {
	case formNil:
		return nil
	case formSentinel:
		return p.sentinel(r)
	case formClose:
		e := &websock.CloseError{Code: websock.CloseCode(r.uint16()), Reason: string(r.long())}
		e.Err = p.error(r, depth+1)
		return e
	case formRemoteClose:
		return &websock.RemoteCloseError{Code: websock.CloseCode(r.uint16()), Reason: string(r.rest())}
	case formProtocol:
		e := &websock.ProtocolError{Code: websock.CloseCode(r.uint16()), Rule: string(r.long())}
		e.Err = p.error(r, depth+1)
		return e
	case formResult:
		e := &websock.ResultError{Problem: string(r.long())}
		e.Err = p.error(r, depth+1)
		return e
	case formPanic:
		return &actor.PanicError{Value: string(r.long()), Stack: bytes.Clone(r.rest())}
	case formRegistered:
		return p.registeredError(r, depth)
	case formForeign:
		return p.foreign(r, depth)
	}
	r.bad = true
	return nil
}

func (p *Peer) sentinel(r *reader) error {
	name := r.short()
	f := Foreign{Node: p.node, Kind: kind(r), Text: string(r.long())}
	if err := p.find(name); err != nil {
		return err
	}
	return p.codec.cfg.Foreign(f)
}

// find returns the sentinel of a name, nil when there is none here.
func (p *Peer) find(name []byte) error {
	for _, s := range p.codec.sentinels {
		if s.name == string(name) {
			return s.err
		}
	}
	return nil
}

func kind(r *reader) exit.Kind { return min(exit.Kind(r.byte()), exit.Abnormal) }

func (p *Peer) registeredError(r *reader, depth int) error {
	n, own := r.uvarint(), r.long()
	foreign := p.foreign(r, depth)
	if r.bad || n >= uint64(len(p.types)) {
		r.bad = true
		return nil
	}
	if e := p.types[n].entry; e != nil {
		v, err := e.decodeFrom(p, own)
		if reason, ok := v.(error); ok && err == nil && !isNilPointer(v) && p.bears(reason) {
			return reason
		}
	}
	return foreign
}

// bears tells whether a decoded error bears what is asked of an exit reason. That is asked on goroutines of the engine and of the
// runtime, where a panic would end the program: of a method that needs a field that does not cross, for example.
func (p *Peer) bears(reason error) (ok bool) {
	defer func() { ok = recover() == nil && ok }()
	_, _ = reason.Error(), exit.KindOf(reason)
	for _, s := range p.codec.sentinels {
		_ = errors.Is(reason, s.err)
	}
	_, _ = errors.AsType[*websock.CloseError](reason)
	_, _ = errors.AsType[*websock.RemoteCloseError](reason)
	_, _ = errors.AsType[*websock.ProtocolError](reason)
	_, _ = errors.AsType[*websock.ResultError](reason)
	_, _ = errors.AsType[*actor.PanicError](reason)
	return true
}

func (p *Peer) foreign(r *reader, depth int) error {
	f := Foreign{Node: string(r.short()), Kind: kind(r), Text: string(r.long())}
	if !host.ValidNode(f.Node) {
		f.Node = p.node
	}
	for range r.byte() {
		if err := p.find(r.short()); err != nil {
			f.Is = append(f.Is, err)
		}
	}
	for range r.byte() {
		part := reader{b: r.long()}
		err := p.error(&part, depth+1)
		if !part.done() {
			r.bad = true
			return nil
		}
		if err != nil {
			f.Is = append(f.Is, err)
		}
	}
	return p.codec.cfg.Foreign(f)
}
