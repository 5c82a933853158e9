//go:build unix

package cli

import (
	"bytes"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
)

// TestSignal: a command that a signal ended says so and returns the code.
func TestSignal(t *testing.T) {
	var stdout, stderr bytes.Buffer
	waiting := func(*app) *cobra.Command {
		return &cobra.Command{Use: "wait", RunE: func(cmd *cobra.Command, _ []string) error {
			if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
				return err
			}
			<-cmd.Context().Done()
			return cmd.Context().Err()
		}}
	}
	if code := run([]string{"wait"}, &stdout, &stderr, waiting); code != 143 {
		t.Errorf("exit code %d, %s", code, stderr.String())
	}
}
