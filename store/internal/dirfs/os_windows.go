package dirfs

// Windows. Here the promise is weaker: a directory cannot be synced, so that a
// committed object survives the end of the process, and a power cut only as far
// as the file system's own journal orders the new name behind the data.

import (
	"io/fs"
	"strconv"
	"syscall"
)

const (
	nonBlocking      = 0
	syncsDirectories = false
)

// fileID is the time of creation, which all names of a file share and which
// counts in units of 100 ns. The file's index would need another open.
func fileID(fi fs.FileInfo) string {
	d, ok := fi.Sys().(*syscall.Win32FileAttributeData)
	if !ok {
		return ""
	}
	return strconv.FormatInt(d.CreationTime.Nanoseconds(), 36)
}
