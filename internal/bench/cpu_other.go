//go:build !unix

package main

import (
	"os"
	"time"
)

// cpuTime is 0: this system has no getrusage, and the program says so.
func cpuTime() time.Duration { return 0 }

func peakOf(*os.ProcessState) int64 { return 0 }
