//go:build !linux || troupe_nosyscalls

package pool

// poller is nothing here: the scheduler looks at the network when it does.
type poller struct{}

func newPoller() *poller { return nil }
func (*poller) poll()    {}
func (*poller) close()   {}
