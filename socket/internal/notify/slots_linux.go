package notify

// chunkSize is how many slots are made at once: 24 KiB.
const chunkSize = 1 << 10

// slots is a table of those who are registered. It grows in chunks, so that no
// growth copies it, and holds as many slots as were taken at the same time.
type slots struct {
	chunks []*[chunkSize]slot
	free   uint32 // the slot that was given back last; 0: none
	live   int    // slots that are taken
}

// slot is the place of one registered connection. Slots are counted from 1.
type slot struct {
	waker      Waker  // nil: not armed
	generation uint32 // of the last arming; a free slot keeps it
	next       uint32 // of the free ones
}

// at returns the slot with a number that take returned.
func (s *slots) at(number uint32) *slot {
	i := number - 1
	return &s.chunks[i/chunkSize][i%chunkSize]
}

// take returns the number of a slot that is free.
func (s *slots) take() uint32 {
	if s.free == 0 {
		s.grow()
	}
	number := s.free
	s.free = s.at(number).next
	s.live++
	return number
}

// give takes a slot back.
func (s *slots) give(number uint32) {
	sl := s.at(number)
	sl.disarm()
	sl.next = s.free
	s.free = number
	s.live--
}

func (s *slots) grow() {
	first := uint32(len(s.chunks))*chunkSize + 1
	chunk := new([chunkSize]slot)
	for i := range chunk[:chunkSize-1] {
		chunk[i].next = first + uint32(i) + 1
	}
	s.chunks = append(s.chunks, chunk)
	s.free = first
}

// arm begins a generation.
func (sl *slot) arm(w Waker) (generation uint32) {
	sl.generation++
	sl.waker = w
	return sl.generation
}

// disarm ends the generation, if one runs, and returns its Waker.
func (sl *slot) disarm() Waker {
	w := sl.waker
	sl.waker = nil
	return w
}
