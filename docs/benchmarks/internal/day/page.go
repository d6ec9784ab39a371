package day

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// mostUnsaid is how many sayings of a page may wait to be shown; with as many it says nothing more for the moment.
const mostUnsaid = 3

// A page is one tab of somebody's browser. One goroutine lives its life, a second one reads the connection that it has.
type page struct {
	crowd   *crowd
	key     string
	session string
	deflate bool
	slow    bool // reads slowly when the crowd's slow ones do
	orders  chan order
	entered chan struct{} // a token: the server has let it into its room
	rand    *rand.Rand    // of the life's goroutine

	mu   sync.Mutex
	book book
	room string // where it wants to be
	next string // where it goes when all that it has said is shown
	in   bool   // it is there
	owes bool   // what was said on the connection before is to be repeated first
	away bool   // it has left by an order, and is not back
	busy bool   // it carries out an order
	done bool   // it has left for good
}

// An order is what a page has to do besides talking.
type order struct {
	what what
	room string        // go to
	away time.Duration // vanish: comes back after so long; negative: never
}

type what uint8

const (
	enter    what = iota // go to another room
	reset                // vanish: the server learns of it by an RST
	hangUp               // by a FIN without a Close frame
	cut                  // by a FIN in the middle of a frame
	farewell             // by a Close frame
	reopen               // connect once more as the same page: the older connection is closed with 4001
)

// ways are those of vanishing.
var ways = []what{reset, hangUp, cut, farewell}

// live is a page from its first connection to its last.
func (p *page) live() {
	attempt := 0
	for {
		back, again := p.visit(&attempt)
		if !again {
			p.mu.Lock()
			p.done = true
			p.mu.Unlock()
			return
		}
		time.Sleep(back)
	}
}

// visit is one connection. It returns when to connect again, and whether at all.
func (p *page) visit(attempt *int) (back time.Duration, again bool) {
	c, err := dial(p.crowd.ctx, p.crowd.addr, p.deflate, p.buffer())
	if err != nil {
		return p.refused(err, attempt), p.crowd.ctx.Err() == nil
	}
	*attempt = 0
	p.mu.Lock()
	p.away = false
	p.book.connects()
	p.mu.Unlock()
	ended := p.read(c)
	p.hello(c)
	for timer := time.NewTimer(p.pause()); ; timer.Reset(p.pause()) {
		select {
		case err := <-ended:
			timer.Stop()
			return p.lost(c, err), true
		case <-p.crowd.ctx.Done():
			timer.Stop()
			c.end(true)
			<-ended
			return 0, false
		case o := <-p.orders:
			p.occupied(true)
			switch o.what {
			case enter:
				p.mu.Lock()
				if p.next = o.room; p.next == p.room {
					p.next = ""
				}
				p.mu.Unlock()
				p.move(c)
			case reopen:
				if next, nextEnded := p.reopen(c, ended); next != nil {
					c, ended = next, nextEnded
				}
			default:
				timer.Stop()
				p.vanish(c, o.what, ended)
				p.occupied(false)
				return o.away, o.away >= 0
			}
			p.occupied(false)
		case <-p.entered:
			p.repeat(c)
		case <-timer.C:
			p.again(c)
			p.move(c)
			p.talk(c)
		}
	}
}

func (p *page) occupied(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy = yes
}

// buffer is how much the kernel may hold for the page. With less a page would be slow for ever: an interface of this
// machine sends 64 KiB at once.
func (p *page) buffer() int {
	if p.slow {
		return 64 << 10
	}
	return 0
}

// pause is until the page may say something. It does so with a likelihood that makes its pace, see talk.
func (p *page) pause() time.Duration {
	tick := p.tick()
	return tick/2 + time.Duration(p.rand.Int64N(int64(tick)))
}

// tick is a pause on average.
func (p *page) tick() time.Duration {
	pace := time.Duration(p.crowd.pace.Load())
	if pace == 0 {
		return 100 * time.Millisecond
	}
	return min(pace, 2*time.Second)
}

// read reads the connection on a goroutine of its own until it ends. The error comes once.
func (p *page) read(c *conn) <-chan error {
	ended := make(chan error, 1)
	go func() {
		for {
			a, err := c.answer()
			if err != nil {
				ended <- err
				return
			}
			p.got(a)
			if p.slow && p.crowd.slow.Load() {
				time.Sleep(40 * time.Millisecond)
			}
		}
	}()
	return ended
}

func (p *page) got(a answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch a.Type {
	case "error":
		p.no(a)
	case "welcome":
		if a.Name != p.book.name {
			p.crowd.faults.add(NothingMisdirected, "%s is welcomed as %q", p.book.who(), a.Name)
		}
		p.book.got(a)
	case "joined":
		p.book.got(a)
		p.in, p.owes = a.Room == p.room, true
		select {
		case p.entered <- struct{}{}:
		default:
		}
	default:
		p.book.got(a)
	}
}

// no handles a request that was not carried out.
func (p *page) no(a answer) {
	if s, ok := parseRef(a.Ref); ok {
		if a.Code != "rate" { // a page that comes back in a storm may be fast for a moment
			p.crowd.faults.add(NobodyRefused, "%s: %s was refused: %s %q", p.book.who(), s.ref(), a.Code, a.Text)
		}
		p.book.answered(s)
		p.book.count.refused++
		return
	}
	p.crowd.trouble(a)
	p.book.asked = "" // the life's goroutine asks again
}

// hello says who it is, and where it wants to be.
func (p *page) hello(c *conn) {
	c.send(p.introduction()) // whoever reads hears of the connection's end
	p.enter(c)
}

func (p *page) introduction() request {
	return request{Type: "hello", Name: p.book.name, Key: p.key, Session: p.session, Ref: "hello"}
}

// enter asks for the room where it wants to be.
func (p *page) enter(c *conn) {
	p.mu.Lock()
	p.in = false
	r := p.book.asks(p.room)
	p.mu.Unlock()
	c.send(r)
}

// repeat says again what was said and not shown: the server may not have got it on the other connection.
func (p *page) repeat(c *conn) {
	p.mu.Lock()
	p.owes = false
	var requests []request
	for _, s := range p.book.unsaid {
		requests = append(requests, request{Type: "say", Text: s.text(p.room), Ref: s.ref()})
	}
	p.mu.Unlock()
	for _, r := range requests {
		c.send(r)
	}
}

// move goes to the next room, if there is one, when it has been shown all that it has said in this one.
func (p *page) move(c *conn) {
	p.mu.Lock()
	ready := p.next != "" && p.in && len(p.book.unsaid) == 0
	if ready {
		p.room, p.next = p.next, ""
	}
	p.mu.Unlock()
	if ready {
		p.enter(c)
	}
}

// again repeats a request that was refused.
func (p *page) again(c *conn) {
	p.mu.Lock()
	welcome, wanting := p.book.list != nil, p.book.asked == "" && !p.in
	p.mu.Unlock()
	switch {
	case !wanting:
	case welcome:
		p.enter(c)
	default:
		p.hello(c)
	}
}

// talk says something, if it is in its room and the crowd talks.
func (p *page) talk(c *conn) {
	pace := p.crowd.pace.Load()
	speaks := pace > 0 && p.rand.Int64N(pace) < int64(p.tick())
	p.mu.Lock()
	var r request
	if speaks && p.in && !p.owes && p.next == "" && len(p.book.unsaid) < mostUnsaid {
		s := p.crowd.ledger.says(p.book.page)
		p.book.unsaid = append(p.book.unsaid, s)
		r = request{Type: "say", Text: s.text(p.room), Ref: s.ref()}
	}
	p.mu.Unlock()
	if r.Type != "" {
		c.send(r)
	}
}

// settled returns what is wrong with the page when everybody has been silent for a while.
func (p *page) settled(people map[string]map[string]bool, rooms map[string]int) (Promise, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away || p.busy || !p.in || p.next != "" {
		return NobodyStuck, fmt.Sprintf("%s wants to be in %s, and is not: away %t, has asked for %q, goes to %q", p.book.who(), p.room, p.away, p.book.asked, p.next)
	}
	return p.book.settled(p.room, people[p.room], rooms)
}

func (p *page) wants() (name, room string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.book.name, p.room
}
