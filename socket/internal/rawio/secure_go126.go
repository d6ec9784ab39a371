//go:build go1.26 && !go1.27

package rawio

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"unsafe"
)

// releaseTLS replaces the two buffers into which conn reads by such as are no larger than what is in them, which is mostly
// nothing. crypto/tls keeps them as large as they ever were: 3.6 KB of the handshake, and 17 KB after one large record.
//
// This reaches into another package. Why it is right: a bytes.Buffer behaves the same whatever its capacity; both belong to
// Read (they are guarded by a mutex that only Read takes after the handshake), and the only goroutine that calls Read is here;
// and what Read has not delivered of a record refers to memory, not to a buffer. That was read in the source of Go 1.26. Other
// versions are to be looked at before they are added to the build constraint: until then they keep their buffers.
func releaseTLS(conn *tls.Conn) {
	v := reflect.ValueOf(conn).Elem()
	for _, name := range [...]string{"rawInput", "hand"} {
		if f := v.FieldByName(name); f.IsValid() && f.Type() == reflect.TypeFor[bytes.Buffer]() {
			b := (*bytes.Buffer)(unsafe.Pointer(f.UnsafeAddr())) //nolint:gosec // see above
			*b = *bytes.NewBuffer(append([]byte(nil), b.Bytes()...))
		}
	}
}
