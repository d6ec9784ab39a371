//go:build !troupe_nosyscalls

package notify

import "math/bits"

// chunkSize is how many slots are made, and given back, at once. A chunk has 512 bytes, so that little memory stays
// after a peak.
const chunkSize = 21

// slots is a table of the registered connections. It grows in chunks, so that it never has to be copied, and a chunk that
// has become empty is given back. A slot keeps its number as long as it is taken, since the kernel knows it by that.
type slots struct {
	chunks     []*chunk // nil: it is empty
	room       []uint32 // the chunks with a free slot, by their index in chunks; taken from the end
	live       int      // slots that are taken
	generation uint32   // of the last arming. One counter for all, so that it goes on when a chunk is made anew
}

type chunk struct {
	slots [chunkSize]slot
	taken uint32 // bit n: slots[n] is taken
}

const full = 1<<chunkSize - 1

// slot is one registered connection. Slots are numbered from 1.
type slot struct {
	waker      Waker  // nil: not armed
	generation uint32 // of the last arming
	want       Event  // of the last arming
}

// at returns the slot with a number; nil when its chunk was given back.
func (s *slots) at(number uint32) *slot {
	i := number - 1
	c := s.chunks[i/chunkSize]
	if c == nil {
		return nil
	}
	return &c.slots[i%chunkSize]
}

// take returns the number of a free slot. It prefers the chunk that was full last, so that chunks fill up before new
// ones are made.
func (s *slots) take() uint32 {
	if len(s.room) == 0 {
		s.room = append(s.room, uint32(len(s.chunks)))
		s.chunks = append(s.chunks, nil)
	}
	last := len(s.room) - 1
	i := s.room[last]
	c := s.chunks[i]
	if c == nil {
		c = new(chunk)
		s.chunks[i] = c
	}
	n := uint32(bits.TrailingZeros32(^c.taken))
	c.taken |= 1 << n
	if c.taken == full {
		s.room = s.room[:last]
	}
	s.live++
	return i*chunkSize + n + 1
}

// give makes a slot free.
func (s *slots) give(number uint32) {
	i, n := (number-1)/chunkSize, (number-1)%chunkSize
	c := s.chunks[i]
	if c.taken == full {
		s.room = append(s.room, i)
	}
	c.slots[n] = slot{}
	c.taken &^= 1 << n
	if c.taken == 0 {
		s.chunks[i] = nil
	}
	s.live--
}

// arm begins a generation of a taken slot.
func (s *slots) arm(number uint32, w Waker, want Event) (generation uint32) {
	sl := s.at(number)
	if sl.waker != nil {
		panic("notify: Arm of what is armed")
	}
	s.generation++
	sl.generation, sl.waker, sl.want = s.generation, w, want
	return sl.generation
}

// disarm ends the generation of a slot, if one runs, and returns its Waker.
func (s *slots) disarm(number uint32) Waker {
	sl := s.at(number)
	w := sl.waker
	sl.waker = nil
	return w
}

// fired is disarm for an event. It returns nil when the generation of the event has ended, or waits for more than what.
func (s *slots) fired(number, generation uint32, what Event) Waker {
	if sl := s.at(number); sl == nil || sl.generation != generation || what < sl.want {
		return nil
	}
	return s.disarm(number)
}
