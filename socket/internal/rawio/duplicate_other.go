//go:build unix && !linux && !troupe_nosyscalls

package rawio

import "errors"

// duplicate fails: where nothing sleeps, nothing has to rest.
func duplicate(uintptr) (int, error) { return 0, errors.ErrUnsupported }
