package day

// What the tests see of the books.

type (
	Answer = answer
	Saying = saying
)

// A Reader is one page without a connection.
type Reader struct {
	ledger *ledger
	faults *faults
	book   book
}

// NewReader is page 1; page 0 is somebody else, and has said n things in a room.
func NewReader(n int) *Reader {
	f := &faults{}
	l := newLedger(f)
	l.start()
	l.page("Ann")
	r := &Reader{ledger: l, faults: f, book: book{ledger: l, faults: f, page: l.page("Bob"), name: "Bob"}}
	for range n {
		l.says(0)
	}
	return r
}

func (r *Reader) Connects(room string) { r.book.connects(); r.book.asks(room) }
func (r *Reader) Asks(room string)     { r.book.asks(room) }
func (r *Reader) Restart()             { r.ledger.start() }
func (r *Reader) Got(a Answer)         { r.book.got(a) }
func (r *Reader) Audit()               { r.ledger.audit() }
func (r *Reader) Says() Saying {
	s := r.ledger.says(r.book.page)
	r.book.unsaid = append(r.book.unsaid, s)
	return s
}

// Settled adds what is wrong when all is silent.
func (r *Reader) Settled(room string, people ...string) {
	names := map[string]bool{}
	for _, name := range people {
		names[name] = true
	}
	if p, why := r.book.settled(room, names, map[string]int{room: len(people)}); why != "" {
		r.faults.add(p, "%s", why)
	}
}

func (r *Reader) Broken() map[Promise]string { return r.faults.broken() }

func SayingOf(page, n int) Saying        { return saying{page, n} }
func (s saying) Ref() string             { return s.ref() }
func (s saying) Text(room string) string { return s.text(room) }

var Collection = collection
