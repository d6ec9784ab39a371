package day

import (
	"fmt"
	"strings"
	"sync"
)

// A Promise is what the chat has to keep on a hard day.
type Promise string

// The promises, in the order in which they are reported.
const (
	NothingLost        Promise = "nothing is lost"
	NothingDoubled     Promise = "nothing is doubled"
	NothingReordered   Promise = "nothing is reordered"
	NothingMisdirected Promise = "nothing is misdirected"
	NothingChanged     Promise = "nothing is changed on its way"
	NobodyClosed       Promise = "nobody healthy is closed"
	NobodyRefused      Promise = "nobody healthy is refused"
	NobodyStuck        Promise = "everybody who wants to be in is in"
	PresenceRight      Promise = "who is here is right: no ghosts"
	RoomsRight         Promise = "the list of rooms is right"
	GarbageAnswered    Promise = "garbage is answered by its code"
	RestartOrderly     Promise = "a restart is orderly"
	NoCrash            Promise = "the server does not crash"
	MemoryBack         Promise = "memory is back at the end"
	DescriptorsBack    Promise = "descriptors are back at the end"
	GoroutinesBack     Promise = "goroutines are back at the end"
)

// Promises are all of them.
var Promises = []Promise{
	NothingLost, NothingDoubled, NothingReordered, NothingMisdirected, NothingChanged, NobodyClosed, NobodyRefused, NobodyStuck,
	PresenceRight, RoomsRight, GarbageAnswered, RestartOrderly, NoCrash, MemoryBack, DescriptorsBack, GoroutinesBack,
}

// faults counts how often each promise was broken, and keeps how it was the first time. Any goroutine may add.
type faults struct {
	mu    sync.Mutex
	count map[Promise]int
	first map[Promise]string
}

func (f *faults) add(p Promise, format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count == nil {
		f.count, f.first = map[Promise]int{}, map[Promise]string{}
	}
	if f.count[p]++; f.count[p] == 1 {
		f.first[p] = fmt.Sprintf(format, args...)
	}
}

// broken has a line for each promise that was broken.
func (f *faults) broken() map[Promise]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	lines := map[Promise]string{}
	for p, n := range f.count {
		times := "once"
		if n > 1 {
			times = fmt.Sprintf("%d times, first", n)
		}
		lines[p] = fmt.Sprintf("%s: %s", times, strings.ReplaceAll(f.first[p], "\n", " "))
	}
	return lines
}
