package registry

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// A record of the registry's channel is a byte that says its kind, and the fields of the kind. Numbers are unsigned varints,
// texts have their length before them, and a value, which has none, is the last. A receiver skips kinds that it does not know.
type kind byte

const (
	recOpened    kind = 1 + iota // hashes of groups, 8 bytes each, little endian: they have members now
	recEmptied                   // the same: they have none any more
	recCast                      // group, PID that does not get it, value
	recClose                     // group, value: the exit reason
	recTrack                     // Ref, 8 bytes; topic, key, value: the meta. Another one of that Ref has new meta
	recUntrack                   // Ref
	recClaim                     // name, stamp, value: the meta. Another one of that name takes its place
	recUnclaim                   // name
	recEnding                    // name: its holder is ending
	recConfirm                   // name, gen and at of the receiver's claim: does it stand?
	recConfirmed                 // the same: it does
	recBeaten                    // name, gen and at of the receiver's claim, stamp of one that is better
	recAsk                       // id, name: who may start its process?
	recLease                     // id, PID: the holder; nobody: you
	recRelease                   // id, name: the ask is over
	recAgain                     // name: which of its claims is the best?
	recRevoke                    // name of a server, subject, value: the reason
)

const (
	// maxName bounds names, groups, topics and keys in a cluster, in bytes.
	maxName = 4 << 10
	// maxMeta bounds an encoded meta. With it all that is never refused fits into a record, whatever the peer's MaxMessage is.
	maxMeta = 32 << 10
)

var errBroken = errors.New("registry: a broken record")

// long says that a name is too long for a cluster; nil: it is not.
func (r *Registry) long(names ...string) error {
	if r.others == nil {
		return nil
	}
	for _, name := range names {
		if len(name) > maxName {
			return fmt.Errorf("a name of %d bytes: in a cluster it may have %d", len(name), maxName)
		}
	}
	return nil
}

// encode encodes the meta of a registration with these names. The error says that it cannot cross, or is too long. It runs code
// of the user's.
func (o *others) encode(meta any, names ...string) ([]byte, error) {
	if err := o.r.long(names...); err != nil {
		return nil, err
	}
	b, err := o.sender.Append(nil, meta)
	if err == nil && len(b) > maxMeta {
		err = fmt.Errorf("a meta of %d bytes: in a cluster it may have %d", len(b), maxMeta)
	}
	return b, err
}

// appendMeta is encode for a snapshot: what was encoded before can be so again, and what cannot is no meta.
func (o *others) appendMeta(b []byte, meta any) []byte {
	long, err := o.sender.Append(b, meta)
	if err == nil && len(long)-len(b) <= maxMeta {
		return long
	}
	b, _ = o.sender.Append(b, nil)
	return b
}

// fields reads a record. The first thing that is missing makes it bad, and all that is read after that zero.
type fields struct {
	b   []byte
	bad bool
}

func (f *fields) number() uint64 {
	v, n := binary.Uvarint(f.b)
	if n <= 0 {
		f.b, f.bad = nil, true
		return 0
	}
	f.b = f.b[n:]
	return v
}

func (f *fields) text() string {
	n := f.number()
	if n > uint64(len(f.b)) {
		f.b, f.bad = nil, true
		return ""
	}
	s := string(f.b[:n])
	f.b = f.b[n:]
	return s
}

// fixed reads 8 bytes.
func (f *fields) fixed() uint64 {
	if len(f.b) < 8 {
		f.b, f.bad = nil, true
		return 0
	}
	v := binary.LittleEndian.Uint64(f.b)
	f.b = f.b[8:]
	return v
}

// pid reads a PID; the zero PID has no node.
func (f *fields) pid(sys *actor.System) actor.PID {
	node := f.text()
	if node == "" {
		return actor.PID{}
	}
	boot := f.fixed()
	return host.PIDOf(sys, node, boot, f.number())
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendPID(b []byte, p actor.PID) []byte {
	node, boot, num := host.Parts(p)
	b = appendText(b, node)
	if node == "" {
		return b
	}
	return binary.AppendUvarint(binary.LittleEndian.AppendUint64(b, boot), num)
}

// buffers are for records, which the link copies.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 1<<10); return &b }}

// largestKept is the size up to which a buffer is kept.
const largestKept = 64 << 10

func release(p *[]byte, b []byte) {
	if cap(b) <= largestKept {
		*p = b[:0]
		buffers.Put(p)
	}
}
