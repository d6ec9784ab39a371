package rawclient_test

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

// TestMain fails the run when goroutines are left.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 && !settled() {
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
