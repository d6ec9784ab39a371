package load

import "fmt"

// numbers checks the broadcasts that one connection gets: each above what was sent when it joined, once and in order,
// and none after it was told that it has left.
type numbers struct {
	state numbersState
	last  uint64   // the last that came
	since uint64   // joined: all above it are to come
	early []uint64 // came before the answer to join
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

func (n *numbers) left() error {
	if n.state != numbersIn {
		return fmt.Errorf("load: %q that nobody asked for", "left")
	}
	n.state = numbersOut
	return nil
}

func (n *numbers) got(number uint64) error {
	switch {
	case n.state == numbersJoining:
		n.early = append(n.early, number)
		return nil
	case n.state == numbersOut:
		return fmt.Errorf("load: broadcast %d came to one that had left, at %d", number, n.last)
	case number <= n.last:
		return fmt.Errorf("load: broadcast %d came after %d", number, n.last)
	case number > n.since && number != n.seen()+1:
		return fmt.Errorf("load: broadcast %d came after %d, member since %d", number, n.last, n.since)
	}
	n.last = number
	return nil
}
