package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// appendResults adds the figures of a long run to the results file.
func appendResults(file string, results []string) error {
	commit := "unknown"
	if out, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output(); err == nil {
		commit = strings.TrimSpace(string(out))
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(section(time.Now().UTC(), commit, results))
	if err != nil {
		return err
	}
	return f.Close()
}

// section is what one long run adds: its date, the commit and its RESULT lines.
func section(when time.Time, commit string, results []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n## %s, commit %s\n\n", when.Format("2006-01-02 15:04"), commit)
	for _, r := range results {
		fmt.Fprintf(&b, "- `%s`\n", strings.TrimPrefix(r, "RESULT "))
	}
	return b.String()
}
