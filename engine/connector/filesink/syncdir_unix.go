//go:build !windows

package filesink

import "os"

// syncDirectory makes the names in an open directory durable.
func syncDirectory(f *os.File) error { return f.Sync() }
