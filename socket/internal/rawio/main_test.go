package rawio_test

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

// TestMain fails the run when goroutines are left. A fuzzing run has some of its
// own.
func TestMain(m *testing.M) {
	code := m.Run()
	fuzzing := flag.Lookup("test.fuzz").Value.String() != ""
	if code == 0 && !fuzzing && !settled() {
		buf := make([]byte, 1<<20)
		fmt.Fprintf(os.Stderr, "goroutines left:\n%s\n", buf[:runtime.Stack(buf, true)])
		code = 1
	}
	os.Exit(code)
}

// settled gives goroutines that are on their way out time to end.
func settled() bool {
	for range 200 {
		if runtime.NumGoroutine() == 1 {
			return true
		}
		time.Sleep(5 * time.Millisecond)
	}
	return false
}
