package seednet

import "time"

// Cut loses all between two nodes: what is on its way, and what is published until Heal.
func (n *Network) Cut(a, b uint64) {
	n.CutOneWay(a, b)
	n.CutOneWay(b, a)
}

// CutOneWay loses all from one node to another.
func (n *Network) CutOneWay(from, to uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[[2]uint64{from, to}] = true
	for _, e := range n.edges {
		if e.from.boot == from && e.to.boot == to {
			n.drop(e)
		}
	}
}

// Heal ends all cuts between two nodes.
func (n *Network) Heal(a, b uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.cut, [2]uint64{a, b})
	delete(n.cut, [2]uint64{b, a})
}

// Freeze is SIGSTOP as others see it: what is sent to the node waits, and its Publish blocks. (Its goroutines run on
// until they publish.)
func (n *Network) Freeze(boot uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.frozen[boot] == nil && !n.closed && !n.killed[boot] {
		n.frozen[boot] = make(chan struct{})
	}
}

// Thaw has a frozen node go on: it gets all that waits, in order.
func (n *Network) Thaw(boot uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.thaw(boot)
}

// thaw is Thaw under the lock.
func (n *Network) thaw(boot uint64) {
	ch := n.frozen[boot]
	if ch == nil {
		return
	}
	delete(n.frozen, boot)
	close(ch)
	for _, e := range n.edges {
		if e.to.boot == boot {
			n.schedule(e)
		}
	}
}

// Kill is kill -9 as others see it: nothing comes from this boot any more, nor reaches it.
func (n *Network) Kill(boot uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.killed[boot] = true
	n.thaw(boot)
	for _, c := range n.nodes {
		if c.self.boot == boot {
			n.remove(c)
		}
	}
}

// Quiet stops losing, repeating and reordering, or goes on with it: for the end of a scenario.
func (n *Network) Quiet(on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.quiet = on
}

// SetDelay changes Config.Delay, for datagrams that are sent from now on.
func (n *Network) SetDelay(d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cfg.Delay = d
}

// Stats returns the numbers of now.
func (n *Network) Stats() Stats {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stats
}

// Waiting is how many bytes are on their way to a node.
func (n *Network) Waiting(boot uint64) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	sum := 0
	for a, bytes := range n.waiting {
		if a.boot == boot {
			sum += bytes
		}
	}
	return sum
}
