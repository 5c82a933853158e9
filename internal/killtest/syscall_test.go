//go:build linux

package killtest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/internal/testkit"
)

// durable are the system calls by which the local store and the file sink make
// things durable and visible.
var durable = []string{"mkdirat", "fsync", "linkat", "unlinkat"}

// A process that is killed right before its k-th call of each kind that makes
// something durable or visible (T5a) leaves a root from which the job goes on
// exactly. strace injects the kill; it counts the calls of each thread apart.
func TestKillAtSystemCalls(t *testing.T) {
	if testing.Short() {
		return // it makes processes
	}
	strace, err := exec.LookPath("strace")
	testkit.Require(t, "strace", err == nil && traces(strace))
	most := 10
	if os.Getenv("TIDEMARK_LONG") != "" {
		most = 40
	}
	began := time.Now()
	points := 0
	for _, call := range durable {
		for k := 1; k <= most; k++ {
			dir := t.TempDir()
			killAt(t, strace, dir, call, k)
			points++
			finish(t, dir, 1+k%4)
		}
	}
	t.Logf("RESULT TestKillAtSystemCalls kinds=%d points=%d lost=0 twice=0 seconds=%.0f", len(durable), points, time.Since(began).Seconds())
}

// traces reports whether strace may trace here.
func traces(strace string) bool {
	return exec.Command(strace, "-qq", "-o", os.DevNull, "true").Run() == nil
}

// killAt runs a child, without an end of its own, until a thread of it is about
// to make its k-th call of a kind.
func killAt(t *testing.T, strace, dir, call string, k int) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(strace, "-f", "-qq", "-o", os.DevNull, "-e", "trace="+call,
		"-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", call, k), exe)
	cmd.Env = append(os.Environ(), envDir+"="+dir, envParallelism+"=2", envFaults+"=", envRecords+"=0", "GOMAXPROCS=2")
	var said strings.Builder
	cmd.Stderr = &said
	// strace ends as what it traced did; a child that never gets to the call
	// would run for ever.
	limit := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer limit.Stop()
	err = cmd.Run()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || !limit.Stop() {
		t.Fatalf("%s %d: the child was not killed: %v\n%s", call, k, err, said.String())
	}
}
