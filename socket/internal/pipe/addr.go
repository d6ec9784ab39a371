package pipe

import "strconv"

// Addr is the address of one end. Its text has the form host:port, as code
// that reads [net/http.Request.RemoteAddr] expects.
type Addr uint32

// Network returns "pipe".
func (Addr) Network() string { return "pipe" }

// String returns "pipe:" and the number.
func (a Addr) String() string { return "pipe:" + strconv.FormatUint(uint64(a), 10) }
