package websock

import (
	"reflect"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// Prepare returns m with a cache that all its copies share, for a message that
// goes to many sockets: each form that a host writes it in, such as plain and
// deflated, is encoded once, by the first socket that needs it, and text is
// checked to be UTF-8 once. A prepared message may be sent from and to
// anywhere, as often as needed; it takes the memory of its forms as long as any
// copy is kept.
//
// The cache belongs to m's Opcode and Data, by address and length. In a copy
// whose Opcode or Data were changed since, it is ignored. Prepare returns a
// prepared message as it is.
//
// Broadcasts of package registry prepare by themselves. Prepare is for a loop
// over PIDs, or for one message that is broadcast several times.
func Prepare(m Message) Message {
	if m.prepared() == nil {
		m.cache = &cache{opcode: m.Opcode, data: m.Data}
	}
	return m
}

// Encoded returns m in one form of a host's choice. It is for hosts: form names
// the form, and encode makes it. Without a cache, or when it no longer fits
// (see [Prepare]), Encoded returns what encode returns. Otherwise encode runs
// once for each form: a call for the same form at that time waits for it, and
// later calls do not wait. What encode returned, which may be nil, is shared and
// read-only from then on.
//
// form must be comparable, or Encoded panics. Its type should be the host's own,
// so that two hosts do not use the same form. There should be few forms. A panic
// in encode is the caller's, and the next call for that form encodes it. encode
// must not ask for its own form.
func (m Message) Encoded(form any, encode func() []byte) []byte {
	c := m.prepared()
	if c == nil {
		return encode()
	}
	f := c.find(form)
	if f.done.Load() {
		return f.bytes
	}
	return f.fill(encode)
}

// Prepared reports whether m has a cache for what it says now. It is for hosts: without one, what they encode m to is for them
// alone, so that they may use its memory again.
func (m Message) Prepared() bool { return m.prepared() != nil }

// prepared returns the cache that Prepare gave to m, nil when there is none or
// when it is not for what m says now.
func (m Message) prepared() *cache {
	if c := m.cache; c != nil && c.opcode == m.Opcode && same(c.data, m.Data) {
		return c
	}
	return nil
}

// same reports whether two slices are one, by address and length.
func same(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// cache is what the copies of one prepared message share.
type cache struct {
	opcode Opcode
	text   atomic.Uint32 // of OpText: unchecked, valid or invalid
	data   []byte
	forms  atomic.Pointer[form] // the newest; few, so a list

	delivery *Delivery // of Deliver; nil: none
}

// The states of cache.text.
const (
	unchecked uint32 = iota
	valid
	invalid
)

// form is one encoding of a message.
type form struct {
	name  any
	next  *form // older
	done  atomic.Bool
	mu    sync.Mutex
	bytes []byte // written under mu, before done
}

// find returns the form of that name, and adds it when it is not there. A form
// is never taken out, so the list is read without a lock.
func (c *cache) find(name any) *form {
	var added *form
	for {
		newest := c.forms.Load()
		for f := newest; f != nil; f = f.next {
			if f.name == name {
				return f
			}
		}
		if added == nil {
			if name != nil && !reflect.ValueOf(name).Comparable() {
				panic("websock: Message.Encoded: form is not comparable")
			}
			added = &form{name: name}
		}
		added.next = newest
		if c.forms.CompareAndSwap(newest, added) {
			return added
		}
	}
}

// fill encodes the form, or waits for the call that does. After a panic in
// encode the next call tries.
func (f *form) fill(encode func() []byte) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.done.Load() {
		f.bytes = encode()
		f.done.Store(true)
	}
	return f.bytes
}

// validText reports whether the data of m is UTF-8. The answer for a prepared
// message is kept in its cache.
func (m Message) validText() bool {
	c := m.prepared()
	if c == nil {
		return utf8.Valid(m.Data)
	}
	switch c.text.Load() {
	case valid:
		return true
	case invalid:
		return false
	}
	ok := utf8.Valid(m.Data)
	if ok {
		c.text.Store(valid)
	} else {
		c.text.Store(invalid)
	}
	return ok
}
