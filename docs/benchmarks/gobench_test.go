package main

import (
	"reflect"
	"testing"
)

func TestParseBench(t *testing.T) {
	got := merge(parseBench(`goos: linux
BenchmarkPID_Send-2   	 100	       110 ns/op	       16 B/op	       1 allocs/op
BenchmarkPID_Send-2   	 100	       90.5 ns/op	       16 B/op	       1 allocs/op
BenchmarkMillion/n=10000-2 	1	 5 ns/op	 1.500 x-cost	 3000 heap-B/conn
BenchmarkPID_Send-2   	 100	       300 ns/op	       16 B/op	       1 allocs/op
PASS
`))
	want := []benchLine{
		{"PID_Send", map[string]float64{"ns/op": 110, "B/op": 16, "allocs/op": 1}},
		{"Million/n=10000", map[string]float64{"ns/op": 5, "x-cost": 1.5, "heap-B/conn": 3000}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
