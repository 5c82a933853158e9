package dirfs

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockByte is the byte that is locked. It lies far behind the record, because
// on Windows nobody else can read what is locked.
const lockByte = 1 << 30

// tryLock takes the lock of an open file, or reports that another has it.
func tryLock(f *os.File) (held bool, err error) {
	at := windows.Overlapped{Offset: lockByte}
	err = windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return false, nil
	}
	return err == nil, err
}
