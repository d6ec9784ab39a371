package cluster

import (
	"github.com/troupe-dev/troupe/actor/cluster/internal/codec"
)

// Types says which Go types cross nodes, by names that all versions of the program share. The zero Types is ready. Register
// everything before [New], which freezes it; several nodes of one process may share it. Any goroutine may register.
//
// Without being registered cross: nil, bool, all integers and floats, string, []byte, time.Time, time.Duration, actor.PID,
// websock.Message with its Delivery, and errors.
//
// A type whose name the receiver does not know is not delivered: a message is dropped and counted, and an Event tells
// of it; a Call gets an error at once. So deploy the reader of a new type before its writer.
type Types struct{ types codec.Types }

// Register lets a T cross, as JSON, or by its own methods if it is an encoding.BinaryAppender and an
// encoding.BinaryUnmarshaler. JSON tolerates mixed versions of a program: a field that the receiver does not know is
// ignored. An actor.PID in an exported field, slice, array or map of T is bound to the receiver's System.
//
// Register panics when the type or the name is registered already, when T cannot be encoded, and after New.
func Register[T any](t *Types, name string) { codec.Register[T](&t.types, name) }

// RegisterFunc lets a T cross by functions: protobuf and others. enc appends to the slice it gets and returns it; dec must
// not keep the bytes. Both may be called on any goroutine, several at a time, and must not block. It panics as Register
// does.
func RegisterFunc[T any](t *Types, name string, enc func([]byte, T) ([]byte, error), dec func([]byte) (T, error)) {
	codec.RegisterFunc(&t.types, name, enc, dec)
}

// RegisterError lets a sentinel cross: at the other node errors.Is finds err in what wraps it here. The sentinels of
// packages exit, actor, websock and context need not be registered. It panics as Register does.
func RegisterError(t *Types, name string, err error) { codec.RegisterError(&t.types, name, err) }
