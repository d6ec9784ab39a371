package promsocket_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails the run when goroutines are left.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
