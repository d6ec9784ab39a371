package host

import "github.com/troupe-dev/troupe/actor/internal/shrink"

// Map is a map that gives memory back when it has become much smaller, for what comes and goes with connections. The zero
// value is empty. Its owner locks it.
type Map[K comparable, V any] = shrink.Map[K, V]

// Shrink returns list, whose end was cut off, in less memory when it has become much shorter.
func Shrink[T any](list []T) []T { return shrink.Slice(list) }
