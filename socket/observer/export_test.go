package observer

import "time"

// Text is what is shown of a text.
var Text = text

// CPUTime is the CPU time that the program has used.
var CPUTime = cpuTime

// SetBudget changes what sweeps may cost. Call it before the first request.
func (o *Observer) SetBudget(most int, patience time.Duration, rest, asks int) {
	o.looks.budget = budget{most: most, patience: patience, rest: rest, asks: asks}
	o.calls.budget = o.looks.budget
}

// States is how many states are kept.
func (o *Observer) States() int {
	o.states.mu.Lock()
	defer o.states.mu.Unlock()
	return len(o.states.last)
}
