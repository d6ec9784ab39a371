package day

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A crowd is all people of the day, with their pages.
type crowd struct {
	ctx    context.Context
	leave  context.CancelFunc
	addr   string
	faults *faults
	ledger *ledger
	rand   *rand.Rand
	pages  []*page
	lives  sync.WaitGroup

	pace      atomic.Int64 // time between two sayings of a page; 0: nobody talks
	slow      atomic.Bool  // the slow ones read slowly
	mayClose  atomic.Bool  // the server is being restarted
	draining  atomic.Int64 // upgrades that were answered with 503 during a restart
	told      atomic.Int64 // pages that were told when to come back
	slowEnded atomic.Int64 // slow pages that the server has given up
	mistaken  atomic.Int64 // hellos and joins that had to be tried again

	mu       sync.Mutex
	mistakes map[string]int // why
}

func newCrowd(ctx context.Context, addr string, f *faults, seed uint64) *crowd {
	c := &crowd{addr: addr, faults: f, ledger: newLedger(f), rand: rand.New(rand.NewPCG(seed, 1)), mistakes: map[string]int{}}
	c.ctx, c.leave = context.WithCancel(ctx)
	return c
}

// trouble is a hello or a join that was refused, and is tried again.
func (c *crowd) trouble(a answer) {
	c.mistaken.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mistakes[fmt.Sprintf("%s %q", a.Code, a.Text)]++
}

// person adds a person with so many tabs, each in one of the rooms.
func (c *crowd) person(i, tabs int, slow bool, rooms []string) {
	name := fmt.Sprintf("Person %d", i)
	if slow {
		name = fmt.Sprintf("Slow %d", i)
	}
	for tab := range tabs {
		p := &page{
			crowd: c, key: fmt.Sprintf("the key of person %d", i), session: fmt.Sprintf("session %d of person %d", tab, i),
			deflate: (i+tab)%2 == 1, slow: slow, orders: make(chan order, 8), entered: make(chan struct{}, 1), room: rooms[(i+tab/2)%len(rooms)],
			rand: rand.New(rand.NewPCG(uint64(i), uint64(tab))),
		}
		p.book = book{ledger: c.ledger, faults: c.faults, page: c.ledger.page(name), name: name}
		c.pages = append(c.pages, p)
		c.lives.Go(p.live)
	}
}

// tell gives an order to some pages. A page that has eight to carry out gets no more.
func (c *crowd) tell(pages []*page, o func(*page) order) {
	for _, p := range pages {
		select {
		case p.orders <- o(p):
		default:
		}
	}
}

// some returns so many of all pages, at random.
func (c *crowd) some(part float64) []*page {
	pages := slices.Clone(c.pages)
	c.rand.Shuffle(len(pages), func(i, j int) { pages[i], pages[j] = pages[j], pages[i] })
	return pages[:int(part*float64(len(pages)))]
}

// settle has everybody be silent, and waits until all books are right: everybody is where it wants to be, has been
// shown everything, and knows who is here. What is not right after limit is a fault, and errUnsettled ends the day,
// since everything after it would be wrong, too.
func (c *crowd) settle(when string, limit time.Duration) error {
	pace := c.pace.Swap(0)
	defer c.pace.Store(pace)
	for end := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		people, rooms := c.truth()
		promise, why := c.first(people, rooms)
		if why == "" {
			return nil
		}
		if err := c.ctx.Err(); err != nil {
			return err
		}
		if time.Now().After(end) {
			c.faults.add(promise, "%s: %s", when, why)
			for _, p := range c.pages {
				if promise, other := p.settled(people, rooms); other != "" && other != why {
					c.faults.add(promise, "%s: %s", when, other)
				}
			}
			return errUnsettled
		}
	}
}

// errUnsettled is the end of a day whose books do not become right.
var errUnsettled = errors.New("day: the books do not become right")

// first returns what is wrong with the first page that is not right; "" when all are.
func (c *crowd) first(people map[string]map[string]bool, rooms map[string]int) (Promise, string) {
	for _, p := range c.pages {
		if n := len(p.orders); n > 0 {
			return NobodyStuck, fmt.Sprintf("page %d of %s has %d orders to carry out", p.book.page, p.book.name, n)
		}
		if promise, why := p.settled(people, rooms); why != "" {
			return promise, why
		}
	}
	return "", ""
}

// truth returns who wants to be where.
func (c *crowd) truth() (people map[string]map[string]bool, rooms map[string]int) {
	people, rooms = map[string]map[string]bool{}, map[string]int{}
	for _, p := range c.pages {
		name, room := p.wants()
		if people[room] == nil {
			people[room] = map[string]bool{}
		}
		people[room][name] = true
	}
	for room, names := range people {
		rooms[room] = len(names)
	}
	return people, rooms
}

// arrived waits until all pages are in, but no longer than the given time.
func (c *crowd) arrived(limit time.Duration) {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if !slices.ContainsFunc(c.pages, func(p *page) bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return !p.in
		}) {
			return
		}
	}
}

// left waits until all pages have left for good.
func (c *crowd) left(limit time.Duration) bool {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if !slices.ContainsFunc(c.pages, func(p *page) bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return !p.done
		}) {
			return true
		}
	}
	return false
}

func (c *crowd) counts() (sum counts) {
	for _, p := range c.pages {
		p.mu.Lock()
		n := p.book.count
		p.mu.Unlock()
		sum.shown += n.shown
		sum.news += n.news
		sum.refused += n.refused
	}
	return sum
}
