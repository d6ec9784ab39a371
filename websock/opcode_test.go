package websock_test

import (
	"testing"

	"github.com/troupe-dev/troupe/websock"
)

func TestOpcode(t *testing.T) {
	tests := []struct {
		op     websock.Opcode
		number uint8
		text   string
	}{
		{websock.OpText, 1, "text"},
		{websock.OpBinary, 2, "binary"},
		{websock.OpPing, 9, "ping"},
		{websock.OpPong, 10, "pong"},
		{0, 0, "opcode(0)"},
		{8, 8, "opcode(8)"},
		{255, 255, "opcode(255)"},
	}
	for _, tt := range tests {
		if uint8(tt.op) != tt.number {
			t.Errorf("%s is number %d, want %d", tt.text, uint8(tt.op), tt.number)
		}
		if got := tt.op.String(); got != tt.text {
			t.Errorf("Opcode(%d).String() = %q, want %q", tt.number, got, tt.text)
		}
	}
}
