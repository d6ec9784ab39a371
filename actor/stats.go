package actor

import (
	"sync/atomic"

	"github.com/troupe-dev/troupe/actor/exit"
)

// Stats are the numbers of a [System], as [System.Stats] returns them. Those that count have counted since NewSystem, and
// never become less.
type Stats struct {
	Processes int    // that live, those that start or end included
	Spawned   uint64 // processes that have been made; as many as live and have ended
	// Ended is how many processes have ended, by the kind of their exit reason. It has each kind from the start.
	Ended map[exit.Kind]uint64
	// Undelivered is how many messages have reached nobody: their process was gone, its mailbox was full, or it ended
	// before it came to them. Each is logged at Debug.
	Undelivered uint64
	// Abandoned is how many goroutines had to be left to themselves, because the process ended while its callback did not
	// return. Stuck is how many of them have not returned yet.
	Abandoned uint64
	Stuck     int
	// Running is how many goroutines run callbacks of processes or work for them, without those of sockets that read and
	// those that are stuck. Resting is how many are kept for the next ones.
	Running, Resting int
}

// counts is what a System has counted.
type counts struct {
	spawned   atomic.Uint64
	ended     [exit.Abnormal + 1]atomic.Uint64
	abandoned atomic.Uint64
}

// Stats returns the numbers of the System. It takes no longer when there are more processes, and stops none.
func (s *System) Stats() Stats {
	st := Stats{
		Undelivered: uint64(s.dropped.Load()),
		Abandoned:   s.counts.abandoned.Load(),
		Stuck:       int(s.abandoned.Load()),
		Running:     int(s.goroutines.Load()),
		Resting:     s.pool.Idle(),
		Ended:       make(map[exit.Kind]uint64, len(s.counts.ended)),
	}
	var ended [exit.Abnormal + 1]uint64
	ended, st.Spawned, st.Processes = s.counts.processes()
	for kind, n := range ended {
		st.Ended[exit.Kind(kind)] = n
	}
	return st
}

// processes returns how many processes have ended, were spawned, and live. The ends are read before the spawns, so there are
// never more of them; and again after them, until there were none meanwhile: then the three belong to one moment. Where
// processes come and go all the time that may not be so for long, and after some tries the number of those that live is as
// much too large as there were ends meanwhile.
func (c *counts) processes() (ended [exit.Abnormal + 1]uint64, spawned uint64, live int) {
	for range 16 {
		ended, spawned = c.ends(), c.spawned.Load()
		if c.ends() == ended {
			break
		}
	}
	return ended, spawned, int(spawned - sum(ended))
}

func (c *counts) ends() (ended [exit.Abnormal + 1]uint64) {
	for kind := range c.ended {
		ended[kind] = c.ended[kind].Load()
	}
	return ended
}

func sum(counts [exit.Abnormal + 1]uint64) (total uint64) {
	for _, n := range counts {
		total += n
	}
	return total
}

// ended counts the end of a process. The methods of reason are anybody's: they may panic, and they may end the goroutine.
func (s *System) ended(p *process, reason error) {
	kind := exit.Abnormal
	defer func() {
		_ = recover() // then it counts as abnormal
		kind = min(kind, exit.Abnormal)
		s.counts.ended[kind].Add(1)
		if kind == exit.Abnormal && !p.hosted {
			s.endedAbnormally(p, reason)
		}
	}()
	kind = exit.KindOf(reason)
}

// endedAbnormally keeps the end of a process for LastExits, and tells of it.
func (s *System) endedAbnormally(p *process, reason error) {
	if s.exits.most == 0 && s.onEvent == nil {
		return
	}
	x := exitOf(p, reason)
	s.exits.add(x)
	s.tell(Ended{x})
}
