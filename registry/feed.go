package registry

import (
	"slices"
	"sync"

	"github.com/troupe-dev/troupe/internal/shrink"
)

// feed is the news of one group. They go by lines, which are independent of each other: the news about one process, or
// one key, are in one line all their life, in the order in which they happened. They are added under the lock of the
// part, or of the shard, that they are about, and delivered under no lock, in each line by one goroutine at a time: the
// one that has made the first of them goes on with what others add meanwhile. With many lines that is little: as a rule
// whoever makes news delivers it, so that nobody makes it faster than it is delivered.
type feed struct {
	r        *Registry
	mu       sync.Mutex
	lines    []*line // those that have something to deliver
	held     bool    // somebody shows a watcher the whole group; no line moves until then
	watchers []*watcher
}

// line is what waits in one line.
type line struct {
	number int
	queue  []func()
	busy   bool
}

// The numbers of the lines: those of processes by their seat, those of keys by their hash, and one for the listeners.
// The first two are bits of watcher.lines.
const (
	processLine  = 0
	keyLine      = partCount
	listenerLine = 2 * partCount
)

func lineOf(seat uint32) int { return processLine + int(seat%partCount) }

func lineOfKey(hash uint64) int { return keyLine + int(hash%partCount) }

// news says what a caller has to do when it holds no lock any more: deliver these lines of the feed.
type news struct {
	group     *group
	feed      *feed
	lines     uint64
	listeners bool
	show      func() // the caller has held the feed
}

// line returns a line that has something to deliver; f.mu is held.
func (f *feed) line(number int) *line {
	for _, l := range f.lines {
		if l.number == number {
			return l
		}
	}
	return nil
}

func (f *feed) add(number int, what func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.addLocked(number, what)
}

func (f *feed) addLocked(number int, what func()) {
	l := f.line(number)
	if l == nil {
		l = &line{number: number}
		f.lines = append(f.lines, l)
	}
	l.queue = append(l.queue, what)
}

func (f *feed) idle() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.lines) == 0 && !f.held
}

// next takes what waits in a line. own says that the caller is the one that delivers it.
func (f *feed) next(number int, own bool) []func() {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.line(number)
	if l == nil || !own && (l.busy || f.held) {
		return nil
	}
	queue := l.queue
	l.queue, l.busy = nil, len(queue) > 0
	if !l.busy {
		f.lines = shrink.Slice(slices.DeleteFunc(f.lines, func(o *line) bool { return o == l }))
	}
	return queue
}

// deliver delivers a line until nothing waits, or leaves it to the goroutine that does. After a panic, or a
// runtime.Goexit, in a listener the rest is delivered all the same.
func (f *feed) deliver(number int) {
	queue, i := f.next(number, false), 0
	defer func() {
		if len(queue) > 0 {
			f.mu.Lock()
			l := f.line(number)
			l.queue, l.busy = append(queue[i:], l.queue...), false
			f.mu.Unlock()
			f.deliver(number)
		}
	}()
	for len(queue) > 0 {
		for i = 0; i < len(queue); {
			i++
			queue[i-1]()
		}
		queue = f.next(number, true)
	}
}

// deliverLines delivers several lines, after a panic in one the others too.
func (f *feed) deliverLines(numbers []int) {
	i := 0
	defer func() {
		if i < len(numbers) {
			f.deliverLines(numbers[i:])
		}
	}()
	for i < len(numbers) {
		i++
		f.deliver(numbers[i-1])
	}
}

// release ends what held the feed, and delivers what has come meanwhile.
func (f *feed) release() {
	f.mu.Lock()
	f.held = false
	var numbers []int
	for _, l := range f.lines {
		numbers = append(numbers, l.number)
	}
	f.mu.Unlock()
	f.deliverLines(numbers)
}

// deliver delivers what a change has brought, and gives back what the group does not need any more. No lock is held.
func (r *Registry) deliver(n news) {
	if n.feed == nil {
		return
	}
	defer r.settle(n.group)
	if n.show != nil {
		defer n.feed.release()
		n.show()
		return
	}
	var few [2]int // a change of a member and of its group
	numbers := few[:0]
	for number, lines := 0, n.lines; lines != 0; number, lines = number+1, lines>>1 {
		if lines&1 != 0 {
			numbers = append(numbers, number)
		}
	}
	if n.listeners {
		numbers = append(numbers, listenerLine)
	}
	n.feed.deliverLines(numbers)
}

func (r *Registry) deliverAll(all []news) {
	i := 0
	defer func() {
		if i < len(all) { // after a panic
			r.deliverAll(all[i:])
		}
	}()
	for i < len(all) {
		i++
		r.deliver(all[i-1])
	}
}

// settle gives back what g does not need any more.
func (r *Registry) settle(g *group) {
	t := r.groupShard(g.name)
	t.mu.RLock()
	watched := g.watched()
	t.mu.RUnlock()
	if watched {
		return
	}
	t.mu.Lock()
	t.tidy(g)
	t.mu.Unlock()
}

// watched tells whether g has watchers.
func (g *group) watched() bool { return g.more != nil && g.more.watchers > 0 }

// feed returns the feed of g, and makes it if there is none; the shard is locked for writing.
func (r *Registry) feed(g *group) *feed {
	x := g.extras()
	if x.feed == nil {
		x.feed = &feed{r: r}
	}
	return x.feed
}

// enroll adds w to the watchers; it gets the news of no line yet.
func (f *feed) enroll(w *watcher) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.at = int32(len(f.watchers))
	f.watchers = append(f.watchers, w)
}

// dismiss takes w off the watchers.
func (f *feed) dismiss(w *watcher) {
	f.mu.Lock()
	defer f.mu.Unlock()
	last := len(f.watchers) - 1
	f.watchers[w.at] = f.watchers[last]
	f.watchers[w.at].at = w.at
	f.watchers[last] = nil
	f.watchers = shrink.Slice(f.watchers[:last])
}

// tell adds a message for the watchers of g; the part that it is about is locked.
func (g *group) tell(number int, msg any) news {
	f := g.more.feed
	f.add(number, func() { f.send(number, msg) })
	return news{group: g, feed: f, lines: 1 << number}
}

// send sends a message to the watchers that have been shown the line.
func (f *feed) send(number int, msg any) {
	list := f.r.watcherLists.Get().(*[]*watcher)
	f.mu.Lock()
	*list = append((*list)[:0], f.watchers...)
	f.mu.Unlock()
	for _, w := range *list {
		if w.lines.Load()&(1<<number) != 0 {
			w.send(msg)
		}
	}
	clear(*list)
	*list = (*list)[:0]
	f.r.watcherLists.Put(list)
}
