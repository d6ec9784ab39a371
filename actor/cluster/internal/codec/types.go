package codec

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/websock"
)

// MaxAnnouncement bounds the names of all types of a node together, each with one byte more, and so what a peer may
// announce.
const MaxAnnouncement = 64 << 10

// Types are the Go types and errors that may cross nodes, by names that all versions of a program share. The zero Types
// is empty. Any goroutine may register, until a [Codec] has been made of them.
type Types struct {
	mu     sync.Mutex
	frozen bool
	// Written under mu while not frozen, and read without it after that.
	list   []*entry // the index is the number
	byType map[reflect.Type]*entry
	byName map[string]*entry
	errors []sentinel
	size   int // of the announcement
}

// entry is one registered type.
type entry struct {
	name   string
	number uint64
	// append appends v, which has the type, to dst, which is empty but may have room.
	append func(dst []byte, v any) ([]byte, error)
	// decode must not keep b.
	decode func(p *Peer, b []byte) (any, error)
}

// Register is cluster.Register.
func Register[T any](t *Types, name string) {
	typ := reflect.TypeFor[T]()
	e := &entry{name: name}
	switch {
	case appendsBinary[T]():
		e.append, e.decode = appendBinary[T], decodeBinary[T]
	default:
		if problem := jsonProblem(typ); problem != "" {
			mistake(typ, name, problem)
		}
		e.append, e.decode = appendJSON, decodeJSON[T]
		if holdsPID(typ) {
			plan, problem := mirrorOf(typ)
			if problem != "" {
				mistake(typ, name, problem)
			}
			e.decode = func(p *Peer, b []byte) (any, error) { return decodeMirror[T](plan, p, b) }
		}
	}
	t.add(typ, e)
}

// RegisterFunc is cluster.RegisterFunc.
func RegisterFunc[T any](t *Types, name string, enc func([]byte, T) ([]byte, error), dec func([]byte) (T, error)) {
	typ := reflect.TypeFor[T]()
	if enc == nil || dec == nil {
		mistake(typ, name, "a function is nil")
	}
	t.add(typ, &entry{
		name:   name,
		append: func(dst []byte, v any) ([]byte, error) { return enc(dst, v.(T)) },
		decode: func(_ *Peer, b []byte) (any, error) { return dec(b) },
	})
}

// RegisterError is cluster.RegisterError.
func RegisterError(t *Types, name string, err error) {
	if err == nil || !reflect.ValueOf(err).Comparable() {
		panic(fmt.Sprintf("cluster: error %q: it must be a sentinel, which is comparable and not nil", name))
	}
	if problem := nameProblem(name); problem != "" {
		panic(fmt.Sprintf("cluster: error %q: %s", name, problem))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mustBeOpen(name)
	for _, s := range slices.Concat(native, t.errors) {
		if s.name == name || s.err == err {
			panic(fmt.Sprintf("cluster: error %q (%v) is %q already", name, err, s.name))
		}
	}
	t.errors = append(t.errors, sentinel{name, err})
}

func (t *Types) add(typ reflect.Type, e *entry) {
	if problem := nameProblem(e.name); problem != "" {
		mistake(typ, e.name, problem)
	}
	if typ.Kind() == reflect.Interface {
		mistake(typ, e.name, "it is an interface; register the types that it stands for")
	}
	if slices.Contains(nativeTypes, typ) {
		mistake(typ, e.name, "it crosses nodes as it is")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mustBeOpen(e.name)
	if other := t.byType[typ]; other != nil {
		mistake(typ, e.name, fmt.Sprintf("it is %q already", other.name))
	}
	if t.byName[e.name] != nil {
		mistake(typ, e.name, "another type has this name")
	}
	if t.size += 1 + len(e.name); t.size > MaxAnnouncement {
		mistake(typ, e.name, fmt.Sprintf("the names of all types have more than %d bytes", MaxAnnouncement))
	}
	if t.byType == nil {
		t.byType, t.byName = make(map[reflect.Type]*entry), make(map[string]*entry)
	}
	e.number = uint64(len(t.list))
	t.list = append(t.list, e)
	t.byType[typ], t.byName[e.name] = e, e
}

// mustBeOpen is called with t.mu held.
func (t *Types) mustBeOpen(name string) {
	if t.frozen {
		panic(fmt.Sprintf("cluster: %q is registered too late: a node uses these Types already", name))
	}
}

// freeze ends registering, so that what was registered can be read without a lock.
func (t *Types) freeze() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.frozen = true
}

func (t *Types) sentinels() []sentinel { return slices.Concat(native, t.errors) }

func (t *Types) announcement() []byte {
	b := make([]byte, 0, t.size)
	for _, e := range t.list {
		b = appendShort(b, e.name)
	}
	return b
}

func mistake(typ reflect.Type, name, problem string) {
	panic(fmt.Sprintf("cluster: type %v as %q: %s", typ, name, problem))
}

func nameProblem(name string) string {
	switch {
	case name == "" || len(name) > 255:
		return "the name must have 1 to 255 bytes"
	case !utf8.ValidString(name):
		return "the name is not UTF-8"
	}
	return ""
}

// nativeTypes cross nodes without being registered.
var nativeTypes = []reflect.Type{
	reflect.TypeFor[bool](), reflect.TypeFor[int](), reflect.TypeFor[int8](), reflect.TypeFor[int16](),
	reflect.TypeFor[int32](), reflect.TypeFor[int64](), reflect.TypeFor[uint](), reflect.TypeFor[uint8](),
	reflect.TypeFor[uint16](), reflect.TypeFor[uint32](), reflect.TypeFor[uint64](), reflect.TypeFor[float32](),
	reflect.TypeFor[float64](), reflect.TypeFor[string](), reflect.TypeFor[[]byte](), reflect.TypeFor[time.Time](),
	reflect.TypeFor[time.Duration](), pidType, messageType,
	reflect.TypeFor[*websock.CloseError](), reflect.TypeFor[*websock.RemoteCloseError](),
	reflect.TypeFor[*websock.ProtocolError](), reflect.TypeFor[*websock.ResultError](), reflect.TypeFor[*actor.PanicError](),
}

var (
	pidType     = reflect.TypeFor[actor.PID]()
	messageType = reflect.TypeFor[websock.Message]()
)

// appendsBinary tells whether a T appends itself, as an [encoding.BinaryAppender], and can be read back, as an
// [encoding.BinaryUnmarshaler]. T may be a pointer.
func appendsBinary[T any]() bool {
	typ := reflect.TypeFor[T]()
	if typ.Kind() != reflect.Pointer {
		typ = reflect.PointerTo(typ) // has the methods of T, too
	}
	return typ.Implements(reflect.TypeFor[encoding.BinaryAppender]()) &&
		typ.Implements(reflect.TypeFor[encoding.BinaryUnmarshaler]())
}

func appendBinary[T any](dst []byte, v any) ([]byte, error) {
	if a, ok := v.(encoding.BinaryAppender); ok {
		return a.AppendBinary(dst)
	}
	value := v.(T)
	return any(&value).(encoding.BinaryAppender).AppendBinary(dst)
}

func decodeBinary[T any](_ *Peer, b []byte) (any, error) {
	var v T
	if typ := reflect.TypeFor[T](); typ.Kind() == reflect.Pointer {
		v = reflect.New(typ.Elem()).Interface().(T)
		return v, any(v).(encoding.BinaryUnmarshaler).UnmarshalBinary(b)
	}
	err := any(&v).(encoding.BinaryUnmarshaler).UnmarshalBinary(b)
	return v, err
}

func appendJSON(_ []byte, v any) ([]byte, error) { return json.Marshal(v) }

func decodeJSON[T any](_ *Peer, b []byte) (any, error) {
	var v T
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, jsonError(err)
	}
	return v, nil
}

// decodeMirror decodes a T with PIDs; see mirror.
func decodeMirror[T any](plan *mirror, p *Peer, b []byte) (any, error) {
	m := reflect.New(plan.typ)
	if err := json.Unmarshal(b, m.Interface()); err != nil {
		return nil, jsonError(err)
	}
	var v T
	if err := plan.copy(reflect.ValueOf(&v).Elem(), m.Elem(), p.codec.cfg.System); err != nil {
		return nil, err
	}
	return v, nil
}

// jsonError is err without values of the message: it is logged.
func jsonError(err error) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("JSON field %q is a %s there, which does not fit here", cut(e.Field, 255), kindOf(e.Value))
	}
	if _, ok := errors.AsType[*json.SyntaxError](err); ok {
		return errors.New("not JSON")
	}
	return err
}

// kindOf is the first word of what json says of a value, such as "number 300".
func kindOf(value string) string {
	kind, _, _ := strings.Cut(value, " ")
	return kind
}
