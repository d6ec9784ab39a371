package load

import "fmt"

// numbers checks the broadcasts that one connection gets: each above what was sent when it joined, once and in order, up to
// those that were sent when it left.
type numbers struct {
	state numbersState
	last  uint64   // the last that came
	since uint64   // joined: all above it are to come
	early []uint64 // came before the answer to join
	due   uint64   // left: up to here they have to come,
	until uint64   // and none from behind here
}

type numbersState uint8

const (
	numbersOut numbersState = iota
	numbersJoining
	numbersIn
)

// seen is up to where nothing is missing.
func (n *numbers) seen() uint64 { return max(n.last, n.since) }

func (n *numbers) join() { n.state = numbersJoining }

func (n *numbers) joined(since uint64) error {
	if n.state != numbersJoining {
		return fmt.Errorf("load: %q that nobody asked for", "joined")
	}
	n.state, n.since = numbersIn, since
	early := n.early
	n.early = nil
	for _, number := range early {
		if err := n.got(number); err != nil {
			return err
		}
	}
	return nil
}

func (n *numbers) left(due, until uint64) error {
	if n.state != numbersIn {
		return fmt.Errorf("load: %q that nobody asked for", "left")
	}
	n.state, n.due, n.until = numbersOut, due, until
	if n.last > until {
		return fmt.Errorf("load: broadcast %d came to one that had left before it, at %d", n.last, until)
	}
	return nil
}

// complete says whether all is there that was due when the connection left.
func (n *numbers) complete() bool { return n.state == numbersOut && n.seen() >= n.due }

func (n *numbers) got(number uint64) error {
	switch {
	case n.state == numbersJoining:
		n.early = append(n.early, number)
		return nil
	case number <= n.last:
		return fmt.Errorf("load: broadcast %d came behind %d", number, n.last)
	case n.state == numbersOut && number > n.until:
		return fmt.Errorf("load: broadcast %d came to one that had left before it, at %d", number, n.until)
	case number > n.since && number != n.seen()+1:
		return fmt.Errorf("load: broadcast %d came behind %d, member since %d", number, n.last, n.since)
	}
	n.last = number
	return nil
}
