package socket

import (
	"hash/maphash"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// addresses holds a bucket for each client address that has come lately, in fixed memory: 16,384 buckets in 2,048 sets of 8,
// at most 1.6 MB. The hash of an address says which set it belongs to. An address whose bucket is full again is forgotten when
// another one of its set needs the bucket: nothing is lost with it. So each address has a bucket of its own, unless more
// than 8 of a set have been busy lately, which happens from about 5,000 busy addresses on. Those that come then share a
// bucket with one of the 8, always the same one.
type addresses struct {
	rate Rate
	seed maphash.Seed
	sets [addressSets]addressSet
}

const (
	addressSets = 2048
	addressWays = 8
)

// addressSet guards its buckets. The buckets have locks of their own, so mu is held for the search alone.
type addressSet struct {
	mu   sync.Mutex
	ways [addressWays]addressBucket // those that are used stand first
}

type addressBucket struct {
	hash    uint64        // of the address
	limiter *rate.Limiter // nil: not used yet
}

func newAddresses(r Rate) *addresses { return &addresses{rate: r, seed: maphash.MakeSeed()} }

// bucket is that of an address.
func (a *addresses) bucket(addr netip.Addr, now time.Time) *rate.Limiter {
	hash := maphash.Comparable(a.seed, network(addr))
	set := &a.sets[hash%addressSets]
	set.mu.Lock()
	defer set.mu.Unlock()
	free := -1
	for i := range set.ways {
		b := &set.ways[i]
		if b.limiter == nil {
			if free < 0 {
				free, b.limiter = i, a.rate.limiter()
			}
			break
		}
		if b.hash == hash {
			return b.limiter
		}
		if free < 0 && b.limiter.TokensAt(now) >= float64(a.rate.Burst) {
			free = i
		}
	}
	if free < 0 {
		return set.ways[hash/addressSets%addressWays].limiter
	}
	set.ways[free].hash = hash
	return set.ways[free].limiter
}

// network is what a client has to itself: an IPv4 address, or the first half of an IPv6 address.
func network(addr netip.Addr) netip.Addr {
	addr = addr.Unmap()
	if !addr.Is6() {
		return addr
	}
	p, _ := addr.Prefix(64) // cannot fail: it has 128 bits
	return p.Addr()
}

// peerAddress is the address in r.RemoteAddr, which middleware may have replaced by one without a port; zero: there is none.
func peerAddress(r *http.Request) netip.Addr {
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return ap.Addr()
	}
	addr, _ := netip.ParseAddr(r.RemoteAddr) // zero when it is none
	return addr
}
