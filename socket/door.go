package socket

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// door decides how many requests a Server takes in a time, by Config.UpgradeRate and Config.PerAddress. It is asked before any
// code of the application's runs, and costs a request a few short locks.
type door struct {
	all     *rate.Limiter // nil: no limit
	queue   *rate.Limiter // when those are to come back that all has refused: one after the other, at its rate
	each    *addresses    // nil: no limit
	address func(*http.Request) netip.Addr
	behind  sync.Once // of the warning about a proxy
}

// longestQueue bounds the wait that a refused client is asked for.
const longestQueue = 5 * time.Minute

var (
	errUpgradeRate = errors.New("socket: too many upgrades")
	errPerAddress  = errors.New("socket: too many upgrades from one address")
)

// init makes the door that cfg describes, which has its defaults.
func (d *door) init(cfg *Config) {
	d.all, d.address = cfg.UpgradeRate.limiter(), cfg.Address
	if d.all != nil {
		d.queue = Rate{cfg.UpgradeRate.PerSecond, 1}.limiter()
	}
	if cfg.PerAddress.PerSecond > 0 {
		d.each = newAddresses(cfg.PerAddress)
	}
	if d.address == nil {
		d.address = peerAddress
	}
}

// knock asks the door for a request that is an upgrade. nil: it is let in.
//
// The address comes first, so that one address cannot use up what is for all. But a token of its own is taken only when the
// rate for all lets it in: whoever waits because others storm has not come too often. (Two requests of one address that come
// at once may both find its last token. Then one of them is refused, and has wasted a token of all.)
func (s *Server) knock(r *http.Request) *UpgradeError {
	d := &s.door
	if d.all == nil && d.each == nil {
		return nil
	}
	now := time.Now()
	var own *rate.Limiter
	if d.each != nil {
		if own = d.each.bucket(d.address(r), now); own.TokensAt(now) < 1 {
			return s.overPerAddress(r, own, now)
		}
	}
	if d.all != nil && !d.all.AllowN(now, 1) {
		return s.overRate(http.StatusServiceUnavailable, errUpgradeRate, RefusedRate, d.queued(now), fmt.Sprintf(
			"Config.UpgradeRate lets in %v a second, %d at once", s.cfg.UpgradeRate.PerSecond, s.cfg.UpgradeRate.Burst))
	}
	if own != nil && !own.AllowN(now, 1) {
		return s.overPerAddress(r, own, now)
	}
	return nil
}

func (s *Server) overPerAddress(r *http.Request, own *rate.Limiter, now time.Time) *UpgradeError {
	s.warnOfProxy(r)
	return s.overRate(http.StatusTooManyRequests, errPerAddress, RefusedAddress, untilToken(own, now), fmt.Sprintf(
		"Config.PerAddress lets in %v a second from one address, %d at once; behind a proxy set Config.Address",
		s.cfg.PerAddress.PerSecond, s.cfg.PerAddress.Burst))
}

// untilToken is how long it takes until b has a token.
func untilToken(b *rate.Limiter, now time.Time) time.Duration {
	missing := 1 - b.TokensAt(now)
	return max(time.Duration(missing/float64(b.Limit())*float64(time.Second)), 0)
}

// queued is when it is the turn of a client that was refused, if all that were refused before come back in their turns.
func (d *door) queued(now time.Time) time.Duration {
	if untilToken(d.queue, now) >= longestQueue { // those that come back too early, again and again, do not make it longer
		return rand.N(longestQueue)
	}
	return d.queue.ReserveN(now, 1).DelayFrom(now)
}

// overRate is the refusal of a client that is to wait, and then some more, so that not all come back at once.
func (s *Server) overRate(status int, err error, why RefuseReason, wait time.Duration, hint string) *UpgradeError {
	seconds := int64(math.Ceil(min(wait, longestQueue).Seconds())) + s.spread()
	return &UpgradeError{
		Status: status, Header: http.Header{"Retry-After": {strconv.FormatInt(seconds, 10)}}, Err: err, reason: why, hint: hint,
	}
}

// warnOfProxy writes a line, once, when addresses are counted that seem to be a proxy's.
func (s *Server) warnOfProxy(r *http.Request) {
	if s.cfg.Address != nil || len(r.Header["X-Forwarded-For"]) == 0 && len(r.Header["Forwarded"]) == 0 {
		return
	}
	s.door.behind.Do(func() {
		s.cfg.Logger.Warn("Config.PerAddress has refused a request that a proxy seems to have passed on: all clients of a proxy have its address; set Config.Address",
			"remote_addr", beginning(r.RemoteAddr))
	})
}
