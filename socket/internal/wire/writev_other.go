//go:build unix && !linux

package wire

import "errors"

// rawVector says that writev is there.
const rawVector = false

func writev(uintptr, [][]byte) (int, error) { return 0, errors.ErrUnsupported }
