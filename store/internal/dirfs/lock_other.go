//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package dirfs

import (
	"errors"
	"os"
)

// tryLock has nothing to work with here.
func tryLock(*os.File) (held bool, err error) { return false, errors.ErrUnsupported }
