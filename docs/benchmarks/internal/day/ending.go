package day

import (
	"errors"
	"math/rand/v2"
	"net"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/frame"
)

// vanish ends the connection in one of the ways, and waits for its reader.
func (p *page) vanish(c *conn, how what, ended <-chan error) {
	p.mu.Lock()
	p.away, p.in = true, false
	p.mu.Unlock()
	switch how {
	case hangUp:
		c.tcp.CloseWrite()
	case cut:
		whole := c.message([]byte(`{"type":"say","text":"this is cut off"}`))
		c.write(whole[:len(whole)/2])
		c.tcp.CloseWrite()
	case farewell:
		c.write(closeFrame(1000))
	}
	if how != reset {
		select {
		case err := <-ended:
			if end, ok := errors.AsType[*closeError](err); how == farewell && (!ok || end.code != 1000) && !p.slow && !p.crowd.mayClose.Load() {
				p.crowd.faults.add(NobodyClosed, "page %d of %s has said goodbye with 1000 and got: %v", p.book.page, p.book.name, err)
			}
			c.end(false)
			return
		case <-time.After(patience):
			if !p.slow {
				p.crowd.faults.add(NobodyStuck, "page %d of %s has ended its connection by way %d, and the server has not", p.book.page, p.book.name, how)
			}
		}
	}
	c.end(true)
	<-ended
}

// reopen connects once more before the server knows that the older connection is not needed any more. It returns nil
// when the page stays where it is: also when the server does not know the older connection yet, which could be the
// newer one for it.
func (p *page) reopen(c *conn, ended <-chan error) (*conn, <-chan error) {
	p.mu.Lock()
	known := p.book.list != nil
	p.mu.Unlock()
	if !known {
		return nil, nil
	}
	next, err := dial(p.crowd.ctx, p.crowd.addr, p.deflate, p.buffer())
	if err != nil {
		p.refused(err, new(int))
		return nil, nil
	}
	next.send(p.introduction())
	next.tcp.SetReadDeadline(time.Now().Add(patience))
	welcome, err := next.answer()
	next.tcp.SetReadDeadline(time.Time{})
	if err != nil || welcome.Type != "welcome" {
		if !p.crowd.mayClose.Load() {
			p.crowd.faults.add(NobodyRefused, "page %d of %s opens again and gets %q %q, %v", p.book.page, p.book.name, welcome.Type, welcome.Text, err)
		}
		next.end(true)
		return nil, nil
	}
	select {
	case err = <-ended:
	case <-time.After(patience):
		err = errors.New("nothing")
		c.end(true)
		<-ended
	}
	if end, ok := errors.AsType[*closeError](err); (!ok || end.code != closeNewer) && !p.slow && !p.crowd.mayClose.Load() {
		p.crowd.faults.add(NobodyClosed, "page %d of %s has opened again, and its older connection got %v instead of %d", p.book.page, p.book.name, err, closeNewer)
	}
	c.end(false)
	p.mu.Lock()
	p.in = false
	p.book.connects()
	p.book.got(welcome)
	p.mu.Unlock()
	nextEnded := p.read(next)
	p.enter(next)
	return next, nextEnded
}

var retryAfter = regexp.MustCompile(`(?:^|\s)retry-after=(\d{1,3})$`)

// lost handles the end of a connection that the page has not ended. It returns how long to wait.
func (p *page) lost(c *conn, err error) time.Duration {
	c.end(true)
	p.mu.Lock()
	p.in = false
	p.mu.Unlock()
	end, closed := errors.AsType[*closeError](err)
	restarts := p.crowd.mayClose.Load()
	switch {
	case p.crowd.ctx.Err() != nil:
	case restarts && closed && end.code == closeGoing:
		if m := retryAfter.FindStringSubmatch(end.reason); m != nil {
			n, _ := strconv.Atoi(m[1]) // digits
			p.crowd.told.Add(1)
			p.mu.Lock()
			p.away = true // until it comes back as it was told
			p.mu.Unlock()
			return time.Duration(n) * time.Second
		}
		p.crowd.faults.add(RestartOrderly, "page %d of %s was closed with 1001 %q, without a hint when to come back", p.book.page, p.book.name, end.reason)
	case restarts:
		p.crowd.faults.add(RestartOrderly, "page %d of %s: got %v instead of a Close with 1001", p.book.page, p.book.name, err)
	case p.slow && (closed && end.code == closeSlow || !closed && gone(err)):
		p.crowd.slowEnded.Add(1)
	default:
		p.crowd.faults.add(NobodyClosed, "page %d of %s: %v", p.book.page, p.book.name, err)
	}
	return time.Duration(p.rand.Int64N(int64(500 * time.Millisecond)))
}

// gone says whether err is the end of TCP.
func gone(err error) bool {
	_, op := errors.AsType[*net.OpError](err)
	return op || strings.Contains(err.Error(), "EOF")
}

// refused handles a connection that was not made. It returns how long to wait: full jitter, as client.js does it.
func (p *page) refused(err error, attempt *int) time.Duration {
	restarts := p.crowd.mayClose.Load()
	status, answered := errors.AsType[statusError](err)
	switch {
	case p.crowd.ctx.Err() != nil:
	case restarts && answered && status == 503:
		p.crowd.draining.Add(1)
	case restarts && (errors.Is(err, syscall.ECONNREFUSED) || gone(err)):
	default:
		p.crowd.faults.add(NobodyRefused, "page %d of %s: %v", p.book.page, p.book.name, err)
	}
	wait := time.Duration(rand.Int64N(int64(min(500*time.Millisecond<<*attempt, 8*time.Second))))
	*attempt = min(*attempt+1, 6)
	return wait
}

func closeFrame(code int) []byte {
	return frame.Append(nil, frame.Close, []byte{byte(code >> 8), byte(code)})
}
