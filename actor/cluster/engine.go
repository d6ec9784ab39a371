package cluster

import "context"

// Engine carries datagrams between the nodes of a cluster. It may lose and repeat them, and keeps the order between two
// nodes but for rare exceptions, which cost resending and nothing else: the links between the nodes see to the rest.
type Engine interface {
	// Open takes part in a cluster as self, and has recv called with each datagram that is sent to self or to all nodes of
	// that cluster but self, on any goroutine. recv does not block; the bytes are valid during the call. ctx bounds
	// Open itself. An Engine whose network is not there yet need not wait for it: until then its Conn loses everything.
	Open(ctx context.Context, cluster string, self uint64, recv func(datagram []byte)) (Conn, error)
}

// Conn is one node's place on an [Engine]. Any goroutine may use it.
type Conn interface {
	// Publish sends a datagram to one node; to 0: to all. It must never block on a receiver, and must not keep datagram. An
	// error is a loss, no more.
	Publish(to uint64, datagram []byte) error
	// MaxDatagram is how long a datagram may be, in bytes; at least 4 KiB.
	MaxDatagram() int
	// Close leaves. When it has returned, recv does not run any more.
	Close() error
}

// Suspecter is a [Conn] that can tell that a node may be gone, as a NATS server does when nobody subscribes to what is published
// to it. Then a crash is known in about a second, instead of after Config.DownAfter.
type Suspecter interface {
	// Suspects is called once, before the first Publish. suspect may be called on any goroutine, until Close has
	// returned, and does not block: the node has a second to answer from then on. One that is not known is none.
	Suspects(suspect func(node uint64))
}
