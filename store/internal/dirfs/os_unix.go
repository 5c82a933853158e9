//go:build unix

package dirfs

import (
	"io/fs"
	"strconv"
	"syscall"
)

const (
	// nonBlocking keeps open(2) from waiting for the other end of a pipe. On
	// regular files it changes nothing.
	nonBlocking = syscall.O_NONBLOCK
	// syncsDirectories says that directories can be opened and synced.
	syncsDirectories = true
)

// fileID is device and inode number.
func fileID(fi fs.FileInfo) string {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return strconv.FormatUint(uint64(st.Dev), 36) + "." + strconv.FormatUint(st.Ino, 36)
}
