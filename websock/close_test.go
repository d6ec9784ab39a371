package websock_test

import (
	"testing"

	"github.com/troupe-dev/troupe/websock"
)

func TestCloseCode(t *testing.T) {
	tests := []struct {
		code   websock.CloseCode
		number uint16
		text   string
	}{
		{websock.CloseNormal, 1000, "1000 Normal Closure"},
		{websock.CloseGoingAway, 1001, "1001 Going Away"},
		{websock.CloseProtocolError, 1002, "1002 Protocol error"},
		{websock.CloseUnsupportedData, 1003, "1003 Unsupported Data"},
		{websock.CloseNoStatus, 1005, "1005 No Status Rcvd"},
		{websock.CloseAbnormal, 1006, "1006 Abnormal Closure"},
		{websock.CloseInvalidPayload, 1007, "1007 Invalid frame payload data"},
		{websock.ClosePolicyViolation, 1008, "1008 Policy Violation"},
		{websock.CloseMessageTooBig, 1009, "1009 Message Too Big"},
		{websock.CloseMandatoryExtension, 1010, "1010 Mandatory Ext."},
		{websock.CloseInternalError, 1011, "1011 Internal Error"},
		{websock.CloseServiceRestart, 1012, "1012 Service Restart"},
		{websock.CloseTryAgainLater, 1013, "1013 Try Again Later"},
		{websock.CloseBadGateway, 1014, "1014 Bad Gateway"},
		{websock.CloseTLSHandshake, 1015, "1015 TLS handshake"},
		{0, 0, "0"},
		{1004, 1004, "1004"},
		{4001, 4001, "4001"},
	}
	for _, tt := range tests {
		if uint16(tt.code) != tt.number {
			t.Errorf("%s is number %d, want %d", tt.text, uint16(tt.code), tt.number)
		}
		if got := tt.code.String(); got != tt.text {
			t.Errorf("CloseCode(%d).String() = %q, want %q", tt.number, got, tt.text)
		}
	}
}

func TestCloseCode_Sendable(t *testing.T) {
	legal := map[int]bool{}
	for _, r := range [][2]int{{1000, 1003}, {1007, 1014}, {3000, 4999}} {
		for n := r[0]; n <= r[1]; n++ {
			legal[n] = true
		}
	}
	for n := range 1 << 16 {
		if got := websock.CloseCode(n).Sendable(); got != legal[n] {
			t.Errorf("CloseCode(%d).Sendable() = %t, want %t", n, got, legal[n])
		}
	}
}
