package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// event is one line of go test -json.
type event struct {
	Action     string
	Package    string
	Test       string
	Output     string
	ImportPath string // of build output
}

// goTest runs go test -json and prints what a reader wants of it.
func goTest(ctx context.Context, env, args []string) (output, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return output{}, err
	}
	if err := cmd.Start(); err != nil {
		return output{}, err
	}
	out, readErr := digest(pipe, os.Stdout)
	if err := cmd.Wait(); err != nil {
		return out, fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return out, readErr
}

// digest reads the events of go test -json. It writes RESULT lines, skips with
// their reasons, build errors, and the output of tests and packages that fail;
// it returns the RESULT lines and the closing line of each package.
func digest(r io.Reader, w io.Writer) (output, error) {
	var out output
	held := map[[2]string][]string{} // output of tests that may still fail
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 16<<20)
	for sc.Scan() {
		var e event
		if json.Unmarshal(sc.Bytes(), &e) != nil {
			fmt.Fprintln(w, sc.Text()) // not an event: the go command itself speaks
			continue
		}
		key := [2]string{e.Package, e.Test}
		switch e.Action {
		case "build-output":
			fmt.Fprint(w, e.Output)
		case "output":
			held[key] = append(held[key], e.Output)
			if _, result, ok := strings.Cut(e.Output, "RESULT "); ok {
				line := "RESULT " + strings.TrimSpace(result)
				fmt.Fprintln(w, line)
				out.results = append(out.results, line)
			}
			if e.Test == "" && isVerdict(e.Output) {
				out.closing = append(out.closing, strings.TrimRight(e.Output, "\n"))
			}
		case "skip":
			if e.Test != "" {
				fmt.Fprintf(w, "SKIP %s %s: %s\n", e.Package, e.Test, reason(held[key]))
			}
			delete(held, key)
		case "fail":
			for _, line := range held[key] {
				if e.Test != "" || !isVerdict(line) {
					fmt.Fprint(w, line)
				}
			}
			delete(held, key)
		case "pass":
			delete(held, key)
		}
	}
	return out, sc.Err()
}

// isVerdict tells the line with which go test ends a package.
func isVerdict(line string) bool {
	return strings.HasPrefix(line, "ok  \t") || strings.HasPrefix(line, "FAIL\t")
}

// reason is what a skipped test said, without the frame around it.
func reason(lines []string) string {
	for _, line := range lines {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			return line
		}
	}
	return "no reason given"
}
